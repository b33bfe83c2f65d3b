/**
 * The leader's lease: for how long it may answer reads without asking anybody (thesis, 6.4.1).
 *
 * Off unless `leaseReads` is set. A lease rests on clocks, which nothing else here does, so what
 * it promises holds only while every member's clock keeps its *rate*: within `clockDriftBoundPpm`
 * of real time, a suspended machine included. Clocks need not agree on what time it is.
 *
 * What it is. Every round that goes out with heartbeats has a time of sending. Let s be that of
 * the newest round that a majority has answered. The lease then ends at s + L by the leader's
 * clock, with L = T (1 - p) / (1 + p), where T is the election timeout and p the drift bound. A
 * read that finds the lease held, by a clock value that was read after it arrived, may be
 * answered at the commit index of that moment.
 *
 * Why that is right. Suppose leader A of term t holds its lease at the real moment x, and another
 * member B has won a term above t at or before x; let B be the first to do so.
 *
 *  1. A has committed an entry of term t. So B's log holds that entry (Leader Completeness), and
 *     everything in it up to its end came from A's log: nobody else led in between. Hence B won
 *     in a configuration K that A had in force at some time, after or when A committed in its own
 *     term.
 *  2. A counts answers in the configuration E that it has in force at x.
 *     a. K = E: the majority that answered round s and the majority that elected B share a voter.
 *     b. K before E: E is appended only when what is in force has been committed, and B lacks no
 *        committed entry; so K is the one right before E, and a configuration and its neighbour
 *        share a half: in K as in E a majority of that half is needed, so again both share a
 *        voter. This is the point of joint consensus, and the only thing that is used of it here.
 *     c. K after E: impossible, since whatever B holds, A appended before.
 *  3. Let v be that common voter. It processed the heartbeat of round s in term t (so it had
 *     voted in no higher one) and not before A sent it. From then on T by its own clock must pass
 *     before it votes for another (stickiness, election.ts) or campaigns (its election timer is at
 *     least T). A restart does not shorten that: who has started votes for nobody within T. If v is
 *     A: it votes for another only when it no longer leads, and then there is no lease. One
 *     exception: a sole voter campaigns at once. Where that is another member, A is no voter in K
 *     any more and has had no lease since it appended K.
 *  4. T by v's clock takes at least T / (1 + p) of real time; L by A's clock takes at most
 *     L / (1 - p) = T / (1 + p). So v had not voted for B before the lease ended.
 *
 * What breaks the argument ends the lease: whoever may be elected without waiting for T, as the
 * target of a transfer is (`dropLease` "for-this-term", before TimeoutNow is sent).
 *
 * What does not break it, and ends it all the same until a new round is answered: a gap of more
 * than T/2 between two inputs, that is a pause or a blocked event loop (timing.ts). The clock
 * should have gone on meanwhile; if it did not, this is the only hint there can be. Stepping down
 * ends it.
 *
 * T must be the same on every member: v waits for its own T.
 *
 * Failure cases: a clock that stands still or is slow beyond the bound, as after the suspension
 * of a virtual machine, makes a deposed leader answer with what was true before. That is why
 * leases are off by default.
 */
import { violated } from "./invariants.ts";
import { quorumValue } from "./quorum.ts";
import type { RaftState } from "./state.ts";

/** So many rounds are remembered; a majority is never further behind than one or two. */
const ROUNDS_KEPT = 64;
const MILLION = 1_000_000;

/** Until when a lease that is dropped stays away. */
export type LeaseDrop = "until-next-round" | "for-this-term";

/** When the rounds of this term were sent, and which of them count for a lease. */
export class Lease {
  /** Rounds before this one count for nothing. */
  firstRound = 1;
  /** In this term there is no lease any more. */
  barredTerm = -1;
  readonly #sentMs: Float64Array = new Float64Array(ROUNDS_KEPT);
  #newest = 0;

  /** A term as leader begins: its rounds start at 1. */
  begin(): void {
    this.firstRound = 1;
    this.#newest = 0;
  }

  /** Round `round` goes out at `nowMs` for the first time. */
  sent(round: number, nowMs: number): void {
    this.#sentMs[round % ROUNDS_KEPT] = nowMs;
    this.#newest = round;
  }

  /** When the round was sent first; minus infinity where it does not count. */
  sentMs(round: number): number {
    if (round < this.firstRound || round <= this.#newest - ROUNDS_KEPT) return -Infinity;
    return this.#sentMs[round % ROUNDS_KEPT]!;
  }
}

/** How long a lease lasts by the leader's clock; see the top of this file. */
export function leaseLengthMs(electionTimeoutMs: number, clockDriftBoundPpm: number): number {
  return (electionTimeoutMs * (MILLION - clockDriftBoundPpm)) / (MILLION + clockDriftBoundPpm);
}

/** Opens the next round: it goes out with the next heartbeats. */
export function openRound(state: RaftState): void {
  const { reads, lease } = state;
  reads.round++;
  lease.sent(reads.round, state.nowMs);
}

/** Heartbeats are due: where none is outstanding, they carry a new round for the lease. */
export function renewLease(state: RaftState): void {
  if (state.options.leaseReads && !state.reads.outstanding) openRound(state);
}

/** When the lease ends, or ended; minus infinity where there is none. */
export function leaseEndMs(state: RaftState): number {
  const { options, reads, lease } = state;
  if (!options.leaseReads || state.role !== "leader") return -Infinity;
  if (lease.barredTerm === state.term) return -Infinity;
  if (!state.ready || !state.isVoter) return -Infinity;
  const answered = quorumValue(state.configuration, state.roundOf);
  // A sole voter has answered every round: those that were sent.
  const sentMs = lease.sentMs(Math.min(answered, reads.round));
  return sentMs + leaseLengthMs(options.electionTimeoutMs, options.clockDriftBoundPpm);
}

/** The index to read at by the lease as of now; undefined where it is not held. */
export function leaseIndex(state: RaftState): number | undefined {
  if (state.nowMs >= leaseEndMs(state)) return undefined;
  if (state.commit < state.noopIndex) {
    violated("read-after-own-commit", `Read index ${state.commit} by lease.`);
  }
  return state.commit;
}

/**
 * Ends the lease. `until-next-round`: rounds that were sent before now count no more.
 * `for-this-term`: from now on somebody may be elected without waiting for silence.
 */
export function dropLease(state: RaftState, how: LeaseDrop): void {
  state.lease.firstRound = state.reads.round + 1;
  if (how === "for-this-term") state.lease.barredTerm = state.term;
}
