/**
 * The face of the library: what `openReplica` takes and what it gives.
 */
import type { Configuration, Incarnation, MemberId } from "../core/configuration.ts";
import type { PeerStatus } from "../core/contract.ts";
import type { Health } from "../core/health-watch.ts";
import type { CoreEvent, Role } from "../core/output.ts";
import type { LogStatus, RecoveryReport } from "../log/log.ts";
import type { DamagedSnapshot } from "../snapshot/snapshot.ts";
import type { DiskStateMachine } from "../machine/disk-machine.ts";
import type { Codec, ResultOf, StateMachine } from "../machine/state-machine.ts";
import type { ClusterId, PeerTransportStatus, RefusalReport } from "../transport/transport.ts";
import type { QuorateError } from "../util/error.ts";
import type { Members, MembershipStatus } from "./members.ts";
import type { Change, ChangesOptions } from "./changes.ts";

/** One member of a static list. */
export interface StaticMember {
  readonly id: MemberId;
  /** `host:port` under which the other members reach it. */
  readonly address: string;
}

/**
 * How an *empty* data directory becomes a member. On later starts it changes nothing, since who is
 * a member is in the log by then; its addresses are hints then where the others may be found.
 */
export type StartOptions =
  | BootstrapStart
  /** The same list on every member; nobody votes until all of them were up once. */
  | { readonly members: readonly StaticMember[] }
  | JoinStart
  /** It asks nobody: the first leader that adds it, by `members.add` or `replace`, brings it in. */
  | { readonly wait: true };

/** A new cluster of one. */
export interface BootstrapStart {
  readonly bootstrap: true;
  /**
   * `host:port` of members that there may be. They are asked first, and where one belongs to a
   * cluster the start is refused with CLUSTER_EXISTS. So a start script that still says `bootstrap`
   * does not make a second cluster of a lost disk.
   */
  readonly contacts?: readonly string[];
}

/** Asks a cluster to take this member. */
export interface JoinStart {
  /** `host:port` of members, any of them; asked again and again. */
  readonly join: readonly string[];
  /** As what it wants to be taken. Default `voter`: once it has caught up. */
  readonly as?: "voter" | "learner";
  /** After so many ms without success it fails with JOIN_FAILED. Default 60,000. */
  readonly timeoutMs?: number;
}

/** Options of {@link openReplica}. */
export interface ReplicaOptions<Command, Query> {
  /** Who this member is: 1 to 64 of `A-Z a-z 0-9 . _ : [ ] -`. Default: its address. */
  readonly id?: MemberId;
  /** `host:port` to listen on for the other members; port 0 picks a free one. */
  readonly listen: string;
  /** `host:port` that the others dial, where it differs from `listen`. */
  readonly advertise?: string;
  /** The directory that is this member's memory; made if absent. One process at a time. */
  readonly dataDir: string;
  readonly machine: StateMachine<Command, Query> | DiskStateMachine<Command, Query>;
  /** How commands are encoded. Default: JSON. */
  readonly codec?: Codec<Command>;
  /** How to begin on an empty directory. Without it an empty directory is refused. */
  readonly start?: StartOptions;
  /** T, in ms: a silent leader is replaced after T to 1.5 T. Default 1,000; 50 to 60,000. */
  readonly electionTimeoutMs?: number;
  /** How often a leader makes itself heard, in ms. Default T / 10; at most T / 4. */
  readonly heartbeatIntervalMs?: number;
  /** Deadline of a call that names none, in ms. Default 5,000. */
  readonly callTimeoutMs?: number;
  /**
   * After so long without a write, by cluster time, the others forget which writes of this handle
   * were done, in ms. A write that is still being repeated then ends as OUTCOME_UNKNOWN; a new one
   * finds a new session. Members need not agree on it. Default one hour; at least 1,000.
   */
  readonly sessionTimeoutMs?: number;
  /**
   * Whether this member, while it leads, keeps a lease and answers reads of consistency `lease` by
   * it. Default false, since it is the one thing here that rests on clocks: a clock that goes wrong
   * by more than `clockDriftBoundPpm`, or stands still while a virtual machine is suspended or
   * moved, can make such a read old. `electionTimeoutMs` must be the same on every member.
   */
  readonly leaseReads?: boolean;
  /**
   * How far the rate of any member's monotonic clock may be from that of real time, in parts per
   * million; leases and `maxStalenessMs` are shorter by as much. What time a clock shows does not
   * matter. Default 10,000 (one per cent; quartz keeps 100); 0 to 200,000.
   */
  readonly clockDriftBoundPpm?: number;
  /** Bytes of one log segment. Default 16 MiB; 1 MiB to 1 GiB. */
  readonly segmentBytes?: number;
  /** When snapshots are taken, so that the log need not be kept for ever. */
  readonly snapshot?: SnapshotOptions;
  /** Largest encoded command, in bytes. Default 2 MiB; at most a quarter of `segmentBytes`. */
  readonly commandBytesMax?: number;
}

