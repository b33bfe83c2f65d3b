/**
 * Reading a snapshot's file from front to back, each piece checked before it is handed on: head,
 * chunks, foot, and with the foot that the whole is what it says.
 *
 * One read per chunk, into a buffer of its own where the data is kept. Nothing is allocated because
 * a length in the file says so: the file itself must be that long.
 */
import type { DiskFile } from "../disk/disk.ts";
import { BytesError, readU32 } from "../util/bytes.ts";
import type { Checksum } from "../util/checksum.ts";
import {
  CHUNK_DATA_BYTES,
  CHUNK_HEAD_BYTES,
  decodeFoot,
  decodeHead,
  FOOT_BYTES,
  HEAD_BYTES,
  headBodyBytes,
  readPiece,
} from "./snapshot-format.ts";
import { SnapshotHash } from "./snapshot-hash.ts";
import type { SnapshotDigest } from "./snapshot-hash.ts";
import type { SnapshotId, SnapshotMeta } from "./snapshot.ts";

const PIECE_BYTES = CHUNK_HEAD_BYTES + CHUNK_DATA_BYTES;

/** How files are checked. */
export interface Checks {
  readonly checksum: Checksum;
  readonly digest: SnapshotDigest;
}

/** A walk over one open file. */
export class FileWalk {
  readonly #file: DiskFile;
  readonly #checks: Checks;
  readonly #hash: SnapshotHash;
  #fileBytes = 0;
  #dataBytes = 0;
  /** Where the next piece begins: everything before it is whole. */
  offset = 0;
  /** Head or chunk as it stands in the file, as of the newest step. */
  raw: Uint8Array = new Uint8Array(0);
  /** Known once the foot was reached. */
  id: SnapshotId | undefined;
  #meta: SnapshotMeta | undefined;

  constructor(file: DiskFile, checks: Checks) {
    this.#file = file;
    this.#checks = checks;
    this.#hash = new SnapshotHash(checks.digest);
  }

  /** Reads the head. Throws {@link BytesError} where it is none. */
  async head(): Promise<SnapshotMeta> {
    const { checksum } = this.#checks;
    this.#fileBytes = await this.#file.size();
    const head = new Uint8Array(HEAD_BYTES);
    await this.#fill(head, 0);
    const bytes = HEAD_BYTES + headBodyBytes(head, checksum);
    if (bytes > this.#fileBytes) throw new BytesError("the head body is cut");
    this.raw = new Uint8Array(bytes);
    await this.#fill(this.raw, 0);
    this.#meta = decodeHead(this.raw, checksum);
    this.#hash.add(readU32(this.raw, 16));
    this.offset = bytes;
    return this.#meta;
  }

  /** The data of the next chunk; undefined at the end, which was found to be right. */
  async next(buffer: Uint8Array = new Uint8Array(PIECE_BYTES)): Promise<Uint8Array | undefined> {
    const length = await this.#file.read(buffer, this.offset);
    const bytes = buffer.subarray(0, length);
    const piece = readPiece(bytes, this.#dataBytes, this.#checks.checksum);
    if (piece.kind === "foot") {
      this.#checkFoot(bytes);
      return undefined;
    }
    this.raw = bytes.subarray(0, CHUNK_HEAD_BYTES + piece.data.length);
    this.#hash.add(readU32(bytes, 16));
    this.#dataBytes += piece.data.length;
    this.offset += this.raw.length;
    return piece.data;
  }

  /** A buffer for {@link next}, where the data is not kept. */
  static buffer(): Uint8Array {
    return new Uint8Array(PIECE_BYTES);
  }

  #checkFoot(bytes: Uint8Array): void {
    const foot = decodeFoot(bytes, this.#checks.checksum);
    const end = this.offset + FOOT_BYTES;
    if (foot.fileBytes !== end || this.#fileBytes !== end) {
      throw new BytesError(`it ends at ${this.#fileBytes}, ${foot.fileBytes} is what it says`);
    }
    const hash = this.#hash.end(this.#dataBytes);
    if (foot.dataBytes !== this.#dataBytes || foot.hash !== hash) {
      throw new BytesError("it is not the whole that it says");
    }
    const { index, term } = this.#meta!;
    this.offset = end;
    this.id = { index, term, bytes: end, hash };
  }

  async #fill(into: Uint8Array, offset: number): Promise<void> {
    const length = await this.#file.read(into, offset);
    if (length < into.length) throw new BytesError("the head is cut");
  }
}
