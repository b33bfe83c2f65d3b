/**
 * The store as a stream of bytes. Version 1, little-endian:
 *
 * ```
 * header   8  "QKVSNAP" and the version as one byte = 1
 *          8  number of items, u64
 * item     4  length of the key, u32
 *          4  length of the value, u32
 *          8  revision, u64
 *          k  key
 *          v  value
 * ```
 *
 * Items ascend strictly by key; nothing follows the last one. The stream has no checksum of its
 * own: a snapshot file and its transfer are checked as a whole by the engine, and only a complete
 * one is read here. Whatever is not exactly this is refused, and the store stays as it was.
 */
import { BTree } from "./btree.ts";
import type { Item } from "./command.ts";

/** These bytes are not a snapshot of this version. */
export class SnapshotFormatError extends Error {
  override readonly name = "SnapshotFormatError";
}

const MAGIC = Buffer.from("QKVSNAP\u0001", "latin1");
const HEADER_BYTES = 16;
const ITEM_BYTES = 16;
const CHUNK_BYTES = 65_536;
const TWO_32 = 0x1_0000_0000;

/** Reads out a tree that nobody changes any more. A chunk belongs to who receives it. */
export async function* writeSnapshot(tree: BTree<Item>): AsyncGenerator<Uint8Array, void, void> {
  const header = Buffer.alloc(HEADER_BYTES);
  header.set(MAGIC);
  writeU64(header, tree.size, 8);
  yield header;
  const cursor = tree.cursor();
  let parts: Uint8Array[] = [];
  let bytes = 0;
  while (cursor.next()) {
    const { value, revision } = cursor.value;
    parts.push(itemHeader(cursor.key, value.length, revision), value);
    bytes += ITEM_BYTES + cursor.key.length + value.length;
    if (bytes >= CHUNK_BYTES) {
      yield Buffer.concat(parts, bytes);
      parts = [];
      bytes = 0;
    }
  }
  if (bytes > 0) yield Buffer.concat(parts, bytes);
}

/** Builds a tree from a complete stream, cut into chunks anywhere. */
export async function readSnapshot(
  chunks: AsyncIterable<Uint8Array>,
): Promise<{ tree: BTree<Item>; bytes: number }> {
  const reader = new SnapshotReader();
  for await (const chunk of chunks) reader.push(chunk);
  return reader.finish();
}

class SnapshotReader {
  readonly #tree = new BTree<Item>();
  #rest: Buffer = Buffer.alloc(0);
  #items = -1;
  #bytes = 0;
  #lastKey = "";

  push(chunk: Uint8Array): void {
    const fresh = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const bytes = this.#rest.length === 0 ? fresh : Buffer.concat([this.#rest, fresh]);
    let at = 0;
    if (this.#items < 0) {
      if (bytes.length < HEADER_BYTES) return this.#keep(bytes, 0);
      this.#items = readHeader(bytes);
      at = HEADER_BYTES;
    }
    for (;;) {
      const end = this.#item(bytes, at);
      if (end < 0) return this.#keep(bytes, at);
      at = end;
    }
  }

  finish(): { tree: BTree<Item>; bytes: number } {
    if (this.#items < 0 || this.#rest.length > 0)
      throw new SnapshotFormatError("it ends too early");
    if (this.#tree.size !== this.#items) {
      throw new SnapshotFormatError(`${this.#items} items announced, ${this.#tree.size} found`);
    }
    return { tree: this.#tree, bytes: this.#bytes };
  }

  /** Takes one item and returns where it ends; -1 where it is not complete yet. */
  #item(bytes: Buffer, at: number): number {
    if (bytes.length - at < ITEM_BYTES) return -1;
    const keyEnd = at + ITEM_BYTES + bytes.readUInt32LE(at);
    const end = keyEnd + bytes.readUInt32LE(at + 4);
    if (bytes.length < end) return -1;
    const key = bytes.toString("latin1", at + ITEM_BYTES, keyEnd);
    if (key <= this.#lastKey) throw new SnapshotFormatError("keys do not ascend");
    const value = new Uint8Array(end - keyEnd);
    value.set(bytes.subarray(keyEnd, end));
    this.#tree.set(key, { value, revision: readU64(bytes, at + 8) });
    this.#lastKey = key;
    this.#bytes += key.length + value.length;
    return end;
  }

  #keep(bytes: Buffer, from: number): void {
    this.#rest = Buffer.from(bytes.subarray(from));
  }
}

function readHeader(bytes: Buffer): number {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new SnapshotFormatError("it does not begin like a snapshot of version 1");
  }
  return readU64(bytes, 8);
}

function itemHeader(key: string, valueBytes: number, revision: number): Buffer {
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