/**
 * When snapshots are taken, and how they are sent. A machine on disk takes none by itself: it is
 * synced instead, by `logBytes` and `entries`, and sends one when a member needs it.
 */
export interface SnapshotOptions {
  /** Whether they are taken by themselves. Default true; {@link Replica.snapshot} always works. */
  readonly automatic?: boolean;
  /** One is due after so many bytes of applied log. Default 64 MiB; from 1 KiB on. */
  readonly logBytes?: number;
  /**
   * ... and after so many times the size of the newest snapshot, so that a large state is not
   * written again for a little log. Default 1; 0 to 1,000.
   */
  readonly growth?: number;
  /** ... and not before so many entries. Default 1,000. */
  readonly entries?: number;
  /** Bytes that this member sends of snapshots, to all others together. Default 64 MiB/s. */
  readonly sendBytesPerSecond?: number;
  /**
   * A transfer that does not move for so long has ended, and the log that was kept for it may go.
   * In ms; default 10,000, from 100 on.
   */
  readonly progressTimeoutMs?: number;
}

/** What a snapshot stands for, and how large its file is. */
export interface SnapshotSummary {
  readonly index: number;
  readonly term: number;
  readonly bytes: number;
}

/** Something that is being done with a snapshot. */
export interface SnapshotProgress {
  readonly index: number;
  /** Taking: bytes of the machine so far. Else the size of the snapshot. */
  readonly bytes: number;
  readonly forMs: number;
}

/** A snapshot on its way between two members. */
export interface SnapshotTransferStatus extends SnapshotProgress {
  readonly peer: MemberId;
  /** Bytes that are written there, or here. */
  readonly transferred: number;
}

/** The snapshots of a member: its newest one (0 where there is none), and what is being done. */
export interface SnapshotStatus extends SnapshotSummary {
  readonly taking: SnapshotProgress | undefined;
  /** The machine is being replaced: queries wait. */
  readonly restoring: SnapshotProgress | undefined;
  readonly receiving: SnapshotTransferStatus | undefined;
  /** To members that need what has left the log. */
  readonly sending: readonly SnapshotTransferStatus[];
  /** Files that were found damaged and are of no use; they go when two whole ones are there. */
  readonly damaged: readonly DamagedSnapshot[];
}

/** Options of one call. */
export interface CallOptions {
  /** Ends the waiting: before the call took effect as ABORTED, after as OUTCOME_UNKNOWN. */
  readonly signal?: AbortSignal;
  /** Deadline of this call in ms. Default: `callTimeoutMs` of the replica. */
  readonly timeoutMs?: number;
}

/** Options of a read. */
export interface ReadOptions extends CallOptions {
  /**
   * `linearizable` (default): sees every write that ended before the read began, whoever made it.
   * `lease`: the same, without asking a majority while the leader holds a lease; so it rests on
   * clocks (see `leaseReads`). Where no lease is held it is a linearizable read.
   * `local`: what this member has applied; never waits, may be old.
   */
  readonly consistency?: "linearizable" | "lease" | "local";
  /**
   * Sees at least every write that ended so many ms before the read began. Answered at once where
   * this member knows that it is that fresh, because it asked for a read index so recently and has
   * applied that far; else by a linearizable read, or one by lease if `consistency` says `lease`.
   * Not together with another `consistency`. No clocks are compared; this member's own may be wrong
   * by `clockDriftBoundPpm`.
   */
  readonly maxStalenessMs?: number;
}

/** Options of a transfer of leadership. */
export interface TransferOptions extends CallOptions {}

/** Options of {@link Leadership.whileLeader}. */
export interface WhileLeaderOptions {
  /** Ends it: no further run begins, and the one under way is told by its own signal. */
  readonly signal?: AbortSignal;
}

/** Under what leadership work is done. */
export interface LeaderTerm {
  /** Aborted when this member does not lead any more, or closes. */
  readonly signal: AbortSignal;
  /**
   * A fencing token: larger in every later leadership, whichever member leads, over all restarts.
   * Whatever is written to under it outside of the cluster should refuse a smaller one than it saw.
   */
  readonly fence: number;
}

/** Work that only the leader does. */
export type LeaderWork = (term: LeaderTerm) => Promise<void>;

