/**
 * The state of one group on one member: one value that the functions of this folder work on.
 *
 * There is no behaviour here beyond putting messages and events aside for the next output. Who may
 * change what: term, vote, role and leader change in role.ts alone; commit in commit.ts; the log
 * and what is durable in propose.ts (leader), append.ts (follower) and snapshot.ts; progress in
 * replicate.ts and snapshot.ts;
 * reads in read-index.ts and lease.ts;
 * health in health.ts and yield.ts. The invariants that are asserted on all of it are listed in
 * invariants.ts.
 */
import type { Configuration, Incarnation, MemberId } from "./configuration.ts";
import { isVoter, memberOf } from "./configuration.ts";
import type { RaftOptions, RecoveredGroup } from "./contract.ts";
import { EntryLog } from "./entry-log.ts";
import { HealthWatch } from "./health-watch.ts";
import { violated } from "./invariants.ts";
import { Lease } from "./lease.ts";
import { LogMark } from "./log-mark.ts";
import type { Message } from "./message.ts";
import type { CoreEvent, LoadRequest, ReadOutcome, Role, SnapshotRequest, Vote } from "./output.ts";
import { Persistence } from "./persistence.ts";
import type { Progress } from "./progress.ts";
import { isSoleVoter } from "./quorum.ts";
import { ReadQueue } from "./read-queue.ts";
import { UncommittedBytes } from "./uncommitted.ts";

/** `after` of a message whose output number is not known yet: it waits for what it says. */
export const UNTIL_DURABLE = -1;

/** A message for the next output; `after` is settled when that is put together. */
export interface Draft {
  readonly to: MemberId;
  readonly message: Message;
  after: number;
}

/** Leadership is being handed over (transfer.ts). */
export interface Transfer {
  readonly target: MemberId;
  readonly startedMs: number;
  readonly deadlineMs: number;
  /** When timeout-now was last sent; undefined = the target still lacks something. */
  sentMs: number | undefined;
}

/** Everything that the functions of this folder work on. */
export class RaftState {
  readonly options: RaftOptions;
  readonly id: MemberId;
  readonly incarnation: Incarnation;
  readonly log: EntryLog;
  readonly persistence: Persistence;
  readonly reads: ReadQueue = new ReadQueue();
  readonly lease: Lease = new Lease();
  readonly uncommitted: UncommittedBytes = new UncommittedBytes();

  readonly watch: HealthWatch;

  /** Time of the newest input. */
  nowMs: number;
  term: number;
  vote: Vote | undefined;
  role: Role = "follower";
  leader: MemberId | undefined = undefined;
  /** Who was seen to lead the current term, even where it no longer does. */
  termLeader: MemberId | undefined = undefined;
  commit: number;
  applied: number;
  /** Somebody here reads on from this index. */
  wantedFrom: number = Infinity;
  /** Everything up to here is known to equal the log of the current term's leader. */
  verifiedIndex: number;

  /** Derived from the configurations held; see {@link refreshConfiguration}. */
  configuration: Configuration;
  /** A configuration held names this very directory, in any role: it may vote. */
  isNamed = false;
  /** The configuration in force names this very directory as a voter: it counts. */
  isVoter = false;
  /** This member alone is a quorum. */
  isAlone = false;

  /** Time of the last message from a leader; at first the time of the start. */
  leaderContactMs: number;
  leaderLostMs: number;
  electionTimeoutMs = 0;
  electionDeadlineMs = 0;
  /** Votes or pre-votes of the current round. */
  readonly votes: Map<MemberId, boolean> = new Map();

  /** The rest is of meaning only while this member leads. */
  readonly progress: Map<MemberId, Progress> = new Map();
  leaderSinceMs = 0;
  noopIndex = 0;
  ready = false;
  heartbeatDeadlineMs = 0;
  heartbeatDue = false;
  /** A read round was opened: tell the voters at once. */
  roundDue = false;
  /** News of the commit index was held back for the entries of the next turn. */
  holdsNews = false;
  /** To whom leadership is being handed over; undefined = it is not. */
  transfer: Transfer | undefined = undefined;
  /** No voter any more, it has offered the lead to another member. */
  hasOfferedLead = false;
  readonly logMark: LogMark = new LogMark();
  /** Cluster time at the moment this member became leader. */
  timeBaseMs = 0;

