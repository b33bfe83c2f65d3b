/**
 * Where a machine on disk keeps what it has, wherever that is provided by whoever makes it: in the
 * simulator and in checks, so that power cuts and full disks are the same for log and machine.
 */
import type { Disk } from "../disk/disk.ts";
import type { Checksum } from "../util/checksum.ts";

/** A directory of its own on a disk, through the port that the log itself uses. */
export interface MachineStorage {
  /** The disk of one life of the process: in the next one it is another object. */
  readonly disk: Disk;
  /** Absolute path. The machine makes it if it is not there; its parent exists. */
  readonly directory: string;
  /** CRC-32, to know a record that was torn. */
  readonly checksum: Checksum;
  /** A hint: after about so many changes it is good to commit. Small, so that runs see commits. */
  readonly changesPerCommit: number;
}
