/**
 * Bytes found are not bytes durable.
 *
 * After the process died, recovery reads the page cache: what it finds above the proven mark may
 * never have reached the medium, and if a sync failed before, it never will, because the kernel
 * counts those pages as clean. A member that answered on the strength of such bytes would lose them
 * with the next power cut. So everything from the mark up to the tail is written again, byte for
 * byte as recovery has read it, data-synced, before the log is opened. Writing, not only syncing,
 * makes the pages dirty again. It must not be read once more for that: pages that count as clean
 * may be dropped at any moment, and then the medium would say something else.
 *
 * A power cut in the midst of this leaves, sector by sector, either these bytes or what the medium
 * had before: the same as the torn write that was there already.
 */
import type { Disk } from "../disk/disk.ts";
import type { FoundPiece } from "./recover.ts";

const WRITE_BYTES_MAX = 1_048_576; // 1 MiB

/** Writes these pieces again. Returns how many bytes that was. */
export async function rewriteUnproven(disk: Disk, pieces: readonly FoundPiece[]): Promise<number> {
  let written = 0;
  for (const { segment, offset, bytes } of pieces) {
    const file = await disk.open(segment.path, { mode: "write", dataSync: true });
    try {
      for (let at = 0; at < bytes.length; at += WRITE_BYTES_MAX) {
        await file.write(bytes.subarray(at, at + WRITE_BYTES_MAX), offset + at);
      }
    } finally {
      await file.close();
    }
    written += bytes.length;
  }
  return written;
}