/** Who leads, as this member knows it. */
export interface LeadershipState {
  readonly leader: MemberId | undefined;
  /** This member leads and has committed an entry of its own term. */
  readonly isLeader: boolean;
  /** The fencing token of its leadership; undefined unless it leads. */
  readonly fence: number | undefined;
}

/** Leadership, seen from one member. */
export interface Leadership {
  /**
   * Moves leadership to `target`, or to the voter that suits best, and names who leads then. Works
   * on every member. Writes made meanwhile wait and go to the new leader. Where the target leads
   * already there is nothing to do.
   *
   * @throws QuorateError MEMBER_UNKNOWN, MEMBER_NOT_VOTER (also where there is no other voter),
   * NO_LEADER, OPTION_INVALID, OVERLOADED, CLOSED (certainly not done); TIMEOUT, ABORTED (it may
   * still happen).
   * @example
   * ```ts
   * const leader = await node.leadership.transfer("n2", { timeoutMs: 2000 });
   * ```
   */
  transfer(target?: MemberId, options?: TransferOptions): Promise<MemberId>;

  /**
   * Runs `work` whenever this member leads and has committed in its term: once per leadership,
   * never twice at a time. Its signal is aborted when leadership is lost; since work can overlap
   * with that of the next leader all the same (this process may be paused), writes to the outside
   * should carry the fence.
   *
   * Resolves when the replica closes, is removed from its cluster, or `options.signal` ends it,
   * after the last run has ended.
   * Rejects with what `work` throws, unless its signal was aborted before, and with
   * REPLICA_FAILED where the replica fails.
   * @example
   * ```ts
   * await node.leadership.whileLeader(async ({ signal, fence }) => {
   *   while (!signal.aborted) await sendReport(fence, signal);
   * });
   * ```
   */
  whileLeader(work: LeaderWork, options?: WhileLeaderOptions): Promise<void>;

  /**
   * Tells the listener who leads, now and after every change. Changes that come together are told
   * as one: a listener sees the newest state, not every step. Returns the way to stop it.
   */
  watch(listener: (state: LeadershipState) => void): () => void;
}

/** Options of {@link Replica.close}. */
export interface CloseOptions {
  /**
   * Whether to hand leadership over and to bring what waits to its end first, for at most one
   * election timeout. Default true. With false a leader leaves as if it had crashed: the others
   * find a new one after an election timeout.
   */
  readonly handOver?: boolean;
}

/** Leadership that is being handed over. */
export interface TransferProgress {
  readonly target: MemberId;
  /** `catching-up`: the target lacks something; `handed-over`: it was told to take over. */
  readonly phase: "catching-up" | "handed-over";
  readonly forMs: number;
}

/** Whether a member can store anything. */
export interface StorageStatus {
  /**
   * `stalled`: nothing has become durable for an election timeout although something waits for it;
   * `full`: no space for the next segment of the log or for a machine on disk, so it is read-only;
   * `failed`: a write failed, and this member has stopped.
   */
  readonly state: "ok" | "stalled" | "full" | "failed";
  /** For how long nothing has become durable, in ms; undefined unless it is stalled. */
  readonly stalledForMs: number | undefined;
  /** How often it has stalled since opening. */
  readonly stalls: number;
}

/** How well a member can do its work. */
export interface HealthSummary {
  /** `late`: its process stood still for more than half an election timeout, again and again. */
  readonly state: Health;
  readonly forMs: number;
  /** How often it gave leadership up, or tried to, because it could not do its work. */
  readonly yields: number;
}

