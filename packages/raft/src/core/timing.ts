/**
 * Time: what passes with it, and when it is needed next.
 *
 * Time enters with every input. A gap of more than T/2 between two inputs means that this process
 * was not running: it was paused, or its event loop was blocked. What a leader said meanwhile may
 * be waiting to be read, so the silence proves nothing and the election timer starts anew instead
 * of firing. For that to be told from an idle member, one that does not lead asks to be woken every
 * T/4. A leader gets no such grace: it must not go on leading on the strength of a pause, and its
 * lease is over.
 */
import { quorumDeadlineMs, tickCheckQuorum, tickElection } from "./election.ts";
import { judgeHealth, noteGap } from "./health.ts";
import { violated } from "./invariants.ts";
import { dropLease, renewLease } from "./lease.ts";
import { membershipDeadlineMs } from "./membership.ts";
import { readsDeadlineMs, requestDeadlineMs, tickReads } from "./read-index.ts";
import { restartElectionTimer } from "./role.ts";
import type { RaftState } from "./state.ts";
import { tickTransfer, transferDeadlineMs } from "./transfer.ts";
import { healthDeadlineMs, tickHealth } from "./yield.ts";

/** Takes in the time of an input. */
export function advanceTime(state: RaftState, nowMs: number): void {
  const gapMs = nowMs - state.nowMs;
  if (!(gapMs >= 0)) violated("time-monotone", `${state.nowMs} ms, now ${nowMs} ms.`);
  state.nowMs = nowMs;
  if (gapMs > state.options.electionTimeoutMs / 2) afterGap(state);
  judgeHealth(state);
}

/** This process was not running. */
function afterGap(state: RaftState): void {
  noteGap(state);
  if (state.role === "leader") dropLease(state, "until-next-round");
  else restartElectionTimer(state);
}

/** Does what is due. */
export function tickTimers(state: RaftState): void {
  if (state.role === "leader") {
    tickTransfer(state);
    tickCheckQuorum(state);
    tickHealth(state);
    tickHeartbeat(state);
  } else {
    tickElection(state);
  }
  tickReads(state);
}

/** The time at which {@link tickTimers} has something to do. */
export function nextDeadlineMs(state: RaftState): number {
  if (state.role === "leader") {
    return Math.min(
      state.heartbeatDeadlineMs,
      quorumDeadlineMs(state),
      transferDeadlineMs(state),
      healthDeadlineMs(state),
      membershipDeadlineMs(state),
    );
  }
  return Math.min(
    electionDeadlineMs(state),
    state.nowMs + state.options.electionTimeoutMs / 4,
    readsDeadlineMs(state),
    requestDeadlineMs(state),
  );
}

/** A sole voter campaigns at once, and then waits for its own disk alone. */
function electionDeadlineMs(state: RaftState): number {
  if (!state.isAlone) return state.electionDeadlineMs;
  return state.role === "candidate" ? Infinity : state.nowMs;
}

function tickHeartbeat(state: RaftState): void {
  if (state.role !== "leader" || state.nowMs < state.heartbeatDeadlineMs) return;
  state.heartbeatDeadlineMs = state.nowMs + state.options.heartbeatIntervalMs;
  state.heartbeatDue = true;
  state.logMark.advance(state.nowMs, state.log.lastIndex, state.options.electionTimeoutMs);
  renewLease(state);
}
