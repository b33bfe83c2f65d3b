/**
 * Machines that are made of keys and values, on the simulated disk of their member: what `onLmdb`
 * is outside. Files and their bytes are simulated as those of the log are: a power cut takes what
 * was not synced, in the midst of anything.
 */
import type { DiskStateMachine } from "../machine/disk-machine.ts";
import type { MachineStorage } from "../machine/machine-storage.ts";
import { FileBackend } from "../store/file-backend.ts";
import { onStore } from "../store/store-machine.ts";
import type { StoreMachine } from "../store/store-machine.ts";

const BYTES_PER_COMMIT = 1_048_576; // 1 MiB
/** Beyond so many commits that wait, whoever writes waits, too. */
const WAITING_BYTES_PER_CHANGE = 4_096;

/**
 * Makes a machine on the disk of its member, in `simulate` and `testCluster`, of one that is made
 * of keys and values.
 *
 * @example
 * ```ts
 * await using cluster = await testCluster({
 *   machine: ({ storage }) => onSimDisk(new Notes(), storage),
 * });
 * ```
 */
export function onSimDisk<Command, Query>(
  machine: StoreMachine<Command, Query>,
  storage: MachineStorage,
): DiskStateMachine<Command, Query> {
  const { changesPerCommit: changes } = storage;
  return onStore(machine, new FileBackend(storage), {
    changes,
    bytes: BYTES_PER_COMMIT,
    waitingBytes: WAITING_BYTES_PER_CHANGE * changes,
  });
}
