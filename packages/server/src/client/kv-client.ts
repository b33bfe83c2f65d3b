/**
 * What the typed client offers. How a call finds a member that answers, and when it is sent again,
 * is in caller.ts.
 */
import type { ClientCallOptions } from "./client-options.ts";
import type { ClientMembers } from "./members.ts";
import type { EndpointStatus, StatusPage } from "./status-page.ts";
import type { Item, Value } from "./values.ts";

/** Options of a read. */
export interface ClientReadOptions extends ClientCallOptions {
  /** Default `linearizable`; see docs/reads.md. */
  readonly consistency?: "linearizable" | "lease" | "local" | undefined;
  /** Sees at least every write that ended so many ms before. */
  readonly maxStalenessMs?: number | undefined;
}

/** When a write takes effect; at most one of them. */
export interface WriteCondition {
  /** Only over this revision. */
  readonly ifRevision?: number | undefined;
  /** Only if the key is absent. */
  readonly ifAbsent?: boolean | undefined;
  /** Only if the key is there. */
  readonly ifPresent?: boolean | undefined;
}

/** Options of a write. */
export interface ClientWriteOptions extends ClientCallOptions, WriteCondition {
  /**
   * Names the write, for callers that repeat it themselves, after a restart perhaps: 1 to 255
   * visible characters of ASCII, new for each write. Default: drawn at random.
   */
  readonly idempotencyKey?: string | undefined;
}

/** The key has the value. */
export interface PutResult {
  readonly key: string;
  readonly revision: number;
  /** The key was absent before. */
  readonly created: boolean;
}

/** The key is absent. */
export interface DeleteResult {
  readonly key: string;
  readonly revision: number;
  /** The key was there before. */
  readonly deleted: boolean;
}

/** What a compare-and-set came to; `revision` is the one that the key has now, 0 = absent. */
export interface SwapResult {
  readonly swapped: boolean;
  readonly revision: number;
}

/** A snapshot: what it stands for, and the size of its file. */
export interface SnapshotResult {
  readonly index: number;
  readonly term: number;
  readonly bytes: number;
}

/** Options of a listing. */
export interface ListOptions extends ClientReadOptions {
  /** Only keys that begin with it. */
  readonly prefix?: string | undefined;
  /** Begin behind this key. */
  readonly after?: string | undefined;
  /** At most so many keys in all. */
  readonly limit?: number | undefined;
}

/** A key in a listing. */
export interface ListedKey {
  readonly key: string;
  readonly revision: number;
  /** Length of its value. */
  readonly bytes: number;
}

/** Options of {@link KvClient.update}. */
export interface UpdateOptions extends ClientCallOptions {}

/** A client of one cluster; made by `connect`. It holds no connection and needs no start. */
export interface KvClient {
  /** Where it asks. */
  readonly endpoints: readonly string[];

  /**
   * Gives a key a value, once.
   *
   * @throws ClientError PRECONDITION_FAILED with `revision`; KEY_INVALID, VALUE_TOO_LARGE and other
   * refusals; NO_LEADER, TIMEOUT, OVERLOADED, UNREACHABLE (not done); OUTCOME_UNKNOWN where time
   * was up before anybody could say.
   * @example
   * ```ts
   * await kv.put("greeting", "hello");
   * await kv.put("settings", { json: { theme: "dark" } });
   * await kv.put("picture", bytes, { ifAbsent: true });
   * ```
   */
  put(key: string, value: Value, options?: ClientWriteOptions): Promise<PutResult>;

  /**
   * What a key holds; undefined where it is absent. Linearizable unless less is asked for.
   *
   * @throws ClientError NO_LEADER, TIMEOUT, UNREACHABLE, ABORTED, CLOSED, OPTION_INVALID, …
   * @example
   * ```ts
   * const settings = (await kv.get("settings"))?.json(Settings.parse);
   * ```
   */
  get(key: string, options?: ClientReadOptions): Promise<Item | undefined>;

  /** Removes a key, once; `deleted` says whether it was there. Throws as `put` does. */
  delete(key: string, options?: ClientWriteOptions): Promise<DeleteResult>;

  /**
   * Gives a key a value only over the revision that was seen; 0 = only where it is absent. That it
   * did not is a result, not an error, and says which revision the key has.
   *
   * @throws ClientError as `put` does, but not PRECONDITION_FAILED.
   * @example
   * ```ts
   * const { swapped, revision } = await kv.compareAndSet("config", seen.revision, next);
   * ```
   */
  compareAndSet(
    key: string,
    revision: number,
    value: Value,
    options?: Omit<ClientWriteOptions, keyof WriteCondition>,
  ): Promise<SwapResult>;

  /**
   * Reads, changes and writes by compare-and-set, as often as others come in between, until the
   * deadline. `change` may be called several times; undefined leaves the key as it is.
   *
   * @throws ClientError as `put` does; TIMEOUT also where others always came first.
   * @example
   * ```ts
   * await kv.update("visits", (item) => ({ json: (item?.json(Number) ?? 0) + 1 }));
   * ```
   */
  update(
    key: string,
    change: (item: Item | undefined) => Value | undefined,
    options?: UpdateOptions,
  ): Promise<PutResult | undefined>;

  /**
   * The keys in the order of their bytes, page by page. Each page is linearizable for itself.
   *
   * @example
   * ```ts
   * for await (const { key, bytes } of kv.list({ prefix: "orders/" })) console.log(key, bytes);
   * ```
   */
  list(options?: ListOptions): AsyncIterable<ListedKey>;

  /** The same with the values. */
  items(options?: ListOptions): AsyncIterable<Item>;

  /** What a member says of itself: the one at `endpoint`, or whichever answers. */
  status(options?: ClientCallOptions & { readonly endpoint?: string }): Promise<StatusPage>;

  /** What every endpoint says, asked at once, in the order of `endpoints`; never rejects. */
  statusOfAll(options?: ClientCallOptions): Promise<readonly EndpointStatus[]>;

  /** Who the members are: to look at it, to plan a change, and to make it. */
  readonly members: ClientMembers;

  /** Has a member take a snapshot now: the one at `endpoint`, or whichever answers. */
  snapshot(options?: ClientCallOptions & { readonly endpoint?: string }): Promise<SnapshotResult>;

  /**
   * Moves leadership to a member, or to the one that suits best, and names who leads then.
   *
   * @throws ClientError MEMBER_UNKNOWN, MEMBER_NOT_VOTER; OUTCOME_UNKNOWN where it may yet happen.
   */
  transfer(to?: string, options?: ClientCallOptions): Promise<string>;

  /** Ends every call (CLOSED, or OUTCOME_UNKNOWN for a write under way); later ones are refused. */
  close(): void;
}
