/**
 * A replicated map as a handle: typed calls on a replica, or on a part of one, that runs a
 * {@link MapMachine}. It keeps nothing by itself; several handles on one replica are as good as
 * one.
 */
import type { CallOptions, ReadOptions } from "../index.ts";
import { QuorateError } from "../util/error.ts";
import type { Access } from "./access.ts";
import type {
  MapChanged,
  MapClear,
  MapCommand,
  MapDiffers,
  MapEntry,
  MapGet,
  MapKey,
  MapQuery,
  MapSize,
} from "./map-machine.ts";

/** What a compare-and-set came to; `entry` is what the key holds now. */
export type MapSwap<V> =
  | { readonly swapped: true; readonly revision: number }
  | { readonly swapped: false; readonly entry: MapEntry<V> | undefined };

/**
 * A map that is the same on every member. Every call works on every member; reads are linearizable
 * unless less is asked for. Values are frozen: set a new one instead of changing what you got.
 *
 * All calls reject with a QuorateError as `write` and `read` of a replica do.
 *
 * @example
 * ```ts
 * const node = await openReplica({ ...options, machine: new MapMachine<string, Account>() });
 * const accounts = new ReplicatedMap(node);
 * await accounts.set("alice", { balance: 100 });
 * await accounts.update("alice", (account) => ({ balance: (account?.balance ?? 0) + 5 }));
 * for (const [name, { balance }] of await accounts.entries()) console.log(name, balance);
 * ```
 */
export class ReplicatedMap<K extends MapKey, V> {
  readonly #access: Access<MapCommand<K, V>, MapQuery<K, V>>;

  /** On a replica whose machine is a {@link MapMachine}, or on such a part of one. */
  constructor(access: Access<MapCommand<K, V>, MapQuery<K, V>>) {
    this.#access = access;
  }

  /** What a key holds; undefined where it is absent. */
  async get(key: K, options?: ReadOptions): Promise<V | undefined> {
    return (await this.entry(key, options))?.value;
  }

  /** What a key holds, with the revision for {@link compareAndSet}. */
  async entry(key: K, options?: ReadOptions): Promise<MapEntry<V> | undefined> {
    checkKey(key);
    return this.#access.read<MapGet<K, V>>({ type: "get", key }, options);
  }

  /** Whether a key is there. */
  async has(key: K, options?: ReadOptions): Promise<boolean> {
    return (await this.entry(key, options)) !== undefined;
  }

  /** How many keys there are. */
  async size(options?: ReadOptions): Promise<number> {
    return this.#access.read<MapSize>({ type: "size" }, options);
  }

  /** All keys and values as of one moment, in the order in which the keys were first set. */
  async entries(options?: ReadOptions): Promise<ReadonlyArray<readonly [K, V]>> {
    const entries = await this.#access.read({ type: "entries" }, options);
    return entries;
  }

  /** All keys as of one moment. */
  async keys(options?: ReadOptions): Promise<readonly K[]> {
    return (await this.entries(options)).map(([key]) => key);
  }

  /** Gives a key a value; resolves to its revision. */
  async set(key: K, value: V, options?: CallOptions): Promise<number> {
    const changed = await this.#change({ type: "set", key, value }, options);
    return (changed as MapChanged<V>).revision;
  }

  /** Removes a key; whether it was there. */
  async delete(key: K, options?: CallOptions): Promise<boolean> {
    const changed = await this.#change({ type: "delete", key }, options);
    return (changed as MapChanged<V>).before !== undefined;
  }

  /** Removes all keys; how many there were. */
  async clear(options?: CallOptions): Promise<number> {
    return this.#access.write<MapClear>({ type: "clear" }, options);
  }

  /**
   * Gives a key a value only over the revision that was seen; 0 = only where it is absent. That it
   * did not is a result, and says what the key holds.
   */
  async compareAndSet(
    key: K,
    revision: number,
    value: V,
    options?: CallOptions,
  ): Promise<MapSwap<V>> {
    return swapOf(await this.#change({ type: "set", key, value, expect: revision }, options));
  }

  /** Removes a key only at the revision that was seen. */
  async compareAndDelete(key: K, revision: number, options?: CallOptions): Promise<MapSwap<V>> {
    return swapOf(await this.#change({ type: "delete", key, expect: revision }, options));
  }

  /**
   * Reads, changes and writes back, as often as others come in between. `change` may be called
   * several times; where it gives undefined the key is removed. Resolves to the new value.
   *
   * `timeoutMs` and `signal` are for each read and write; where others always come first, only a
   * signal ends it.
   */
  async update(
    key: K,
    change: (value: V | undefined) => V | undefined,
    options?: CallOptions,
  ): Promise<V | undefined> {
    let entry = await this.entry(key, options);
    for (;;) {
      const value = change(entry?.value);
      if (value === undefined && entry === undefined) return undefined;
      const expect = entry?.revision ?? 0;
      const swap =
        value === undefined
          ? await this.compareAndDelete(key, expect, options)
          : await this.compareAndSet(key, expect, value, options);
      if (swap.swapped) return value;
      ({ entry } = swap);
    }
  }

  async #change(
    command: Exclude<MapCommand<K, V>, { readonly type: "clear" }>,
    options: CallOptions | undefined,
  ): Promise<MapChanged<V> | MapDiffers<V>> {
    checkKey(command.key);
    // JSON would leave the member out, and the key would have no value at all.
    if (command.type === "set" && command.value === undefined) {
      throw new QuorateError("COMMAND_INVALID", "undefined is no value: delete the key instead");
    }
    const result = await this.#access.write(command, options);
    return result;
  }
}

function swapOf<V>(result: MapChanged<V> | MapDiffers<V>): MapSwap<V> {
  return result.type === "changed"
    ? { swapped: true, revision: result.revision }
    : { swapped: false, entry: result.entry };
}

/** JSON knows neither NaN nor infinities, and writes -0 as 0. */
function checkKey(key: MapKey): void {
  if (typeof key === "string" || Number.isFinite(key)) return;
  throw new QuorateError("COMMAND_INVALID", `a key is text or a finite number, not ${String(key)}`);
}
