/**
 * Elections (section 5.2, 5.4.1) with pre-vote (thesis, 9.6), check-quorum and stickiness (thesis,
 * 4.2.3, 6.2).
 *
 * - A campaign always begins with pre-votes. Granting one changes nothing on the granter, not even
 *   its timer, so that a member which cannot win disturbs nobody.
 * - *Stickiness*: who heard a leader within T, or started within T, refuses pre-votes and ignores
 *   votes without even taking over their term. The bound is a matter of time alone: a later term
 *   seen elsewhere does not shorten it. A leader counts as hearing itself while its quorum answers.
 * - *Check-quorum*: a leader that has not heard from a quorum within T follows nobody, so that
 *   clients learn it and the others, who no longer hear it, elect without being disturbed.
 * - Whoever asks from a lower term is told the higher one, in a pre-vote too: otherwise members
 *   with a long log and a low term, and members with a short log and a high term, refuse each other
 *   for ever.
 * - Whose disk has stalled does not campaign (health.ts). It grants pre-votes all the same: they
 *   need no disk, and where its vote is needed it may come by then.
 * - A leader that hands over (transfer.ts) asks for a campaign at once. Its requests say so and are
 *   judged in spite of the leader that was heard; the logs are compared as ever.
 * - A lost round need not cost another T: while the silence is young its loser asks again soon, and
 *   who had to refuse an asker only for its log, and hears no leader either, asks instead of it.
 * - Votes count once per voter, from voters of the configuration in force, of the current term and
 *   role. A vote is for a directory (incarnation), not for a name that two directories may share.
 */
import type { MemberId } from "./configuration.ts";
import { isVoter } from "./configuration.ts";
import type {
  Message,
  PreVote,
  PreVoteResponse,
  RequestVote,
  RequestVoteResponse,
} from "./message.ts";
import { quorumValue, voteResult } from "./quorum.ts";
import {
  becomeCandidate,
  becomeFollower,
  becomeLeader,
  becomePreCandidate,
  campaignSoon,
  castVote,
  restartElectionTimer,
  setLeader,
} from "./role.ts";
import type { RaftState } from "./state.ts";
import { emit, isHeldMember, mayCampaign, send, UNTIL_DURABLE } from "./state.ts";

/** For so many election timeouts silence is young. Who is refused for longer is cut off alone. */
const YOUNG = 3;

/** Campaigns where the silence has lasted long enough. Figure 2, Followers 2 and Candidates 4. */
export function tickElection(state: RaftState): void {
  if (electAlone(state) || state.nowMs < state.electionDeadlineMs) return;
  if (!mayCampaign(state) || state.watch.health === "stalled") {
    standBack(state);
    return;
  }
  const silenceMs = Math.round(state.nowMs - state.leaderContactMs);
  campaign(
    state,
    state.role === "follower"
      ? `no leader heard for ${silenceMs} ms`
      : `no majority within ${state.electionTimeoutMs} ms`,
  );
}

/** No leader is heard, and this member cannot be one: it waits for another. */
function standBack(state: RaftState): void {
  const reason = `the disk of ${state.id} has stalled`;
  if (state.role !== "follower") becomeFollower(state, state.term, undefined, reason);
  else setLeader(state, undefined, false);
  restartElectionTimer(state);
}

/** Campaigns since the leader wishes it: nobody needs to be asked first. Thesis, 3.10. */
export function campaignAtOnce(state: RaftState, reason: string): void {
  becomeCandidate(state, reason);
  requestVotes(state, true);
}

/** A sole voter has nobody to wait for but its own disk. True where that is all there is to do. */
export function electAlone(state: RaftState): boolean {
  if (!state.isAlone || state.role === "leader") return false;
  if (state.role !== "candidate") campaign(state, "sole voter");
  return true;
}

/** Counts our own vote once it is durable. */
export function countOwnVote(state: RaftState): void {
  if (state.role !== "candidate" || state.votes.has(state.id)) return;
  if (!state.persistence.isHardStateDurable(state.term, state.vote)) return;
  state.votes.set(state.id, true);
  decide(state);
}

/** The time at which the leader's quorum is lost unless somebody is heard before. */
export function quorumDeadlineMs(state: RaftState): number {
  return quorumValue(state.configuration, state.heardOf) + state.options.electionTimeoutMs;
}

/** Steps down where no quorum was heard within T. Thesis, 6.2. */
export function tickCheckQuorum(state: RaftState): void {
  if (state.nowMs < quorumDeadlineMs(state)) return;
  const sinceMs = state.nowMs - state.options.electionTimeoutMs;
  const heard = [state.id];
  for (const peer of state.progress.values()) {
    if (peer.role === "voter" && state.heardOf(peer.id) > sinceMs) heard.push(peer.id);
  }
  const reason = `quorum lost: heard only ${heard.sort().join(", ")}`;
  const within = ` within ${state.options.electionTimeoutMs} ms`;
  becomeFollower(state, state.term, undefined, reason + within);
}

