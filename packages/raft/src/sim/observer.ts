/**
 * What can be seen of a simulated cluster: the contract between the world on one side and
 * invariants, nemeses and traces on the other.
 *
 * Observers are called synchronously, in the order in which things happen, and change nothing. One
 * that finds a promise broken throws {@link SimViolation}; the run ends there. Whatever is handed
 * over belongs to the engine: look, copy what is kept, never write.
 */
import type { Incarnation, MemberId } from "../core/configuration.ts";
import type { RaftStatus, RecoveredGroup } from "../core/contract.ts";
import type { Output, Role, Vote } from "../core/output.ts";
import type { ReplicaEvent } from "../runtime/replica.ts";
import type { PeerMessage } from "../transport/peer-message.ts";
import type { ShadowLog } from "./shadow-log.ts";

/** A promise of the library was broken, or something did not come about that had to. */
export class SimViolation extends Error {
  override readonly name = "SimViolation";
  /** The name of the invariant: stable, in kebab case. */
  readonly invariant: string;

  constructor(invariant: string, message: string, cause?: unknown) {
    super(`${invariant}: ${message}`, cause === undefined ? undefined : { cause });
    this.invariant = invariant;
  }
}

/** What a member has told others or its callers, and therefore must never forget. */
export interface DurableView {
  readonly term: number;
  readonly vote: Vote | undefined;
  /** Every entry whose write was reported as durable, less what was overwritten since. */
  readonly log: ShadowLog;
}

/** What the core of a running member holds in memory; kept beside it by the probe. */
export interface CoreView {
  readonly term: number;
  readonly vote: Vote | undefined;
  readonly role: Role;
  readonly leader: MemberId | undefined;
  /** Leads and has committed an entry of its own term. */
  readonly isReady: boolean;
  readonly commit: number;
  /** What the runtime has reported as applied in this life. */
  readonly appliedIndex: number;
  readonly log: ShadowLog;
  /** The core's own word. Makes objects: not for every event. */
  status(): RaftStatus;
}

/** One member, over all its lives. */
export interface MemberView {
  readonly id: MemberId;
  /** 0 for n1, 1 for n2, … */
  readonly number: number;
  /** How often its process was started. */
  readonly life: number;
  /**
   * `lost`: it refuses to start again, as its disk was damaged beyond what it can repair, or is
   * gone. `removed`: it has learned that it is no member any more.
   */
  readonly state: "down" | "starting" | "up" | "paused" | "failed" | "lost" | "removed";
  /** Which directory it is; undefined before it knew its cluster. */
  readonly incarnation: Incarnation | undefined;
  /** Undefined before formation and while the process is down. */
  readonly core: CoreView | undefined;
  readonly durable: DurableView;
}

/** One command as it reached a machine. */
export interface AppliedCommand {
  readonly index: number;
  readonly term: number;
  readonly timeMs: number;
  /** The number of the client's operation; see {@link SimOperation}. */
  readonly operation: number;
  /** Checksums of the command's bytes and of its result as JSON. */
  readonly commandHash: number;
  readonly resultHash: number;
}

/** One command as the feed of changes of a member shows it. */
export interface ShownChange {
  readonly index: number;
  readonly timeMs: number;
  readonly operation: number;
}

/** What clients do. `lease-read` is linearizable by promise; the last two may be old. */
export type OperationKind = "write" | "read" | "lease-read" | "stale-read" | "local-read";

/** Whether the answer to such a read may be old. */
export function mayBeOld(kind: OperationKind): boolean {
  return kind === "local-read" || kind === "stale-read";
}

/** One call of a client, from its beginning to its end. */
export interface SimOperation {
  /** Unique in a run, from 1 on. A client that tries again makes a new one. */
  readonly number: number;
  readonly client: string;
  readonly member: MemberView;
  readonly kind: OperationKind;
  /** The command or query, as the workload made it. */
  readonly input: unknown;
  readonly calledUs: number;
  /** Stale reads: how old the answer may be when it is called; else 0. */
  readonly maxStalenessUs: number;
  /** `open` until it ends; a call whose member died ends as `unknown` (reads: `not-done`). */
  outcome: "open" | "done" | "unknown" | "not-done";
  result: unknown;
  /** The code of the error, or `died`. */
  error: string | undefined;
  returnedUs: number;
}

/** How a member's process ended. */
export type DeathKind = "power" | "kill" | "close" | "failed" | "refused";

/** Everything that can be observed; each method is optional. */
export interface Observer {
  /** A process was started; it has no core yet. */
  started?(member: MemberView): void;
  /** The core of this life begins, from what recovery found. */
  recovered?(member: MemberView, recovered: RecoveredGroup): void;
  /** A process has ended. `refused`: it would not start. */
  died?(member: MemberView, how: DeathKind): void;
  paused?(member: MemberView, isPaused: boolean): void;
  /** The core handed out an output; `member.core` shows it already, nothing is carried out yet. */
  output?(member: MemberView, output: Output): void;
  /** The runtime told the core that outputs up to this one are durable; `durable` shows them. */
  persisted?(member: MemberView, output: number): void;
  /** A message leaves a member: whatever it waited for is supposed to have happened. */
  sent?(member: MemberView, to: MemberId, message: PeerMessage): void;
  /** A message reaches the process of a member. */
  delivered?(member: MemberView, from: MemberId, message: PeerMessage): void;
  /** A command was applied by a machine. */
  applied?(member: MemberView, command: AppliedCommand): void;
  /** The feed of changes of a member has shown one. */
  changed?(member: MemberView, change: ShownChange): void;
  /** It cannot show what is before this index: the log has lost it. */
  changesCompacted?(member: MemberView, firstIndex: number): void;
  event?(member: MemberView, event: ReplicaEvent): void;
  called?(operation: SimOperation): void;
  /** An operation has ended. */
  settled?(operation: SimOperation): void;
  /** Something was done to the world: `text` tells people what, `by` which nemesis did it. */
  fault?(kind: string, text: string, by: string | undefined): void;
  /** All faults have ended; from now on progress is owed. */
  healed?(): void;
  /** The run is over: everything was healed, all clients have ended, the cluster is quiet. */
  ended?(): void;
}