/** Why and where a replica is. */
export interface ReplicaStatus {
  readonly id: MemberId;
  readonly incarnation: Incarnation;
  readonly clusterId: ClusterId;
  /** Where the others reach this member. */
  readonly address: string;
  /**
   * `forming`: waits until every listed member was up once. `joining`: asks to be taken. `waiting`:
   * waits to be added. `removed`: was a member, and never will be again.
   */
  readonly state: "forming" | "joining" | "waiting" | "running" | "removed" | "failed" | "closed";
  /** Why it failed or was removed; undefined in every other state. */
  readonly failure: QuorateError | undefined;
  readonly role: Role;
  readonly term: number;
  readonly leader: MemberId | undefined;
  readonly leaderAddress: string | undefined;
  /** Leads and has committed an entry of its own term. */
  readonly isLeader: boolean;
  /** For how long this member has led, in ms; undefined unless it leads. */
  readonly leaderForMs: number | undefined;
  /** How long its lease still lasts, in ms; undefined where it holds none. */
  readonly leaseForMs: number | undefined;
  readonly commit: number;
  readonly applied: number;
  readonly startIndex: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
  readonly configuration: Configuration;
  readonly configurationIndex: number;
  /** The members by the newest committed configuration, and the change that is under way. */
  readonly membership: MembershipStatus;
  /** Leadership is being handed over by this member; undefined where it is not. */
  readonly transfer: TransferProgress | undefined;
  /** What the leader knows of the others; empty on members that do not lead. */
  readonly followers: readonly FollowerStatus[];
  readonly connections: readonly PeerTransportStatus[];
  readonly log: LogStatus;
  /** Whether this member can store anything now. */
  readonly storage: StorageStatus;
  /** Whether it can do its work; what is not `ok` is told to the leader. */
  readonly health: HealthSummary;
  readonly snapshot: SnapshotStatus;
  readonly recovery: RecoveryReport;
  /** The version of the state machine that is in force, as of what is applied here. */
  readonly machineVersion: number;
  /** The highest version that this member's machine knows. */
  readonly machineVersionKnown: number;
  /** Calls that wait for their end. */
  readonly pendingWrites: number;
  readonly pendingReads: number;
  readonly uncommittedBytes: number;
  readonly tailBytes: number;
  /** The longest delay of our own turns since opening, in ms. */
  readonly turnDelayMaxMs: number;
  /** How often a turn came later than half an election timeout. */
  readonly stalls: number;
}

/** A follower as its leader sees it. */
export interface FollowerStatus extends Omit<PeerStatus, "lastHeardMs"> {
  readonly address: string;
  /** How long ago it was last heard in this term, in ms; undefined = never. */
  readonly lastHeardAgoMs: number | undefined;
}

/** What a replica reports of its host, beside the events of the core. */
export type HostEvent =
  | {
      readonly type: "formed";
      readonly clusterId: ClusterId;
      readonly configuration: Configuration;
    }
  /** A cluster has invited this member by that configuration, and it belongs to it from now on. */
  | {
      readonly type: "joined";
      readonly clusterId: ClusterId;
      readonly configurationIndex: number;
    }
  /** While it asks to be taken: what an address, or a member, said. */
  | { readonly type: "joining"; readonly peer: string; readonly reason: string }
  /** It is no member any more and has stopped; its directory is marked. */
  | { readonly type: "removed"; readonly reason: string }
  | { readonly type: "peer-connected"; readonly peer: MemberId; readonly address: string }
  | { readonly type: "peer-disconnected"; readonly peer: MemberId; readonly reason: string }
  | ({ readonly type: "peer-refused" } & RefusalReport)
  | { readonly type: "peer-problem"; readonly address: string; readonly reason: string }
  | { readonly type: "storage"; readonly state: LogStatus["state"] }
  | { readonly type: "late-turn"; readonly delayMs: number }
  /** A turn came later than T/2: the event loop was blocked, or the process stood still. */
  | { readonly type: "loop-stalled"; readonly delayMs: number; readonly stalls: number }
  | { readonly type: "slow-apply"; readonly index: number; readonly elapsedMs: number }
  | ({
      readonly type: "snapshot-taken" | "snapshot-restored";
      readonly elapsedMs: number;
    } & SnapshotSummary)
  /** The leader gave a member its snapshot, or could not, which is tried again. */
  | ({
      readonly type: "snapshot-sent";
      readonly peer: MemberId;
      readonly elapsedMs: number;
      readonly failure: string | undefined;
    } & SnapshotSummary)
  /** None was taken, or received; it is tried again later. */
  | { readonly type: "snapshot-failed"; readonly error: QuorateError }
  /** One was found damaged; an older one takes its place. */
  | { readonly type: "snapshot-damaged"; readonly path: string; readonly reason: string }
  | { readonly type: "failed"; readonly error: QuorateError }
  /** It was asked to close: it takes no new call, hands over, and brings to an end what waits. */
  | { readonly type: "closing" }
  | { readonly type: "closed" };

/** Everything that can be observed. */
export type ReplicaEvent = CoreEvent | HostEvent;
/** The name of an event. */
export type ReplicaEventType = ReplicaEvent["type"];

/** The event of one type. */
export type ReplicaEventOf<T extends ReplicaEventType> = Extract<
  ReplicaEvent,
  { readonly type: T }
>;

/**
 * A member of a replicated state machine. Every call works on every member.
 *
 * Every promise settles: by its result, or by a {@link QuorateError} whose `outcome` says whether
 * the call certainly had no effect (`not-done`) or may have had one (`unknown`).
 */
