/**
 * Bytes found are not bytes durable.
 *
 * After the process died, recovery reads the page cache: what it finds above the proven mark may
 * never have reached the medium, and if a sync failed before, it never will, because the kernel
 * counts those pages as clean. A member that answered on the strength of such bytes would lose them
 * with the next power cut. So everything from the mark up to the tail is written again, byte for
 * byte the same, data-synced, before the log is opened. Writing, not only syncing, makes the pages
 * dirty again.
 *
 * A power cut in the midst of this leaves, sector by sector, either these bytes or what the medium
 * had before: the same as the torn write that was there already.
 */
import type { Disk, DiskFile } from "../disk/disk.ts";
import type { Position } from "./position.ts";
import type { Segment } from "./segment-pool.ts";
import { SEGMENT_HEAD_BYTES } from "./segment.ts";

const PIECE_BYTES_MAX = 1_048_576; // 1 MiB

/** Writes [from, to) again. Returns how many bytes that was. */
export async function rewriteUnproven(
  disk: Disk,
  segments: readonly Segment[],
  range: { readonly from: Position; readonly to: Position },
): Promise<number> {
  const { from, to } = range;
  let written = 0;
  for (const segment of segments) {
    if (segment.sequence < from.segment || segment.sequence > to.segment) continue;
    const begin = segment.sequence === from.segment ? from.offset : SEGMENT_HEAD_BYTES;
    const end = segment.sequence === to.segment ? to.offset : segment.size;
    if (begin >= end) continue;
    const file = await disk.open(segment.path, { mode: "write", dataSync: true });
    try {
      written += await rewriteRange(file, begin, end);
    } finally {
      await file.close();
    }
  }
  return written;
}

async function rewriteRange(file: DiskFile, begin: number, end: number): Promise<number> {
  const buffer = new Uint8Array(Math.min(PIECE_BYTES_MAX, end - begin));
  for (let at = begin; at < end; at += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, end - at));
    await file.read(piece, at);
    await file.write(piece, at);
  }
  return end - begin;
}
