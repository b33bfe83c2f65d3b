/**
 * Raft: one group on one member, as values in and values out.
 *
 * This file only dispatches; each concern has a file of its own:
 *
 *   election.ts     timeouts, pre-votes, votes, check-quorum     role.ts       who becomes what
 *   append.ts       the follower's side of replication           commit.ts     the commit index
 *   replicate.ts    the leader's side                            propose.ts    appending as leader
 *   read-index.ts   linearizable reads                           timing.ts     time and deadlines
 *   lease.ts        reads without a round
 *   entry-log.ts    terms and configurations of the log          progress.ts   one peer
 *   persistence.ts  what is durable                              quorum.ts     majorities
 *   transfer.ts     handing leadership over                      snapshot.ts    what left the log
 *   health.ts       who is not well                              yield.ts       a leader like that
 *   membership.ts   changing the members                         caught-up.ts   who could decide
 *   take-output.ts  the next output                              state.ts      all of it as one
 *   value
 *
 * Paper: Ongaro and Ousterhout, In Search of an Understandable Consensus Algorithm (extended
 * version); "thesis": Ongaro, Consensus: Bridging Theory and Practice. "Figure 2" is the paper's.
 */
import { handleAppendEntries, handleCommitNotice, handleHeartbeat } from "./append.ts";
import { commitByCounting } from "./commit.ts";
import { isCaughtUp } from "./caught-up.ts";
import type { Incarnation, IndexedConfiguration, MemberId } from "./configuration.ts";
import type {
  InstallResult,
  ProposeResult,
  RaftInputs,
  RaftOptions,
  RaftStatus,
  RecoveredGroup,
  SnapshotPoint,
  TransferResult,
} from "./contract.ts";
import {
  countOwnVote,
  followTerm,
  handlePreVote,
  handlePreVoteResponse,
  handleRequestVote,
  handleRequestVoteResponse,
} from "./election.ts";
import type { EntryBatch, PackedEntries } from "./entry.ts";
import { healthStatus, noteDurable, setFull } from "./health.ts";
import { violated } from "./invariants.ts";
import { leaseEndMs } from "./lease.ts";
import type { Message } from "./message.ts";
import type { LoadRequest, Output } from "./output.ts";
import { changeMembership, planMembership } from "./membership.ts";
import type { ChangeOptions } from "./membership.ts";
import type { MembershipChange, MembershipResult, PlannedChange } from "./membership-change.ts";
import { clusterTimeMs, propose } from "./propose.ts";
import { addRead, handleReadRequest, handleReadResponse } from "./read-index.ts";
import {
  handleAppendResponse,
  handleHeartbeatResponse,
  handleLoaded,
  handleLoadFailed,
  handleReachable,
  handleUnreachable,
} from "./replicate.ts";
import { restartElectionTimer } from "./role.ts";
import { compact, installSnapshot, snapshotFailed, snapshotSent } from "./snapshot.ts";
import { isHeldMember, RaftState } from "./state.ts";
import { takeOutput } from "./take-output.ts";
import { advanceTime, nextDeadlineMs, tickTimers } from "./timing.ts";
import { handleTimeoutNow, transferLeadership, transferStatus } from "./transfer.ts";
import { handleResign } from "./yield.ts";

/** Far above any real term, and far enough below 2^53 to count on from there. */
const TERM_MAX = 2 ** 52;

/**
 * The core of one group on one member. The contract of every input is in {@link RaftInputs}.
 *
 * @example
 * ```ts
 * const raft = new Raft(options, EMPTY_GROUP, clock.nowMs());
 * raft.step(clock.nowMs(), "n2", message);
 * for (let out = raft.takeOutput(now); out !== undefined; out = raft.takeOutput(now)) perform(out);
 * ```
 */
export class Raft implements RaftInputs {
  /** @internal For tests, which corrupt it on purpose. */
  readonly state: RaftState;

  constructor(options: RaftOptions, recovered: RecoveredGroup, nowMs: number) {
    this.state = new RaftState(options, recovered, nowMs);
    restartElectionTimer(this.state);
  }

  tick(nowMs: number): void {
    advanceTime(this.state, nowMs);
    tickTimers(this.state);
  }

  step(nowMs: number, from: MemberId, message: Message): void {
    advanceTime(this.state, nowMs);
    if (from === this.state.id || !(message.term <= TERM_MAX)) return;
    dispatch(this.state, from, message);
  }

  propose(nowMs: number, entries: PackedEntries): ProposeResult {
    advanceTime(this.state, nowMs);
    return propose(this.state, entries);
  }

  readIndex(nowMs: number, context: number, byLease = false): boolean {
    advanceTime(this.state, nowMs);
    return addRead(this.state, context, byLease);
  }

  transferLeadership(nowMs: number, target: MemberId | undefined): TransferResult {
    advanceTime(this.state, nowMs);
    return transferLeadership(this.state, target);
  }

  storage(nowMs: number, isFull: boolean): void {
    advanceTime(this.state, nowMs);
    setFull(this.state, isFull);
  }

  changeMembership(
    nowMs: number,
    change: MembershipChange,
    options?: ChangeOptions,
  ): MembershipResult {
    advanceTime(this.state, nowMs);
    return changeMembership(this.state, change, options);
  }

  planMembership(nowMs: number, change: MembershipChange): PlannedChange {
    advanceTime(this.state, nowMs);
    return planMembership(this.state, change);
  }

  persisted(nowMs: number, output: number): void {
    const { state } = this;
    const { persistence } = state;
    advanceTime(state, nowMs);
    const { pending } = persistence;
    const advanced = persistence.persisted(output, state.log.lastIndex);
    if (persistence.pending < pending) noteDurable(state);
    countOwnVote(state);
    if (advanced && state.role === "leader") commitByCounting(state);
  }

