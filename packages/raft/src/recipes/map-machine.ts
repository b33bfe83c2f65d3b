/**
 * The state machine behind a {@link ReplicatedMap}: keys that are text or numbers, values that JSON
 * can hold, and with each value the revision at which it was written: its position in the log.
 *
 * - Values are frozen, all the way down, when they come in: readers get the very value, not a copy,
 *   and nobody can change the state of one member behind the back of the others.
 * - The order of keys is that in which they were first set. It is part of the state: the same on
 *   every member, and kept by snapshots.
 */
import type { Applied, ResultOf, Returns, StateMachine } from "../index.ts";
import { itemsIn, linesOf } from "./lines.ts";

/** What can be a key. */
export type MapKey = string | number;

/** A value and the revision at which it was written. */
export interface MapEntry<V> {
  readonly value: V;
  readonly revision: number;
}

/** The map was changed, at this revision; `before` is what the key held. */
export interface MapChanged<V> {
  readonly type: "changed";
  readonly revision: number;
  readonly before: MapEntry<V> | undefined;
}

/** The key is not as expected; nothing was changed. `entry` is what it holds. */
export interface MapDiffers<V> {
  readonly type: "differs";
  readonly entry: MapEntry<V> | undefined;
}

/** Gives a key a value; with `expect` only over that revision, 0 = only where it is absent. */
export interface MapSet<K, V> extends Returns<MapChanged<V> | MapDiffers<V>> {
  readonly type: "set";
  readonly key: K;
  readonly value: V;
  readonly expect?: number;
}

/** Removes a key; with `expect` only at that revision. */
export interface MapDelete<K, V> extends Returns<MapChanged<V> | MapDiffers<V>> {
  readonly type: "delete";
  readonly key: K;
  readonly expect?: number;
}

/** Removes all keys; answers how many there were. */
export interface MapClear extends Returns<number> {
  readonly type: "clear";
}

/** Everything that changes a map. */
export type MapCommand<K extends MapKey, V> = MapSet<K, V> | MapDelete<K, V> | MapClear;

/** What a key holds. */
export interface MapGet<K, V> extends Returns<MapEntry<V> | undefined> {
  readonly type: "get";
  readonly key: K;
}

/** Everything, as of one moment. */
export interface MapEntries<K, V> extends Returns<ReadonlyArray<readonly [K, V]>> {
  readonly type: "entries";
}

/** How many keys there are. */
export interface MapSize extends Returns<number> {
  readonly type: "size";
}

/** Everything that is asked of a map. */
export type MapQuery<K extends MapKey, V> = MapGet<K, V> | MapEntries<K, V> | MapSize;

const RECIPE = "map";
const VERSION = 1;

/**
 * The state machine of a replicated map; see {@link ReplicatedMap}.
 *
 * @example
 * ```ts
 * const node = await openReplica({ ...options, machine: new MapMachine<string, Account>() });
 * ```
 */
export class MapMachine<K extends MapKey, V> implements StateMachine<
  MapCommand<K, V>,
  MapQuery<K, V>
> {
  #entries = new Map<K, MapEntry<V>>();

  apply(command: MapCommand<K, V>, at: Applied): ResultOf<MapCommand<K, V>> {
    const result = this.#apply(command, at.index);
    return result;
  }

  query(query: MapQuery<K, V>): ResultOf<MapQuery<K, V>> {
    return this.#query(query);
  }

  snapshot(): AsyncIterable<Uint8Array> {
    const items = Array.from(this.#entries, ([key, { value, revision }]) => [key, value, revision]);
    return linesOf(RECIPE, VERSION, items);
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const entries = new Map<K, MapEntry<V>>();
    for (const item of await itemsIn(RECIPE, VERSION, chunks)) {
      const [key, value, revision] = item as [K, V, number];
      entries.set(key, frozen({ value, revision }));
    }
    this.#entries = entries;
  }

  #apply(command: MapCommand<K, V>, revision: number): MapChanged<V> | MapDiffers<V> | number {
    if (command.type === "clear") {
      const { size } = this.#entries;
      this.#entries.clear();
      return size;
    }
    const { key, expect } = command;
    const before = this.#entries.get(key);
    if (expect !== undefined && expect !== (before?.revision ?? 0)) {
      return { type: "differs", entry: before };
    }
    if (command.type === "set") this.#entries.set(key, frozen({ value: command.value, revision }));
    else this.#entries.delete(key);
    return { type: "changed", revision, before };
  }

  #query(query: MapQuery<K, V>): MapEntry<V> | undefined | ReadonlyArray<readonly [K, V]> | number {
    if (query.type === "get") return this.#entries.get(query.key);
    if (query.type === "size") return this.#entries.size;
    return Array.from(this.#entries, ([key, { value }]) => [key, value] as const);
  }
}

/** The value, which cannot be changed from now on. */
function frozen<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  for (const part of Object.values(value)) frozen(part);
  return Object.freeze(value);
}
