/**
 * Linearizable reads without a log entry: ReadIndex (thesis, 6.4).
 *
 * The leader answers with its commit index after a quorum has confirmed, *after* the read arrived,
 * that it still leads. Confirmation is a *round*: a number made by the leader, bound to its term,
 * that travels with heartbeats and comes back with their answers. An answer counts for a round if
 * it is of the leader's term and of that round or a later one, so a late answer to an earlier round
 * confirms nothing. At most one round is outstanding and it is shared: who arrives after it was
 * sent waits for the next. Heartbeats repeat the newest round, so a lost one costs an interval.
 *
 * Nothing is answered before the leader has committed an entry of its own term: until then it does
 * not know how far its predecessors had committed.
 *
 * A follower asks the leader for an index, one request at a time, shared in the same way. A request
 * carries a token that no other attempt of this member ever had, before or after a restart; it is
 * repeated with a fresh one every heartbeat interval, and since the reads it is made for stay the
 * same, the answer to any of its tokens will do.
 *
 * A read that permits it is answered by the leader's lease where one is held (lease.ts), without a
 * round. A follower says so in its request if that holds for all reads that it is made for.
 *
 * Every read ends: with an index, with `leadership-lost`, or, while no leader is known, with
 * `no-leader` no later than T after the leader was lost or the read arrived.
 */
import type { MemberId } from "./configuration.ts";
import { violated } from "./invariants.ts";
import { leaseIndex, openRound } from "./lease.ts";
import type { ReadIndexRequest, ReadIndexResponse } from "./message.ts";
import type { ReadOutcome } from "./output.ts";
import type { Progress } from "./progress.ts";
import { quorumValue } from "./quorum.ts";
import type { RaftState } from "./state.ts";
import { send } from "./state.ts";

/** Takes a read in; false where too many wait already. */
export function addRead(state: RaftState, context: number, byLease: boolean): boolean {
  const index = byLease ? leaseIndex(state) : undefined;
  if (index !== undefined) {
    finishRead(state, context, index, "ok");
    return true;
  }
  if (state.reads.size >= state.options.readsMax) return false;
  state.reads.add(context, state.nowMs, byLease);
  return true;
}

/** Another member asks for an index. */
export function handleReadRequest(
  state: RaftState,
  from: MemberId,
  message: ReadIndexRequest,
): void {
  const { reads } = state;
  const isKnown = state.progress.has(from);
  const hasRoom = reads.remoteWaiting.has(from) || reads.size < state.options.readsMax;
  if (state.role !== "leader" || message.term !== state.term || !isKnown || !hasRoom) {
    answer(state, from, message.token, undefined);
    return;
  }
  const index = message.byLease ? leaseIndex(state) : undefined;
  if (index !== undefined) {
    answer(state, from, message.token, index);
    return;
  }
  // One per member: a newer request replaces one that no round has taken up yet.
  reads.remoteWaiting.set(from, message.token);
}

/** The leader's answer. Any token of the outstanding attempt will do; no other one. */
export function handleReadResponse(
  state: RaftState,
  from: MemberId,
  message: ReadIndexResponse,
): void {
  const { reads } = state;
  if (message.term !== state.term || from !== state.leader || state.role !== "follower") return;
  if (!reads.outstanding) return;
  if (message.token < reads.firstToken || message.token > reads.lastToken) return;
  if (message.ok) {
    finish(state, message.index);
    return;
  }
  reads.abandonAttempt();
  reads.askAfterMs = reads.askedMs + state.options.heartbeatIntervalMs;
}

/** A voter answered a heartbeat that carried `round`. */
export function acknowledgeRound(state: RaftState, progress: Progress, round: number): void {
  if (round > progress.ackedRound && round <= state.reads.round) progress.ackedRound = round;
}

/** Opens, confirms and asks, once per turn. */
export function collectReads(state: RaftState): void {
  if (state.role === "leader") runRounds(state);
  else if (state.leader !== undefined) ask(state);
}

/** Ends reads that have waited too long for a leader. */
export function tickReads(state: RaftState): void {
  const { reads } = state;
  while (state.nowMs >= readsDeadlineMs(state)) {
    finishRead(state, reads.dropOldest(), 0, "no-leader");
  }
}

/** When the oldest waiting read has to end, while no leader is known. */
export function readsDeadlineMs(state: RaftState): number {
  const oldest = state.reads.waitingSinceMs[0];
  if (state.leader !== undefined || oldest === undefined) return Infinity;
  const { electionTimeoutMs } = state.options;
  return Math.max(oldest + electionTimeoutMs, state.leaderLostMs + electionTimeoutMs / 2);
}

/** When a follower's request has to be made or repeated. */
export function requestDeadlineMs(state: RaftState): number {
  const { reads, leader, options } = state;
  if (leader === undefined || leader === state.id) return Infinity;
  if (reads.outstanding) return reads.askedMs + options.heartbeatIntervalMs;
  return reads.waiting.length > 0 ? Math.max(state.nowMs, reads.askAfterMs) : Infinity;
}

/** Leadership is over: nothing that waits here can be answered any more. */
export function endLeaderReads(state: RaftState): void {
  const { reads } = state;
  for (const [peer, token] of reads.remoteSent) answer(state, peer, token, undefined);
  for (const [peer, token] of reads.remoteWaiting) answer(state, peer, token, undefined);
  reads.remoteWaiting.clear();
  reads.abandonAttempt();
  for (const context of reads.waiting) finishRead(state, context, 0, "leadership-lost");
  reads.waiting = [];
  reads.waitingSinceMs = [];
}

/** The leader changed: a request to the old one will not be answered. */
export function forgetRequest(state: RaftState): void {
  state.reads.abandonAttempt();
  state.reads.askAfterMs = -Infinity;
}

function runRounds(state: RaftState): void {
  const { reads } = state;
  for (;;) {
    if (reads.outstanding) {
      if (quorumValue(state.configuration, state.roundOf) < reads.round) return;
      for (const [peer, token] of reads.remoteSent) answer(state, peer, token, reads.roundIndex);
      finish(state, reads.roundIndex);
    }
    if (!state.ready || !reads.hasWaiting) return;
    reads.startAttempt();
    openRound(state);
    reads.roundIndex = state.commit;
    state.roundDue = true;
    if (reads.roundIndex < state.noopIndex) {
      violated("read-after-own-commit", `Read index ${reads.roundIndex}.`);
    }
  }
}

function ask(state: RaftState): void {
  const { reads } = state;
  if (state.nowMs < requestDeadlineMs(state)) return;
  const isRepeated = reads.outstanding;
  if (!isRepeated) reads.startAttempt();
  const token = Math.max(reads.lastToken, state.options.startNonce) + 1;
  if (!isRepeated) reads.firstToken = token;
  reads.lastToken = token;
  reads.askedMs = state.nowMs;
  const byLease = reads.isAttemptByLease;
  send(state, state.leader!, { type: "read-index-request", term: state.term, token, byLease });
}

/** Answers another member's request; without an index the request failed. */
function answer(state: RaftState, to: MemberId, token: number, index: number | undefined): void {
  const ok = index !== undefined;
  const { term } = state;
  send(state, to, { type: "read-index-response", term, token, ok, index: index ?? 0 });
}

function finish(state: RaftState, index: number): void {
  for (const context of state.reads.sent) finishRead(state, context, index, "ok");
  state.reads.endAttempt();
}

function finishRead(
  state: RaftState,
  context: number,
  index: number,
  status: ReadOutcome["status"],
): void {
  state.reads.byLease.delete(context);
  state.outcomes.push({ context, index, status });
}
