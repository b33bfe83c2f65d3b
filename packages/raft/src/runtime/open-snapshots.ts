/**
 * What the machine begins with: the newest snapshot that is whole, and the log that follows it.
 *
 * Every byte of it is read and checked before anything relies on it. If it is damaged, the one
 * before it is taken; the log reaches back to that by rule. If nothing whole is left that the log
 * reaches back to, this member's state is not here, and it refuses to start.
 *
 * A snapshot of which the log does not know yet came from another member, and the power failed
 * before the log was told: that is made good now. What it stands for is committed, so a log that
 * ends before it, or has another entry there, holds nothing that anybody relies on.
 */
import type { RecoveredGroup } from "../core/contract.ts";
import type { HardState } from "../core/output.ts";
import type { Log } from "../log/log.ts";
import type { SnapshotId, SnapshotMeta, SnapshotStore } from "../snapshot/snapshot.ts";
import { QuorateError, messageOf } from "../util/error.ts";

/** Where the core and the machine begin. */
export interface Beginning {
  readonly recovered: RecoveredGroup;
  /** The machine is restored from it before anything is applied; undefined = it begins empty. */
  readonly snapshot: SnapshotId | undefined;
}

/** What is recovered, and of whom. */
export interface RecoverFrom {
  readonly store: SnapshotStore;
  readonly log: Log;
  readonly group: number;
  /** Undefined while there is no cluster yet. */
  readonly clusterId: string | undefined;
  /** What the log begins behind is in a machine on disk, which is not looked at here. */
  readonly needsNone?: boolean;
  /** Where both are, for people. */
  readonly path: string;
}

/** Chooses a snapshot, and makes the log fit it. Throws where there is nothing to begin with. */
export async function recoverGroup(from: RecoverFrom): Promise<Beginning> {
  const { log, group, store } = from;
  const recovered = log.recovered(group);
  for (const id of store.list) {
    // The log goes back to an older one, or to none.
    if (id.index < recovered.startIndex) break;
    const meta = await verified(store, id);
    if (meta === undefined) continue;
    if (from.clusterId !== undefined && meta.clusterId !== from.clusterId) throw foreign(from, id);
    return { recovered: await fitted(from, recovered, meta), snapshot: id };
  }
  if (recovered.startIndex > 0 && from.needsNone !== true)
    throw nothingLeft(from, recovered.startIndex);
  return { recovered, snapshot: undefined };
}

/** What it stands for; undefined where it is damaged, which the store knows then. */
export async function verified(
  store: SnapshotStore,
  id: SnapshotId,
): Promise<SnapshotMeta | undefined> {
  try {
    return await store.verify(id);
  } catch (error) {
    if (!QuorateError.is(error) || error.code !== "SNAPSHOT_DAMAGED") throw error;
    store.discredit(id, messageOf(error));
    return undefined;
  }
}

/** The log such that it goes on from the snapshot. */
export async function fitted(
  { log, group }: RecoverFrom,
  recovered: RecoveredGroup,
  meta: SnapshotMeta,
): Promise<RecoveredGroup> {
  const { index, term, configuration, timeMs } = meta;
  const { hardState } = recovered;
  if (termAt(recovered, index) === term) {
    const commit = Math.max(hardState.commit, index);
    return { ...recovered, hardState: { ...hardState, commit } };
  }
  // A vote in a term that is not durable was never given.
  const isNewTerm = term > hardState.term;
  const state: HardState = isNewTerm
    ? { term, vote: undefined, commit: index }
    : { ...hardState, commit: index };
  const reset = { index, term, configuration, timeMs };
  await log.append([
    { group, hardState: isNewTerm ? state : undefined, reset, entries: [], commit: index },
  ]);
  return {
    hardState: state,
    startIndex: index,
    startTerm: term,
    startConfiguration: configuration,
    lastIndex: index,
    termRuns: [],
    configurations: [],
    lastTimeMs: timeMs,
  };
}

/** The term of an entry that the log holds, or begins behind. */
export function termAt(recovered: RecoveredGroup, index: number): number | undefined {
  if (index > recovered.lastIndex) return undefined;
  if (index === recovered.startIndex) return recovered.startTerm;
  return recovered.termRuns.findLast((run) => run.index <= index)?.term;
}

/** The error where the log begins behind something that is not there. */
export function nothingLeft(from: RecoverFrom, startIndex: number): QuorateError {
  const damaged = from.store.damaged.map(({ path, reason }) => `${path} (${reason})`);
  const what = damaged.length === 0 ? "no snapshot is there" : `damaged: ${damaged.join(", ")}`;
  return new QuorateError(
    "SNAPSHOT_DAMAGED",
    `the log of ${from.path} starts after entry ${startIndex}, and what stands for the entries ` +
      `before is lost: ${what}. Put the file back from a copy of this very directory, or replace ` +
      `this member and start it on an empty directory`,
  );
}

/** The error where a snapshot is of another cluster. */
export function foreign(from: RecoverFrom, id: SnapshotId): QuorateError {
  return new QuorateError(
    "DATA_DIR_INVALID",
    `snapshot ${id.index} in ${from.path} is of another cluster: it does not belong there`,
  );
}
