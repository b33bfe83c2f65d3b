/**
 * One group on one member: its core, its machine and the calls that wait for them. The host
 * (host.ts) gives it turns; a group does nothing by itself.
 *
 * A turn, in this order: what arrived is stepped (`receive`), time passes (`tick`), calls that
 * gathered are proposed, forwarded or asked for (`dispatch`), the core's outputs are taken
 * (`collect`): messages leave or wait, writes gather for the host's log write; after the host has
 * started that write and flushed, committed entries are applied (`apply`).
 *
 * A group stops by itself (`failed`) when the machine throws, when an invariant is violated, or
 * when storage fails. From then on it says nothing to anybody: every call ends, and what the core
 * still wanted persisted or sent is dropped. The host and other groups go on.
 *
 * While its member has not been formed (formation.ts) a group has no core; calls wait for a leader.
 */
import type { IndexedConfiguration, MemberId } from "../core/configuration.ts";
import type { RaftInputs, RaftStatus, RecoveredGroup } from "../core/contract.ts";
import type { CoreEvent, Output } from "../core/output.ts";
import type { LogStatus, LogWrite } from "../log/log.ts";
import type { PeerMessage } from "../transport/peer-message.ts";
import { QuorateError } from "../util/error.ts";
import type { Applier } from "./applier.ts";
import { applierOf } from "./applier-of.ts";
import { Belonging } from "./belonging.ts";
import { Calls } from "./calls.ts";
import type { LeaderCall, ReadCall, TransferCall, WriteCall } from "./calls.ts";
import { Changes } from "./changes.ts";
import type { MemberCall } from "./member-call.ts";
import { Departure } from "./departure.ts";
import type { GroupContext } from "./group-context.ts";
import type { Arrival } from "./inbox.ts";
import { failureOf, InputTrace, textOf } from "./input-trace.ts";
import { Joins } from "./joins.ts";
import { LIMITS } from "./limits.ts";
import { Loads } from "./loads.ts";
import { Outbox } from "./outbox.ts";
import { Reads } from "./reads.ts";
import { Snapshots } from "./snapshots.ts";
import { Space } from "./space.ts";
import { Versions } from "./versions.ts";
import { Wishes } from "./wishes.ts";
import { Writes } from "./writes.ts";

/** Where a group is in its life. */
export type GroupState = "forming" | "running" | "removed" | "failed" | "closed";

/** What exists once the group has a core. */
interface Engine {
  readonly core: RaftInputs;
  readonly applier: Applier;
  readonly outbox: Outbox;
}

/** The state of one group. */
export class Group {
  readonly calls: Calls = new Calls();
  readonly changes: Changes;
  readonly versions: Versions;
  readonly snapshots: Snapshots;
  readonly space: Space;
  readonly #context: GroupContext;
  readonly #writes: Writes;
  readonly #reads: Reads;
  readonly #wishes: Wishes;
  readonly #joins: Joins;
  readonly #belonging: Belonging;
  readonly #trace = new InputTrace();
  readonly #loads: Loads;
  #engine: Engine | undefined;
  #state: GroupState = "forming";
  #failure: QuorateError | undefined;
  #lastStatus: RaftStatus | undefined;
  #leader: MemberId | undefined;
  #leaderLostMs: number;
  #leadingTerm: number | undefined;
  #departure: Departure | undefined;
  #careAtMs = Number.POSITIVE_INFINITY;
  /** The newest committed configuration, once one was committed. */
  #committed: IndexedConfiguration | undefined;

