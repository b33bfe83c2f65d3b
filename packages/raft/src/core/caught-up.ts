/**
 * Who could take part in decisions at once: heard within T, and with nearly all of the log.
 *
 * "Nearly all" is measured in time, since entries and bytes mean little without a rate: a member is
 * close when it holds everything that the leader's log held T/2 to T ago. So what it lacks is what
 * came in within T, and a cluster that has to wait for it waits about that long at the most. One
 * that is slower than the writes falls back further and further, and is never close.
 *
 * And it holds the configuration that names its directory: without that it may not vote. A leader
 * that counted on it and was cut off for a moment would never be elected again.
 */
import type { Incarnation, MemberId } from "./configuration.ts";
import { memberOf, NO_INCARNATION } from "./configuration.ts";
import { isFresh } from "./health.ts";
import type { RaftState } from "./state.ts";

/** Leader: whether `id` could take part in decisions at once. */
export function isCaughtUp(state: RaftState, id: MemberId): boolean {
  if (id === state.id) return true;
  const incarnation = memberOf(state.configuration, id)?.incarnation;
  if (incarnation === undefined || incarnation === NO_INCARNATION) return false;
  const progress = state.progress.get(id);
  if (progress === undefined || !isFresh(state, progress)) return false;
  if (progress.state !== "replicate") return false;
  return progress.match >= Math.max(state.logMark.index, namedAt(state, id, incarnation));
}

/** The first configuration of our log that names this directory. */
function namedAt(state: RaftState, id: MemberId, incarnation: Incarnation): number {
  const named = state.log.configurations.find(
    ({ configuration }) => memberOf(configuration, id)?.incarnation === incarnation,
  );
  return named!.index;
}
