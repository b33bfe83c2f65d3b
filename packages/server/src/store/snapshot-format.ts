/**
 * The store as a stream of bytes. Version 2, little-endian:
 *
 * ```
 * header   8  "QKVSNAP" and the version as one byte = 2
 *          8  number of items, u64
 *          8  number of outcomes, u64
 * item     4  length of the key, u32
 *          4  length of the value, u32
 *          8  revision, u64
 *          k  key
 *          v  value
 * outcome  8  cluster time at which it came about, in ms, u64
 *          8  revision that it names, u64
 *          1  kind: 1 put, 2 delete, 3 conflict
 *          1  put: created; delete: deleted; conflict: 0
 *          1  length of the name of the request, at least 1
 *          1  reserved = 0
 *          8  fingerprint of the request
 *          n  name of the request, each byte 0x21 to 0x7e
 * ```
 *
 * Items ascend strictly by key; outcomes follow behind them, their times never descend, and no name
 * comes twice; nothing follows the last one. The stream has no checksum of its own: a snapshot file
 * and its transfer are checked as a whole by the engine, and only a complete one is read here.
 * Whatever is not exactly this is refused, and the store stays as it was.
 */
import { BTree } from "quorate/store";
import type { Item, KeyedItem } from "./command.ts";
import { FINGERPRINT_BYTES, isRequestKey } from "./command-codec.ts";
import { Outcomes } from "./outcomes.ts";
import type { FrozenOutcomes, KeptOutcome, KeptResult } from "./outcomes.ts";

/** These bytes are not a snapshot of this version. */
export class SnapshotFormatError extends Error {
  override readonly name = "SnapshotFormatError";
}

const MAGIC = Buffer.from("QKVSNAP\u0002", "latin1");
const HEADER_BYTES = 24;
const ITEM_BYTES = 16;
const OUTCOME_BYTES = 28;
const FINGERPRINT_AT = 20;
const CHUNK_BYTES = 65_536;
const TWO_32 = 0x1_0000_0000;

/** What a snapshot holds. */
export interface SnapshotContent {
  readonly tree: BTree<Item>;
  /** Of keys and values. */
  readonly bytes: number;
  readonly outcomes: Outcomes;
}

/** Reads out what nobody changes any more. A chunk belongs to who receives it. */
export async function* writeSnapshot(
  tree: BTree<Item>,
  outcomes: FrozenOutcomes,
): AsyncGenerator<Uint8Array, void, void> {
  yield snapshotHeader(tree.size, outcomes.size);
  let parts: Uint8Array[] = [];
  let bytes = 0;
  for (const part of partsOf(tree, outcomes)) {
    parts.push(part);
    bytes += part.length;
    if (bytes >= CHUNK_BYTES) {
      yield Buffer.concat(parts, bytes);
      parts = [];
      bytes = 0;
    }
  }
  if (bytes > 0) yield Buffer.concat(parts, bytes);
}

/** What a stream begins with. */
export function snapshotHeader(items: number, outcomes: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.set(MAGIC);
  writeU64(header, items, 8);
  writeU64(header, outcomes, 16);
  return header;
}

function* partsOf(tree: BTree<Item>, outcomes: FrozenOutcomes): Generator<Uint8Array, void, void> {
  const cursor = tree.cursor();
  while (cursor.next()) {
    const { value, revision } = cursor.value;
    yield itemHeader(cursor.key, value.length, revision);
    yield value;
  }
  for (const outcome of outcomes.read()) yield outcomeBytes(outcome);
}

/** Builds a store from a complete stream, cut into chunks anywhere. */
export async function readSnapshot(chunks: AsyncIterable<Uint8Array>): Promise<SnapshotContent> {
  const tree = new BTree<Item>();
  const outcomes = new Outcomes();
  let bytes = 0;
  for await (const found of readItems(chunks)) {
    if ("fingerprint" in found) outcomes.add(found);
    else {
      const { key, value, revision } = found;
      tree.set(key, { value, revision });
      bytes += key.length + value.length;
    }
  }
  return { tree, bytes, outcomes };
}

/**
 * What a complete stream holds, one after the other: items, then outcomes. Throws where it is not
 * exactly such a stream, at its end at the latest: what was given until then is to be dropped.
 */
