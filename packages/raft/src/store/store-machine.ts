/**
 * A state machine made of keys and values, and how it becomes a machine on disk.
 *
 * The user says what a command does to an ordered store and what a query reads from it. Everything
 * else is here: batches, the engine's records beside the effects, checkpoints, streams, and taking
 * over another member's state.
 *
 * Keys of the user and of the engine live in one store, each behind a first char of its own: no key
 * that a user can name is one of the engine's.
 *
 *   stream   per item: u32 bytes of the key, u32 bytes of the value, key, value; keys ascend
 */
import type { Checkpoint, DiskBatch, DiskStateMachine } from "../machine/disk-machine.ts";
import type { EngineRecord } from "../machine/disk-machine.ts";
import type { Applied, ResultOf } from "../machine/state-machine.ts";
import { BytesError, readU32, writeU32 } from "../util/bytes.ts";
import type { StoreBackend, StoreItem, StoreKey } from "./backend.ts";
import { bytesOfKey, keyOfBytes } from "./keys.ts";
import { Layers } from "./layers.ts";
import type { LayerLimits } from "./layers.ts";

/** What a query sees. */
export interface StoreReader {
  /** The value of a key; undefined where it is absent. It is not to be changed. */
  get(key: StoreKey): Uint8Array | undefined;
  /**
   * The items from the first key on that is not below `from`, upwards. Read them before anything
   * is awaited.
   */
  items(from?: StoreKey): IterableIterator<StoreItem>;
}

/** What a command changes. */
export interface StoreWriter extends StoreReader {
  /** The value is kept as it is: do not change it afterwards. */
  put(key: StoreKey, value: Uint8Array): void;
  delete(key: StoreKey): void;
}

/**
 * A state machine that keeps all of its state in an ordered store.
 *
 * `apply` must be deterministic, and what it remembers beside the store is lost with the process.
 * What it throws stops this replica, on every member alike.
 *
 * @example
 * ```ts
 * class Notes implements StoreMachine<Put, Get> {
 *   apply({ key, text }: Put, store: StoreWriter) { store.put(textKey(key), utf8(text)); }
 *   query({ key }: Get, store: StoreReader) { return store.get(textKey(key)); }
 * }
 * await openReplica({ machine: onLmdb(new Notes(), { path: "./data/notes" }), … });
 * ```
 */
export interface StoreMachine<Command, Query> {
  /** Raised when `apply` changes its meaning. Default 1. */
  readonly version?: number;
  /** The store is open. It is the same object in every later call. */
  begin?(store: StoreReader): void;
  apply(command: Command, store: StoreWriter, at: Applied): ResultOf<Command>;
  query(query: Query, store: StoreReader): ResultOf<Query>;
  /** The state in a form of the machine's own. Default: all items. */
  stream?(store: StoreReader): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** Reads what `stream` gave. Keys ascend. */
  restore?(chunks: AsyncIterable<Uint8Array>): AsyncIterable<StoreItem>;
}

const USER = "u";
const ENGINE = "e";
const AFTER_ENGINE = "f";
const PUT_ITEMS = 1_024;
const PUT_BYTES = 262_144; // 256 KiB
const PIECE_BYTES = 65_536; // 64 KiB
const HEAD_BYTES = 8;

/** Makes a machine on disk of one that is made of keys and values. Other limits are for tests. */
export function onStore<Command, Query>(
  machine: StoreMachine<Command, Query>,
  backend: StoreBackend,
  limits?: LayerLimits,
): DiskStateMachine<Command, Query> {
  return new StoredMachine(machine, backend, limits);
}

/** See the top of this file. */
class StoredMachine<Command, Query> implements DiskStateMachine<Command, Query> {
  readonly #machine: StoreMachine<Command, Query>;
  readonly #backend: StoreBackend;
  readonly #layers: Layers;
  readonly #writer: Writer;

  constructor(
    machine: StoreMachine<Command, Query>,
    backend: StoreBackend,
    limits: LayerLimits | undefined,
  ) {
    this.#machine = machine;
    this.#backend = backend;
    this.#layers = new Layers(backend, limits);
    this.#writer = new Writer(this.#layers, backend.keyBytesMax);
  }

  get version(): number {
    return this.#machine.version ?? 1;
  }

  get isFull(): boolean {
    return this.#layers.isFull;
  }

  async open(): Promise<readonly EngineRecord[]> {
    await this.#backend.open();
    this.#machine.begin?.(this.#writer);
    const view = this.#backend.view();
    try {
      const records: EngineRecord[] = [];
      const items = view.items(ENGINE);
      for (let step = items.next(); step.done !== true; step = items.next()) {
        const [key, value] = step.value;
        if (key >= AFTER_ENGINE) break;
        records.push({ key: key.slice(1), value });
      }
      return records;
    } finally {
      view.release();
    }
  }

  apply(
    batch: DiskBatch<Command>,
  ): readonly ResultOf<Command>[] | Promise<readonly ResultOf<Command>[]> {
    const room = this.#layers.room();
    return room === undefined ? this.#applied(batch) : room.then(() => this.#applied(batch));
  }

