/**
 * The commit index: how it advances on a leader and on a follower (section 5.3, 5.4.2).
 *
 * A leader commits what a quorum has *durably*, itself included only as far as its own disk has
 * confirmed, and only up to an entry of its own term: earlier entries become committed with it,
 * never by being counted (Figure 8). A follower takes the leader's word up to what it knows to be
 * equal.
 */
import { violated } from "./invariants.ts";
import { quorumValue } from "./quorum.ts";
import type { RaftState } from "./state.ts";
import { emit } from "./state.ts";

/** Leader: commits what a quorum has acknowledged. Figure 2, Leaders 4. */
export function commitByCounting(state: RaftState): void {
  const index = quorumValue(state.configuration, state.matchOf);
  if (index <= state.commit || state.log.termAt(index) !== state.term) return;
  commitAsLeader(state, index);
}

/** Leader: commits up to `index`, which has to be an entry of its own term. */
export function commitAsLeader(state: RaftState, index: number): void {
  if (state.log.termAt(index) !== state.term) {
    violated("commit-own-term", `Entry ${index} of term ${state.log.termAt(index)}.`);
  }
  commitTo(state, index);
  state.uncommitted.releaseUpTo(index);
  if (!state.ready && index >= state.noopIndex) {
    state.ready = true;
    emit(state, { type: "ready", term: state.term });
  }
}

/** Follower: the leader has committed up to `leaderCommit`. Figure 2, AppendEntries 5. */
export function commitAsFollower(state: RaftState, leaderCommit: number): void {
  const index = Math.min(leaderCommit, state.verifiedIndex);
  if (index > state.commit) commitTo(state, index);
}

/** The only place where the commit index changes. */
export function commitTo(state: RaftState, index: number): void {
  if (index < state.commit) {
    violated("commit-monotone", `Commit ${state.commit}, now ${index}.`);
  }
  if (index > state.log.lastIndex) {
    violated("commit-within-log", `Commit ${index}, log ends at ${state.log.lastIndex}.`);
  }
  const before = state.commit;
  const hadConfiguration = state.log.configurationIndex <= state.commit;
  state.commit = index;
  // Several steps within one output are one advance to an observer.
  if (state.events.at(-1)?.type === "commit") state.events.pop();
  emit(state, { type: "commit", index, term: state.term });
  if (hadConfiguration) return;
  const found = state.log.configurationAt(index);
  if (found === undefined || found.index <= before) return;
  emit(state, { type: "configuration-committed", ...found });
}