  /** For the next output. */
  drafts: Draft[] = [];
  events: CoreEvent[] = [];
  outcomes: ReadOutcome[] = [];
  loads: LoadRequest[] = [];
  snapshots: SnapshotRequest[] = [];
  outputCommit: number;

  /** Made once, so that counting needs no closure of its own. */
  readonly matchOf: (id: MemberId) => number = (id) =>
    this.#isSelf(id) ? this.persistence.stableIndex : (this.progress.get(id)?.match ?? 0);
  readonly heardOf: (id: MemberId) => number = (id) =>
    this.#isSelf(id)
      ? Infinity
      : Math.max(this.progress.get(id)?.lastHeardMs ?? this.leaderSinceMs, this.leaderSinceMs);
  readonly roundOf: (id: MemberId) => number = (id) =>
    this.#isSelf(id) ? Infinity : (this.progress.get(id)?.ackedRound ?? 0);

  constructor(options: RaftOptions, recovered: RecoveredGroup, nowMs: number) {
    const { hardState } = recovered;
    this.options = options;
    this.id = options.id;
    this.incarnation = options.incarnation;
    this.log = new EntryLog(recovered, options.checksum);
    if (this.log.lastTerm > hardState.term) {
      violated("recovered-consistent", `Term ${hardState.term}, log of term ${this.log.lastTerm}.`);
    }
    this.term = hardState.term;
    this.vote = hardState.vote;
    this.persistence = new Persistence(this.log.lastIndex, this.term, this.vote, options.checksum);
    this.commit = Math.max(recovered.startIndex, Math.min(hardState.commit, this.log.lastIndex));
    this.outputCommit = recovered.startIndex;
    this.applied = recovered.startIndex;
    this.verifiedIndex = this.commit;
    this.nowMs = nowMs;
    this.watch = new HealthWatch(nowMs);
    this.leaderContactMs = nowMs;
    this.leaderLostMs = nowMs;
    this.configuration = this.log.configuration;
    refreshConfiguration(this);
  }

  /** Whether this very directory votes as `id`: another one may have taken its place. */
  #isSelf(id: MemberId): boolean {
    return id === this.id && this.isVoter;
  }
}

/** Puts a message aside for the next output. */
export function send(state: RaftState, to: MemberId, message: Message, after = 0): void {
  state.drafts.push({ to, message, after });
}

/** Puts an event aside for the next output. */
export function emit(state: RaftState, event: CoreEvent): void {
  state.events.push(event);
}

/** Derives from the log what the configurations in it mean for this member. */
export function refreshConfiguration(state: RaftState): void {
  const { log, id, incarnation } = state;
  const { configuration } = log;
  state.configuration = configuration;
  state.isNamed = log.configurations.some(
    (held) => memberOf(held.configuration, id)?.incarnation === incarnation,
  );
  state.isVoter =
    memberOf(configuration, id)?.incarnation === incarnation && isVoter(configuration, id);
  state.isAlone = state.isVoter && isSoleVoter(configuration, id);
}

/**
 * Whether this very directory may campaign: as a voter of the configuration in force, or of one
 * before it that may still be the newest committed one. The second matters where a leader has
 * appended the configuration that takes out a voter, and is gone: that voter may be the only one
 * who has it, and the others cannot win against its log (thesis, 4.2.2).
 */
export function mayCampaign(state: RaftState): boolean {
  if (state.isVoter) return true;
  const { configurations } = state.log;
  for (let i = configurations.length - 1; i > 0 && configurations[i]!.index > state.commit; i--) {
    const { configuration } = configurations[i - 1]!;
    const { id, incarnation } = state;
    if (memberOf(configuration, id)?.incarnation !== incarnation) continue;
    if (isVoter(configuration, id)) return true;
  }
  return false;
}

/**
 * Whether a configuration that is held names `id`: who is not named gets no answer to a request.
 */
export function isHeldMember(state: RaftState, id: MemberId): boolean {
  if (memberOf(state.configuration, id) !== undefined) return true;
  return state.log.configurations.some((held) => memberOf(held.configuration, id) !== undefined);
}
