/**
 * The replicated key-value store: a state machine over an ordered copy-on-write tree.
 *
 * - Deterministic: what a command does depends on the command, its position and the store alone.
 * - A refused condition is a result, never an exception: a throwing `apply` would stop every
 *   member.
 * - Values are copied on the way in, each into memory of its own: what is stored pins no receive
 *   buffer and no log batch, and lies off the V8 heap where it is larger than 64 bytes. Afterwards
 *   no value is changed in place, so a reader may hand one out without copying it again.
 * - A request with a name is carried out once: its first outcome is kept and given again
 *   (outcomes.ts).
 * - `snapshot()` takes a clone of the tree, in constant time, and reads it out while `apply` goes
 *   on.
 */
import type { Applied, ResultOf, StateMachine } from "quorate";
import { BTree } from "quorate/store";
import type {
  Conflict,
  DeleteCommand,
  DeleteDone,
  Item,
  KeyedItem,
  KvCommand,
  KvQuery,
  ListQuery,
  NameRefused,
  Page,
  PutCommand,
  PutDone,
  RequestName,
  StoreSize,
} from "./command.ts";
import { holds } from "./condition.ts";
import { Outcomes } from "./outcomes.ts";
import type { KeptResult } from "./outcomes.ts";
import { readSnapshot, writeSnapshot } from "./snapshot-format.ts";

/** The machine of a key-value member; see the top of the file. */
export class KvMachine implements StateMachine<KvCommand, KvQuery> {
  #tree = new BTree<Item>();
  #bytes = 0;
  #outcomes = new Outcomes();

  /** How much there is. */
  get size(): StoreSize {
    return {
      keys: this.#tree.size,
      bytes: this.#bytes,
      requests: this.#outcomes.size,
      requestBytes: this.#outcomes.bytes,
    };
  }

  apply(command: KvCommand, at: Applied): ResultOf<KvCommand> {
    return command.request === undefined
      ? this.#change(command, at.index)
      : this.#changeOnce(command, command.request, at);
  }

  query(query: KvQuery): ResultOf<KvQuery> {
    return query.type === "get" ? this.#tree.get(query.key) : this.#list(query);
  }

  snapshot(): AsyncIterable<Uint8Array> {
    return writeSnapshot(this.#tree.clone(), this.#outcomes.freeze());
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const { tree, bytes, outcomes } = await readSnapshot(chunks);
    this.#tree = tree;
    this.#bytes = bytes;
    this.#outcomes = outcomes;
  }

  #change(command: KvCommand, revision: number): KeptResult {
    return command.type === "put" ? this.#put(command, revision) : this.#delete(command, revision);
  }

  #changeOnce(
    command: KvCommand,
    { key, fingerprint }: RequestName,
    { index, timeMs }: Applied,
  ): KeptResult | NameRefused {
    const kept = this.#outcomes.get(key, timeMs);
    if (kept !== undefined) {
      if (kept.fingerprint !== fingerprint) return { type: "name-refused", reason: "reused" };
      return { ...kept.result, repeated: true };
    }
    if (!this.#outcomes.makeRoom(key, timeMs)) return { type: "name-refused", reason: "full" };
    const result = this.#change(command, index);
    this.#outcomes.add({ key, fingerprint, result, timeMs });
    return result;
  }

  #put(command: PutCommand, revision: number): PutDone | Conflict {
    const { key, value, condition } = command;
    if (condition.type !== "none") {
      const item = this.#tree.get(key);
      if (!holds(condition, item)) return { type: "conflict", revision: item?.revision ?? 0 };
    }
    const previous = this.#tree.set(key, { value: ownCopy(value), revision });
    this.#bytes += value.length - (previous === undefined ? -key.length : previous.value.length);
    return { type: "put", revision, created: previous === undefined };
  }

  #delete(command: DeleteCommand, revision: number): DeleteDone | Conflict {
    const { key, condition } = command;
    if (condition.type !== "none") {
      const item = this.#tree.get(key);
      if (!holds(condition, item)) return { type: "conflict", revision: item?.revision ?? 0 };
    }
    const previous = this.#tree.delete(key);
    if (previous !== undefined) this.#bytes -= key.length + previous.value.length;
    return { type: "delete", revision, deleted: previous !== undefined };
  }

  #list(query: ListQuery): Page {
    const { prefix, after } = query;
    const from = after !== undefined && after >= prefix ? `${after}\0` : prefix;
    const cursor = this.#tree.cursor(from);
    const items: KeyedItem[] = [];
    let bytes = 0;
    while (cursor.next() && cursor.key.startsWith(prefix)) {
      const { value, revision } = cursor.value;
      bytes += cursor.key.length + (query.withValues ? value.length : 0);
      const full = items.length >= query.limit || bytes > query.bytesMax;
      if (full && items.length > 0) return { items, more: true };
      items.push({ key: cursor.key, value, revision });
    }
    return { items, more: false };
  }
}

/** A copy with a buffer of exactly its size; `slice` of a Buffer would be a view. */
function ownCopy(value: Uint8Array): Uint8Array {
  const copy = new Uint8Array(value.length);
  copy.set(value);
  return copy;
}
