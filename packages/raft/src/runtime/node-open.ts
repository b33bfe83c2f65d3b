/**
 * Opening a replica in a Node process: real clock, randomness, disk and TCP.
 */
import { resolve } from "node:path";
import { NodeDisk } from "../disk/node-disk.ts";
import { TcpTransport } from "../transport/node-tcp.ts";
import { LIMITS } from "./limits.ts";
import { nodeChecksum, nodeDigest } from "./node-checksum.ts";
import { nodeClock } from "./node-clock.ts";
import { nodeRandom } from "./node-random.ts";
import { openReplicaWith } from "./open-replica.ts";
import { resolveOptions } from "./options.ts";
import type { Replica, ReplicaOptions } from "./replica.ts";

/** One for the process: its lane keeps a thread of the pool free for the logs. */
const DISK: NodeDisk = new NodeDisk();

/**
 * Opens a member of a replicated state machine on a data directory, and begins to listen for the
 * other members.
 *
 * With `start: { bootstrap: true }` it resolves when the new cluster of one exists. With
 * `start: { members }` it resolves when this member listens; the cluster forms as soon as every
 * member of the list is up; `leader()` waits for that. On a directory that already belongs to a
 * cluster `start` changes nothing.
 *
 * @throws QuorateError OPTION_INVALID, DATA_DIR_LOCKED, DATA_DIR_INVALID, LOG_DAMAGED,
 * FORMAT_UNSUPPORTED, STORAGE_FAILED, DISK_FULL, LISTEN_FAILED. Nothing stays open then.
 * @example
 * ```ts
 * await using node = await openReplica({
 *   id: "n1",
 *   listen: "127.0.0.1:9091",
 *   dataDir: "./data/n1",
 *   machine: new Counter(),
 *   start: { bootstrap: true },
 * });
 * const total = await node.write({ type: "add", amount: 1 });
 * ```
 */
export async function openReplica<Command, Query>(
  options: ReplicaOptions<Command, Query>,
): Promise<Replica<Command, Query>> {
  // Checked before anything is made of them.
  const { listen, dataDir } = resolveOptions(options);
  const [clock, random, checksum] = [nodeClock, nodeRandom, nodeChecksum];
  const transport = new TcpTransport({ listen, clock, random, checksum, limits: LIMITS });
  const ports = { clock, random, checksum, digest: nodeDigest, disk: DISK, transport };
  return openReplicaWith(ports, { ...options, dataDir: resolve(dataDir).replaceAll("\\", "/") });
}
