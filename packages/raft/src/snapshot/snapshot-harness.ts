/** Snapshots on a simulated disk, for the tests of this folder. */
import { SimDisk } from "../disk/sim-disk.ts";
import type { Disk } from "../disk/disk.ts";
import { sha256 } from "../sim/sha256.ts";
import { crc32 } from "../util/checksum.ts";
import type { SnapshotDirectory } from "./snapshot-directory.ts";
import { openSnapshots } from "./snapshot-directory.ts";

export const DIRECTORY = "/data/snapshot";

/** A disk with the directory that snapshots are made in, durably. */
export async function emptyDisk(): Promise<SimDisk> {
  const disk = new SimDisk();
  await disk.makeDirectory("/data");
  await disk.syncDirectory("/");
  return disk;
}

export function open(disk: Disk, directory: string = DIRECTORY): Promise<SnapshotDirectory> {
  return openSnapshots({ disk, directory, checksum: crc32, digest: sha256 });
}
