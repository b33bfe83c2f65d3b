/**
 * The follower's side of replication: AppendEntries and heartbeats (section 5.3).
 *
 * What is equal is skipped, what conflicts is removed from the first conflict on, the rest is
 * appended; all within one step, so that no output ever shows the log in between. A late or
 * repeated message therefore never shortens the log. Everything up to the commit index counts as
 * equal to the log of any leader (Leader Completeness), so a message that begins below it is
 * answered with success.
 *
 * `verifiedIndex` is how far the log is known to equal that of this term's leader; the commit index
 * follows the leader's word only up to there, also where it comes with a heartbeat.
 *
 * A member without space (health.ts) takes only what is essential: at the first entry of another
 * kind it acts as if the message had ended before. The leader holds back what it does not take.
 *
 * An acknowledgement says what is *durable*: it waits for the output that makes it so. A refusal
 * and the answer to a heartbeat promise nothing and leave at once.
 */
import { commitAsFollower } from "./commit.ts";
import type { MemberId } from "./configuration.ts";
import type { EntryBatch } from "./entry.ts";
import { isEssential } from "./entry.ts";
import { hasReadableConfigurations } from "./entry-log.ts";
import { violated } from "./invariants.ts";
import type { AppendEntries, CommitNotice, Heartbeat } from "./message.ts";
import { appendBatch, configurationChanged } from "./propose.ts";
import { becomeFollower } from "./role.ts";
import type { RaftState } from "./state.ts";
import { emit, send, UNTIL_DURABLE } from "./state.ts";

/** Figure 2, AppendEntries. */
export function handleAppendEntries(
  state: RaftState,
  from: MemberId,
  message: AppendEntries,
): void {
  if (message.term < state.term) {
    refuse(state, from, message);
    return;
  }
  if (!isWellFormed(message)) return;
  followLeader(state, from, message.term);
  if (!isConnected(state, message)) {
    refuse(state, from, message);
    return;
  }
  const verified = takeBatches(state, message);
  const index = Math.max(verified, state.commit);
  if (index > state.verifiedIndex) state.verifiedIndex = index;
  commitAsFollower(state, message.commit);
  const { term } = state;
  send(
    state,
    from,
    { type: "append-entries-response", term, success: true, index, hintIndex: 0, hintTerm: 0 },
    UNTIL_DURABLE,
  );
}

/** The leader is alive. */
export function handleHeartbeat(state: RaftState, from: MemberId, message: Heartbeat): void {
  if (message.term < state.term) {
    // Tells a leader of an earlier term that it is one.
    answerHeartbeat(state, from, 0);
    return;
  }
  followLeader(state, from, message.term);
  commitAsFollower(state, message.commit);
  answerHeartbeat(state, from, message.round);
}

/** The leader has committed more, and had no entries to say it with. */
export function handleCommitNotice(state: RaftState, from: MemberId, message: CommitNotice): void {
  // One of an earlier term is told so, as by the answer to a heartbeat.
  if (message.term < state.term) return answerHeartbeat(state, from, 0);
  followLeader(state, from, message.term);
  commitAsFollower(state, message.commit);
  // Who cannot take the writes that are being committed says so before there are more.
  if (state.watch.health !== "ok") answerHeartbeat(state, from, 0);
}

function answerHeartbeat(state: RaftState, to: MemberId, round: number): void {
  const { term, watch } = state;
  send(state, to, { type: "heartbeat-response", term, round, health: watch.health });
}

/** A message of a leader of this term or a later one. Figure 2, Candidates 3. */
function followLeader(state: RaftState, from: MemberId, term: number): void {
  if (term !== state.term || state.leader !== from || state.role !== "follower") {
    if (term === state.term && state.termLeader !== undefined && state.termLeader !== from) {
      violated("one-leader-per-term", `${state.termLeader} and ${from} both lead term ${term}.`);
    }
    becomeFollower(state, term, from, `leader ${from} of term ${term}`);
  }
  state.leaderContactMs = state.nowMs;
  state.electionDeadlineMs = state.nowMs + state.electionTimeoutMs;
}

/** Figure 2, AppendEntries 2: whether the entry before the new ones is ours too. */
function isConnected(state: RaftState, message: AppendEntries): boolean {
  const { prevIndex, prevTerm } = message;
  const own = state.log.termAt(prevIndex);
  if (own === prevTerm) return true;
  if (prevIndex > state.commit) return false;
  // Before the start of the log terms are forgotten; what was there is committed, hence equal.
  if (own !== undefined) {
    violated("committed-kept", `Entry ${prevIndex} of term ${own}, ${prevTerm} on the leader.`);
  }
  return true;
}

/** Appends what is new. How far the log equals the leader's now. */
function takeBatches(state: RaftState, message: AppendEntries): number {
  for (const batch of message.batches) {
    if (state.watch.isFull && !isEssential(batch)) {
      const first = state.log.firstDifference(batch);
      if (first <= batch.lastIndex) return first - 1;
    }
    appendNew(state, batch);
  }
  return message.batches.at(-1)?.lastIndex ?? message.prevIndex;
}

/** Figure 2, AppendEntries 3 and 4. */
function appendNew(state: RaftState, batch: EntryBatch): void {
  const first = state.log.firstDifference(batch);
  if (first > batch.lastIndex) return;
  if (first <= state.log.lastIndex) truncateFrom(state, first);
  appendBatch(state, batch.from(first, state.options.checksum));
}

/** Removes a conflict: the entries from `index` on. Other entries take their place at once. */
function truncateFrom(state: RaftState, index: number): void {
  if (state.role === "leader") violated("leader-append-only", `Truncation from ${index}.`);
  if (index <= state.commit) {
    violated("committed-kept", `Truncation from ${index}, commit ${state.commit}.`);
  }
  if (index <= state.verifiedIndex) {
    violated("verified-kept", `Truncation from ${index}, verified ${state.verifiedIndex}.`);
  }
  const term = state.log.termAt(index)!;
  dropAcknowledgements(state, index);
  state.persistence.truncateFrom(index);
  const changed = state.log.truncateFrom(index);
  emit(state, { type: "truncated", from: index, term });
  if (changed) configurationChanged(state);
}

/** Acknowledgements that have not gone out yet must not claim what will never be durable. */
export function dropAcknowledgements(state: RaftState, index: number): void {
  state.drafts = state.drafts.filter(
    ({ message }) =>
      message.type !== "append-entries-response" || !message.success || message.index < index,
  );
}

/**
 * Figure 2, AppendEntries 1 and 2, with what the leader needs to go back quickly (section 5.3): the
 * highest place at which the logs can still agree.
 */
function refuse(state: RaftState, to: MemberId, message: AppendEntries): void {
  const { prevIndex, prevTerm } = message;
  const hintIndex = Math.max(0, state.log.lastIndexWithTermAtMost(prevIndex, prevTerm));
  const hintTerm = state.log.termAt(hintIndex) ?? 0;
  const { term } = state;
  send(state, to, {
    type: "append-entries-response",
    term,
    success: false,
    index: prevIndex,
    hintIndex,
    hintTerm,
  });
}

/** Whether a message can have come from a correct leader: consecutive, terms in order. */
function isWellFormed(message: AppendEntries): boolean {
  let index = message.prevIndex;
  let term = message.prevTerm;
  for (const batch of message.batches) {
    if (batch.firstIndex !== index + 1 || batch.term < term) return false;
    if (!hasReadableConfigurations(batch)) return false;
    index = batch.lastIndex;
    term = batch.term;
  }
  return term <= message.term;
}