  constructor(context: GroupContext) {
    this.#context = context;
    this.space = new Space(context.observers);
    const { electionTimeoutMs, heartbeatIntervalMs, clockDriftBoundPpm } = context.options;
    // Nobody is elected in the first T after a start; the first calls wait for that.
    this.#leaderLostMs = context.clock.nowMs() + 1.5 * electionTimeoutMs;
    this.#reads = new Reads({
      machine: context.machine,
      clockDriftBoundPpm,
      wake: () => context.wake(),
    });
    const retryMs = heartbeatIntervalMs / 2;
    const send = (to: MemberId, message: PeerMessage): boolean =>
      context.transport.send(to, context.number, message);
    this.#wishes = new Wishes({
      id: context.id,
      nonce: context.startNonce,
      electionTimeoutMs,
      retryMs,
      calls: this.calls,
      send,
    });
    this.snapshots = new Snapshots({
      ...context,
      group: context.number,
      store: context.snapshots.store,
      calls: this.calls,
      send,
      clusterId: () => context.clusterId(),
      restored: (index, term, { sessions }) => this.#writes.restored(index, term, sessions),
      failed: (error) => this.failWith(error),
      wake: () => context.wake(),
    });
    this.#belonging = new Belonging(context);
    this.versions = new Versions({ id: context.id, own: context.machine.version });
    this.changes = new Changes({
      log: context.log,
      group: context.number,
      engine: () => this.#engine,
      state: () => this.#state,
      refusal: () => this.refusal(),
    });
    this.#loads = new Loads({
      log: context.log,
      group: context.number,
      engine: () => this.#engine,
      failed: (error) => this.failWith(error),
      wake: () => context.wake(),
    });
    this.#joins = new Joins({
      id: context.id,
      retryMs,
      newcomers: () => context.newcomers(),
      send,
    });
    this.#writes = new Writes({
      id: context.id,
      nonce: context.startNonce,
      electionTimeoutMs,
      calls: this.calls,
      sessionTimeoutMs: context.options.sessionTimeoutMs,
      // A batch must fit into a segment, whatever else is in it.
      batchBytesMax: Math.min(LIMITS.batchBytesMax, context.options.segmentBytes / 4),
      forwardBytesMax: context.options.segmentBytes / 2,
      retryMs,
      send,
    });
  }

  get number(): number {
    return this.#context.number;
  }

  get state(): GroupState {
    return this.#state;
  }

  get failure(): QuorateError | undefined {
    return this.#failure;
  }

  get leader(): MemberId | undefined {
    return this.#leader;
  }

  /** Leads and has committed an entry of its own term. */
  get isReady(): boolean {
    return this.#leadingTerm !== undefined;
  }

  /** The term in which this member {@link isReady}. */
  get leadingTerm(): number | undefined {
    return this.#leadingTerm;
  }

  /** The version of the machine that is in force, as of what is applied here. */
  get machineVersion(): number {
    return this.#engine?.applier.state.machineVersion ?? 1;
  }

  /** When the next turn is needed at the latest. */
  get nextDeadlineMs(): number {
    return Math.min(
      this.coreDeadlineMs,
      this.calls.deadlines.nextMs,
      this.#careAtMs,
      this.#writes.nextMs(this.#leader),
      this.#wishes.nextMs(this.#leader),
      this.#joins.nextMs(this.#leader),
      this.snapshots.nextMs,
      this.#departure?.nextMs ?? Number.POSITIVE_INFINITY,
    );
  }

  /** When the core needs a tick. */
  get coreDeadlineMs(): number {
    return this.#engine?.core.nextDeadlineMs ?? Number.POSITIVE_INFINITY;
  }

  /** Gives the group its core, from what recovery found or formation agreed. */
  start(recovered: RecoveredGroup): void {
    // It may have been closed while what was agreed was still being written.
    if (this.#state !== "forming") return;
    const { clock, number, transport, observers } = this.#context;
    const core = this.#context.makeCore(recovered, clock.nowMs());
    const applier = applierOf(this.#context, core, recovered.startIndex, {
      clock,
      load: (from, to, bytesMax) => this.#loads.forApplier(from, to, bytesMax),
      termStarts: (term) => this.#writes.termApplied(term),
      applied: (entry) => this.#writes.applied(entry),
      slow: (index, elapsedMs) => observers.emit({ type: "slow-apply", index, elapsedMs }),
    });
    const outbox = new Outbox(number, ({ to, message }) => {
      transport.send(to, number, message);
    });
    this.#engine = { core, applier, outbox };
    this.#state = "running";
    const status = core.status();
    core.applied(clock.nowMs(), applier.applied);
    // Committed as far as the last run knew; the rest is found out from the others.
    applier.commit = status.commit;
    this.snapshots.begin(this.#engine, this.#context.snapshots.initial);
    this.#belonging.begin(core);
    this.#context.wake();
  }

  /** Peering knows somebody better than before. */
  acquainted(): void {
    this.#joins.look(this.#context.clock.nowMs());
    this.#context.wake();
  }

  /** This member is no member any more: it stops once it has applied up to `index`. */
  remove(error: QuorateError, index: number): void {
    this.#belonging.remove(error, index);
    this.#context.wake();
  }

  /** A call was made. They only queue: the next turn looks at them. */
  addWrite(call: WriteCall): void {
    this.#writes.add(call);
    this.#addedCall();
  }

  addRead(call: ReadCall): void {
    this.#reads.add(call);
    this.#addedCall();
  }

  addLeaderCall(call: LeaderCall): void {
    if (this.#leader !== undefined) call.resolve(this.#leader);
    else this.#context.wake();
  }

  /** Whether what is applied here was all there was, so long before `nowMs` at the earliest. */
  isFresh(nowMs: number, maxStalenessMs: number): boolean {
    return this.#reads.isFresh(nowMs, maxStalenessMs);
  }

  /** A call that wishes something of the leader. */
  addWish(call: TransferCall | MemberCall): void {
    if (this.#leader === undefined) this.#careSoon(call.startedMs);
    this.#context.wake();
  }

  /** Answers from the machine as it is. */
  answer(call: ReadCall): void {
    if (this.snapshots.holdsQueries) this.#reads.hold(call);
    else this.#reads.answer(call);
  }

  // ---- inputs of a turn

  receive(nowMs: number, from: MemberId, message: PeerMessage, arrival: Arrival): void {
    const engine = this.#engine;
    if (engine === undefined || engine.core.isSuperseded(from, arrival.incarnation)) return;
    this.#trace.message(nowMs, from, message);
    switch (message.type) {
      case "forward":
        return this.#writes.takeForward(from, message, { nowMs, core: engine.core, arrival });
      case "forward-response":
        return this.#writes.takeForwardResponse(from, message, nowMs, engine.applier.applied);
      case "transfer-request":
      case "transfer-response":
      case "membership-request":
      case "membership-response":
        return this.#wishes.take(nowMs, from, message, engine.core);
      case "leaving":
        return this.#writes.takeLeaving(from, message, nowMs);
      case "join-request":
        return this.#joins.takeRequest(nowMs, from, message, engine.core);
      case "snapshot-offer":
      case "snapshot-chunk":
      case "snapshot-report":
        return this.snapshots.receive(nowMs, from, message);
      case "rolled-back":
        return this.#belonging.takeRolledBack(from, message, engine.core.status());
      case "formation":
      case "invitation":
      case "join-response":
        return;
      default:
        engine.core.step(nowMs, from, message);
    }
  }

  connected(nowMs: number, peer: MemberId): void {
    this.#writes.connected();
    this.#trace.record(nowMs, `reachable ${peer}`);
    this.#engine?.core.reachable(nowMs, peer);
  }

  disconnected(nowMs: number, peer: MemberId): void {
    this.#writes.disconnected(peer, nowMs);
    this.#trace.record(nowMs, `unreachable ${peer}`);
    this.#engine?.core.unreachable(nowMs, peer);
  }

  logStateChanged(state: LogStatus["state"]): void {
    this.space.logIs(state);
  }

  tick(nowMs: number): void {
    this.#trace.record(nowMs, "tick");
    this.#engine?.core.tick(nowMs);
  }

  /** Hands on what was gathered and looks after what has waited long. */
  dispatch(nowMs: number): void {
    this.calls.expire(nowMs);
    if (nowMs >= this.#careAtMs) this.#care(nowMs);
    const engine = this.#engine;
    if (engine === undefined) return;
    if (this.space.tells(nowMs, engine.core, this.snapshots.isFull)) {
      this.#writes.health = engine.core.status().health.state;
    }
    this.#loads.dispatch(nowMs);
    this.snapshots.dispatch(nowMs);
    this.#writes.dispatch(nowMs, engine.core, this.#leader);
    if (this.#writes.hasForwards) this.#careSoon(nowMs);
    this.#wishes.dispatch(nowMs, engine.core, this.#leader);
    this.versions.dispatch(nowMs, engine.core, this.#leadingTerm, this.machineVersion);
    this.#joins.dispatch(nowMs, engine.core, this.#leader);
    const byRound = this.#reads.ask(nowMs, engine.core, false);
    if (byRound !== undefined) this.#trace.record(nowMs, "read-index", byRound);
    const byLease = this.#reads.ask(nowMs, engine.core, true);
    if (byLease !== undefined) this.#trace.record(nowMs, "read-index by lease", byLease);
    this.#departure?.step(nowMs, engine.core);
  }

  /** Takes the core's outputs: sends, keeps, answers. */
  collect(nowMs: number): void {
    const engine = this.#engine;
    if (engine === undefined) return;
    const { core } = engine;
    // Never held back for more than one turn.
    const holdNews = !core.holdsNews;
    for (;;) {
      const output = core.takeOutput(nowMs, holdNews);
      if (output === undefined) break;
      this.#perform(nowMs, engine, output);
    }
    if (core.holdsNews) this.#context.wake();
  }

  takeWrite(): LogWrite | undefined {
    return this.#engine?.outbox.takeWrite();
  }

  /** The log write that carried {@link takeWrite} is durable. */
  written(nowMs: number): void {
    const engine = this.#engine;
    if (engine === undefined) return;
    const output = engine.outbox.written();
    this.#trace.record(nowMs, "persisted", output);
    engine.core.persisted(nowMs, output);
  }

  /** Applies until `untilMs`; true if there is more to apply at once. */
  apply(untilMs: number): boolean {
    const engine = this.#engine;
    if (engine === undefined) return false;
    const { applier, core } = engine;
    const before = applier.applied;
    const waitingBefore = this.calls.waiting;
    const more = this.#run(engine, untilMs);
    if (applier.applied !== before) {
      const nowMs = this.#context.clock.nowMs();
      core.applied(nowMs, applier.applied, this.changes.wantedFrom);
      this.snapshots.applied(nowMs);
      this.changes.advanced(applier.applied);
    }
    if (!this.snapshots.holdsQueries) this.#reads.serve(applier.applied);
    this.#reads.endBehind(core, applier, this.#writes.health);
    if (this.#writes.needsTurn) this.#context.wake();
    // What has just been answered may have been what the departure waited for.
    if (this.#departure !== undefined && waitingBefore > this.calls.waiting) this.#context.wake();
    const removal = this.#belonging.removalAt(applier.applied);
    if (removal !== undefined) this.#leaveForEver(removal);
    return more;
  }

  #run(engine: Engine, untilMs: number): boolean {
    try {
      return engine.applier.run(untilMs);
    } catch (error) {
      // The others hear of the commit that this member stops over: it is theirs as well.
      if (engine.core.holdsNews) {
        this.collect(this.#context.clock.nowMs());
        this.#context.wake();
      }
      throw error;
    }
  }

  // ---- ends

  /** Something went wrong in this group that it cannot go on from. */
  failWith(error: unknown): void {
    if (this.#state !== "forming" && this.#state !== "running") return;
    const failure = failureOf(error, `group ${this.number} of ${this.#context.id}`, this.#trace);
    this.#endAllWith(failure, "failed");
    this.#context.observers.emit({ type: "failed", error: failure });
  }

  /** The end of a member that was removed. */
  #leaveForEver(error: QuorateError): void {
    this.#endAllWith(error, "removed");
    this.#context.left(textOf(error.message));
  }

  #endAllWith(failure: QuorateError, state: "failed" | "removed"): void {
    this.#failure = failure;
    this.#stop(state);
    const { code, message } = failure;
    const cause = failure.cause ?? failure;
    this.#writes.endAll((call) => call.endedBy(code, textOf(message), cause));
    const readError = this.refusal();
    this.#reads.endAll(() => readError);
    this.calls.endOthers(() => readError);
    this.#wishes.endAll(() => readError);
  }

  /** The error for a call that is made after the group has failed. */
  refusal(): QuorateError {
    const failure = this.#failure ?? new QuorateError("CLOSED", "this replica is closed");
    return new QuorateError(failure.code, textOf(failure.message), {
      outcome: "not-done",
      cause: failure.cause ?? failure,
    });
  }

  /** Prepares for {@link close} so that it hurts nobody: see departure.ts. Never rejects. */
  leave(): Promise<void> {
    const { clock, options, transport } = this.#context;
    if (this.#engine === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      this.#departure = new Departure({
        deadlineMs: clock.nowMs() + options.electionTimeoutMs,
        lingerMs: options.heartbeatIntervalMs / 4,
        calls: this.calls,
        farewell: () => this.#writes.leave(transport.status().map(({ id }) => id)),
        over: () => {
          this.#departure = undefined;
          resolve();
        },
      });
      this.#context.wake();
    });
  }

  /** Whoever waits in {@link leave} waits no longer. */
  hurry(): void {
    this.#departure?.end();
  }

  close(): void {
    if (this.#state === "closed") return;
    this.#stop("closed");
    const closed = (): QuorateError => new QuorateError("CLOSED", "this replica was closed");
    this.#writes.endAll((call) =>
      call.handedOn
        ? new QuorateError(
            "OUTCOME_UNKNOWN",
            "the replica was closed while the write was being replicated: it may have happened",
          )
        : closed(),
    );
    this.#reads.endAll(closed);
    this.calls.endOthers(closed);
    this.#wishes.endAll(closed);
  }

  /** The core's own view; after a failure, the last one there was. */
  status(): RaftStatus | undefined {
    return this.#engine?.core.status() ?? this.#lastStatus;
  }

  // ---- inside

  #perform(nowMs: number, engine: Engine, output: Output): void {
    engine.outbox.take(output);
    engine.applier.commit = output.commit;
    this.snapshots.perform(nowMs, output);
    for (const event of output.events) this.#observe(nowMs, event);
    this.#wishes.committedUpTo(output.commit, this.#committed);
    for (const outcome of output.reads) this.#reads.outcome(nowMs, outcome, this.#limitOf);
    for (const load of output.loads) this.#loads.forPeer(load);
  }

  #observe(nowMs: number, event: CoreEvent): void {
    if (event.type === "leader") this.#leaderChanged(nowMs, event.leader);
    if (event.type === "configuration") {
      this.#engine?.outbox.membersAre(event.configuration);
      this.#context.configured(event.configuration);
    }
    if (event.type === "configuration-committed") {
      this.#committed = event;
      this.#context.committed(event);
    }
    if (event.type === "configuration" || event.type === "ready") this.versions.changed();
    if (event.type === "peer-denied") {
      const { peer, index, term } = event;
      this.#context.transport.send(peer, this.number, { type: "rolled-back", term, index });
    }
    if (event.type === "role") this.#leadingTerm = undefined;
    if (event.type === "ready") this.#leadingTerm = event.term;
    if (event.type === "health") this.#writes.health = event.health;
    // What was held back can be proposed again, or sent to another.
    if (event.type === "transfer" && event.phase === "ended") this.#context.wake();
    this.#context.observers.emit(event);
  }

  #leaderChanged(nowMs: number, leader: MemberId | undefined): void {
    this.#leader = leader;
    this.#writes.leaderChanged(leader, nowMs);
    this.#wishes.leaderChanged(leader);
    this.#joins.look(nowMs);
    if (this.#departure !== undefined) this.#context.wake();
    if (leader === undefined) {
      this.#leaderLostMs = nowMs;
      this.#careSoon(nowMs);
    } else {
      this.calls.leaderIs(leader);
      if (this.#writes.hasGathered) this.#context.wake();
    }
  }

  #addedCall(): void {
    if (this.#leader === undefined) this.#careSoon(this.#context.clock.nowMs());
    this.#context.wake();
  }

  /**
   * Until when a call waits for a leader. One that finds none waits T; one that loses its leader
   * gets at least T / 2 more. So a member that is cut off refuses within two election timeouts.
   */
  readonly #limitOf = (call: { readonly startedMs: number }): number => {
    const { electionTimeoutMs } = this.#context.options;
    return Math.max(call.startedMs + electionTimeoutMs, this.#leaderLostMs + electionTimeoutMs / 2);
  };

  /** What no input brings about. */
  #care(nowMs: number): void {
    this.#careAtMs = Number.POSITIVE_INFINITY;
    this.#writes.repeatLost(nowMs);
    if (this.#writes.hasForwards) this.#careSoon(nowMs);
    if (this.#leader !== undefined) return;
    this.#writes.endLeaderless(nowMs, this.#limitOf);
    this.#reads.endLeaderless(nowMs, this.#limitOf);
    this.#wishes.endLeaderless(nowMs, this.#limitOf);
    if (this.calls.waiting + this.#wishes.size > 0) this.#careSoon(nowMs);
  }

  #careSoon(nowMs: number): void {
    const atMs = nowMs + this.#context.options.electionTimeoutMs / 16;
    if (atMs < this.#careAtMs) this.#careAtMs = atMs;
  }

  #stop(state: "failed" | "removed" | "closed"): void {
    this.#state = state;
    try {
      this.#lastStatus = this.#engine?.core.status() ?? this.#lastStatus;
    } catch {
      // A core that violated an invariant may not even be able to say how it is.
    }
    this.#engine?.applier.halt();
    this.#engine = undefined;
    this.#leader = undefined;
    this.#leadingTerm = undefined;
    this.#departure?.end();
    this.#loads.clear();
    this.snapshots.stop();
    this.changes.ended();
    this.#careAtMs = Number.POSITIVE_INFINITY;
  }
}