  applied(nowMs: number, index: number, wantedFrom: number = Infinity): void {
    const { state } = this;
    advanceTime(state, nowMs);
    state.wantedFrom = wantedFrom;
    if (!(index <= state.commit)) {
      violated("applied-within-commit", `Applied ${index}, commit ${state.commit}.`);
    }
    if (index > state.applied) state.applied = index;
  }

  loaded(nowMs: number, request: LoadRequest, batches: readonly EntryBatch[]): void {
    advanceTime(this.state, nowMs);
    handleLoaded(this.state, request, batches);
  }

  loadFailed(nowMs: number, request: LoadRequest): void {
    advanceTime(this.state, nowMs);
    handleLoadFailed(this.state, request);
  }

  configurationAt(index: number): IndexedConfiguration | undefined {
    return this.state.log.configurationAt(index);
  }

  isSuperseded(id: MemberId, incarnation: Incarnation): boolean {
    return this.state.log.isSuperseded(id, incarnation);
  }

  compact(nowMs: number, index: number): void {
    advanceTime(this.state, nowMs);
    compact(this.state, index);
  }

  installSnapshot(nowMs: number, from: MemberId, snapshot: SnapshotPoint): InstallResult {
    advanceTime(this.state, nowMs);
    return installSnapshot(this.state, from, snapshot);
  }

  snapshotSent(nowMs: number, peer: MemberId, index: number): void {
    advanceTime(this.state, nowMs);
    snapshotSent(this.state, peer, index);
  }

  snapshotFailed(nowMs: number, peer: MemberId): void {
    advanceTime(this.state, nowMs);
    snapshotFailed(this.state, peer);
  }

  unreachable(nowMs: number, peer: MemberId): void {
    advanceTime(this.state, nowMs);
    handleUnreachable(this.state, peer);
  }

  reachable(nowMs: number, peer: MemberId): void {
    advanceTime(this.state, nowMs);
    handleReachable(this.state, peer);
  }

  takeOutput(nowMs: number, holdNews = false): Output | undefined {
    advanceTime(this.state, nowMs);
    return takeOutput(this.state, holdNews);
  }

  get holdsNews(): boolean {
    return this.state.holdsNews;
  }

  get nextDeadlineMs(): number {
    return nextDeadlineMs(this.state);
  }

  status(): RaftStatus {
    return statusOf(this.state);
  }

  get persistedIndex(): number {
    return this.state.persistence.stableIndex;
  }

  batchAt(index: number): EntryBatch | undefined {
    return this.state.log.batchAt(index);
  }

  get memoryIndex(): number {
    return this.state.log.memoryIndex;
  }
}

function dispatch(state: RaftState, from: MemberId, message: Message): void {
  switch (message.type) {
    // These judge the sender's term themselves.
    case "pre-vote":
      return handlePreVote(state, from, message);
    case "pre-vote-response":
      return handlePreVoteResponse(state, from, message);
    case "request-vote":
      return handleRequestVote(state, from, message);
    case "append-entries":
      return handleAppendEntries(state, from, message);
    case "heartbeat":
      return handleHeartbeat(state, from, message);
    case "commit-notice":
      return handleCommitNotice(state, from, message);
    case "timeout-now":
      return handleTimeoutNow(state, from, message);
    case "resign":
      return handleResign(state, from, message);
    case "request-vote-response":
    case "append-entries-response":
    case "heartbeat-response":
    case "read-index-request":
    case "read-index-response":
      // Figure 2, All Servers 2.
      if (message.term > state.term) {
        if (!isHeldMember(state, from)) return;
        followTerm(state, from, message.term);
      }
      return dispatchAnswer(state, from, message);
  }
}

type Answer = Exclude<
  Message,
  {
    type:
      | "pre-vote"
      | "pre-vote-response"
      | "request-vote"
      | "append-entries"
      | "heartbeat"
      | "commit-notice"
      | "timeout-now"
      | "resign";
  }
>;

function dispatchAnswer(state: RaftState, from: MemberId, message: Answer): void {
  switch (message.type) {
    case "request-vote-response":
      return handleRequestVoteResponse(state, from, message);
    case "append-entries-response":
      return handleAppendResponse(state, from, message);
    case "heartbeat-response":
      return handleHeartbeatResponse(state, from, message);
    case "read-index-request":
      return handleReadRequest(state, from, message);
    case "read-index-response":
      return handleReadResponse(state, from, message);
  }
}

function statusOf(state: RaftState): RaftStatus {
  const { log, role, id, term, leader, commit, applied, ready } = state;
  const isLeader = role === "leader";
  const endMs = leaseEndMs(state);
  return {
    id,
    role,
    term,
    leader,
    leaderSinceMs: isLeader ? state.leaderSinceMs : undefined,
    ready,
    leaseEndMs: endMs > state.nowMs ? endMs : undefined,
    commit,
    applied,
    persisted: state.persistence.stableIndex,
    startIndex: log.startIndex,
    lastIndex: log.lastIndex,
    lastTerm: log.lastTerm,
    configuration: state.configuration,
    configurationIndex: log.configurationIndex,
    committedConfiguration: log.configurationAt(commit) ?? log.configurations[0]!,
    caughtUp: isLeader
      ? state.configuration.members.filter((m) => isCaughtUp(state, m.id)).map((m) => m.id)
      : [],
    clusterTimeMs: isLeader ? clusterTimeMs(state) : log.lastTimeMs,
    peers: [...state.progress.values()].map((progress) => progress.status()),
    uncommittedBytes: state.uncommitted.bytes,
    tailBytes: log.tailBytes,
    transfer: transferStatus(state.transfer),
    health: healthStatus(state),
  };
}
