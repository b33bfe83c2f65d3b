/**
 * Roles, terms, votes and leaders: the only place where they change.
 *
 *               silence            pre-votes of a quorum       votes of a quorum
 *   follower ───────────▶ pre-candidate ─────────▶ candidate ─────────▶ leader
 *      ▲                       │   ▲                 │   │                 │
 *      │                       │   └─────────────────┘   │                 │
 *      │                       │         silence         │                 │
 *      └───────────────────────┴─────────────────────────┴─────────────────┘
 *        a leader or a higher term was seen, the round was lost, the quorum was lost
 *
 * Becoming a pre-candidate raises no term (thesis, 9.6); becoming a candidate raises it by one.
 * A follower that its leader hands over to skips the pre-votes (transfer.ts).
 * Invariants: `term-monotone`, `vote-once`, `one-leader-per-term`, `campaign-as-voter`,
 * `campaign-with-storage`.
 */
import type { Incarnation, MemberId } from "./configuration.ts";
import { violated } from "./invariants.ts";
import { dropLease } from "./lease.ts";
import type { Role } from "./output.ts";
import { appendNoop, syncProgress } from "./propose.ts";
import { endLeaderReads, forgetRequest } from "./read-index.ts";
import type { RaftState } from "./state.ts";
import { emit, mayCampaign } from "./state.ts";

/** Follows `leader`, or nobody yet, in `term`. */
export function becomeFollower(
  state: RaftState,
  term: number,
  leader: MemberId | undefined,
  reason: string,
): void {
  const wasLeader = state.role === "leader";
  const termChanged = term !== state.term;
  if (termChanged) raiseTerm(state, term);
  if (state.role !== "follower") {
    setRole(state, "follower", reason);
    restartElectionTimer(state);
  }
  if (wasLeader) leaveLeadership(state);
  setLeader(state, leader, termChanged);
}

/** Asks whether it could win, in the term it has. */
export function becomePreCandidate(state: RaftState, reason: string): void {
  if (!mayCampaign(state)) violated("campaign-as-voter", `${state.id} asks for pre-votes.`);
  assertStorage(state);
  if (state.role !== "pre-candidate") setRole(state, "pre-candidate", reason);
  setLeader(state, undefined, false);
  state.votes.clear();
  state.votes.set(state.id, true);
  restartElectionTimer(state);
}

/**
 * Starts an election. Figure 2, Candidates 1. Our own vote counts once it is durable, like that of
 * anybody else: a sole voter that led before, crashed and forgot its term could lead that term
 * twice.
 */
export function becomeCandidate(state: RaftState, reason: string): void {
  if (!mayCampaign(state)) violated("campaign-as-voter", `${state.id} asks for votes.`);
  assertStorage(state);
  raiseTerm(state, state.term + 1);
  setRole(state, "candidate", reason);
  setLeader(state, undefined, true);
  castVote(state, state.id, state.incarnation);
  state.votes.clear();
  restartElectionTimer(state);
}

/** Won: leads from now on, and appends the entry that opens the term. */
export function becomeLeader(state: RaftState, reason: string): void {
  if (!mayCampaign(state)) violated("campaign-as-voter", `${state.id} leads.`);
  setRole(state, "leader", reason);
  setLeader(state, state.id, false);
  state.leaderSinceMs = state.nowMs;
  state.ready = false;
  state.hasOfferedLead = false;
  state.progress.clear();
  syncProgress(state);
  state.heartbeatDeadlineMs = state.nowMs + state.options.heartbeatIntervalMs;
  state.reads.round = 0;
  state.lease.begin();
  appendNoop(state);
  state.logMark.begin(state.nowMs, state.log.lastIndex);
}

/** A transfer is over, with the leadership that it belonged to or before. */
export function endTransfer(state: RaftState, reason: string): void {
  const { transfer, term } = state;
  if (transfer === undefined) return;
  state.transfer = undefined;
  emit(state, { type: "transfer", phase: "ended", target: transfer.target, term, reason });
}

/** Records a vote; the same vote again is no change. Figure 2, RequestVote 2. */
export function castVote(state: RaftState, id: MemberId, incarnation: Incarnation): void {
  const { vote } = state;
  if (vote !== undefined) {
    if (vote.id === id && vote.incarnation === incarnation) return;
    violated("vote-once", `Vote for ${vote.id} in term ${state.term}, now for ${id}.`);
  }
  state.vote = { id, incarnation };
  emit(state, { type: "vote", term: state.term, candidate: id });
}

/**
 * Waits for a leader anew, for a time drawn from [T, 1.5 T). Section 5.2. Who is not well lets the
 * others go first, by one T more.
 */
export function restartElectionTimer(state: RaftState): void {
  const { electionTimeoutMs, random } = state.options;
  const spread = Math.max(1, Math.floor(electionTimeoutMs / 2));
  const graceMs = state.watch.health === "ok" ? 0 : electionTimeoutMs;
  state.electionTimeoutMs = electionTimeoutMs + random.below(spread) + graceMs;
  state.electionDeadlineMs = state.nowMs + state.electionTimeoutMs;
}

/**
 * No leader is there, and this member need not wait out its timer to learn it: it campaigns after a
 * draw from a part of T. Who is not well waits as before.
 */
export function campaignSoon(state: RaftState, shareOfTimeout: number): void {
  if (state.watch.health !== "ok") return;
  const { electionTimeoutMs, random } = state.options;
  const spread = Math.max(1, Math.floor(electionTimeoutMs * shareOfTimeout));
  const soonMs = state.nowMs + random.below(spread);
  state.electionDeadlineMs = Math.min(state.electionDeadlineMs, soonMs);
}

/** Sets or forgets the leader of the current term. */
export function setLeader(
  state: RaftState,
  leader: MemberId | undefined,
  termChanged: boolean,
): void {
  if (leader !== undefined) {
    if (state.termLeader !== undefined && state.termLeader !== leader) {
      violated(
        "one-leader-per-term",
        `${state.termLeader} and ${leader} both lead term ${state.term}.`,
      );
    }
    state.termLeader = leader;
  }
  if (state.leader === leader && (leader === undefined || !termChanged)) return;
  if (leader === undefined) state.leaderLostMs = state.nowMs;
  state.leader = leader;
  forgetRequest(state);
  emit(state, { type: "leader", leader, term: state.term });
}

/** A sole voter has nobody else to leave it to, and waits for its disk as a candidate. */
function assertStorage(state: RaftState): void {
  if (state.watch.health !== "stalled" || state.isAlone) return;
  violated("campaign-with-storage", `${state.id} campaigns in term ${state.term}.`);
}

function raiseTerm(state: RaftState, term: number): void {
  const previous = state.term;
  if (term <= previous) violated("term-monotone", `Term ${previous}, now ${term}.`);
  state.term = term;
  state.vote = undefined;
  state.termLeader = undefined;
  state.verifiedIndex = state.commit;
  emit(state, { type: "term", term, previous });
}

function setRole(state: RaftState, role: Role, reason: string): void {
  const previous = state.role;
  state.role = role;
  emit(state, { type: "role", role, previous, term: state.term, reason });
}

function leaveLeadership(state: RaftState): void {
  endTransfer(state, "leads no more");
  endLeaderReads(state);
  state.progress.clear();
  state.uncommitted.clear();
  state.ready = false;
  state.heartbeatDue = false;
  state.roundDue = false;
  state.loads.length = 0;
  state.snapshots.length = 0;
  dropLease(state, "until-next-round");
}
