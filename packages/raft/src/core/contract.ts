/**
 * The face of the core: what goes in. What comes out is output.ts.
 *
 * `Raft` (raft.ts) is one group on one member. It has no I/O, no clock, no randomness, no promise
 * and no logger of its own: the same inputs give byte-identical outputs. Every input carries
 * `nowMs`, a monotonic time in milliseconds; it may stand still and must not go back.
 */
import type { Checksum } from "../util/checksum.ts";
import type { Random } from "../util/random.ts";
import type {
  Configuration,
  Incarnation,
  IndexedConfiguration,
  MemberId,
} from "./configuration.ts";
import type { EntryBatch, PackedEntries } from "./entry.ts";
import type { Health } from "./health-watch.ts";
import type { MembershipChange, MembershipResult, PlannedChange } from "./membership-change.ts";
import type { ChangeOptions } from "./membership.ts";
import type { Message } from "./message.ts";
import type { HardState, LoadRequest, Output, Role } from "./output.ts";

/** How a core is set up. Times are in milliseconds. */
export interface RaftOptions {
  readonly id: MemberId;
  readonly incarnation: Incarnation;
  /** T: a follower campaigns after a silence drawn from [T, 1.5 T). Default 1,000. */
  readonly electionTimeoutMs: number;
  /** How often a leader speaks when it has nothing to say. Default 100; at most T / 4. */
  readonly heartbeatIntervalMs: number;
  /** Entries of one append message. */
  readonly appendBytesMax: number;
  /** Append messages on their way to one peer. */
  readonly inflightMessagesMax: number;
  /** Bytes of entries on their way to one peer. */
  readonly inflightBytesMax: number;
  /** Proposals are refused beyond this many bytes of appended, uncommitted entries. */
  readonly uncommittedBytesMax: number;
  /** Durable entries are kept in memory up to this many bytes, for those who need them yet. */
  readonly tailBytesMax: number;
  /** Kept of the newest entries, in bytes, although nobody is known to need them. */
  readonly tailSpareBytes: number;
  /** Waiting reads beyond this are refused. */
  readonly readsMax: number;
  /** Whether a leader keeps a lease; see lease.ts for what that rests on. */
  readonly leaseReads: boolean;
  /** How far the rate of any member's clock may be from that of real time, at most. */
  readonly clockDriftBoundPpm: number;
  readonly checksum: Checksum;
  readonly random: Random;
  /**
   * Unique to this start of the process (48 random bits): makes read tokens unique over restarts.
   */
  readonly startNonce: number;
}

/** A stretch of the log with one term: from `index` up to the next run's. */
export interface TermRun {
  readonly index: number;
  readonly term: number;
}

/** A position that a snapshot covers: the log starts after it. */
export interface LogStart {
  readonly index: number;
  readonly term: number;
  /** In force at `index`. */
  readonly configuration: IndexedConfiguration;
}

/** A position that a whole, verified and durable snapshot stands for. */
export interface SnapshotPoint extends LogStart {
  /** Cluster time at `index`, in ms. */
  readonly timeMs: number;
}

/** What {@link RaftInputs.installSnapshot} came to. */
export type InstallResult =
  /** Everything up to it was committed here already. */
  | "old"
  /** The log holds its last entry: it is committed now, and what follows it stays. */
  | "in-log"
  /** The log starts anew behind it: the machine has to be restored from it. */
  | "reset";

/** What recovery found of this group. A member that never had anything: {@link EMPTY_GROUP}. */
export interface RecoveredGroup {
  readonly hardState: HardState;
  /** The log starts after this position: 0 and 0, or what the last snapshot covers. */
  readonly startIndex: number;
  readonly startTerm: number;
  /** In force at startIndex. */
  readonly startConfiguration: IndexedConfiguration;
  readonly lastIndex: number;
  /** Sorted by index; empty where the log holds nothing after startIndex. */
  readonly termRuns: readonly TermRun[];
  /** Those in the log after startIndex, by index. */
  readonly configurations: readonly IndexedConfiguration[];
  /** Cluster time of the last entry, in ms; 0 where there is none. */
  readonly lastTimeMs: number;
}

