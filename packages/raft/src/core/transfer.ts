/**
 * Handing leadership over (thesis, 3.10).
 *
 * The leader that is asked to
 *   1. appends nothing more, so that there is an end for the target to reach: proposals are refused
 *      as `transferring`, which means "keep it, there will soon be somebody to take it";
 *   2. waits until the target, a voter, has acknowledged the whole log as durable;
 *   3. tells it: *timeout-now*. The target campaigns at once, without pre-votes, and its requests
 *      say that the leader wished it, so that nobody ignores them for having heard that leader;
 *   4. follows the target like everybody else once the request arrives.
 *
 * A transfer is a state of one leadership: it ends with the role, whatever ended that, and a later
 * leader knows nothing of it. Where it is not over after one T it is given up and the leader serves
 * again. A target that was not heard within T, or whose connection is lost, is refused at once, and
 * one that is lost meanwhile is given up: nobody should wait for the dead.
 *
 * Timeout-now may be lost, so it is repeated with the heartbeats; it may be late, so it names the
 * term and the end of the log: the receiver obeys only while it follows that very leader and holds
 * exactly that log, durably. One that is late all the same (the receiver was paused) costs an
 * election and nothing else: voters still compare logs. But who is asked on the strength of it does
 * not wait for the leader's silence, so from the first timeout-now on the leader's silence promises
 * nothing either: a lease must not be relied on any more in this term (lease.ts).
 *
 * A leader whose disk or process is not well hands over of its own accord (yield.ts). Who is
 * stalled or full is refused as a target, and where anybody will do the healthy come first.
 *
 * Invariants: `transfer-appends-nothing`, `transfer-target-whole`.
 */
import { isFresh } from "./health.ts";
import type { Health } from "./health-watch.ts";
import { dropLease } from "./lease.ts";
import type { MemberId } from "./configuration.ts";
import { memberOf } from "./configuration.ts";
import type { TransferResult, TransferStatus } from "./contract.ts";
import { campaignAtOnce } from "./election.ts";
import { violated } from "./invariants.ts";
import type { TimeoutNow } from "./message.ts";
import type { Progress } from "./progress.ts";
import { endTransfer } from "./role.ts";
import type { RaftState, Transfer } from "./state.ts";
import { emit, send, UNTIL_DURABLE } from "./state.ts";

/** Begins to hand over, or joins what is under way, or says why not. */
export function transferLeadership(state: RaftState, wanted: MemberId | undefined): TransferResult {
  const { leader, transfer } = state;
  if (state.role !== "leader") return { ok: false, reason: "not-leader", leader };
  if (wanted === state.id) return { ok: true, target: wanted };
  if (transfer !== undefined) {
    if (wanted === undefined || wanted === transfer.target) {
      return { ok: true, target: transfer.target };
    }
    return { ok: false, reason: "busy", leader };
  }
  const target = wanted === undefined ? bestTarget(state) : checked(state, wanted);
  if (typeof target === "string") return { ok: false, reason: target, leader };
  beginTransfer(state, target.id, "asked");
  return { ok: true, target: target.id };
}

/** Leader, and no transfer under way: begins one to a voter that is heard. */
export function beginTransfer(state: RaftState, target: MemberId, reason: string): void {
  const { nowMs, term } = state;
  const deadlineMs = nowMs + state.options.electionTimeoutMs;
  state.transfer = { target, startedMs: nowMs, deadlineMs, sentMs: undefined };
  emit(state, { type: "transfer", phase: "started", target, term, reason });
}

/** The voter, of those that may, that suits best: see {@link isBetter}. */
export function bestOf(
  state: RaftState,
  may: (progress: Progress) => boolean,
): Progress | undefined {
  let best: Progress | undefined;
  for (const progress of state.progress.values()) {
    if (!state.configuration.voters.includes(progress.id) || !may(progress)) continue;
    if (best === undefined || isBetter(progress, best)) best = progress;
  }
  return best;
}

