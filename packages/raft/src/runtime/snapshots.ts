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
import { SnapshotTaker } from "./snapshot-taker.ts";
import { checkVersion } from "./versions.ts";

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
  clusterId(): string;
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

  constructor(hooks: SnapshotsHooks) {
    this.#hooks = hooks;
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
    this.#compact(nowMs, parts);
    this.#answerCalls();
    const isWanted = this.#hooks.calls.snapshots.size > 0;
    if (isWanted || this.#isDue(nowMs, parts)) this.#take(nowMs, parts);
  }

  /** The core has spoken. */
  perform(output: Output): void {
    if (output.reset !== undefined) this.#startOver(output.reset);
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
    const index = Math.min(older.index, applier.applied, core.status().persisted);
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
