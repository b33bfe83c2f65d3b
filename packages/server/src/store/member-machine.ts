/**
 * Which machine a member has: its keys in memory, or on disk in LMDB beside its log.
 *
 * Where nothing is said it is the one that the directory has; memory in a new one. In memory a read
 * costs a look into a tree, and nothing but Node is needed; on disk there may be more than memory
 * holds, and a start does not read all of it. What is asked for wins, but for one case: a directory
 * whose machine is on disk keeps no snapshot to begin with in memory, so that is refused.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { QuorateError } from "quorate";
import type { DiskStateMachine, StateMachine } from "quorate";
import type { KvCommand, KvQuery, StoreSize } from "./command.ts";
import { KvMachine } from "./kv-machine.ts";
import { KvStoreMachine } from "./kv-store-machine.ts";

/** What is said of it. */
export interface MachineConfig {
  readonly data: string;
  readonly store?: string | undefined;
  readonly keyBytesMax: number;
}

/** A machine, and how much is in it. */
export interface MemberMachine {
  readonly machine: StateMachine<KvCommand, KvQuery> | DiskStateMachine<KvCommand, KvQuery>;
  size(): StoreSize;
}

/** LMDB takes no longer keys, less what the store puts before each. */
export const DISK_KEY_BYTES_MAX = 4_000;

/** Makes the machine of a member; throws OPTION_INVALID. */
export async function memberMachine(config: MachineConfig): Promise<MemberMachine> {
  const path = join(config.data, "machine");
  const isThere = existsSync(path);
  if (config.store === "memory" && isThere) {
    throw new QuorateError(
      "OPTION_INVALID",
      `--store memory: the keys of ${config.data} are on disk, in ${path}. To have them in memory, ` +
        "replace this member and start it on an empty directory",
    );
  }
  if (config.store !== "disk" && !isThere) {
    const memory = new KvMachine();
    return { machine: memory, size: () => memory.size };
  }
  if (config.keyBytesMax > DISK_KEY_BYTES_MAX) {
    throw new QuorateError(
      "OPTION_INVALID",
      `--store disk takes keys of up to ${DISK_KEY_BYTES_MAX} bytes: say --key-bytes-max ` +
        `${DISK_KEY_BYTES_MAX} or less, on every member`,
    );
  }
  // Native code is loaded only where it is needed.
  const { onLmdb } = await import("quorate/lmdb");
  const store = new KvStoreMachine();
  return { machine: onLmdb(store, { path }), size: () => store.size };
}
