/**
 * Looking at data directories, and recovering from a lost quorum, in a Node process: over the real
 * disk.
 */
import { resolve } from "node:path";
import { NodeDisk } from "../disk/node-disk.ts";
import { nodeChecksum, nodeDigest } from "./node-checksum.ts";
import { nodeClock } from "./node-clock.ts";
import { nodeRandom } from "./node-random.ts";
import { inspectDirectory } from "./repair/inspect-data-dir.ts";
import type { InspectOptions } from "./repair/inspect-data-dir.ts";
import type { Inspection } from "./repair/inspection.ts";
import { planQuorumRecovery } from "./repair/quorum-loss.ts";
import type { QuorumRecoveryPlan } from "./repair/quorum-loss.ts";
import { recoverDirectory } from "./repair/recover-quorum.ts";
import type { QuorumRecovery } from "./repair/recover-quorum.ts";

/**
 * Reads the data directory of a member without changing anything in it, and says what it holds and
 * what is wrong with it. Works on directories that a member refuses to start on, and beside a
 * running member, which is then named in `inUse`.
 *
 * Resolves whatever is in the directory, and where there is none.
 *
 * @example
 * ```ts
 * const { health, findings } = await inspectDataDir("./data/n1");
 * for (const { severity, problem, remedy } of findings) report(severity, problem, remedy);
 * ```
 */
export function inspectDataDir(path: string, options: InspectOptions = {}): Promise<Inspection> {
  const ports = { disk: new NodeDisk(), checksum: nodeChecksum, digest: nodeDigest };
  return inspectDirectory(ports, absolute(path), options);
}

/**
 * Reckons what it would cost to go on with what is left of a cluster whose quorum is lost for good:
 * the directories of the survivors, of which the one with the newest log would go on alone. Changes
 * nothing.
 *
 * @throws QuorateError DATA_DIR_INVALID where a directory cannot be recovered from, where they do
 * not belong together, or where no quorum is lost; DATA_DIR_LOCKED where one is in use.
 * @example
 * ```ts
 * const plan = await planRecovery(["./data/n1"]);
 * for (const sentence of plan.consequences) show(sentence);
 * if (await agreed()) await recoverQuorum(plan, plan.clusterId);
 * ```
 */
export async function planRecovery(paths: readonly string[]): Promise<QuorumRecoveryPlan> {
  const inspections: Inspection[] = [];
  for (const path of paths) inspections.push(await inspectDataDir(path));
  return planQuorumRecovery(inspections);
}

/**
 * Carries out a {@link planRecovery | plan}: the member with the newest log becomes a cluster of
 * one with a new id. Members of the cluster as it was are refused from then on; others join on
 * empty directories. Cut short at any point it can be repeated, and the member does not start
 * before that.
 *
 * `confirm` repeats the id of the cluster that is given up.
 *
 * @throws QuorateError OPTION_INVALID where `confirm` is something else; DATA_DIR_LOCKED;
 * DATA_DIR_INVALID where the directory has changed since; STORAGE_FAILED, DISK_FULL.
 */
export function recoverQuorum(plan: QuorumRecoveryPlan, confirm: string): Promise<QuorumRecovery> {
  const files = { disk: new NodeDisk(), checksum: nodeChecksum, digest: nodeDigest };
  return recoverDirectory({ ...files, clock: nodeClock, random: nodeRandom }, plan, confirm);
}

function absolute(path: string): string {
  return resolve(path).replaceAll("\\", "/");
}
