/**
 * A backend over the disk port, for the simulator and for tests: all of it in memory, and each
 * commit appended to a file. Not made to be fast or small, but to be torn, cut and killed at any
 * operation of a simulated disk, under everything that stands on the port.
 *
 *   name  `NNNNNNNN.store`, the newest counts; `.new` is a replacement that nobody took
 *
 *   off size field             of a record; a file is records, one behind the other
 *     0  u32  magic, the bytes 51 72 74 52 ("QrtR")
 *     4  u32  bytes of the body
 *     8  u64  where the record begins: a leftover of an earlier tail does not pass for one
 *    16  u32  CRC-32 of the body
 *    20  u32  CRC-32 of bytes 0..19
 *    24       body: per change u32 bytes of the key, u32 bytes of the value plus 1 or 0 for a
 *             deleted key, key, value
 *
 * Lack of space is DISK_FULL, any other failure of the disk STORAGE_FAILED.
 *
 * Opening reads records up to the first that is not whole, cuts what follows and syncs, since what
 * was read may never have reached the medium. A record is durable before its commit resolves.
 */
import { DiskError } from "../disk/disk.ts";
import type { Disk, DiskFile } from "../disk/disk.ts";
import { isNoSpace } from "../machine/no-space.ts";
import { assert } from "../util/assert.ts";
import { BTree } from "../util/btree.ts";
import { ByteReader, ByteWriter, readU32, readU64, writeU32, writeU64 } from "../util/bytes.ts";
import type { Checksum } from "../util/checksum.ts";
import { QuorateError, messageOf } from "../util/error.ts";
import type { BackendView, Replacement, StoreBackend, StoreChange } from "./backend.ts";
import type { StoreItem, StoreKey } from "./backend.ts";
import { bytesOfKey, keyOfBytes } from "./keys.ts";

const MAGIC = 0x52747251;
const HEAD_BYTES = 24;
const NAME = /^(\d{8})\.(store|new)$/;

/** Where it is, and how it is checked. */
export interface FileBackendOptions {
  readonly disk: Disk;
  /** Absolute path; made if it is not there. Its parent must exist. */
  readonly directory: string;
  readonly checksum: Checksum;
}

interface Place {
  readonly number: number;
  readonly file: DiskFile;
  readonly tree: BTree<Uint8Array>;
  end: number;
}

/** See the top of this file. */
export class FileBackend implements StoreBackend {
  readonly keyBytesMax = 4_096;
  readonly #options: FileBackendOptions;
  #place: Place | undefined;
  #isBusy = false;

  constructor(options: FileBackendOptions) {
    this.#options = options;
  }

  open(): Promise<void> {
    return guarded(() => this.#open());
  }

  async #open(): Promise<void> {
    const { disk, directory } = this.#options;
    await disk.makeDirectory(directory);
    await disk.syncDirectory(directory.slice(0, Math.max(1, directory.lastIndexOf("/"))));
    let newest = 0;
    const names = await disk.list(directory);
    for (const name of names) {
      const match = NAME.exec(name);
      if (match?.[2] === "store") newest = Math.max(newest, Number(match[1]));
    }
    const isNew = newest === 0;
    const number = isNew ? 1 : newest;
    const path = this.#path(number, "store");
    const file = await disk.open(path, { mode: isNew ? "create" : "write" });
    this.#place = isNew
      ? { number, file, tree: new BTree(), end: 0 }
      : await this.#read(number, file);
    await file.sync();
    await disk.syncDirectory(directory);
    for (const name of names) {
      if (NAME.test(name) && `${directory}/${name}` !== path) {
        await disk.remove(`${directory}/${name}`);
      }
    }
  }

  get(key: StoreKey): Uint8Array | undefined {
    return this.#opened.tree.get(key);
  }

  view(): BackendView {
    const tree = this.#opened.tree.clone();
    return { items: (from) => itemsOf(tree, from), release: () => {} };
  }

