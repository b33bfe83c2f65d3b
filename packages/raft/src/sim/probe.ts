/**
 * The core of a simulated member with somebody watching: every input is passed on to the real core
 * unchanged, every output is written down before the runtime sees it.
 *
 * From that the probe keeps two views. *In memory*: what the core holds now. *Durable*: what the
 * runtime has reported as durable, which outlives the process; it is what the member has promised
 * the world. Neither is read back from the engine.
 */
import type {
  InstallResult,
  ProposeResult,
  RaftInputs,
  RaftStatus,
  RecoveredGroup,
  SnapshotPoint,
  TransferResult,
} from "../core/contract.ts";
import type { Incarnation, IndexedConfiguration, MemberId } from "../core/configuration.ts";
import type { EntryBatch, PackedEntries } from "../core/entry.ts";
import type {
  MembershipChange,
  MembershipResult,
  PlannedChange,
} from "../core/membership-change.ts";
import type { ChangeOptions } from "../core/membership.ts";
import type { Message } from "../core/message.ts";
import type { CoreEvent, HardState, LoadRequest, Output, Role, Vote } from "../core/output.ts";
import type { Checksum } from "../util/checksum.ts";
import type { DurableView } from "./observer.ts";
import { ShadowLog } from "./shadow-log.ts";

/** What a member has promised, over all its lives. */
export class DurableState implements DurableView {
  term = 0;
  vote: Vote | undefined;
  readonly log: ShadowLog;

  constructor(checksum: Checksum) {
    this.log = new ShadowLog(checksum);
  }

  /** Becomes what recovery found. */
  recover(recovered: RecoveredGroup): void {
    this.term = recovered.hardState.term;
    this.vote = recovered.hardState.vote;
    this.log.recover(recovered, this.log);
  }

  /** Takes in what is durable now. */
  take(output: Output): void {
    if (output.hardState !== undefined) {
      this.term = output.hardState.term;
      this.vote = output.hardState.vote;
    }
    if (output.reset !== undefined) this.log.reset(output.reset.index, output.reset.term);
    for (const batch of output.entries) this.log.append(batch);
  }
}

/** Who is told what the core does. */
export interface ProbeEvents {
  output(output: Output): void;
  persisted(output: number): void;
}

/** The inputs of a core, watched. */
export class Probe implements RaftInputs {
  term: number;
  vote: Vote | undefined;
  role: Role = "follower";
  leader: MemberId | undefined;
  isReady = false;
  commit: number;
  /** What the runtime has reported as applied in this life. */
  appliedIndex: number;
  readonly log: ShadowLog;
  readonly #core: RaftInputs;
  readonly #durable: DurableState;
  readonly #events: ProbeEvents;
  /** Handed out and not reported as durable. */
  #pending: Output[] = [];

  constructor(
    core: RaftInputs,
    from: {
      readonly recovered: RecoveredGroup;
      readonly durable: DurableState;
      readonly checksum: Checksum;
      readonly events: ProbeEvents;
    },
  ) {
    const { recovered, durable, checksum, events } = from;
    this.#core = core;
    this.#durable = durable;
    this.#events = events;
    this.term = recovered.hardState.term;
    this.vote = recovered.hardState.vote;
    this.commit = Math.max(recovered.hardState.commit, recovered.startIndex);
    this.appliedIndex = recovered.startIndex;
    this.log = new ShadowLog(checksum);
    this.log.copy(durable.log);
  }

  takeOutput(nowMs: number, holdNews?: boolean): Output | undefined {
    const output = this.#core.takeOutput(nowMs, holdNews);
    if (output === undefined) return undefined;
    if (output.hardState !== undefined) this.#state(output.hardState);
    if (output.reset !== undefined) this.log.reset(output.reset.index, output.reset.term);
    for (const batch of output.entries) this.log.append(batch);
    this.commit = Math.max(this.commit, output.commit);
    for (const event of output.events) this.#event(event);
    const { hardState, reset, entries } = output;
    if (hardState !== undefined || reset !== undefined || entries.length > 0) {
      this.#pending.push(output);
    }
    this.#events.output(output);
    return output;
  }

