/**
 * What a leader does that cannot do its work (health.ts).
 *
 * It hands over to a voter that is better off, if those that are make up a quorum without it: they
 * elect and commit on their own. A stalled one that has not got rid of leadership within T of
 * trying steps down and says so (`resign`), so that nobody waits for its silence. Otherwise it
 * stays: where every reachable voter is as badly off nobody could do better, and leadership that
 * moves in circles would only cost reads.
 *
 * Why this cannot go round in circles: leadership only ever moves from somebody who is not well to
 * somebody who is better off, and nobody who is well gives it back.
 *
 * Why a stalled leader must go at all, when commits go on without its disk: what is not durable
 * here cannot leave memory, so each further commit would cost memory for ever. Where the others
 * make up no quorum nothing is committed either, and the bound on uncommitted bytes holds.
 *
 * Resigning is no more than falling silent early: the leader follows before anybody hears of it, so
 * it has no lease any more, and it cannot lead that term again.
 */
import type { MemberId } from "./configuration.ts";
import { canOthersServe, isBetterOff, reasonOf, stallDeadlineMs } from "./health.ts";
import type { Resign } from "./message.ts";
import { becomeFollower, campaignSoon, setLeader } from "./role.ts";
import type { RaftState } from "./state.ts";
import { send } from "./state.ts";
import { beginTransfer, bestOf } from "./transfer.ts";

/** Attempts to hand over hold back writes; one that does not succeed is not repeated at once. */
const FULL_PAUSE_TIMEOUTS = 2;
const LATE_PAUSE_TIMEOUTS = 20;

/** Leader: hands over or steps down where that is called for. */
export function tickHealth(state: RaftState): void {
  const { watch, nowMs } = state;
  if (state.role !== "leader" || watch.health === "ok") return;
  if (!canOthersServe(state)) {
    watch.yieldSinceMs = undefined;
    return;
  }
  watch.yieldSinceMs ??= nowMs;
  if (nowMs >= resignDeadlineMs(state)) resign(state);
  else if (state.transfer === undefined && nowMs >= watch.yieldAfterMs) handOver(state);
}

/** When {@link judgeHealth} or {@link tickHealth} has something to do on a leader. */
export function healthDeadlineMs(state: RaftState): number {
  const { watch } = state;
  const stallMs = watch.isStalled ? Infinity : stallDeadlineMs(state);
  if (watch.health === "ok" || !canOthersServe(state)) return stallMs;
  const nextMs = watch.yieldSinceMs === undefined ? state.nowMs : resignDeadlineMs(state);
  const attemptMs = state.transfer === undefined ? watch.yieldAfterMs : Infinity;
  return Math.min(stallMs, nextMs, attemptMs);
}

/** The leader leads no more: who can campaigns soon, after a draw of its own. */
export function handleResign(state: RaftState, from: MemberId, message: Resign): void {
  if (message.term !== state.term || from !== state.termLeader) return;
  if (state.role !== "follower" && state.role !== "pre-candidate") return;
  setLeader(state, undefined, false);
  state.leaderContactMs = state.nowMs - state.options.electionTimeoutMs;
  campaignSoon(state, 1 / 2);
}

/** Only who is stalled steps down; who is full or late serves reads as well as anybody. */
function resignDeadlineMs(state: RaftState): number {
  const { watch, options } = state;
  if (watch.health !== "stalled" || watch.yieldSinceMs === undefined) return Infinity;
  return watch.yieldSinceMs + options.electionTimeoutMs;
}

function handOver(state: RaftState): void {
  const { watch, nowMs } = state;
  const { electionTimeoutMs, heartbeatIntervalMs } = state.options;
  const target = bestOf(state, (progress) => isBetterOff(state, progress.id));
  if (watch.health === "stalled") watch.yieldAfterMs = nowMs + heartbeatIntervalMs;
  else if (watch.health === "full") {
    watch.yieldAfterMs = nowMs + FULL_PAUSE_TIMEOUTS * electionTimeoutMs;
  } else watch.yieldAfterMs = nowMs + LATE_PAUSE_TIMEOUTS * electionTimeoutMs;
  if (target === undefined) return;
  watch.yields++;
  beginTransfer(state, target.id, reasonOf(state));
}

/** Leads no more, and says so, so that the others elect without waiting for its silence. */
function resign(state: RaftState): void {
  const { term } = state;
  state.watch.yields++;
  for (const id of state.progress.keys()) send(state, id, { type: "resign", term });
  becomeFollower(state, term, undefined, reasonOf(state));
}
