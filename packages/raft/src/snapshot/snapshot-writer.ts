/**
 * Writing a snapshot as a stream, of which the length is not known before its end.
 *
 * Data gathers into chunks of 64 KiB, one write each. Every 8 MiB are synced, so that the kernel
 * never holds so much of it that a sync of the log has to wait for it.
 */
import type { Disk, DiskFile } from "../disk/disk.ts";
import { assert } from "../util/assert.ts";
import { readU32 } from "../util/bytes.ts";
import type { Checks } from "./file-walk.ts";
import { makeWhole, removeQuietly } from "./names.ts";
import {
  CHUNK_DATA_BYTES,
  CHUNK_HEAD_BYTES,
  encodeFoot,
  encodeHead,
  FOOT_BYTES,
  sealChunk,
  snapshotName,
} from "./snapshot-format.ts";
import { SnapshotHash } from "./snapshot-hash.ts";
import type { SnapshotId, SnapshotMeta, SnapshotWriter } from "./snapshot.ts";

/** So many bytes are written between two syncs. */
export const SYNC_BYTES = 8_388_608; // 8 MiB

/** What a writer writes to. */
export interface WriterPlace extends Checks {
  readonly disk: Disk;
  readonly directory: string;
  /** It is durable under its name. */
  finished(id: SnapshotId): void;
  /** The error to reject with. */
  failure(error: unknown, path: string): unknown;
}

/** See the top of this file. */
export class FileWriter implements SnapshotWriter {
  readonly #place: WriterPlace;
  readonly #meta: SnapshotMeta;
  readonly #path: string;
  readonly #file: DiskFile;
  readonly #hash: SnapshotHash;
  readonly #chunk: Uint8Array = new Uint8Array(CHUNK_HEAD_BYTES + CHUNK_DATA_BYTES);
  #filled = 0;
  #offset = 0;
  #dataOffset = 0;
  #unsynced = 0;
  #state: "open" | "finished" | "aborted" = "open";

  private constructor(place: WriterPlace, meta: SnapshotMeta, path: string, file: DiskFile) {
    this.#place = place;
    this.#meta = meta;
    this.#path = path;
    this.#file = file;
    this.#hash = new SnapshotHash(place.digest);
  }

  /** Begins a snapshot: its head is written. */
  static async begin(place: WriterPlace, meta: SnapshotMeta): Promise<FileWriter> {
    const path = `${place.directory}/${snapshotName(meta, "new")}`;
    let writer: FileWriter | undefined;
    try {
      if (await place.disk.exists(path)) await place.disk.remove(path);
      writer = new FileWriter(place, meta, path, await place.disk.open(path, { mode: "create" }));
      const head = encodeHead(meta, place.checksum);
      writer.#hash.add(readU32(head, 16));
      await writer.#put(head);
      return writer;
    } catch (error) {
      await writer?.abort();
      throw place.failure(error, path);
    }
  }

  get bytes(): number {
    return this.#dataOffset + this.#filled;
  }

  write(data: Uint8Array): Promise<void> | undefined {
    assert(this.#state === "open", "a snapshot is written to after its end");
    const room = CHUNK_DATA_BYTES - this.#filled;
    if (data.length < room) {
      this.#chunk.set(data, CHUNK_HEAD_BYTES + this.#filled);
      this.#filled += data.length;
      return undefined;
    }
    return this.#guard(() => this.#writeThrough(data));
  }

  finish(): Promise<SnapshotId> {
    return this.#guard(async () => {
      if (this.#filled > 0) await this.#flush();
      const { index, term } = this.#meta;
      const bytes = this.#offset + FOOT_BYTES;
      const hash = this.#hash.end(this.#dataOffset);
      const foot = { fileBytes: bytes, dataBytes: this.#dataOffset, hash };
      await this.#put(encodeFoot(foot, this.#place.checksum));
      await this.#file.sync();
      await this.#file.close();
      const id = { index, term, bytes, hash };
      await makeWhole(this.#place, this.#path, id);
      this.#state = "finished";
      this.#place.finished(id);
      return id;
    });
  }

  async abort(): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "aborted";
    await this.#file.close().catch(() => {});
    await removeQuietly(this.#place.disk, this.#path);
  }

  async #writeThrough(data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length;) {
      const end = Math.min(data.length, at + CHUNK_DATA_BYTES - this.#filled);
      this.#chunk.set(data.subarray(at, end), CHUNK_HEAD_BYTES + this.#filled);
      this.#filled += end - at;
      at = end;
      if (this.#filled === CHUNK_DATA_BYTES) await this.#flush();
    }
  }

  async #flush(): Promise<void> {
    const chunk = this.#chunk.subarray(0, CHUNK_HEAD_BYTES + this.#filled);
    this.#hash.add(sealChunk(chunk, this.#dataOffset, this.#place.checksum));
    await this.#put(chunk);
    this.#dataOffset += this.#filled;
    this.#filled = 0;
  }

  async #put(bytes: Uint8Array): Promise<void> {
    await this.#file.write(bytes, this.#offset);
    this.#offset += bytes.length;
    this.#unsynced += bytes.length;
    if (this.#unsynced < SYNC_BYTES) return;
    await this.#file.sync();
    this.#unsynced = 0;
  }

  /** Whatever goes wrong ends this snapshot. */
  async #guard<T>(task: () => Promise<T>): Promise<T> {
    try {
      return await task();
    } catch (error) {
      await this.abort();
      throw this.#place.failure(error, this.#path);
    }
  }
}
