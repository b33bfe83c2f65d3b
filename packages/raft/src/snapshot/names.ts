/** How a finished file gets the name by which it counts, and how one goes that does not count. */
import type { Disk } from "../disk/disk.ts";
import { snapshotName } from "./snapshot-format.ts";

/**
 * Gives a file whose content is durable the name of a whole snapshot, durably. Whatever had that
 * name stood for the same state.
 */
export async function makeWhole(
  place: { readonly disk: Disk; readonly directory: string },
  path: string,
  at: { readonly index: number; readonly term: number },
): Promise<void> {
  await place.disk.rename(path, `${place.directory}/${snapshotName(at, "snap")}`);
  await place.disk.syncDirectory(place.directory);
}

/** Removes what may not even be there: what stays is found at the next opening. */
export async function removeQuietly(disk: Disk, path: string): Promise<void> {
  await disk.remove(path).catch(() => {});
}
