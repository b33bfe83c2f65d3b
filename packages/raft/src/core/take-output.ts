/**
 * Putting the next output together.
 *
 * What every message waits for is settled here, when it is known which output will make it durable:
 * a message that promises something waits for the newest output that is not durable yet (and so for
 * all before it), unless what it says is durable already. Promises are: our vote, asking for votes
 * on the strength of our own, an acknowledgement of entries, and speaking as leader of a term.
 */
import { electAlone } from "./election.ts";
import { noteHandedOut } from "./health.ts";
import { collectMembership } from "./membership.ts";
import type { Output } from "./output.ts";
import { collectReads } from "./read-index.ts";
import { collectMessages } from "./replicate.ts";
import type { RaftState } from "./state.ts";
import { UNTIL_DURABLE } from "./state.ts";
import { collectTransfer } from "./transfer.ts";

/** What is to be done now; undefined where there is nothing. */
export function takeOutput(state: RaftState, holdNews: boolean): Output | undefined {
  electAlone(state);
  collectMembership(state);
  collectReads(state);
  state.holdsNews = false;
  if (state.role === "leader") collectMessages(state, holdNews);
  collectTransfer(state);
  evict(state);
  if (!hasNews(state)) return undefined;
  const { term, vote, commit, events, loads } = state;
  const handedOut = state.persistence.handOut(state.log.lastIndex, term, vote);
  noteHandedOut(state);
  settle(state);
  const output: Output = {
    number: handedOut.number,
    hardState: handedOut.hardState ? { term, vote, commit } : undefined,
    reset: handedOut.reset,
    entries: handedOut.entries,
    messages: state.drafts,
    commit,
    reads: state.outcomes,
    loads,
    snapshots: state.snapshots,
    events,
  };
  state.drafts = [];
  state.outcomes = [];
  state.loads = [];
  state.snapshots = [];
  state.events = [];
  state.outputCommit = commit;
  return output;
}

/**
 * Lets entries leave memory. Durable ones may always go where there is too much; those that nobody
 * needs go at once. That is not for the memory: batches that die young cost next to nothing, while
 * those that stay for some tens of milliseconds are moved and marked, again and again.
 */
function evict(state: RaftState): void {
  const { log, options, persistence } = state;
  if (log.tailBytes <= Math.min(options.tailSpareBytes, options.tailBytesMax)) return;
  log.evict(options.tailBytesMax, persistence.stableIndex);
  log.evict(options.tailSpareBytes, spareIndex(state));
}

/**
 * Up to here everything is durable, applied, read by who follows the changes, and stored by every
 * peer that was heard within T: a connection that broke may be back at once.
 */
function spareIndex(state: RaftState): number {
  const { nowMs, options, persistence } = state;
  let index = Math.min(persistence.stableIndex, state.applied, state.wantedFrom - 1);
  if (state.role !== "leader") return index;
  for (const { id, match } of state.progress.values()) {
    const isSilent = nowMs - state.heardOf(id) >= options.electionTimeoutMs;
    if (match < index && !isSilent) index = match;
  }
  return index;
}

function hasNews(state: RaftState): boolean {
  return (
    state.drafts.length > 0 ||
    state.persistence.hasUnsaved ||
    state.commit !== state.outputCommit ||
    state.outcomes.length > 0 ||
    state.events.length > 0 ||
    state.loads.length > 0 ||
    state.snapshots.length > 0 ||
    state.persistence.isHardStateNew(state.term, state.vote)
  );
}

/** Gives every message that waits the number of the output it waits for. */
function settle(state: RaftState): void {
  const { persistence, term, vote } = state;
  const isDurable = persistence.isHardStateDurable(term, vote);
  const pending = persistence.newestPending;
  for (const draft of state.drafts) {
    if (draft.after !== UNTIL_DURABLE) continue;
    const { message } = draft;
    const isSaid =
      isDurable &&
      (message.type !== "append-entries-response" || message.index <= persistence.stableIndex);
    draft.after = isSaid ? 0 : pending;
  }
}
