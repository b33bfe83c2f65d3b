/**
 * The snapshots of one group: when one is taken, what the log may let go of for it, and how the
 * machine becomes what one says. Transfers are in snapshot-sender.ts and snapshot-receiver.ts.
 *
 * Taking. A snapshot is due once so many bytes of log were applied since the last one, and at least
 * as many as that one was large (else a large state is written again and again for little), and
 * a minimum of entries. What it stands for is captured in one turn: index, term, configuration,
 * the engine's own state, and whatever the machine's `snapshot()` captures.
 *
 * Letting go. Two snapshots are kept and the log from the older one on, so that one of them may
 * rot. What a running transfer needs stays. Only what is durable in the log can leave it.
 *
 * A machine on disk takes none for itself: it is synced instead (disk-keeper.ts), and the log goes
 * by that. A snapshot is taken when a member needs one, and stays as long as the log behind it.
 *
 * Restoring. From a snapshot that is whole, verified and durable, and never beside `apply`. Until
 * it has ended, queries of a machine in memory wait; the core goes on, since its word rests on log
 * and snapshot, not on the machine. If the machine does not take it, the replica stops; one on disk
 * that has no space for it is asked again, and answers from before meanwhile.
 *
 * Everything that changes the group happens in a turn ({@link Snapshots.dispatch}); files and
 * machine work in between.
 */
import type { MemberId } from "../core/configuration.ts";
import type { RaftInputs, SnapshotPoint } from "../core/contract.ts";
import type { Output, SnapshotRequest } from "../core/output.ts";
import type { Log } from "../log/log.ts";
import type {
  PeerMessage,
  SnapshotChunk,
  SnapshotOffer,
  SnapshotReport,
} from "../transport/peer-message.ts";
import type { EngineJournal } from "../machine/engine-journal.ts";
import { EngineState } from "../machine/engine-state.ts";
import type { DiskHost, MachineHost } from "../machine/machine-host.ts";
import { isNoSpace } from "../machine/no-space.ts";
import type {
  SnapshotId,
  SnapshotMeta,
  SnapshotReader,
  SnapshotStore,
} from "../snapshot/snapshot.ts";
import { assertDefined } from "../util/assert.ts";
import type { Clock } from "../util/clock.ts";
import { QuorateError, messageOf } from "../util/error.ts";
import type { Applier } from "./applier.ts";
import type { Calls, SnapshotCall } from "./calls.ts";
import { DiskKeeper } from "./disk-keeper.ts";
import type { Observers } from "./observers.ts";
import type { EngineOptions } from "./options.ts";
import type { SnapshotStatus } from "./replica.ts";
import { SnapshotReceiver } from "./snapshot-receiver.ts";
import type { ReceiverHooks } from "./snapshot-receiver.ts";
import { SnapshotSender } from "./snapshot-sender.ts";
import { SnapshotTaker } from "./snapshot-taker.ts";
import { checkVersion } from "./versions.ts";

/** What is said between members of snapshots. */
export type SnapshotMessage = SnapshotOffer | SnapshotChunk | SnapshotReport;

/** What the snapshots need of their group. */
export interface SnapshotsHooks {
  readonly group: number;
  readonly id: MemberId;
  readonly options: EngineOptions;
  readonly clock: Clock;
  readonly log: Log;
  readonly machine: MachineHost<unknown>;
  /** Of a machine on disk. */
  readonly journal: EngineJournal;
  readonly store: SnapshotStore;
  readonly observers: Observers;
  readonly calls: Calls;
  /** Unique to this start of the process. */
  readonly startNonce: number;
  clusterId(): string;
  send(to: MemberId, message: PeerMessage): boolean;
  /** Everything up to this entry came as a snapshot. */
  restored(index: number, term: number, state: EngineState): void;
  /** The group cannot go on. */
  failed(error: unknown): void;
  /** Asks for a turn. */
  wake(): void;
}

interface Parts {
  readonly core: RaftInputs;
  readonly applier: Applier;
}

/** After one that failed, the next one is not tried before so many election timeouts. */
const RETRY_TIMEOUTS = 10;