  #applied(
    batch: DiskBatch<Command>,
  ): readonly ResultOf<Command>[] | Promise<readonly ResultOf<Command>[]> {
    const results: ResultOf<Command>[] = [];
    for (const entry of batch.entries) {
      results.push(this.#machine.apply(entry.command, this.#writer, entry));
    }
    for (const { key, value } of batch.records(results)) this.#layers.set(ENGINE + key, value);
    const wait = this.#layers.endBatch();
    return wait === undefined ? results : wait.then(() => results);
  }

  query(query: Query): ResultOf<Query> {
    return this.#machine.query(query, this.#writer);
  }

  sync(): Promise<void> {
    return this.#layers.flush();
  }

  checkpoint(): Checkpoint {
    const view = this.#layers.view();
    const reader = new ViewReader(view);
    return {
      stream: () => piecesOf(this.#machine.stream?.(reader) ?? streamItems(reader)),
      release: () => view.release(),
    };
  }

  async restore(
    chunks: AsyncIterable<Uint8Array>,
    records: readonly EngineRecord[],
  ): Promise<void> {
    // A commit under way would come to the new place.
    await this.#layers.idle();
    const replacement = await this.#backend.replace();
    try {
      const own = records.map(({ key, value }): StoreItem => [ENGINE + key, value]);
      await replacement.put(own.sort(([a], [b]) => (a < b ? -1 : 1)));
      const items = this.#machine.restore?.(chunks) ?? readItems(chunks);
      for await (const some of inGroups(items)) await replacement.put(some);
      await replacement.take();
      this.#layers.clear();
    } catch (error) {
      await replacement.abandon();
      throw error;
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.#layers.flush()]);
    await this.#backend.close();
  }
}

/** The user's part of the layers. */
class Writer implements StoreWriter {
  readonly #layers: Layers;
  readonly #keyBytesMax: number;

  constructor(layers: Layers, keyBytesMax: number) {
    this.#layers = layers;
    this.#keyBytesMax = keyBytesMax;
  }

  get(key: StoreKey): Uint8Array | undefined {
    return this.#layers.get(USER + key);
  }

  *items(from: StoreKey = ""): Generator<StoreItem, void, undefined> {
    const view = this.#layers.items(USER + from);
    try {
      for (const [key, value] of view.items()) yield [key.slice(1), value];
    } finally {
      view.release();
    }
  }

  put(key: StoreKey, value: Uint8Array): void {
    if (key.length >= this.#keyBytesMax) {
      throw new RangeError(`a key of ${key.length} bytes: ${this.#keyBytesMax - 1} at most`);
    }
    this.#layers.set(USER + key, value);
  }

  delete(key: StoreKey): void {
    if (this.get(key) !== undefined) this.#layers.set(USER + key, undefined);
  }
}

/** The user's part of a view. */
class ViewReader implements StoreReader {
  readonly #view: { items(from: StoreKey): IterableIterator<StoreItem> };

  constructor(view: { items(from: StoreKey): IterableIterator<StoreItem> }) {
    this.#view = view;
  }

  get(key: StoreKey): Uint8Array | undefined {
    for (const [found, value] of this.items(key)) return found === key ? value : undefined;
    return undefined;
  }

  *items(from: StoreKey = ""): Generator<StoreItem, void, undefined> {
    for (const [key, value] of this.#view.items(USER + from)) yield [key.slice(1), value];
  }
}

function* streamItems(reader: StoreReader): Generator<Uint8Array, void, undefined> {
  for (const [key, value] of reader.items()) {
    const bytes = new Uint8Array(HEAD_BYTES + key.length + value.length);
    writeU32(bytes, 0, key.length);
    writeU32(bytes, 4, value.length);
    bytes.set(bytesOfKey(key), HEAD_BYTES);
    bytes.set(value, HEAD_BYTES + key.length);
    yield bytes;
  }
}

/** Pieces of some size, so that not every item has to be awaited. */
async function* piecesOf(
  parts: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let piece = new Uint8Array(PIECE_BYTES);
  let filled = 0;
  for await (const part of parts) {
    if (filled + part.length > piece.length) {
      if (filled > 0) yield piece.subarray(0, filled);
      piece = new Uint8Array(Math.max(PIECE_BYTES, part.length));
      filled = 0;
    }
    piece.set(part, filled);
    filled += part.length;
  }
  if (filled > 0) yield piece.subarray(0, filled);
}

/** The items of a stream that {@link streamItems} made. */
async function* readItems(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<StoreItem, void, undefined> {
  let rest: Uint8Array = new Uint8Array(0);
  for await (const chunk of chunks) {
    const bytes = joined(rest, chunk);
    let at = 0;
    for (;;) {
      if (bytes.length - at < HEAD_BYTES) break;
      const keyEnd = at + HEAD_BYTES + readU32(bytes, at);
      const end = keyEnd + readU32(bytes, at + 4);
      if (bytes.length < end) break;
      yield [keyOfBytes(bytes.subarray(at + HEAD_BYTES, keyEnd)), bytes.slice(keyEnd, end)];
      at = end;
    }
    rest = bytes.subarray(at);
  }
  if (rest.length > 0) throw new BytesError("the stream ends within an item");
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}

/** Items in groups, with their keys as the backend knows them. */
async function* inGroups(
  items: AsyncIterable<StoreItem>,
): AsyncGenerator<StoreItem[], void, undefined> {
  let group: StoreItem[] = [];
  let bytes = 0;
  for await (const [key, value] of items) {
    group.push([USER + key, value]);
    bytes += key.length + value.length;
    if (group.length < PUT_ITEMS && bytes < PUT_BYTES) continue;
    yield group;
    group = [];
    bytes = 0;
  }
  if (group.length > 0) yield group;
}