/** What recovery returns for a group that was never written. */
export const EMPTY_GROUP: RecoveredGroup = {
  hardState: { term: 0, vote: undefined, commit: 0 },
  startIndex: 0,
  startTerm: 0,
  startConfiguration: {
    index: 0,
    configuration: { members: [], voters: [], outgoing: [], learners: [] },
  },
  lastIndex: 0,
  termRuns: [],
  configurations: [],
  lastTimeMs: 0,
};

/** Where a proposal went, or why it went nowhere. Refused means: nothing was appended. */
export type ProposeResult =
  | { readonly ok: true; readonly firstIndex: number; readonly term: number }
  | {
      readonly ok: false;
      /**
       * `transferring`: leadership is being handed over, ask again when that is over; `full`: this
       * member, or too many of the others, have no space.
       */
      readonly reason: "not-leader" | "overloaded" | "transferring" | "full";
      readonly leader: MemberId | undefined;
    };

/** Whether leadership is being handed over now, and to whom; or why it is not. */
export type TransferResult =
  /** The target may be this member itself, which leads: nothing is to be done. */
  | { readonly ok: true; readonly target: MemberId }
  | {
      readonly ok: false;
      /**
       * `busy`: it is being handed over to another member; `unreachable`: not heard within T;
       * `unhealthy`: its disk is stalled or full.
       */
      readonly reason:
        | "not-leader"
        | "unknown-member"
        | "not-voter"
        | "no-other-voter"
        | "unreachable"
        | "busy"
        | "unhealthy";
      readonly leader: MemberId | undefined;
    };

/** A transfer of leadership under way. */
export interface TransferStatus {
  readonly target: MemberId;
  readonly sinceMs: number;
  /** `handed-over`: the target has everything and was told to campaign. */
  readonly phase: "catching-up" | "handed-over";
}

/** What the leader knows about one peer. */
export interface PeerStatus {
  readonly id: MemberId;
  readonly role: "voter" | "learner";
  readonly matchIndex: number;
  readonly nextIndex: number;
  /** `snapshot`: what it needs has left the log; it gets a snapshot first. */
  readonly state: "probe" | "replicate" | "snapshot";
  /** When it was last heard in this term; undefined = never. */
  readonly lastHeardMs: number | undefined;
  readonly inflightMessages: number;
  readonly inflightBytes: number;
  /** As it said last in this term. */
  readonly health: Health;
}

/** How well this member can do its work (health.ts). */
export interface HealthStatus {
  readonly state: Health;
  readonly sinceMs: number;
  /** Since when nothing has become durable, where that is a stall; undefined otherwise. */
  readonly stalledSinceMs: number | undefined;
  /** How often its disk has stalled for T or longer. */
  readonly stalls: number;
  /** How often it gave leadership up, or tried to, because it could not do its work. */
  readonly yields: number;
}

/** A look at the core, for status pages. */
export interface RaftStatus {
  readonly id: MemberId;
  readonly role: Role;
  readonly term: number;
  readonly leader: MemberId | undefined;
  /** When this member became leader; undefined unless it leads. */
  readonly leaderSinceMs: number | undefined;
  /** Leads, and has committed an entry of its own term. */
  readonly ready: boolean;
  /** When the lease ends; undefined where none is held as of the newest input. */
  readonly leaseEndMs: number | undefined;
  readonly commit: number;
  readonly applied: number;
  readonly persisted: number;
  readonly startIndex: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
  readonly configuration: Configuration;
  readonly configurationIndex: number;
  /** The newest configuration that is committed. */
  readonly committedConfiguration: IndexedConfiguration;
  /** Leads: who could take part in decisions at once. */
  readonly caughtUp: readonly MemberId[];
  /** Cluster time: of the last entry, or on a leader, now. */
  readonly clusterTimeMs: number;
  readonly peers: readonly PeerStatus[];
  readonly uncommittedBytes: number;
  readonly tailBytes: number;
  /** This member leads and hands leadership over; undefined where it does not. */
  readonly transfer: TransferStatus | undefined;
  readonly health: HealthStatus;
}

