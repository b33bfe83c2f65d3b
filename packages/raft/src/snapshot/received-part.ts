/**
 * A snapshot that comes from another member, in pieces of its file.
 *
 * Beside the part lies a note that says which snapshot it is of: index, term, length and hash. It
 * is durable before the first byte of the part is written. So a restarted member knows what it has
 * a part of, and goes on only within the very same snapshot.
 *
 * What a restarted member finds is believed as far as whole chunks go, and is written again: the
 * page cache that it was read from may never reach the medium by itself (see log/rewrite.ts). At
 * the end the file is synced, read once more from front to back, and gets its name.
 */
import type { Disk, DiskFile } from "../disk/disk.ts";
import { assert } from "../util/assert.ts";
import { BytesError } from "../util/bytes.ts";
import type { Checks } from "./file-walk.ts";
import { FileWalk } from "./file-walk.ts";
import { makeWhole, removeQuietly } from "./names.ts";
import { encodeNote, snapshotName } from "./snapshot-format.ts";
import { SYNC_BYTES } from "./snapshot-writer.ts";
import type { WriterPlace } from "./snapshot-writer.ts";
import type { SnapshotId, SnapshotMeta, SnapshotPart } from "./snapshot.ts";

/** See the top of this file. */
export class ReceivedPart implements SnapshotPart {
  readonly id: SnapshotId;
  readonly #place: WriterPlace;
  readonly #paths: PartPaths;
  readonly #file: DiskFile;
  offset: number;
  #unsynced = 0;
  #isOver = false;

  private constructor(
    place: WriterPlace,
    id: SnapshotId,
    from: { file: DiskFile; offset: number },
  ) {
    this.#place = place;
    this.id = id;
    this.#paths = pathsOf(place.directory, id);
    this.#file = from.file;
    this.offset = from.offset;
  }

  /** Begins anew: whatever lay there is gone. */
  static async begin(place: WriterPlace, id: SnapshotId): Promise<ReceivedPart> {
    const { disk, directory, checksum } = place;
    const { part, note } = pathsOf(directory, id);
    try {
      await removePart(disk, directory, id);
      const noteFile = await disk.open(note, { mode: "create" });
      try {
        await noteFile.write(encodeNote(id, checksum), 0);
        await noteFile.sync();
      } finally {
        await noteFile.close();
      }
      const file = await disk.open(part, { mode: "create" });
      await disk.syncDirectory(directory);
      return new ReceivedPart(place, id, { file, offset: 0 });
    } catch (error) {
      throw place.failure(error, part);
    }
  }

  /** Goes on with the part that lies there, as far as it is whole. */
  static async goOn(place: WriterPlace, id: SnapshotId): Promise<ReceivedPart> {
    const { part } = pathsOf(place.directory, id);
    try {
      const file = await place.disk.open(part, { mode: "write" });
      try {
        const offset = await wholeBytes(file, place);
        await file.truncate(offset);
        return new ReceivedPart(place, id, { file, offset });
      } catch (error) {
        await file.close();
        throw error;
      }
    } catch (error) {
      throw place.failure(error, part);
    }
  }

  append(data: Uint8Array): Promise<void> {
    assert(!this.#isOver, "a part is written to after its end");
    return this.#guard(async () => {
      await this.#file.write(data, this.offset);
      this.offset += data.length;
      this.#unsynced += data.length;
      if (this.#unsynced < SYNC_BYTES) return;
      await this.#file.sync();
      this.#unsynced = 0;
    });
  }

  async finish(): Promise<SnapshotMeta> {
    const { disk } = this.#place;
    const { part, note } = this.#paths;
    this.#isOver = true;
    try {
      const meta = await this.#guard(() => this.#makeDurable());
      await makeWhole(this.#place, part, this.id);
      await removeQuietly(disk, note);
      this.#place.finished(this.id);
      return meta;
    } catch (error) {
      await this.#file.close().catch(() => {});
      await removeQuietly(disk, part);
      await removeQuietly(disk, note);
      throw this.#place.failure(error, part);
    }
  }

  async leave(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await this.#file.close().catch(() => {});
  }

  async #makeDurable(): Promise<SnapshotMeta> {
    await this.#file.sync();
    const walk = new FileWalk(this.#file, this.#place);
    const meta = await walk.head();
    const buffer = FileWalk.buffer();
    while ((await walk.next(buffer)) !== undefined);
    await this.#file.close();
    if (!isSame(walk.id!, this.id)) throw new BytesError("it is not the snapshot that was offered");
    return meta;
  }

  async #guard<T>(task: () => Promise<T>): Promise<T> {
    try {
      return await task();
    } catch (error) {
      throw this.#place.failure(error, this.#paths.part);
    }
  }
}

/** Whether both name the same bytes. */
export function isSame(a: SnapshotId, b: SnapshotId): boolean {
  return a.index === b.index && a.term === b.term && a.bytes === b.bytes && a.hash === b.hash;
}

/** Removes part and note, the note last: a part without one is of no use to anybody. */
export async function removePart(
  disk: Disk,
  directory: string,
  at: { readonly index: number; readonly term: number },
): Promise<void> {
  const { part, note } = pathsOf(directory, at);
  for (const path of [part, note]) if (await disk.exists(path)) await disk.remove(path);
}

interface PartPaths {
  readonly part: string;
  readonly note: string;
}

function pathsOf(
  directory: string,
  at: { readonly index: number; readonly term: number },
): PartPaths {
  return {
    part: `${directory}/${snapshotName(at, "part")}`,
    note: `${directory}/${snapshotName(at, "note")}`,
  };
}

/** How much of it is whole; that much is written again. */
async function wholeBytes(file: DiskFile, checks: Checks): Promise<number> {
  const walk = new FileWalk(file, checks);
  const buffer = FileWalk.buffer();
  let written = 0;
  try {
    await walk.head();
    for (;;) {
      await file.write(walk.raw, written);
      written = walk.offset;
      if ((await walk.next(buffer)) === undefined) return written;
    }
  } catch (error) {
    if (error instanceof BytesError) return written;
    throw error;
  }
}