/** Answers whether the asker could win. Changes nothing here. Thesis, 9.6. */
export function handlePreVote(state: RaftState, from: MemberId, message: PreVote): void {
  if (!state.isNamed || !isHeldMember(state, from)) return;
  // In the very term we are in, a campaign can still win our vote only if that is not given.
  const isOpen =
    message.term > state.term ||
    (message.term === state.term && state.vote === undefined && state.termLeader === undefined);
  const isFree = isOpen && !isLeaderFresh(state);
  const granted = isFree && state.log.isUpToDate(message.lastIndex, message.lastTerm);
  const term = granted ? message.term : state.term;
  send(state, from, { type: "pre-vote-response", term, granted });
  if (isFree && !granted && state.role === "follower" && mayCampaign(state)) {
    campaignSoon(state, 1 / 8);
  }
}

/** Counts a pre-vote; a refusal from a higher term makes us follow that term. */
export function handlePreVoteResponse(
  state: RaftState,
  from: MemberId,
  message: PreVoteResponse,
): void {
  if (!message.granted && message.term > state.term) {
    if (isHeldMember(state, from)) followTerm(state, from, message.term);
    return;
  }
  if (state.role !== "pre-candidate") return;
  if (message.granted && message.term !== state.term + 1) return;
  if (!countVote(state, from, message.granted)) return;
  decide(state);
}

/** Grants or refuses a vote. Figure 2, RequestVote. */
export function handleRequestVote(state: RaftState, from: MemberId, message: RequestVote): void {
  if (!state.isNamed || !isHeldMember(state, from)) return;
  if (message.term < state.term) {
    refuseVote(state, from);
    return;
  }
  if (isLeaderFresh(state) && !message.transfer) return;
  if (message.term > state.term) followTerm(state, from, message.term);
  const { vote } = state;
  const isFree =
    vote === undefined || (vote.id === from && vote.incarnation === message.incarnation);
  if (!isFree || !state.log.isUpToDate(message.lastIndex, message.lastTerm)) {
    refuseVote(state, from);
    return;
  }
  castVote(state, from, message.incarnation);
  restartElectionTimer(state);
  const response: Message = { type: "request-vote-response", term: state.term, granted: true };
  send(state, from, response, UNTIL_DURABLE);
}

/** Counts a vote. Figure 2, Candidates 2. */
export function handleRequestVoteResponse(
  state: RaftState,
  from: MemberId,
  message: RequestVoteResponse,
): void {
  if (state.role !== "candidate" || message.term !== state.term) return;
  if (!countVote(state, from, message.granted)) return;
  decide(state);
}

/** Figure 2, All Servers 2: a higher term was seen, whose leader is not known yet. */
export function followTerm(state: RaftState, from: MemberId, term: number): void {
  becomeFollower(state, term, undefined, `term ${term} seen from ${from}`);
}

/** Whether a leader was heard within T, or this member started within T. */
export function isLeaderFresh(state: RaftState): boolean {
  if (state.role === "leader") return state.nowMs < quorumDeadlineMs(state);
  return state.nowMs - state.leaderContactMs < state.options.electionTimeoutMs;
}

/**
 * A refusal promises nothing: it may leave before the term in it is durable, since after a crash
 * this member would only know less, never have said anything wrong.
 */
function refuseVote(state: RaftState, to: MemberId): void {
  send(state, to, { type: "request-vote-response", term: state.term, granted: false });
}

function campaign(state: RaftState, reason: string): void {
  becomePreCandidate(state, reason);
  const { term, log } = state;
  const { lastIndex, lastTerm } = log;
  askVoters(state, { type: "pre-vote", term: term + 1, lastIndex, lastTerm }, 0);
  decide(state);
}

/** Figure 2, Candidates 1: the request waits until our own vote is durable. */
function requestVotes(state: RaftState, transfer: boolean): void {
  const { term, incarnation, log } = state;
  const { lastIndex, lastTerm } = log;
  const type = "request-vote";
  askVoters(state, { type, term, transfer, incarnation, lastIndex, lastTerm }, UNTIL_DURABLE);
}

function askVoters(state: RaftState, message: Message, after: number): void {
  const { configuration, id } = state;
  for (const member of configuration.members) {
    if (member.id !== id && isVoter(configuration, member.id)) {
      send(state, member.id, message, after);
    }
  }
}

/** Counts an answer of this round; false where it does not count, or was counted before. */
function countVote(state: RaftState, from: MemberId, granted: boolean): boolean {
  if (!isVoter(state.configuration, from) || state.votes.has(from)) return false;
  state.votes.set(from, granted);
  const pre = state.role === "pre-candidate";
  emit(state, { type: "vote-received", term: state.term, from, granted, pre });
  return true;
}

/** Moves on where the round is decided. */
function decide(state: RaftState): void {
  const result = voteResult(state.configuration, state.votes);
  if (result === "pending") return;
  const pre = state.role === "pre-candidate";
  const kind = pre ? "pre-votes" : "votes";
  if (result === "lost") {
    const reason = `${kind} refused by ${voters(state, false)}`;
    becomeFollower(state, state.term, undefined, reason);
    const silenceMs = state.nowMs - state.leaderContactMs;
    if (silenceMs < YOUNG * state.options.electionTimeoutMs) campaignSoon(state, 1 / 2);
    return;
  }
  const reason = `${kind} from ${voters(state, true)}`;
  if (!pre) {
    becomeLeader(state, reason);
    return;
  }
  becomeCandidate(state, reason);
  requestVotes(state, false);
}

function voters(state: RaftState, granted: boolean): string {
  const names: string[] = [];
  for (const [id, vote] of state.votes) if (vote === granted) names.push(id);
  return names.sort().join(", ");
}
