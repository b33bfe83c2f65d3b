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
 * Restoring. From a snapshot that is whole, verified and durable, and never beside `apply`. Until
 * it has ended, queries wait; the core goes on, since its word rests on log and snapshot, not on
 * the machine. If the machine does not take it, the replica stops.
 *
 * Everything that changes the group happens in a turn ({@link Snapshots.dispatch}); files and
 * machine work in between.
 */
import type { MemberId } from "../core/configuration.ts";
import type { RaftInputs, SnapshotPoint } from "../core/contract.ts";
import type { Output } from "../core/output.ts";
import type { Log } from "../log/log.ts";
import type {
  PeerMessage,
  SnapshotChunk,
  SnapshotOffer,
  SnapshotReport,
} from "../transport/peer-message.ts";
import { EngineState } from "../machine/engine-state.ts";
import type { MachineHost } from "../machine/machine-host.ts";
import type { SnapshotId, SnapshotMeta, SnapshotStore } from "../snapshot/snapshot.ts";
import { assertDefined } from "../util/assert.ts";
import type { Clock } from "../util/clock.ts";
import { QuorateError, messageOf } from "../util/error.ts";
import type { Applier } from "./applier.ts";
import type { Calls, SnapshotCall } from "./calls.ts";
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
  #taker: SnapshotTaker | undefined;
  #restoring: { readonly id: SnapshotId; readonly sinceMs: number } | undefined;
  /** Bytes that were applied when the newest snapshot was captured. */
  #bytesBefore = 0;
  #retryAtMs = 0;
  /** The log was let go of up to here. */
  #released = 0;
  readonly #sender: SnapshotSender;
  readonly #receiver: SnapshotReceiver;

  constructor(hooks: SnapshotsHooks) {
    this.#hooks = hooks;
    const { options, store } = hooks;
    const { sendBytesPerSecond, progressTimeoutMs } = options.snapshot;
    const { electionTimeoutMs, heartbeatIntervalMs } = options;
    const shared = {
      store,
      progressTimeoutMs,
      send: (to: MemberId, message: PeerMessage): boolean => hooks.send(to, message),
      run: this.#run.bind(this),
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
    return Math.min(this.#sender.nextMs, this.#receiver.nextMs);
  }

  /** Whether the machine is being replaced: nothing may be asked of it. */
  get isRestoring(): boolean {
    return this.#restoring !== undefined;
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
    this.#compact(nowMs, parts);
    this.#answerCalls();
    const isWanted = this.#hooks.calls.snapshots.size > 0;
    if (isWanted || this.#isDue(nowMs, parts)) this.#take(nowMs, parts);
  }

  /** The core has spoken. */
  perform(nowMs: number, output: Output): void {
    for (const event of output.events) {
      if (event.type === "role" && event.previous === "leader") this.#sender.stop();
    }
    for (const request of output.snapshots) this.#sender.request(nowMs, request);
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
    if (this.#parts !== undefined && this.#isDue(nowMs, this.#parts)) this.#hooks.wake();
  }

  /** The group has stopped: whatever is being done is given up. */
  stop(): void {
    this.#parts = undefined;
    this.#ready.length = 0;
    this.#taker?.cancel("the replica stopped");
    this.#sender.stop();
    this.#receiver.stop();
  }

  /** Resolves when no file is being worked on any more. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }

  // ---- taking

  #isDue(nowMs: number, { applier }: Parts): boolean {
    const { automatic, logBytes, growth, entries } = this.#hooks.options.snapshot;
    if (!automatic || this.#taker !== undefined || nowMs < this.#retryAtMs) return false;
    const newest = this.#hooks.store.list[0];
    if (applier.applied - (newest?.index ?? 0) < entries) return false;
    const bytes = applier.bytes - this.#bytesBefore;
    return bytes >= Math.max(logBytes, growth * (newest?.bytes ?? 0));
  }

  #take(nowMs: number, { core, applier }: Parts): void {
    const { applied } = applier;
    const known = this.#hooks.store.list[0]?.index ?? 0;
    if (this.#taker !== undefined || applier.isRestoring || applied <= known) return;
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

  #prune(): void {
    this.#run(
      this.#hooks.store.prune(),
      () => {},
      () => {},
    );
  }

  /** Lets the log go up to the older of the two snapshots, as far as nobody needs it. */
  #compact(nowMs: number, { core, applier }: Parts): void {
    const older = this.#hooks.store.list[1];
    if (older === undefined || older.index <= this.#released) return;
    const pinned = this.#sender.pinnedIndex(nowMs);
    const index = Math.min(older.index, pinned, applier.applied, core.status().persisted);
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
  }

  // ---- transfers

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
    this.#restoring = { id, sinceMs: this.#hooks.clock.nowMs() };
    this.#run(
      this.#restoreFrom(id),
      (nowMs, meta) => this.#restored(nowMs, id, meta),
      (_nowMs, error) => this.#hooks.failed(error),
    );
  }

  async #restoreFrom(id: SnapshotId): Promise<SnapshotMeta> {
    const { store, machine } = this.#hooks;
    const reader = await store.read(id);
    try {
      // Before the machine sees anything that it cannot understand.
      checkVersion(EngineState.decode(reader.meta.engine).machineVersion, machine.version);
      await machine.restore(reader.chunks());
      return reader.meta;
    } catch (cause) {
      if (QuorateError.is(cause)) throw cause;
      const message = `the state machine could not be restored from snapshot ${id.index}`;
      throw new QuorateError("REPLICA_FAILED", `${message}: ${messageOf(cause)}`, { cause });
    } finally {
      await reader.close();
    }
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