/** See the top of this file. */
export class Snapshots {
  readonly #hooks: SnapshotsHooks;
  readonly #ready: ((nowMs: number) => void)[] = [];
  readonly #running: Set<Promise<void>> = new Set();
  #parts: Parts | undefined;
  /** That of {@link #parts}, also after the end. */
  #applier: Applier | undefined;
  #taker: SnapshotTaker | undefined;
  #restoring: { readonly id: SnapshotId; readonly sinceMs: number } | undefined;
  /** The machine had no space for it: when it is asked again. */
  #restoreAtMs: number = Number.POSITIVE_INFINITY;
  /** Bytes that were applied when the newest snapshot was captured. */
  #bytesBefore = 0;
  #retryAtMs = 0;
  /** The log was let go of up to here. */
  #released = 0;
  readonly #sender: SnapshotSender;
  readonly #receiver: SnapshotReceiver;
  /** Of a machine on disk. */
  readonly #keeper: DiskKeeper | undefined;
  /** Members that need a snapshot which has to be taken first. */
  readonly #asked: SnapshotRequest[] = [];
  /** The machine is to stand still for a checkpoint. */
  #waitsForMachine = false;

  constructor(hooks: SnapshotsHooks) {
    this.#hooks = hooks;
    const { options, store, machine, journal } = hooks;
    const run = this.#run.bind(this);
    if (machine.kind === "disk") {
      const failed = (error: unknown): void => hooks.failed(error);
      const retryMs = options.electionTimeoutMs;
      const { snapshot } = options;
      this.#keeper = new DiskKeeper({ machine, journal, options: snapshot, retryMs, run, failed });
    }
    const { sendBytesPerSecond, progressTimeoutMs } = options.snapshot;
    const { electionTimeoutMs, heartbeatIntervalMs } = options;
    const shared = {
      store,
      progressTimeoutMs,
      send: (to: MemberId, message: PeerMessage): boolean => hooks.send(to, message),
      run,
    };
    this.#sender = new SnapshotSender({
      ...shared,
      nonce: hooks.startNonce,
      electionTimeoutMs,
      heartbeatIntervalMs,
      bytesPerSecond: sendBytesPerSecond,
      ended: (nowMs, peer, installed) => this.#sendingEnded(nowMs, peer, installed),
      unpinned: () => this.#prune(),
      told: (peer, { index, term, bytes }, { elapsedMs, failure }) => {
        const summary = { index, term, bytes, elapsedMs, failure };
        hooks.observers.emit({ type: "snapshot-sent", peer, ...summary });
      },
    });
    this.#receiver = new SnapshotReceiver({
      ...shared,
      followed: () => this.#followed(),
      isRestoring: () => this.isRestoring,
      install: (nowMs, from, meta) => this.#install(nowMs, from, meta),
      failed: (error) => {
        hooks.observers.emit({ type: "snapshot-failed", error: error as QuorateError });
      },
    });
  }

  /** When {@link dispatch} is needed at the latest. */
  get nextMs(): number {
    const machineMs = this.isRestoring ? this.#restoreAtMs : (this.#keeper?.nextMs ?? Infinity);
    const applierMs = this.#parts?.applier.nextMs ?? Infinity;
    return Math.min(this.#sender.nextMs, this.#receiver.nextMs, machineMs, applierMs);
  }

  /** Whether a machine on disk has no space: to apply, to be synced or to be replaced. */
  get isFull(): boolean {
    const isFull = this.#keeper?.isFull === true || this.#parts?.applier.isFull === true;
    return isFull || this.#restoreAtMs < Infinity;
  }

  /** Whether the machine is being replaced: nothing may be asked of it. */
  get isRestoring(): boolean {
    return this.#restoring !== undefined;
  }

  /** Whether queries have to wait: a machine on disk answers while it is replaced. */
  get holdsQueries(): boolean {
    return this.isRestoring && this.#hooks.machine.kind === "memory";
  }

  get status(): SnapshotStatus {
    const newest = this.#hooks.store.list[0];
    const nowMs = this.#hooks.clock.nowMs();
    const taker = this.#taker;
    const restoring = this.#restoring;
    return {
      index: newest?.index ?? 0,
      term: newest?.term ?? 0,
      bytes: newest?.bytes ?? 0,
      taking: taker && {
        index: taker.meta.index,
        bytes: taker.bytes,
        forMs: nowMs - taker.startedMs,
      },
      restoring: restoring && {
        index: restoring.id.index,
        bytes: restoring.id.bytes,
        forMs: nowMs - restoring.sinceMs,
      },
      receiving: this.#receiver.status(nowMs),
      sending: this.#sender.status(nowMs),
      damaged: this.#hooks.store.damaged,
    };
  }

  /** The group has a core. Opening has found that the machine begins with `initial`, if at all. */
  begin(parts: Parts, initial: SnapshotId | undefined): void {
    this.#parts = parts;
    this.#applier = parts.applier;
    this.#released = parts.core.status().startIndex;
    // In a turn, so that whoever opened the replica can listen by then.
    this.#inTurn(() => {
      for (const { path, reason } of this.#hooks.store.damaged) {
        this.#hooks.observers.emit({ type: "snapshot-damaged", path, reason });
      }
    });
    if (initial !== undefined) this.#restore(initial);
  }

  /** A call was made; the next turn looks at it. */
  add(_call: SnapshotCall): void {
    this.#hooks.wake();
  }

  /** What is left to be done in a turn. */
  dispatch(nowMs: number): void {
    if (this.#ready.length > 0) for (const hand of this.#ready.splice(0)) hand(nowMs);
    const parts = this.#parts;
    if (parts === undefined) return;
    this.#sender.dispatch(nowMs);
    this.#receiver.dispatch(nowMs);
    // First who waits for a snapshot that has just been taken: its transfer pins the log behind it.
    this.#serveAsked(nowMs, parts);
    this.#compact(nowMs, parts);
    this.#answerCalls();
    this.#standStill(parts, false);
    if (nowMs >= this.#restoreAtMs) this.#restore(this.#restoring!.id);
    const isWanted = this.#hooks.calls.snapshots.size > 0 || this.#asked.length > 0;
    if (this.#keeper?.isDue(parts.applier, nowMs) === true) this.#keeper.sync(parts.applier);
    if (isWanted || this.#isDue(nowMs, parts)) this.#take(nowMs, parts);
  }

  /** The core has spoken. */
  perform(nowMs: number, output: Output): void {
    for (const event of output.events) {
      if (event.type !== "role" || event.previous !== "leader") continue;
      this.#sender.stop();
      this.#asked.length = 0;
    }
    for (const request of output.snapshots) this.#request(nowMs, request);
    if (output.reset !== undefined) this.#startOver(output.reset);
  }

  /** A member says something of a transfer. */
  receive(nowMs: number, from: MemberId, message: SnapshotMessage): void {
    if (message.type === "snapshot-offer") this.#receiver.offer(nowMs, from, message);
    else if (message.type === "snapshot-chunk") this.#receiver.chunk(nowMs, from, message);
    else this.#sender.report(nowMs, from, message);
  }

  /** Commands were applied: there may be enough of them. */
  applied(nowMs: number): void {
    const parts = this.#parts;
    if (parts === undefined) return;
    const isDue = this.#keeper?.isDue(parts.applier, nowMs) ?? this.#isDue(nowMs, parts);
    if (isDue || this.#waitsForMachine) this.#hooks.wake();
  }

  /** The group has stopped: whatever is being done is given up. */
  stop(): void {
    this.#parts = undefined;
    this.#ready.length = 0;
    this.#asked.length = 0;
    this.#taker?.cancel("the replica stopped");
    this.#sender.stop();
    this.#receiver.stop();
  }

  /** Resolves when neither the machine nor a file is being worked on any more. */
  async settled(): Promise<void> {
    await this.#applier?.idle();
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }

  // ---- taking

  #isDue(nowMs: number, { applier }: Parts): boolean {
    const { automatic, logBytes, growth, entries } = this.#hooks.options.snapshot;
    if (this.#keeper !== undefined) return false;
    if (!automatic || this.#taker !== undefined || nowMs < this.#retryAtMs) return false;
    const newest = this.#hooks.store.list[0];
    if (applier.applied - (newest?.index ?? 0) < entries) return false;
    const bytes = applier.bytes - this.#bytesBefore;
    return bytes >= Math.max(logBytes, growth * (newest?.bytes ?? 0));
  }

  /** A machine that is at work is not as of `applied`: it begins nothing more until it was seen. */
  #standStill({ applier }: Parts, isWanted: boolean): void {
    this.#waitsForMachine = isWanted;
    if (isWanted) applier.hold("checkpoint");
    else applier.letGo("checkpoint");
  }

  #take(nowMs: number, parts: Parts): void {
    const { core, applier } = parts;
    const { applied } = applier;
    const known = this.#hooks.store.list[0]?.index ?? 0;
    if (this.#taker !== undefined || applier.isRestoring || applied <= known) return;
    if (applier.isBusy) {
      this.#standStill(parts, true);
      return;
    }
    const { clock, machine, store } = this.#hooks;
    this.#bytesBefore = applier.bytes;
    const meta: SnapshotMeta = {
      index: applied,
      term: applier.term,
      configuration: assertDefined(core.configurationAt(applied), "applied, and not in the log"),
      clusterId: this.#hooks.clusterId(),
      timeMs: applier.state.timeMs,
      engine: applier.state.encode(),
    };
    const taker = new SnapshotTaker(store, clock, meta);
    let source;
    try {
      source = machine.snapshot();
    } catch (cause) {
      const message = `no snapshot at ${applied}: the state machine threw: ${messageOf(cause)}`;
      this.#failed(nowMs, new QuorateError("SNAPSHOT_FAILED", message, { cause }));
      return;
    }
    this.#taker = taker;
    if (source.kind === "held") applier.hold("snapshot");
    this.#run(
      taker.take(source),
      (laterMs, id) => this.#taken(laterMs, id),
      (laterMs, error) => {
        this.#taker = undefined;
        applier.letGo("snapshot");
        this.#failed(laterMs, error as QuorateError);
      },
    );
  }

  #taken(nowMs: number, id: SnapshotId): void {
    const elapsedMs = nowMs - assertDefined(this.#taker, "nobody took it").startedMs;
    this.#taker = undefined;
    this.#parts?.applier.letGo("snapshot");
    const { index, term, bytes } = id;
    this.#hooks.observers.emit({ type: "snapshot-taken", index, term, bytes, elapsedMs });
    this.#prune();
  }

  #failed(nowMs: number, error: QuorateError): void {
    this.#retryAtMs = nowMs + RETRY_TIMEOUTS * this.#hooks.options.electionTimeoutMs;
    this.#hooks.observers.emit({ type: "snapshot-failed", error });
    for (const call of [...this.#hooks.calls.snapshots]) call.reject(error);
    for (const { peer } of this.#asked.splice(0)) this.#parts?.core.snapshotFailed(nowMs, peer);
  }

  #answerCalls(): void {
    const newest = this.#hooks.store.list[0];
    for (const call of [...this.#hooks.calls.snapshots]) {
      if (newest === undefined) {
        // Nothing was ever applied: there is nothing to keep.
        if (this.#parts?.applier.applied === 0) call.reject(nothingYet());
      } else if (newest.index >= call.index) {
        const { index, term, bytes } = newest;
        call.resolve({ index, term, bytes });
      }
    }
  }

  // ---- letting go

  /** A machine on disk needs none but what a member may yet go on from. */
  #prune(): void {
    this.#run(
      this.#hooks.store.prune(this.#keeper === undefined ? undefined : this.#released),
      () => {},
      () => {},
    );
  }

  /** What the machine no longer needs of the log: up to the older of the two snapshots. */
  get #releasable(): number {
    if (this.#keeper !== undefined) return this.#keeper.releasable;
    const older = this.#hooks.store.list[1];
    return older?.index ?? 0;
  }

  /** Lets the log go as far as nobody needs it. */
  #compact(nowMs: number, { core, applier }: Parts): void {
    const wanted = this.#releasable;
    if (wanted <= this.#released) return;
    const pinned = Math.min(this.#sender.pinnedIndex(nowMs), this.#taker?.meta.index ?? wanted);
    const index = Math.min(wanted, pinned, applier.applied, core.persistedIndex);
    if (index <= this.#released) return;
    this.#released = index;
    core.compact(nowMs, index);
    applier.state.history.forgetBelow(index + 1);
    this.#run(
      this.#hooks.log.release(this.#hooks.group, index),
      () => {},
      // The log says itself that it failed.
      () => {},
    );
    if (this.#keeper !== undefined) this.#prune();
  }

  // ---- transfers

  /** The core wants a peer to be given a snapshot. */
  #request(nowMs: number, request: SnapshotRequest): void {
    if (this.#keeper === undefined || this.#hasUseful()) this.#sender.request(nowMs, request);
    else this.#asked.push(request);
  }

  /** Whether there is one from which the log goes on. */
  #hasUseful(): boolean {
    const newest = this.#hooks.store.list[0];
    return newest !== undefined && newest.index >= this.#released;
  }

  #serveAsked(nowMs: number, { core }: Parts): void {
    if (this.#asked.length === 0 || !this.#hasUseful()) return;
    const { term } = core.status();
    for (const request of this.#asked.splice(0)) {
      if (request.term === term) this.#sender.request(nowMs, request);
    }
  }

  /** In the midst of a turn, and with its time: the clock has gone on since the turn began. */
  #sendingEnded(nowMs: number, peer: MemberId, installed: number | undefined): void {
    const core = this.#parts?.core;
    if (installed === undefined) core?.snapshotFailed(nowMs, peer);
    else core?.snapshotSent(nowMs, peer, installed);
    this.#hooks.wake();
  }

  #followed(): ReturnType<ReceiverHooks["followed"]> {
    const { leader, term, commit } = assertDefined(this.#parts, "no core").core.status();
    return { leader, term, commit };
  }

  /** A snapshot is here, whole and durable. */
  #install(nowMs: number, from: MemberId, meta: SnapshotMeta): boolean {
    const { index, term, configuration, timeMs } = meta;
    const { core } = assertDefined(this.#parts, "no core");
    if (meta.clusterId !== this.#hooks.clusterId()) {
      const id = this.#hooks.store.list.find((known) => known.index === index);
      if (id !== undefined) this.#hooks.store.discredit(id, "it is of another cluster");
      return false;
    }
    core.installSnapshot(nowMs, from, { index, term, configuration, timeMs });
    this.#prune();
    return true;
  }

  // ---- restoring

  /** The log starts anew behind a snapshot that was received. */
  #startOver(reset: SnapshotPoint): void {
    const { store } = this.#hooks;
    const id = store.list.find((known) => known.index === reset.index && known.term === reset.term);
    this.#restore(assertDefined(id, "a snapshot was taken over that is not here"));
  }

  #restore(id: SnapshotId): void {
    const { applier } = assertDefined(this.#parts, "restored without a core");
    this.#taker?.cancel("another snapshot takes its place");
    applier.hold("restore");
    this.#restoreAtMs = Infinity;
    this.#restoring = { id, sinceMs: this.#hooks.clock.nowMs() };
    this.#run(
      this.#restoreFrom(id, applier),
      (nowMs, meta) => this.#restored(nowMs, id, meta),
      (nowMs, error) => this.#notRestored(nowMs, error),
    );
  }

  #notRestored(nowMs: number, error: unknown): void {
    const { machine, options } = this.#hooks;
    if (machine.kind !== "disk" || !isNoSpace(error)) this.#hooks.failed(error);
    else this.#restoreAtMs = nowMs + options.electionTimeoutMs;
  }

  async #restoreFrom(id: SnapshotId, applier: Applier): Promise<SnapshotMeta> {
    const { store, machine } = this.#hooks;
    await applier.idle();
    await this.#keeper?.idle();
    const reader = await store.read(id);
    try {
      // Before the machine sees anything that it cannot understand.
      const state = EngineState.decode(reader.meta.engine);
      checkVersion(state.machineVersion, machine.version);
      if (machine.kind === "disk") await this.#replace(machine, reader, state);
      else await machine.restore(reader.chunks());
      return reader.meta;
    } catch (cause) {
      if (QuorateError.is(cause)) throw cause;
      const message = `the state machine could not be restored from snapshot ${id.index}`;
      throw new QuorateError("REPLICA_FAILED", `${message}: ${messageOf(cause)}`, { cause });
    } finally {
      await reader.close();
    }
  }

  /** With the machine's state goes what the engine has to find beside it. */
  async #replace(
    machine: DiskHost<unknown>,
    reader: SnapshotReader,
    state: EngineState,
  ): Promise<void> {
    const { journal } = this.#hooks;
    const { index, term } = reader.meta;
    const clusterId = this.#hooks.clusterId();
    await machine.restore(reader.chunks(), journal.begin({ index, term, clusterId, state }));
    journal.confirm();
  }

  #restored(nowMs: number, id: SnapshotId, meta: SnapshotMeta): void {
    const parts = this.#parts;
    const since = this.#restoring;
    if (parts === undefined || since === undefined) return;
    const { core, applier } = parts;
    const { index, term } = meta;
    this.#restoring = undefined;
    applier.restored(index, term, EngineState.decode(meta.engine));
    this.#bytesBefore = applier.bytes;
    this.#keeper?.restored(index, applier.bytes);
    core.applied(nowMs, index);
    this.#hooks.restored(index, term, applier.state);
    const elapsedMs = nowMs - since.sinceMs;
    const { bytes } = id;
    this.#hooks.observers.emit({ type: "snapshot-restored", index, term, bytes, elapsedMs });
  }

  // ---- inside

  /** Something that goes on between turns; its end is told inside of one. */
  #run<T>(
    task: Promise<T>,
    succeeded: (nowMs: number, value: T) => void,
    failed: (nowMs: number, error: unknown) => void,
  ): void {
    const tracked = task.then(
      (value) => {
        this.#running.delete(tracked);
        this.#inTurn((nowMs) => succeeded(nowMs, value));
      },
      (error: unknown) => {
        this.#running.delete(tracked);
        this.#inTurn((nowMs) => failed(nowMs, error));
      },
    );
    this.#running.add(tracked);
  }

  #inTurn(hand: (nowMs: number) => void): void {
    if (this.#parts === undefined) return;
    this.#ready.push(hand);
    this.#hooks.wake();
  }
}

function nothingYet(): QuorateError {
  return new QuorateError("SNAPSHOT_FAILED", "nothing was applied yet: there is no state to keep");
}