export async function* readItems(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<KeyedItem | KeptOutcome, void, void> {
  const reader = new SnapshotReader();
  for await (const chunk of chunks) {
    reader.push(chunk);
    yield* reader.take();
  }
  reader.finish();
}

class SnapshotReader {
  readonly #names = new Set<string>();
  #found: (KeyedItem | KeptOutcome)[] = [];
  /** What came and is not complete; joined once there are as many bytes as are wanted. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #wantedBytes = HEADER_BYTES;
  #announced: { readonly items: number; readonly outcomes: number } | undefined;
  #items = 0;
  #lastKey = "";
  #lastTimeMs = 0;

  /** What was read since the last time. */
  take(): readonly (KeyedItem | KeptOutcome)[] {
    const found = this.#found;
    this.#found = [];
    return found;
  }

  push(chunk: Uint8Array): void {
    this.#held.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    this.#heldBytes += chunk.length;
    // A large value comes in many chunks: joining it again with each would take their square.
    if (this.#heldBytes < this.#wantedBytes) return;
    const bytes = this.#held.length === 1 ? this.#held[0]! : Buffer.concat(this.#held);
    let at = 0;
    if (this.#announced === undefined) {
      this.#announced = readHeader(bytes);
      at = HEADER_BYTES;
    }
    for (;;) {
      const isItem = this.#items < this.#announced.items;
      const size = isItem ? itemSize(bytes, at) : outcomeSize(bytes, at);
      if (bytes.length - at < size) return this.#keep(bytes, at, size);
      if (isItem) this.#item(bytes, at, at + size);
      else this.#outcome(bytes, at, at + size);
      at += size;
    }
  }

  finish(): void {
    if (this.#announced === undefined || this.#heldBytes > 0) {
      throw new SnapshotFormatError("it ends too early");
    }
    const { items, outcomes } = this.#announced;
    if (this.#items !== items || this.#names.size !== outcomes) {
      const found = `${this.#items} and ${this.#names.size} found`;
      throw new SnapshotFormatError(`${items} items, ${outcomes} outcomes announced, ${found}`);
    }
  }

  #item(bytes: Buffer, at: number, end: number): void {
    const keyEnd = at + ITEM_BYTES + bytes.readUInt32LE(at);
    const key = bytes.toString("latin1", at + ITEM_BYTES, keyEnd);
    if (key <= this.#lastKey) throw new SnapshotFormatError("keys do not ascend");
    const value = new Uint8Array(end - keyEnd);
    value.set(bytes.subarray(keyEnd, end));
    this.#found.push({ key, value, revision: readU64(bytes, at + 8) });
    this.#items++;
    this.#lastKey = key;
  }

  #outcome(bytes: Buffer, at: number, end: number): void {
    if (this.#names.size === this.#announced?.outcomes) {
      throw new SnapshotFormatError("there is something behind the last outcome");
    }
    const outcome = readOutcome(bytes, at, end);
    const { key, timeMs } = outcome;
    if (timeMs < this.#lastTimeMs) throw new SnapshotFormatError("times of outcomes descend");
    if (!isRequestKey(key) || this.#names.has(key)) {
      throw new SnapshotFormatError("an outcome without a name of its own");
    }
    this.#found.push(outcome);
    this.#names.add(key);
    this.#lastTimeMs = timeMs;
  }

  /** Of what is left, so many bytes are wanted before it is looked at again. */
  #keep(bytes: Buffer, from: number, wantedBytes: number): void {
    const rest = Buffer.from(bytes.subarray(from));
    this.#held = rest.length === 0 ? [] : [rest];
    this.#heldBytes = rest.length;
    this.#wantedBytes = wantedBytes;
  }
}

/** How long the item is that begins there, as far as that can be told from what is there. */
function itemSize(bytes: Buffer, at: number): number {
  if (bytes.length - at < ITEM_BYTES) return ITEM_BYTES;
  return ITEM_BYTES + bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4);
}

function outcomeSize(bytes: Buffer, at: number): number {
  if (bytes.length - at < OUTCOME_BYTES) return OUTCOME_BYTES;
  return OUTCOME_BYTES + bytes[at + 18]!;
}

function readHeader(bytes: Buffer): { items: number; outcomes: number } {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new SnapshotFormatError("it does not begin like a snapshot of version 2");
  }
  return { items: readU64(bytes, 8), outcomes: readU64(bytes, 16) };
}

const KINDS = ["put", "delete", "conflict"] as const;

/** The outcome that stands there. */
export function readOutcome(bytes: Buffer, at: number, end: number): KeptOutcome {
  const type = KINDS[bytes[at + 16]! - 1];
  const flag = bytes[at + 17]!;
  if (type === undefined || flag > (type === "conflict" ? 0 : 1) || bytes[at + 19] !== 0) {
    throw new SnapshotFormatError("an outcome of no known kind");
  }
  const keyAt = at + OUTCOME_BYTES;
  return {
    key: bytes.toString("latin1", keyAt, end),
    fingerprint: bytes.toString("latin1", at + FINGERPRINT_AT, keyAt),
    result: resultOf(type, readU64(bytes, at + 8), flag === 1),
    timeMs: readU64(bytes, at),
  };
}

function resultOf(type: KeptResult["type"], revision: number, flag: boolean): KeptResult {
  if (type === "put") return { type, revision, created: flag };
  return type === "delete" ? { type, revision, deleted: flag } : { type, revision };
}

/** An outcome as it stands in a stream. */
export function outcomeBytes({ key, fingerprint, result, timeMs }: KeptOutcome): Buffer {
  const bytes = Buffer.alloc(OUTCOME_BYTES + key.length);
  writeU64(bytes, timeMs, 0);
  writeU64(bytes, result.revision, 8);
  bytes[16] = KINDS.indexOf(result.type) + 1;
  const flag = result.type === "put" ? result.created : result.type === "delete" && result.deleted;
  bytes[17] = flag ? 1 : 0;
  bytes[18] = key.length;
  bytes.write(fingerprint + key, FINGERPRINT_AT, FINGERPRINT_BYTES + key.length, "latin1");
  return bytes;
}

/** What stands before the value of an item. */
export function itemHeader(key: string, valueBytes: number, revision: number): Buffer {
  const bytes = Buffer.allocUnsafe(ITEM_BYTES + key.length);
  bytes.writeUInt32LE(key.length, 0);
  bytes.writeUInt32LE(valueBytes, 4);
  writeU64(bytes, revision, 8);
  bytes.write(key, ITEM_BYTES, "latin1");
  return bytes;
}

function writeU64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value % TWO_32, at);
  bytes.writeUInt32LE(Math.floor(value / TWO_32), at + 4);
}

function readU64(bytes: Buffer, at: number): number {
  const value = bytes.readUInt32LE(at + 4) * TWO_32 + bytes.readUInt32LE(at);
  if (!Number.isSafeInteger(value)) throw new SnapshotFormatError("a number above 2^53");
  return value;
}
