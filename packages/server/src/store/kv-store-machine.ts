/**
 * The replicated key-value store on disk: the same commands and the same answers as the one in
 * memory (kv-machine.ts), and the same snapshots, so members of either kind can be together in one
 * cluster and a directory can change its kind.
 *
 *   key of the store   value
 *   "i" key            u64 revision, then the value of the key
 *   "m"                six u64: keys, bytes of keys and values, outcomes, about what keeping them
 *                      costs in bytes, number of the oldest outcome and of the next one
 *   "n" name           u64 number of the outcome of a named request
 *   "o" number         the outcome as in a snapshot (snapshot-format.ts); the number is big-endian,
 *                      so the oldest comes first
 *
 * What is kept of named requests and for how long is said in outcomes.ts; here it is done to the
 * store. Nothing is remembered outside of it.
 */
import type { Applied, ResultOf } from "quorate";
import type { StoreItem, StoreMachine, StoreReader, StoreWriter } from "quorate/store";
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
import { OUTCOME_LIMITS } from "./outcomes.ts";
import type { KeptOutcome, KeptResult } from "./outcomes.ts";
import {
  itemHeader,
  outcomeBytes,
  readItems,
  readOutcome,
  snapshotHeader,
} from "./snapshot-format.ts";

const ITEM = "i";
const AFTER_ITEMS = "j";
const META = "m";
const NAME = "n";
const OUTCOME = "o";
const AFTER_OUTCOMES = "p";
const REVISION_BYTES = 8;

/** What is counted. */
interface Meta {
  keys: number;
  bytes: number;
  outcomes: number;
  outcomeBytes: number;
  oldest: number;
  next: number;
}

/** See the top of the file. */
export class KvStoreMachine implements StoreMachine<KvCommand, KvQuery> {
  #store: StoreReader | undefined;

  /** How much there is. */
  get size(): StoreSize {
    const meta = this.#store === undefined ? readMeta(undefined) : metaOf(this.#store);
    const { keys, bytes, outcomes: requests, outcomeBytes: requestBytes } = meta;
    return { keys, bytes, requests, requestBytes };
  }

  begin(store: StoreReader): void {
    this.#store = store;
  }

  apply(command: KvCommand, store: StoreWriter, at: Applied): ResultOf<KvCommand> {
    const meta = metaOf(store);
    const change = new Change(store, meta);
    const result =
      command.request === undefined
        ? change.make(command, at.index)
        : change.makeOnce(command, command.request, at);
    store.put(META, metaBytes(meta));
    return result;
  }

  query(query: KvQuery, store: StoreReader): ResultOf<KvQuery> {
    return query.type === "get" ? itemOf(store, query.key) : list(query, store);
  }

  /** As the machine in memory writes it. */
  *stream(store: StoreReader): Generator<Uint8Array, void, undefined> {
    const { keys, outcomes } = metaOf(store);
    yield snapshotHeader(keys, outcomes);
    for (const [key, stored] of store.items(ITEM)) {
      if (key >= AFTER_ITEMS) break;
      const { value, revision } = readItem(stored);
      yield itemHeader(key.slice(1), value.length, revision);
      yield value;
    }
    for (const [key, stored] of store.items(OUTCOME)) {
      if (key >= AFTER_OUTCOMES) break;
      yield stored;
    }
  }

  async *restore(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<StoreItem, void, undefined> {
    const meta = readMeta(undefined);
    const outcomes: KeptOutcome[] = [];
    for await (const found of readItems(chunks)) {
      if ("fingerprint" in found) outcomes.push(found);
      else {
        meta.keys++;
        meta.bytes += found.key.length + found.value.length;
        yield [ITEM + found.key, itemBytes(found)];
      }
    }
    meta.outcomes = outcomes.length;
    meta.next = outcomes.length;
    for (const { key } of outcomes) meta.outcomeBytes += costOf(key);
    yield [META, metaBytes(meta)];
    const names = outcomes.map(({ key }, i): StoreItem => [NAME + key, u64Bytes(i)]);
    yield* names.sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [i, outcome] of outcomes.entries()) yield [numberKey(i), outcomeBytes(outcome)];
  }
}

/** What one command does. */
class Change {
  readonly #store: StoreWriter;
  readonly #meta: Meta;

  constructor(store: StoreWriter, meta: Meta) {
    this.#store = store;
    this.#meta = meta;
  }

  make(command: KvCommand, revision: number): KeptResult {
    return command.type === "put" ? this.#put(command, revision) : this.#delete(command, revision);
  }

