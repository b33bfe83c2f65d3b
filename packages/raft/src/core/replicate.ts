/**
 * The leader's side of replication (section 5.3), with pipelining and flow control (thesis, 10.2).
 *
 * Answers only change what is known; messages are made once per turn, by {@link collectMessages},
 * so that everything proposed in a turn leaves together. To a peer in *replicate* as much is sent
 * as its window allows, without waiting; to one in *probe* one message at a time. A refusal names
 * the highest place at which the logs can agree, so a conflict costs one round trip per term, not
 * per entry.
 *
 * Lost messages: any later append shows the gap (its prevIndex is refused). Where none follows, the
 * answer to a heartbeat from a peer that lacks something makes us send an empty one. The same frees
 * a place in a full window whose acknowledgements were lost.
 *
 * Entries that left memory are asked of the log, one request per peer at a time. A peer that needs
 * entries from before the start of the log gets a snapshot first (snapshot.ts).
 */
import { commitByCounting } from "./commit.ts";
import type { MemberId } from "./configuration.ts";
import type { EntryBatch } from "./entry.ts";
import { isEssential } from "./entry.ts";
import { violated } from "./invariants.ts";
import type { AppendEntriesResponse, HeartbeatResponse } from "./message.ts";
import type { LoadRequest } from "./output.ts";
import type { Progress } from "./progress.ts";
import { acknowledgeRound } from "./read-index.ts";
import { needSnapshot } from "./snapshot.ts";
import type { RaftState } from "./state.ts";
import { emit, send, UNTIL_DURABLE } from "./state.ts";

/** A peer said how far it got, or that it cannot follow there. Figure 2, Leaders 3. */
export function handleAppendResponse(
  state: RaftState,
  from: MemberId,
  message: AppendEntriesResponse,
): void {
  const progress = heard(state, from, message.term);
  // Nothing beyond our log was ever sent: whoever names such an index answers somebody else.
  if (progress === undefined || message.index > state.log.lastIndex) return;
  if (message.success) accepted(state, progress, message.index);
  else refused(state, progress, message);
}

/** A peer is alive and knows us as leader. */
export function handleHeartbeatResponse(
  state: RaftState,
  from: MemberId,
  message: HeartbeatResponse,
): void {
  const progress = heard(state, from, message.term);
  if (progress === undefined) return;
  progress.health = message.health;
  acknowledgeRound(state, progress, message.round);
  if (progress.state === "probe") {
    progress.probeSent = false;
    return;
  }
  if (progress.state === "snapshot") return;
  const { heartbeatIntervalMs } = state.options;
  if (progress.match >= state.log.lastIndex) return;
  if (state.nowMs - progress.lastAppendMs < heartbeatIntervalMs) return;
  if (isWindowFull(state, progress)) progress.freeOldest();
  progress.nudge = true;
}

/** Nothing on its way to `peer` can be relied on. */
export function handleUnreachable(state: RaftState, peer: MemberId): void {
  const progress = state.progress.get(peer);
  if (state.role !== "leader" || progress === undefined) return;
  progress.isLost = true;
  if (progress.state === "replicate") toProbe(state, progress, progress.match + 1, "unreachable");
}

/**
 * What is sent to `peer` can arrive again: it is probed at once, so that it learns who leads and
 * begins to catch up without waiting for a heartbeat.
 */
export function handleReachable(state: RaftState, peer: MemberId): void {
  const progress = state.progress.get(peer);
  if (state.role !== "leader" || progress === undefined) return;
  if (progress.state === "probe") progress.probeSent = false;
}

/**
 * Makes the messages of this turn: entries, heartbeats, notices of the commit index.
 *
 * What a commit sets free often is the next write of the same caller. So the news may be held back
 * for one turn: if that brings entries, they carry it, and two messages less are sent to each peer.
 */
export function collectMessages(state: RaftState, holdNews: boolean): void {
  for (const progress of state.progress.values()) {
    const spoke = collectEntries(state, progress);
    const isDue = state.heartbeatDue || (state.roundDue && progress.role === "voter");
    const hasNews = !spoke && usableCommit(state, progress) > progress.commitSent;
    if (isDue) sendHeartbeat(state, progress);
    else if (hasNews && holdNews) state.holdsNews = true;
    else if (hasNews) sendNotice(state, progress);
  }
  state.heartbeatDue = false;
  state.roundDue = false;
}

