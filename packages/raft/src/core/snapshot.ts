/**
 * Snapshots as the algorithm sees them (section 7; thesis, chapter 5): a position that stands for
 * everything before it. The bytes are the runtime's affair.
 *
 * On any member the log may let go of what is applied and in a durable snapshot: its start moves.
 * A leader whose peer needs what has left the log asks for a snapshot to be sent; the peer is in
 * *snapshot* then, is sent heartbeats alone, and comes back by its own word: an acknowledgement
 * from which the log can go on, be that the snapshot's last index, something behind it or something
 * before it (raft-rs and etcd had peers that stayed in this state for ever, where what they
 * acknowledged was not exactly the snapshot that was pending).
 *
 * On a follower there are three cases. What it covers is committed already: nothing to do. Its last
 * entry is in the log: everything up to there is committed, and what follows stays, since it may
 * have been acknowledged (InstallSnapshot, rule 6). Otherwise the log starts anew behind it, as one
 * output in the order of all others. In all three cases the leader is told how far we are, once
 * that is durable.
 *
 * Whoever sent it, a snapshot holds only what is committed, so that taking it over is right in any
 * term.
 */
import { dropAcknowledgements } from "./append.ts";
import { commitTo } from "./commit.ts";
import type { MemberId } from "./configuration.ts";
import type { InstallResult, SnapshotPoint } from "./contract.ts";
import { violated } from "./invariants.ts";
import type { Progress } from "./progress.ts";
import { configurationChanged } from "./propose.ts";
import { becomeFollower } from "./role.ts";
import type { RaftState } from "./state.ts";
import { emit, send, UNTIL_DURABLE } from "./state.ts";

/** Follower: takes over a snapshot that is here, whole and durable. */
export function installSnapshot(
  state: RaftState,
  from: MemberId,
  snapshot: SnapshotPoint,
): InstallResult {
  // A leader has everything that is committed; what comes now was sent to it before.
  if (state.role === "leader") return "old";
  const result = takeOver(state, snapshot);
  const { term, commit: index } = state;
  send(
    state,
    from,
    { type: "append-entries-response", term, success: true, index, hintIndex: 0, hintTerm: 0 },
    UNTIL_DURABLE,
  );
  return result;
}

/** Everything up to `index` is in a durable snapshot and leaves the log. */
export function compact(state: RaftState, index: number): void {
  const { log, applied } = state;
  const { stableIndex } = state.persistence;
  if (index <= log.startIndex) return;
  // On the disk there may still be other entries than these, which those on their way replace.
  if (index > applied || index > stableIndex) {
    violated("released-when-applied", `${index}, applied ${applied}, durable ${stableIndex}.`);
  }
  log.startAfter(index);
  emit(state, { type: "compacted", index, term: log.startTerm });
}

/** Leader: `progress` needs what has left the log. Asks for a snapshot, where that is of use. */
export function needSnapshot(state: RaftState, progress: Progress): void {
  if (progress.state !== "snapshot") {
    progress.becomeSnapshot();
    const reason = `entry ${progress.next} has left the log`;
    emit(state, { type: "peer-state", peer: progress.id, state: "snapshot", reason });
  }
  if (progress.snapshotAsked || state.nowMs < progress.snapshotAfterMs) return;
  if (!isHeard(state, progress)) return;
  progress.snapshotAsked = true;
  state.snapshots.push({ peer: progress.id, term: state.term });
}

/** Leader: the peer says that it has installed the snapshot at `index`. */
export function snapshotSent(state: RaftState, peer: MemberId, index: number): void {
  const progress = snapshotOf(state, peer);
  if (progress === undefined) return;
  // Not believed as an acknowledgement: that comes from its core, and is asked for now.
  progress.becomeProbe(Math.min(index, state.log.lastIndex) + 1);
  const reason = `snapshot ${index} was sent`;
  emit(state, { type: "peer-state", peer, state: "probe", reason });
}

/** Leader: the peer could not be given a snapshot. */
export function snapshotFailed(state: RaftState, peer: MemberId): void {
  const progress = snapshotOf(state, peer);
  if (progress === undefined) return;
  progress.snapshotAsked = false;
  progress.snapshotAfterMs = state.nowMs + state.options.heartbeatIntervalMs;
}

function takeOver(state: RaftState, snapshot: SnapshotPoint): InstallResult {
  const { log } = state;
  const { index, term } = snapshot;
  if (index <= state.commit) {
    const own = log.termAt(index);
    if (own !== undefined && own !== term) {
      violated("committed-kept", `Entry ${index} of term ${own}, ${term} in a snapshot.`);
    }
    return "old";
  }
  if (log.matches(index, term)) {
    if (index > state.verifiedIndex) state.verifiedIndex = index;
    commitTo(state, index);
    return "in-log";
  }
  startAnew(state, snapshot);
  return "reset";
}

function startAnew(state: RaftState, snapshot: SnapshotPoint): void {
  const { index, term } = snapshot;
  if (state.role === "leader" || index <= state.commit) {
    violated("reset-beyond-commit", `${state.role}, reset to ${index}, commit ${state.commit}.`);
  }
  if (term > state.term) {
    violated("log-terms-ordered", `Snapshot of term ${term} in term ${state.term}.`);
  }
  // In the new configuration it may be no voter.
  if (state.role !== "follower") becomeFollower(state, state.term, undefined, "a snapshot came");
  dropAcknowledgements(state, state.commit + 1);
  state.persistence.resetTo(snapshot, state.commit);
  state.log.resetTo(snapshot);
  state.verifiedIndex = index;
  emit(state, { type: "reset", index, term });
  commitTo(state, index);
  configurationChanged(state);
}

function snapshotOf(state: RaftState, peer: MemberId): Progress | undefined {
  if (state.role !== "leader") return undefined;
  const progress = state.progress.get(peer);
  return progress?.state === "snapshot" ? progress : undefined;
}

/** Whether the peer was heard within T: to one that is away nothing can be sent. */
function isHeard(state: RaftState, progress: Progress): boolean {
  const { lastHeardMs, isLost } = progress;
  if (isLost || lastHeardMs === undefined) return false;
  return state.nowMs - lastHeardMs < state.options.electionTimeoutMs;
}