  persisted(nowMs: number, output: number): void {
    let count = 0;
    for (const waiting of this.#pending) {
      if (waiting.number > output) break;
      this.#durable.take(waiting);
      count++;
    }
    if (count > 0) this.#pending = this.#pending.slice(count);
    this.#events.persisted(output);
    this.#core.persisted(nowMs, output);
  }

  tick(nowMs: number): void {
    this.#core.tick(nowMs);
  }

  step(nowMs: number, from: MemberId, message: Message): void {
    this.#core.step(nowMs, from, message);
  }

  propose(nowMs: number, entries: PackedEntries): ProposeResult {
    return this.#core.propose(nowMs, entries);
  }

  readIndex(nowMs: number, context: number, byLease?: boolean): boolean {
    return this.#core.readIndex(nowMs, context, byLease);
  }

  transferLeadership(nowMs: number, target: MemberId | undefined): TransferResult {
    return this.#core.transferLeadership(nowMs, target);
  }

  storage(nowMs: number, isFull: boolean): void {
    this.#core.storage(nowMs, isFull);
  }

  changeMembership(
    nowMs: number,
    change: MembershipChange,
    options?: ChangeOptions,
  ): MembershipResult {
    return this.#core.changeMembership(nowMs, change, options);
  }

  planMembership(nowMs: number, change: MembershipChange): PlannedChange {
    return this.#core.planMembership(nowMs, change);
  }

  applied(nowMs: number, index: number, wantedFrom?: number): void {
    this.appliedIndex = index;
    this.#core.applied(nowMs, index, wantedFrom);
  }

  loaded(nowMs: number, request: LoadRequest, batches: readonly EntryBatch[]): void {
    this.#core.loaded(nowMs, request, batches);
  }

  loadFailed(nowMs: number, request: LoadRequest): void {
    this.#core.loadFailed(nowMs, request);
  }

  configurationAt(index: number): IndexedConfiguration | undefined {
    return this.#core.configurationAt(index);
  }

  isSuperseded(id: MemberId, incarnation: Incarnation): boolean {
    return this.#core.isSuperseded(id, incarnation);
  }

  compact(nowMs: number, index: number): void {
    this.#core.compact(nowMs, index);
  }

  installSnapshot(nowMs: number, from: MemberId, snapshot: SnapshotPoint): InstallResult {
    return this.#core.installSnapshot(nowMs, from, snapshot);
  }

  snapshotSent(nowMs: number, peer: MemberId, index: number): void {
    this.#core.snapshotSent(nowMs, peer, index);
  }

  snapshotFailed(nowMs: number, peer: MemberId): void {
    this.#core.snapshotFailed(nowMs, peer);
  }

  unreachable(nowMs: number, peer: MemberId): void {
    this.#core.unreachable(nowMs, peer);
  }

  reachable(nowMs: number, peer: MemberId): void {
    this.#core.reachable(nowMs, peer);
  }

  get holdsNews(): boolean {
    return this.#core.holdsNews;
  }

  get nextDeadlineMs(): number {
    return this.#core.nextDeadlineMs;
  }

  status(): RaftStatus {
    return this.#core.status();
  }

  get persistedIndex(): number {
    return this.#core.persistedIndex;
  }

  batchAt(index: number): EntryBatch | undefined {
    return this.#core.batchAt(index);
  }

  get memoryIndex(): number {
    return this.#core.memoryIndex;
  }

  #state(state: HardState): void {
    this.term = state.term;
    this.vote = state.vote;
  }

  #event(event: CoreEvent): void {
    if (event.type === "role") {
      this.role = event.role;
      this.isReady = false;
    } else if (event.type === "ready") this.isReady = true;
    else if (event.type === "leader") this.leader = event.leader;
  }
}