  async commit(changes: readonly StoreChange[]): Promise<void> {
    const place = this.#opened;
    assert(!this.#isBusy, "one commit at a time");
    this.#isBusy = true;
    try {
      // Without space nothing is appended, and the next record is written over what there is.
      await guarded(() => append(place, changes, this.#options.checksum));
    } catch (error) {
      this.#isBusy = !isNoSpace(error);
      throw error;
    }
    // Of what a failed sync leaves nothing is known, whatever it was for.
    await guarded(() => place.file.sync(), false);
    for (const [key, value] of changes) {
      if (value === undefined) place.tree.delete(key);
      else place.tree.set(key, value.slice());
    }
    this.#isBusy = false;
  }

  replace(): Promise<Replacement> {
    return guarded(() => this.#replace());
  }

  async #replace(): Promise<Replacement> {
    const { disk, checksum } = this.#options;
    const number = this.#opened.number + 1;
    const path = this.#path(number, "new");
    if (await disk.exists(path)) await disk.remove(path);
    const file = await disk.open(path, { mode: "create" });
    const place: Place = { number, file, tree: new BTree(), end: 0 };
    return {
      put: async (items) => {
        await guarded(() => append(place, items, checksum));
        for (const [key, value] of items) place.tree.set(key, value.slice());
      },
      // What is left of one that failed half-way is for the next start to see.
      take: () => guarded(() => this.#take(place, path), false),
      abandon: async () => {
        await Promise.allSettled([file.close()]);
        await Promise.allSettled([disk.remove(path)]);
      },
    };
  }

  async #take(place: Place, path: string): Promise<void> {
    const { disk, directory } = this.#options;
    const before = this.#opened;
    await place.file.sync();
    await place.file.close();
    const whole = this.#path(place.number, "store");
    await disk.rename(path, whole);
    await disk.syncDirectory(directory);
    this.#place = { ...place, file: await disk.open(whole, { mode: "write" }) };
    await before.file.close();
    await disk.remove(before.file.path);
  }

  async close(): Promise<void> {
    const place = this.#place;
    this.#place = undefined;
    await place?.file.close();
  }

  get #opened(): Place {
    assert(this.#place !== undefined, "the store is not open");
    return this.#place;
  }

  #path(number: number, suffix: string): string {
    return `${this.#options.directory}/${String(number).padStart(8, "0")}.${suffix}`;
  }

  async #read(number: number, file: DiskFile): Promise<Place> {
    const bytes = new Uint8Array(await file.size());
    await file.read(bytes, 0);
    const tree = new BTree<Uint8Array>();
    let end = 0;
    for (;;) {
      const body = bodyAt(bytes, end, this.#options.checksum);
      if (body === undefined) break;
      readChanges(tree, body);
      end += HEAD_BYTES + body.length;
    }
    if (end < bytes.length) await file.truncate(end);
    return { number, file, tree, end };
  }
}

async function guarded<T>(task: () => Promise<T>, mayWait = true): Promise<T> {
  try {
    return await task();
  } catch (cause) {
    if (!(cause instanceof DiskError)) throw cause;
    const isFull = cause.reason === "full";
    if (isFull && mayWait) throw new QuorateError("DISK_FULL", messageOf(cause), { cause });
    throw new QuorateError("STORAGE_FAILED", messageOf(cause), isFull ? {} : { cause });
  }
}

async function append(
  place: Place,
  changes: readonly StoreChange[],
  checksum: Checksum,
): Promise<void> {
  const writer = new ByteWriter();
  writer.reserve(HEAD_BYTES);
  for (const [key, value] of changes) {
    writer.u32(key.length).u32(value === undefined ? 0 : value.length + 1);
    writer.raw(bytesOfKey(key));
    if (value !== undefined) writer.raw(value);
  }
  const bytes = writer.copy();
  writeU32(bytes, 0, MAGIC);
  writeU32(bytes, 4, bytes.length - HEAD_BYTES);
  writeU64(bytes, 8, place.end);
  writeU32(bytes, 16, checksum(bytes.subarray(HEAD_BYTES)));
  writeU32(bytes, 20, checksum(bytes.subarray(0, 20)));
  await place.file.write(bytes, place.end);
  place.end += bytes.length;
}

/** The body of the record there; undefined where none is whole. */
function bodyAt(bytes: Uint8Array, at: number, checksum: Checksum): Uint8Array | undefined {
  if (bytes.length - at < HEAD_BYTES) return undefined;
  const head = bytes.subarray(at, at + HEAD_BYTES);
  if (readU32(head, 0) !== MAGIC || checksum(head.subarray(0, 20)) !== readU32(head, 20)) {
    return undefined;
  }
  const body = bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + readU32(head, 4));
  const isWhole = body.length === readU32(head, 4) && readU64(head, 8) === at;
  return isWhole && checksum(body) === readU32(head, 16) ? body : undefined;
}

function readChanges(tree: BTree<Uint8Array>, body: Uint8Array): void {
  const reader = new ByteReader(body);
  while (reader.remaining > 0) {
    const [keyBytes, length] = [reader.u32(), reader.u32()];
    const key = keyOfBytes(reader.raw(keyBytes));
    if (length === 0) tree.delete(key);
    else tree.set(key, reader.raw(length - 1).slice());
  }
}

function* itemsOf(tree: BTree<Uint8Array>, from: StoreKey): Generator<StoreItem, void, undefined> {
  const cursor = tree.cursor(from);
  while (cursor.next()) yield [cursor.key, cursor.value];
}