/** Entries that were asked of the log are here. */
export function handleLoaded(
  state: RaftState,
  request: LoadRequest,
  batches: readonly EntryBatch[],
): void {
  const progress = endLoad(state, request);
  if (progress === undefined) return;
  if (!isOwnLog(state, request, batches)) {
    progress.loadAfterMs = state.nowMs + state.options.heartbeatIntervalMs;
    return;
  }
  if (progress.next !== request.from || progress.state !== "replicate") return;
  // The log may have let go of what stands before, while it was being read.
  if (state.log.termAt(progress.next - 1) === undefined) return;
  let chunk: EntryBatch[] = [];
  let bytes = 0;
  for (const batch of batches) {
    if (batch.lastIndex < request.from) continue;
    const part = batch.from(Math.max(batch.firstIndex, request.from), state.options.checksum);
    if (chunk.length > 0 && bytes + part.byteLength > state.options.appendBytesMax) {
      sendAppend(state, progress, chunk, bytes);
      chunk = [];
      bytes = 0;
    }
    chunk.push(part);
    bytes += part.byteLength;
  }
  if (chunk.length > 0) sendAppend(state, progress, chunk, bytes);
}

/** The log could not be read: try again a little later. */
export function handleLoadFailed(state: RaftState, request: LoadRequest): void {
  const progress = endLoad(state, request);
  if (progress === undefined) return;
  progress.loadAfterMs = state.nowMs + state.options.heartbeatIntervalMs;
}

/** The progress of a peer that answers us in our own term; undefined for anything else. */
function heard(state: RaftState, from: MemberId, term: number): Progress | undefined {
  if (state.role !== "leader" || term !== state.term) return undefined;
  const progress = state.progress.get(from);
  if (progress !== undefined) {
    progress.lastHeardMs = state.nowMs;
    progress.isLost = false;
  }
  return progress;
}

function accepted(state: RaftState, progress: Progress, index: number): void {
  const advanced = progress.acknowledge(index);
  if (progress.match > state.log.lastIndex) {
    violated("match-within-log", `${progress.id}: match ${progress.match}.`);
  }
  const canGoOn = progress.match >= state.log.startIndex;
  if (progress.state !== "replicate" && canGoOn && (advanced || index === progress.match)) {
    progress.becomeReplicate();
    const reason = `log agrees up to ${progress.match}`;
    emit(state, { type: "peer-state", peer: progress.id, state: "replicate", reason });
  }
  if (advanced) commitByCounting(state);
}

/** The logs differ at `message.index`: go back to where they can agree. Section 5.3. */
function refused(state: RaftState, progress: Progress, message: AppendEntriesResponse): void {
  if (message.index <= progress.match) {
    denied(state, progress, message.index);
    return;
  }
  if (progress.state === "snapshot") return;
  if (progress.state === "probe" && message.index !== progress.next - 1) return;
  const { hintIndex, hintTerm } = message;
  const agreed = state.log.lastIndexWithTermAtMost(hintIndex, hintTerm);
  const next = Math.min(agreed, message.index - 1) + 1;
  toProbe(state, progress, Math.max(next, 1), `entry ${message.index} refused`);
}

/**
 * A refusal of what the peer has acknowledged in this term. Nearly always it was overtaken. As the
 * answer to the newest probe it means that the peer's directory was put back from an old copy:
 * there is nowhere to go back to, and the next heartbeat answer lets it be asked again. The peer is
 * told, and stops if it finds that its log indeed does not reach so far: so an overtaken refusal
 * that looks like a denial does no harm.
 */
function denied(state: RaftState, progress: Progress, index: number): void {
  if (progress.state !== "probe" || index !== progress.next - 1 || progress.isDenied) return;
  progress.isDenied = true;
  emit(state, { type: "peer-denied", peer: progress.id, index: progress.match, term: state.term });
  const reason = `denies entry ${index}, which it acknowledged: is its directory an old copy?`;
  emit(state, { type: "peer-state", peer: progress.id, state: "probe", reason });
}

function toProbe(state: RaftState, progress: Progress, next: number, reason: string): void {
  const wasReplicate = progress.state === "replicate";
  progress.becomeProbe(next);
  if (wasReplicate) {
    emit(state, { type: "peer-state", peer: progress.id, state: "probe", reason });
  }
}

/** Sends what may be sent; true where anything was. */
function collectEntries(state: RaftState, progress: Progress): boolean {
  const { log } = state;
  if (progress.state === "snapshot" || log.termAt(progress.next - 1) === undefined) {
    needSnapshot(state, progress);
    return false;
  }
  if (progress.state === "probe") return collectProbe(state, progress);
  let spoke = false;
  while (
    progress.next <= log.lastIndex &&
    !isWindowFull(state, progress) &&
    !isHeldBack(state, progress)
  ) {
    if (!sendFromMemory(state, progress)) {
      requestLoad(state, progress);
      break;
    }
    spoke = true;
  }
  if (progress.nudge && !spoke) {
    sendAppend(state, progress, [], 0);
    spoke = true;
  }
  progress.nudge = false;
  return spoke;
}

