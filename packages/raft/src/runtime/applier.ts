/**
 * Brings committed entries to the state machine, in index order, in slices.
 *
 * Entries come from the core's memory where they are still there, else from the log, one
 * stretch at a time. Only commands reach the machine; no-op and configuration entries
 * move the index. A batch is read up to the commit index known when it was opened and then opened
 * anew: behind the commit index it may yet be replaced.
 *
 * A machine that throws stops the replica; its entry is never skipped (design: on every member
 * alike).
 */
import type { RaftInputs } from "../core/contract.ts";
import { EntryCursor, EntryKind } from "../core/entry.ts";
import type { EntryBatch } from "../core/entry.ts";
import { EngineState } from "../machine/engine-state.ts";
import type { MachineHost } from "../machine/machine-host.ts";
import { assert } from "../util/assert.ts";
import type { Clock } from "../util/clock.ts";
import { QuorateError, messageOf } from "../util/error.ts";

const READ_BYTES = 1_048_576;
/** A single call longer than this is reported. */
const SLOW_APPLY_MS = 50;

/** What an applier needs of its group. */
export interface ApplierHooks {
  readonly clock: Clock;
  readonly machine: MachineHost<unknown>;
  /** Reads batches of the group's log; the answer comes through {@link Applier.loaded}. */
  load(from: number, to: number, bytesMax: number): void;
  /** An entry of a term that was not seen before is about to be applied. */
  termStarts(term: number): void;
  applied(index: number, term: number, value: unknown): void;
  slow(index: number, elapsedMs: number): void;
}

/** The applier of one group. */
export class Applier {
  readonly #hooks: ApplierHooks;
  readonly #core: RaftInputs;
  readonly #cursor: EntryCursor = new EntryCursor();
  #batch: EntryBatch | undefined;
  /** The cursor may go up to here before the batch has to be looked up again. */
  #batchUpTo = 0;
  #loaded: EntryBatch[] = [];
  #isLoading = false;
  #term = 0;
  /** The engine's own replicated state, as of {@link applied}. */
  state: EngineState = new EngineState();
  applied: number;
  commit: number;

  constructor(core: RaftInputs, startIndex: number, hooks: ApplierHooks) {
    this.#core = core;
    this.#hooks = hooks;
    this.applied = startIndex;
    this.commit = startIndex;
  }

  /** Applies until `untilMs` or until nothing more is at hand; true if it could go on at once. */
  run(untilMs: number): boolean {
    let nowMs = this.#hooks.clock.nowMs();
    while (this.applied < this.commit) {
      if (nowMs >= untilMs) return true;
      if (this.#batch === undefined && !this.#open()) return false;
      nowMs = this.#applyNext(nowMs);
    }
    return false;
  }

  /** Applies nothing more, not even in the run that is going on. */
  halt(): void {
    this.commit = 0;
  }

  /** What was asked of the log has come. */
  loaded(batches: EntryBatch[]): void {
    this.#isLoading = false;
    this.#loaded = batches;
  }

  /** Applies one entry and returns the time after it. */
  #applyNext(startedMs: number): number {
    const { view } = this.#cursor;
    const batch = this.#batch!;
    assert(this.#cursor.next(), "the batch ends before its last index");
    assert(view.index === this.applied + 1, () => `${view.index} follows ${this.applied}`);
    if (batch.term !== this.#term) {
      this.#hooks.termStarts(batch.term);
      this.#term = batch.term;
    }
    this.state.timeMs = batch.timeMs;
    const value = view.kind === EntryKind.command ? this.#call(batch) : undefined;
    this.applied = view.index;
    if (view.index >= this.#batchUpTo) this.#batch = undefined;
    this.#hooks.applied(view.index, batch.term, value);
    const nowMs = this.#hooks.clock.nowMs();
    if (nowMs - startedMs > SLOW_APPLY_MS) this.#hooks.slow(view.index, nowMs - startedMs);
    return nowMs;
  }

  #call(batch: EntryBatch): unknown {
    const { index, payload } = this.#cursor.view;
    const { machineVersion: version } = this.state;
    const at = { index, term: batch.term, timeMs: batch.timeMs, version };
    try {
      return this.#hooks.machine.apply(payload, at);
    } catch (cause) {
      throw new QuorateError(
        "REPLICA_FAILED",
        `the state machine threw while applying entry ${index}: ${messageOf(cause)}; ` +
          `the entry is not skipped: correct the machine and start again`,
        { cause },
      );
    }
  }

  /** Opens the batch that holds the next entry; false if the log has to be read first. */
  #open(): boolean {
    const index = this.applied + 1;
    const batch = this.#core.batchAt(index) ?? this.#fromLog(index);
    if (batch === undefined) return false;
    this.#batch = batch;
    this.#batchUpTo = Math.min(batch.lastIndex, this.commit);
    this.#cursor.reset(batch, index);
    return true;
  }

  #fromLog(index: number): EntryBatch | undefined {
    if (this.#isLoading) return undefined;
    while (this.#loaded.length > 0) {
      const batch = this.#loaded.shift()!;
      if (batch.firstIndex <= index && index <= batch.lastIndex) return batch;
    }
    this.#isLoading = true;
    this.#hooks.load(index, this.commit, READ_BYTES);
    return undefined;
  }
}
