/**
 * What the store is asked: commands change it, queries do not.
 *
 * The *revision* of a write is its position in the replicated log: it grows from write to write
 * over the whole store, with gaps, and is the same on every member.
 */
import type { Returns } from "quorate";
import type { Key } from "./key.ts";

/** When a command takes effect. Otherwise it changes nothing and ends as a {@link Conflict}. */
export type Condition =
  | { readonly type: "none" }
  /** The key is there and was last written at this revision. */
  | { readonly type: "revision"; readonly revision: number }
  | { readonly type: "absent" }
  | { readonly type: "present" };

/** Always. */
export const NO_CONDITION: Condition = { type: "none" };

/**
 * Names a request, so that sending it again does not do it again: the store keeps its first outcome
 * for a while (outcomes.ts). Made by `nameRequest`.
 */
export interface RequestName {
  /** Chosen by who asks: 1 to 255 of visible ASCII. */
  readonly key: string;
  /** What was asked for under this key, as eight bytes of a hash; every char is one byte. */
  readonly fingerprint: string;
}

/** What every outcome of a command may say. */
export interface Outcome {
  /** The request was carried out earlier; this is what it came to then. */
  readonly repeated?: true;
}

/** The condition of a command did not hold; nothing was changed. */
export interface Conflict extends Outcome {
  readonly type: "conflict";
  /** The revision that the key has; 0 where it is absent. */
  readonly revision: number;
}

/** The key has the value now. */
export interface PutDone extends Outcome {
  readonly type: "put";
  readonly revision: number;
  /** The key was absent before. */
  readonly created: boolean;
}

/** The key is absent now. */
export interface DeleteDone extends Outcome {
  readonly type: "delete";
  readonly revision: number;
  /** The key was there before. */
  readonly deleted: boolean;
}

/** A named request was not looked at; nothing was changed, and nothing is kept of it. */
export interface NameRefused {
  readonly type: "name-refused";
  /** `reused`: the name stands for another request. `full`: too many names of late. */
  readonly reason: "reused" | "full";
}

/** Gives a key a value. */
export interface PutCommand extends Returns<PutDone | Conflict | NameRefused> {
  readonly type: "put";
  readonly key: Key;
  readonly value: Uint8Array;
  readonly condition: Condition;
  readonly request?: RequestName;
}

/** Removes a key. */
export interface DeleteCommand extends Returns<DeleteDone | Conflict | NameRefused> {
  readonly type: "delete";
  readonly key: Key;
  readonly condition: Condition;
  readonly request?: RequestName;
}

/** Everything that changes the store. */
export type KvCommand = PutCommand | DeleteCommand;

/** A value and the revision at which it was written. Values are never changed in place. */
export interface Item {
  readonly value: Uint8Array;
  readonly revision: number;
}

/** An item with its key. */
export interface KeyedItem extends Item {
  readonly key: Key;
}

/** One page of a listing. */
export interface Page {
  readonly items: readonly KeyedItem[];
  /** There are more: list on with `after` = the last key of this page. */
  readonly more: boolean;
}

/** What a key holds; undefined where it is absent. */
export interface GetQuery extends Returns<Item | undefined> {
  readonly type: "get";
  readonly key: Key;
}

/** The items of a prefix, in the order of the bytes of their keys. */
export interface ListQuery extends Returns<Page> {
  readonly type: "list";
  readonly prefix: Key;
  /** Begin behind this key. */
  readonly after: Key | undefined;
  /** At most so many items … */
  readonly limit: number;
  /** … and about so many bytes of what is asked for; a page holds at least one item. */
  readonly bytesMax: number;
  /** Whether the caller wants the values, so that they count as bytes of the page. */
  readonly withValues: boolean;
}

/** Everything that is asked of it. */
export type KvQuery = GetQuery | ListQuery;

/** How much of the store there is. */
export interface StoreSize {
  readonly keys: number;
  /** Of keys and values, without what holding them costs. */
  readonly bytes: number;
  /** Named requests whose outcome is kept, and about what keeping them costs in bytes. */
  readonly requests: number;
  readonly requestBytes: number;
}
