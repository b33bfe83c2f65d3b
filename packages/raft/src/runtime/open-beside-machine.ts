/**
 * What a machine on disk begins with: itself. Log, machine and snapshots are three places with a
 * life of their own, and a directory may have been lost, copied or put back; so before anything
 * relies on the machine its place in this log is proven.
 *
 *   machine is at A, the log starts after S and ends at L
 *   S <= A <= L   goes on from A, where the log has the same term at A
 *   A <  S        a snapshot at or behind S takes the machine's place; without one: refused
 *   A >  L        the log has lost what it acknowledged, or is another: refused
 *
 * A snapshot of which the log does not know yet came from another member, and the process died
 * before the log was told: that is made good first, as without a machine (open-snapshots.ts).
 */
import type { RecoveredGroup } from "../core/contract.ts";
import type { Opened } from "../machine/engine-journal.ts";
import { QuorateError } from "../util/error.ts";
import { fitted, foreign, nothingLeft, termAt, verified } from "./open-snapshots.ts";
import type { Beginning, RecoverFrom } from "./open-snapshots.ts";

/** What is recovered beside a machine. */
export interface RecoverBeside extends RecoverFrom {
  readonly machine: Opened;
  /** Ids under which this cluster was known before its quorum was lost. */
  readonly formerClusters: readonly string[];
}

/** Makes log and snapshots fit the machine. Throws where they do not. */
export async function recoverBeside(from: RecoverBeside): Promise<Beginning> {
  const { machine } = from;
  checkCluster(from);
  const recovered = await withReceived(from);
  const { startIndex, lastIndex, hardState } = recovered;
  if (machine.index > lastIndex) {
    throw refused(
      from,
      `the machine has applied entry ${machine.index}, but the log ends at ${lastIndex}`,
    );
  }
  if (machine.index < startIndex) return beginWithSnapshot(from, recovered);
  const term = termAt(recovered, machine.index);
  if (term !== machine.term) {
    throw refused(
      from,
      `the machine has applied an entry ${machine.index} of term ${machine.term}, and the one in ` +
        `the log is of term ${term}`,
    );
  }
  const commit = Math.max(hardState.commit, machine.index);
  return { recovered: { ...recovered, hardState: { ...hardState, commit } }, snapshot: undefined };
}

function checkCluster(from: RecoverBeside): void {
  const { machine, clusterId, formerClusters } = from;
  if (machine.clusterId === undefined || clusterId === undefined) return;
  if (machine.clusterId === clusterId || formerClusters.includes(machine.clusterId)) return;
  throw refused(from, "the machine is of another cluster");
}

/** What the log holds, with the newest snapshot that it was not told of. */
async function withReceived(from: RecoverBeside): Promise<RecoveredGroup> {
  const { log, group, store, clusterId } = from;
  const recovered = log.recovered(group);
  for (const id of store.list) {
    if (id.index < recovered.startIndex) break;
    if (termAt(recovered, id.index) === id.term) break;
    const meta = await verified(store, id);
    if (meta === undefined) continue;
    if (clusterId !== undefined && meta.clusterId !== clusterId) throw foreign(from, id);
    return fitted(from, recovered, meta);
  }
  return recovered;
}

/** The machine is behind what the log begins with. */
async function beginWithSnapshot(
  from: RecoverBeside,
  recovered: RecoveredGroup,
): Promise<Beginning> {
  const { store, clusterId } = from;
  for (const id of store.list) {
    if (id.index < recovered.startIndex) break;
    if (termAt(recovered, id.index) !== id.term) continue;
    const meta = await verified(store, id);
    if (meta === undefined) continue;
    if (clusterId !== undefined && meta.clusterId !== clusterId) throw foreign(from, id);
    return { recovered: await fitted(from, recovered, meta), snapshot: id };
  }
  throw nothingLeft(from, recovered.startIndex);
}

function refused(from: RecoverBeside, problem: string): QuorateError {
  return new QuorateError(
    "DATA_DIR_INVALID",
    `${from.path} and the state machine on disk do not belong together: ${problem}. Put back what ` +
      `was taken away or exchanged, or replace this member and start it on an empty directory and ` +
      `an empty machine`,
  );
}