/** Once per turn: tells the target as soon as it has everything, and again while it is silent. */
export function collectTransfer(state: RaftState): void {
  const { transfer } = state;
  if (transfer === undefined || state.role !== "leader") return;
  const progress = state.progress.get(transfer.target);
  if (progress === undefined || progress.role !== "voter") {
    endTransfer(state, `${transfer.target} is no voter any more`);
    return;
  }
  if (progress.isLost) {
    endTransfer(state, `the connection to ${transfer.target} was lost`);
    return;
  }
  if (progress.health === "stalled") {
    endTransfer(state, `the disk of ${transfer.target} has stalled`);
    return;
  }
  if (progress.match < state.log.lastIndex) return;
  if (state.nowMs - (transfer.sentMs ?? -Infinity) < state.options.heartbeatIntervalMs) return;
  sendTimeoutNow(state, transfer, progress);
}

/** Gives up what has taken too long. */
export function tickTransfer(state: RaftState): void {
  if (state.nowMs < transferDeadlineMs(state)) return;
  endTransfer(state, `not taken over within ${state.options.electionTimeoutMs} ms`);
}

/** When a transfer is given up; Infinity where there is none. */
export function transferDeadlineMs(state: RaftState): number {
  return state.transfer?.deadlineMs ?? Infinity;
}

/** The leader wishes this member to lead. */
export function handleTimeoutNow(state: RaftState, from: MemberId, message: TimeoutNow): void {
  const { log, persistence } = state;
  if (message.term !== state.term || from !== state.termLeader || !state.isVoter) return;
  if (state.watch.health === "stalled") return;
  if (state.role !== "follower" && state.role !== "pre-candidate") return;
  if (log.lastIndex !== message.lastIndex || log.lastTerm !== message.lastTerm) return;
  if (persistence.stableIndex < log.lastIndex) return;
  campaignAtOnce(state, `${from} hands leadership over`);
}

/** What a status page says of it. */
export function transferStatus(transfer: Transfer | undefined): TransferStatus | undefined {
  if (transfer === undefined) return undefined;
  const { target, startedMs, sentMs } = transfer;
  return {
    target,
    sinceMs: startedMs,
    phase: sentMs === undefined ? "catching-up" : "handed-over",
  };
}

function sendTimeoutNow(state: RaftState, transfer: Transfer, progress: Progress): void {
  const { term, log } = state;
  const { lastIndex, lastTerm } = log;
  if (progress.match !== lastIndex) {
    violated("transfer-target-whole", `${progress.id} has ${progress.match} of ${lastIndex}.`);
  }
  const isFirst = transfer.sentMs === undefined;
  transfer.sentMs = state.nowMs;
  dropLease(state, "for-this-term");
  send(state, progress.id, { type: "timeout-now", term, lastIndex, lastTerm }, UNTIL_DURABLE);
  if (!isFirst) return;
  const reason = `has everything up to ${lastIndex}`;
  emit(state, { type: "transfer", phase: "handed-over", target: progress.id, term, reason });
}

/** Whoever will do: somebody whose disk has stalled would not even campaign. */
function bestTarget(state: RaftState): Progress | "no-other-voter" | "unreachable" | "unhealthy" {
  const best = bestOf(state, (peer) => isFresh(state, peer) && peer.health !== "stalled");
  if (best !== undefined) return best;
  if (bestOf(state, (peer) => isFresh(state, peer)) !== undefined) return "unhealthy";
  return bestOf(state, () => true) === undefined ? "no-other-voter" : "unreachable";
}

/**
 * The healthiest first, then who lacks least, then who was heard last; ties go by the order of the
 * configuration.
 */
function isBetter(one: Progress, other: Progress): boolean {
  if (one.health !== other.health) return RANK[one.health] < RANK[other.health];
  if (one.match !== other.match) return one.match > other.match;
  return (one.lastHeardMs ?? 0) > (other.lastHeardMs ?? 0);
}

const RANK: Readonly<Record<Health, number>> = { ok: 0, late: 1, full: 2, stalled: 3 };

function checked(
  state: RaftState,
  id: MemberId,
): Progress | "unknown-member" | "not-voter" | "unreachable" | "unhealthy" {
  const { configuration } = state;
  const progress = state.progress.get(id);
  if (memberOf(configuration, id) === undefined || progress === undefined) return "unknown-member";
  if (!configuration.voters.includes(id)) return "not-voter";
  if (!isFresh(state, progress)) return "unreachable";
  return progress.health === "stalled" || progress.health === "full" ? "unhealthy" : progress;
}