  makeOnce(
    command: KvCommand,
    { key, fingerprint }: RequestName,
    { index, timeMs }: Applied,
  ): KeptResult | NameRefused {
    const kept = this.#kept(key, timeMs);
    if (kept !== undefined) {
      if (kept.fingerprint !== fingerprint) return { type: "name-refused", reason: "reused" };
      return { ...kept.result, repeated: true };
    }
    if (!this.#makeRoom(key, timeMs)) return { type: "name-refused", reason: "full" };
    const result = this.make(command, index);
    this.#keep({ key, fingerprint, result, timeMs });
    return result;
  }

  #put({ key, value, condition }: PutCommand, revision: number): PutDone | Conflict {
    const before = itemOf(this.#store, key);
    if (!holds(condition, before)) return { type: "conflict", revision: before?.revision ?? 0 };
    this.#store.put(ITEM + key, itemBytes({ value, revision }));
    if (before === undefined) {
      this.#meta.keys++;
      this.#meta.bytes += key.length;
    }
    this.#meta.bytes += value.length - (before?.value.length ?? 0);
    return { type: "put", revision, created: before === undefined };
  }

  #delete({ key, condition }: DeleteCommand, revision: number): DeleteDone | Conflict {
    const before = itemOf(this.#store, key);
    if (!holds(condition, before)) return { type: "conflict", revision: before?.revision ?? 0 };
    if (before !== undefined) {
      this.#store.delete(ITEM + key);
      this.#meta.keys--;
      this.#meta.bytes -= key.length + before.value.length;
    }
    return { type: "delete", revision, deleted: before !== undefined };
  }

  #kept(name: string, nowMs: number): KeptOutcome | undefined {
    this.#dropWhile((oldest) => nowMs - oldest.timeMs >= OUTCOME_LIMITS.keptMsMax);
    const number = this.#store.get(NAME + name);
    return number && this.#outcome(readU64(number));
  }

  #makeRoom(name: string, nowMs: number): boolean {
    const { bytesMax, keptMsMin } = OUTCOME_LIMITS;
    const most = bytesMax - costOf(name);
    this.#dropWhile(
      (oldest) => this.#meta.outcomeBytes > most && nowMs - oldest.timeMs >= keptMsMin,
    );
    return this.#meta.outcomeBytes <= most;
  }

  #keep(outcome: KeptOutcome): void {
    const meta = this.#meta;
    this.#store.put(NAME + outcome.key, u64Bytes(meta.next));
    this.#store.put(numberKey(meta.next), outcomeBytes(outcome));
    meta.next++;
    meta.outcomes++;
    meta.outcomeBytes += costOf(outcome.key);
  }

  #dropWhile(isDue: (oldest: KeptOutcome) => boolean): void {
    const meta = this.#meta;
    while (meta.outcomes > 0) {
      const oldest = this.#outcome(meta.oldest)!;
      if (!isDue(oldest)) return;
      this.#store.delete(NAME + oldest.key);
      this.#store.delete(numberKey(meta.oldest));
      meta.oldest++;
      meta.outcomes--;
      meta.outcomeBytes -= costOf(oldest.key);
    }
  }

  #outcome(number: number): KeptOutcome | undefined {
    const bytes = this.#store.get(numberKey(number));
    return bytes && readOutcome(bufferOf(bytes), 0, bytes.length);
  }
}

function list(query: ListQuery, store: StoreReader): Page {
  const { prefix, after } = query;
  const from = after !== undefined && after >= prefix ? `${after}\0` : prefix;
  const items: KeyedItem[] = [];
  let bytes = 0;
  for (const [key, stored] of store.items(ITEM + from)) {
    if (!key.startsWith(ITEM + prefix)) break;
    const { value, revision } = readItem(stored);
    bytes += key.length - 1 + (query.withValues ? value.length : 0);
    const full = items.length >= query.limit || bytes > query.bytesMax;
    if (full && items.length > 0) return { items, more: true };
    items.push({ key: key.slice(1), value, revision });
  }
  return { items, more: false };
}

function itemOf(store: StoreReader, key: string): Item | undefined {
  const stored = store.get(ITEM + key);
  return stored && readItem(stored);
}

function readItem(stored: Uint8Array): Item {
  return { value: stored.subarray(REVISION_BYTES), revision: readU64(stored) };
}

/** A buffer of its own: what is stored pins no batch of the log. */
function itemBytes({ value, revision }: Item): Uint8Array {
  const bytes = new Uint8Array(REVISION_BYTES + value.length);
  writeU64(bytes, revision, 0);
  bytes.set(value, REVISION_BYTES);
  return bytes;
}

function metaOf(store: StoreReader): Meta {
  return readMeta(store.get(META));
}

const META_FIELDS = ["keys", "bytes", "outcomes", "outcomeBytes", "oldest", "next"] as const;

function readMeta(bytes: Uint8Array | undefined): Meta {
  const meta = { keys: 0, bytes: 0, outcomes: 0, outcomeBytes: 0, oldest: 0, next: 0 };
  if (bytes === undefined) return meta;
  for (const [i, name] of META_FIELDS.entries()) meta[name] = readU64(bytes, 8 * i);
  return meta;
}

function metaBytes(meta: Meta): Uint8Array {
  const bytes = new Uint8Array(8 * META_FIELDS.length);
  for (const [i, name] of META_FIELDS.entries()) writeU64(bytes, meta[name], 8 * i);
  return bytes;
}

function costOf(name: string): number {
  return OUTCOME_LIMITS.bytesEach + name.length;
}

function numberKey(number: number): string {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32BE(Math.floor(number / TWO_32), 0);
  bytes.writeUInt32BE(number % TWO_32, 4);
  return OUTCOME + bytes.toString("latin1");
}

const TWO_32 = 0x1_0000_0000;

function u64Bytes(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  writeU64(bytes, value, 0);
  return bytes;
}

function writeU64(bytes: Uint8Array, value: number, at: number): void {
  const view = bufferOf(bytes);
  view.writeUInt32LE(value % TWO_32, at);
  view.writeUInt32LE(Math.floor(value / TWO_32), at + 4);
}

function readU64(bytes: Uint8Array, at = 0): number {
  const view = bufferOf(bytes);
  return view.readUInt32LE(at + 4) * TWO_32 + view.readUInt32LE(at);
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