export interface Replica<Command, Query> extends AsyncDisposable {
  readonly id: MemberId;
  /** Leads and has committed an entry of its own term. May be old news by the time it is read. */
  readonly isLeader: boolean;

  /**
   * Replicates and applies a command, and returns what `apply` returned. A `local` read on this
   * handle sees it afterwards.
   *
   * @throws QuorateError NO_LEADER, OVERLOADED, TIMEOUT, ABORTED, COMMAND_TOO_LARGE,
   * COMMAND_INVALID, CLOSED, DISK_FULL, STORAGE_STALLED (certainly not done); OUTCOME_UNKNOWN,
   * STORAGE_FAILED, REPLICA_FAILED (may have happened); REMOVED (its `outcome` says whether it
   * may).
   * @example
   * ```ts
   * const total = await node.write(add(1), { timeoutMs: 2000 });
   * ```
   */
  write<C extends Command>(command: C, options?: CallOptions): Promise<ResultOf<C, Command>>;

  /**
   * Answers a query from this member's machine, by default linearizably: the read index travels,
   * the query does not.
   *
   * @throws QuorateError NO_LEADER, OVERLOADED, TIMEOUT, ABORTED, QUERY_FAILED, OPTION_INVALID,
   * CLOSED, REMOVED, REPLICA_FAILED.
   * @example
   * ```ts
   * const total = await node.read({ type: "total" });
   * const old = await node.read({ type: "total" }, { consistency: "local" });
   * const recent = await node.read({ type: "total" }, { maxStalenessMs: 500 });
   * ```
   */
  read<Q extends Query>(query: Q, options?: ReadOptions): Promise<ResultOf<Q, Query>>;

  /** Who leads: to move it, to follow it, and to work under it. */
  readonly leadership: Leadership;

  /**
   * Takes a snapshot of what is applied now, unless there is one, and names it. It goes on beside
   * everything else.
   *
   * @throws QuorateError SNAPSHOT_FAILED, DISK_FULL, OVERLOADED, CLOSED, REPLICA_FAILED (none was
   * taken); TIMEOUT, ABORTED (it may still be finished).
   * @example
   * ```ts
   * const { index, bytes } = await node.snapshot({ timeoutMs: 60_000 });
   * ```
   */
  snapshot(options?: CallOptions): Promise<SnapshotSummary>;

  /** Who the members are: to change that, to plan it, and to look at it. */
  readonly members: Members;

  /**
   * Every command that had an effect, once, in the order of the log: what this member has applied,
   * and then what it applies. Works on every member; a slow consumer holds back itself alone. To go
   * on after a restart ask from the last `index` + 1. Ends without an error when `signal` is
   * aborted and when the replica closes.
   *
   * @throws QuorateError OPTION_INVALID at once; HISTORY_COMPACTED (its `firstIndex` says from
   * where on there is anything), OVERLOADED, LOG_DAMAGED, REPLICA_FAILED while it is read.
   * @example
   * ```ts
   * for await (const { index, command } of node.changes({ from: seen + 1, signal })) {
   *   await mirror(command);
   *   seen = index;
   * }
   * ```
   */
  changes(options?: ChangesOptions): AsyncIterable<Change<Command>>;

  /**
   * Resolves when this replica has ended, by whatever: with undefined after {@link close}, else
   * with the error, which is REMOVED where it was taken out of the cluster. Never rejects. Close it
   * then all the same: that lets go of the rest.
   *
   * @example
   * ```ts
   * process.once("SIGTERM", () => void node.close());
   * const failure = await node.ended;
   * ```
   */
  readonly ended: Promise<QuorateError | undefined>;

  /** Waits until a leader is known, and names it. */
  leader(options?: CallOptions): Promise<MemberId>;

  /** What this member knows now. Cheap; works in every state. */
  status(): ReplicaStatus;

  /**
   * Calls `listener` for each event of that type, after the turn in which it happened. Returns the
   * way to stop it. What a listener throws is dropped: it cannot harm consensus.
   */
  on<T extends ReplicaEventType>(type: T, listener: (event: ReplicaEventOf<T>) => void): () => void;

  /** Calls `listener` for every event. */
  onAny(listener: (event: ReplicaEvent) => void): () => void;

  /**
   * Takes no new call, hands leadership over, lets what waits come to its end (all of that for at
   * most one election timeout), ends what still waits (writes handed on as OUTCOME_UNKNOWN, others
   * as CLOSED), and lets go of everything. Idempotent; `{ handOver: false }` hurries a close that
   * is under way.
   */
  close(options?: CloseOptions): Promise<void>;
}