/** One message at a time; entries only with the first one from this place. */
function collectProbe(state: RaftState, progress: Progress): boolean {
  if (progress.probeSent) return false;
  if (progress.probeTried || isHeldBack(state, progress) || !sendFromMemory(state, progress)) {
    sendAppend(state, progress, [], 0);
  }
  return true;
}

/** Who has no space takes only what is essential: it would drop the rest (append.ts). */
function isHeldBack(state: RaftState, progress: Progress): boolean {
  if (progress.health !== "full") return false;
  const batch = state.log.batchAt(progress.next);
  return batch === undefined || !isEssential(batch);
}

/** One message of entries from `next` on; false where they are not in memory. */
function sendFromMemory(state: RaftState, progress: Progress): boolean {
  const { log, options } = state;
  const from = progress.next;
  let batch = log.batchAt(from);
  if (batch === undefined) return false;
  batch = batch.from(from, options.checksum);
  const batches: EntryBatch[] = [batch];
  let bytes = batch.byteLength;
  while (progress.health !== "full") {
    batch = log.batchAt(batch.lastIndex + 1);
    if (batch === undefined || bytes + batch.byteLength > options.appendBytesMax) break;
    batches.push(batch);
    bytes += batch.byteLength;
  }
  sendAppend(state, progress, batches, bytes);
  return true;
}

function requestLoad(state: RaftState, progress: Progress): void {
  if (progress.loading !== undefined || state.nowMs < progress.loadAfterMs) return;
  const request: LoadRequest = {
    peer: progress.id,
    term: state.term,
    from: progress.next,
    to: state.log.memoryIndex - 1,
    bytesMax: state.options.appendBytesMax,
  };
  progress.loading = request;
  state.loads.push(request);
}

/** The progress that waits for exactly this load, which is over now. */
function endLoad(state: RaftState, request: LoadRequest): Progress | undefined {
  if (state.role !== "leader" || request.term !== state.term) return undefined;
  const progress = state.progress.get(request.peer);
  const loading = progress?.loading;
  if (progress === undefined || loading === undefined) return undefined;
  if (loading.from !== request.from || loading.to !== request.to) return undefined;
  progress.loading = undefined;
  return progress;
}

/** Whether loaded batches are what was asked for: consecutive, and entries of our log. */
function isOwnLog(state: RaftState, request: LoadRequest, batches: readonly EntryBatch[]): boolean {
  const first = batches[0];
  if (first === undefined || first.firstIndex > request.from) return false;
  let end = first.firstIndex - 1;
  for (const batch of batches) {
    if (batch.firstIndex !== end + 1 || batch.lastIndex > state.log.lastIndex) return false;
    if (state.log.firstDifference(batch) <= batch.lastIndex) return false;
    end = batch.lastIndex;
  }
  return end >= request.from;
}

function sendAppend(
  state: RaftState,
  progress: Progress,
  batches: readonly EntryBatch[],
  bytes: number,
): void {
  const { term, commit } = state;
  const prevIndex = progress.next - 1;
  const prevTerm = state.log.termAt(prevIndex)!;
  const message = { type: "append-entries", term, prevIndex, prevTerm, commit, batches } as const;
  send(state, progress.id, message, UNTIL_DURABLE);
  progress.lastAppendMs = state.nowMs;
  const lastIndex = batches.at(-1)?.lastIndex ?? prevIndex;
  if (batches.length > 0 || progress.state === "probe") progress.sent(lastIndex, bytes);
  progress.commitSent = Math.max(progress.commitSent, Math.min(commit, lastIndex));
}

function sendHeartbeat(state: RaftState, progress: Progress): void {
  const { term, commit, reads } = state;
  const message = { type: "heartbeat", term, commit, round: reads.round } as const;
  send(state, progress.id, message, UNTIL_DURABLE);
  progress.commitSent = Math.max(progress.commitSent, usableCommit(state, progress));
}

function sendNotice(state: RaftState, progress: Progress): void {
  const { term, commit } = state;
  send(state, progress.id, { type: "commit-notice", term, commit }, UNTIL_DURABLE);
  progress.commitSent = Math.max(progress.commitSent, usableCommit(state, progress));
}

/** The commit index as far as a peer can make use of it: up to what it was sent. */
function usableCommit(state: RaftState, progress: Progress): number {
  const known = progress.state === "replicate" ? progress.next - 1 : progress.match;
  return Math.min(state.commit, known);
}

function isWindowFull(state: RaftState, progress: Progress): boolean {
  const { inflightMessagesMax, inflightBytesMax } = state.options;
  return progress.isFull(inflightMessagesMax, inflightBytesMax);
}