/** The inputs. After any number of them, `takeOutput` tells what to do. */
export interface RaftInputs {
  /** Time passed. Needed only when `nextDeadlineMs` is due; more often does no harm. */
  tick(nowMs: number): void;
  /** A message arrived from a member whose identity the transport has proven. */
  step(nowMs: number, from: MemberId, message: Message): void;
  /** Appends entries as the leader. The bytes are copied. */
  propose(nowMs: number, entries: PackedEntries): ProposeResult;
  /**
   * Asks for an index that is safe to read at; the answer comes in `Output.reads` with `context`,
   * exactly once. With `byLease` the leader's lease may answer, where one is held. False: refused
   * because too many reads wait already.
   */
  readIndex(nowMs: number, context: number, byLease?: boolean): boolean;
  /**
   * Hands leadership over to `target`, or to the best suited voter. Nothing is appended until that
   * is done or, after T, given up; the events tell which.
   */
  transferLeadership(nowMs: number, target: MemberId | undefined): TransferResult;
  /** The log has space for its next segment, or waits for some. Repeated calls are harmless. */
  storage(nowMs: number, isFull: boolean): void;
  /**
   * Begins a change of membership, which the core then carries on by itself; the configuration
   * tells how far it is. Refused: nothing was appended.
   */
  changeMembership(
    nowMs: number,
    change: MembershipChange,
    options?: ChangeOptions,
  ): MembershipResult;
  /** What a change would do as of now; of use on the leader, who knows the others. */
  planMembership(nowMs: number, change: MembershipChange): PlannedChange;
  /** All writes of outputs up to `output` are durable. Late and repeated calls are harmless. */
  persisted(nowMs: number, output: number): void;
  /**
   * Committed entries up to `index` were applied. Those from `wantedFrom` on are wanted once more:
   * they stay in memory as long as there is room.
   */
  applied(nowMs: number, index: number, wantedFrom?: number): void;
  /** The answer to a load request: consecutive batches that start at or before `request.from`. */
  loaded(nowMs: number, request: LoadRequest, batches: readonly EntryBatch[]): void;
  /** The load request could not be served. */
  loadFailed(nowMs: number, request: LoadRequest): void;
  /** The configuration in force at `index`; undefined where the log begins later. */
  configurationAt(index: number): IndexedConfiguration | undefined;
  /**
   * Whether `id` now stands for another directory than this one, which had it before. Members are
   * told apart by id here: what a directory says that was replaced must not be stepped any more, or
   * it would count for its successor.
   */
  isSuperseded(id: MemberId, incarnation: Incarnation): boolean;
  /**
   * The entries up to `index`, all of them durable and applied, are in a snapshot and leave the
   * log. One below the start of the log changes nothing.
   */
  compact(nowMs: number, index: number): void;
  /**
   * A snapshot from `from`, the leader, is here. Where the result is `reset`, the next output holds
   * the same; `from` hears of it once that is durable.
   */
  installSnapshot(nowMs: number, from: MemberId, snapshot: SnapshotPoint): InstallResult;
  /** The peer of a snapshot request has the snapshot at `index`, and says that it is installed. */
  snapshotSent(nowMs: number, peer: MemberId, index: number): void;
  /** The peer of a snapshot request could not be given a snapshot. It is asked for again later. */
  snapshotFailed(nowMs: number, peer: MemberId): void;
  /** The connection to `peer` was lost: what was on its way may never arrive. */
  unreachable(nowMs: number, peer: MemberId): void;
  /** There is a connection to `peer`: what is sent to it can arrive. */
  reachable(nowMs: number, peer: MemberId): void;
  /**
   * What is to be done now; undefined where there is nothing. With `holdNews` the mere news of a
   * commit index stays back, so that it can travel with the entries of the next turn; then
   * `holdsNews` asks for that turn soon, and for an output without `holdNews` in it.
   */
  takeOutput(nowMs: number, holdNews?: boolean): Output | undefined;
  /** The last output taken left out the news of a commit index. */
  readonly holdsNews: boolean;
  /** The time at which `tick` is next needed. */
  readonly nextDeadlineMs: number;
  status(): RaftStatus;
  /** Up to here the log of this member is durable. */
  readonly persistedIndex: number;
  /** The batch that holds `index`, where it is still in memory. */
  batchAt(index: number): EntryBatch | undefined;
  /**
   * The first index that is in memory; behind the last one where none is. Only what is before it
   * may be read from the log: from here on that may still hold what was truncated since.
   */
  readonly memoryIndex: number;
}
