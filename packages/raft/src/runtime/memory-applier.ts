/**
 * Brings commands to a machine in memory, one after the other, in slices.
 */
import type { RaftInputs } from "../core/contract.ts";
import { EntryKind } from "../core/entry.ts";
import type { EntryBatch } from "../core/entry.ts";
import { EngineState } from "../machine/engine-state.ts";
import type { MemoryHost } from "../machine/machine-host.ts";
import { assert } from "../util/assert.ts";
import { readU32 } from "../util/bytes.ts";
import { applyFailed, blankEntry, SLOW_APPLY_MS } from "./applier.ts";
import type { AppliedEntry, Applier, ApplierHooks, Hold } from "./applier.ts";
import { EntrySource } from "./entry-source.ts";
import { checkVersion } from "./versions.ts";

/** What this applier needs of its group. */
export interface MemoryApplierHooks extends ApplierHooks {
  readonly machine: MemoryHost<unknown>;
}

/** The applier of a machine in memory. */
export class MemoryApplier implements Applier {
  readonly isBusy = false;
  readonly isFull = false;
  readonly nextMs: number = Number.POSITIVE_INFINITY;
  readonly #hooks: MemoryApplierHooks;
  readonly #source: EntrySource;
  readonly #entry: AppliedEntry = blankEntry(EntryKind.noop);
  readonly #holds: Set<Hold> = new Set();
  #term = 0;
  state: EngineState = new EngineState();
  applied: number;
  commit: number;

  constructor(core: RaftInputs, startIndex: number, hooks: MemoryApplierHooks) {
    this.#hooks = hooks;
    this.#source = new EntrySource(core, hooks);
    this.applied = startIndex;
    this.commit = startIndex;
  }

  get bytes(): number {
    return this.#source.bytes;
  }

  get term(): number {
    return this.#term;
  }

  hold(why: Hold): void {
    this.#holds.add(why);
  }

  letGo(why: Hold): void {
    this.#holds.delete(why);
  }

  get isRestoring(): boolean {
    return this.#holds.has("restore");
  }

  restored(index: number, term: number, state: EngineState): void {
    assert(this.isRestoring && index >= this.applied, () => `${index} behind ${this.applied}`);
    this.#source.reset();
    this.#term = term;
    this.applied = index;
    this.state = state;
    this.letGo("restore");
  }

  run(untilMs: number): boolean {
    if (this.#holds.size > 0) return false;
    let nowMs = this.#hooks.clock.nowMs();
    checkVersion(this.state.machineVersion, this.#hooks.machine.version);
    while (this.applied < this.commit) {
      if (nowMs >= untilMs) return true;
      if (!this.#source.seek(this.applied + 1, this.commit)) return false;
      nowMs = this.#applyNext(nowMs);
    }
    return false;
  }

  halt(): void {
    this.commit = 0;
  }

  loaded(batches: EntryBatch[]): void {
    this.#source.loaded(batches);
  }

  async idle(): Promise<void> {}

  /** Applies one entry and returns the time after it. */
  #applyNext(startedMs: number): number {
    const { batch } = this.#source;
    const { index } = this.#source.view;
    if (batch.term !== this.#term) {
      this.#hooks.termStarts(batch.term);
      this.#term = batch.term;
    }
    this.state.timeMs = batch.timeMs;
    this.#take(batch);
    this.applied = index;
    this.#hooks.applied(this.#entry);
    const nowMs = this.#hooks.clock.nowMs();
    if (nowMs - startedMs > SLOW_APPLY_MS) this.#hooks.slow(index, nowMs - startedMs);
    return nowMs;
  }

  /** Does what the entry under the cursor asks for, and describes it in {@link #entry}. */
  #take(batch: EntryBatch): void {
    const { index, kind, session, sequence, payload } = this.#source.view;
    const entry = this.#entry;
    entry.index = index;
    entry.term = batch.term;
    entry.kind = kind;
    entry.session = session;
    entry.sequence = sequence;
    entry.verdict = "new";
    entry.value = undefined;
    if (kind === EntryKind.command) this.#takeCommand(batch);
    else if (kind === EntryKind.session) {
      entry.value = this.state.takeSession(index, session, payload);
    } else if (kind === EntryKind.version) this.#takeVersion(payload);
  }

  #takeCommand(batch: EntryBatch): void {
    const { index, session, sequence, lowestUnanswered } = this.#source.view;
    const { sessions, history } = this.state;
    const entry = this.#entry;
    // Who has no session asks for no protection.
    if (session === 0) {
      entry.value = this.#call(batch);
      return;
    }
    const verdict = sessions.judge(session, sequence, lowestUnanswered, batch.timeMs);
    if (verdict === "new") {
      entry.value = this.#call(batch);
      sessions.keep(sequence, entry.value);
      return;
    }
    history.ineffective(index);
    entry.verdict = verdict === "duplicate" && sessions.isLost ? "lost" : verdict;
    if (entry.verdict === "duplicate") entry.value = sessions.result;
  }

  #takeVersion(payload: Uint8Array): void {
    if (payload.length !== 4) return;
    const version = readU32(payload, 0);
    checkVersion(version, this.#hooks.machine.version);
    this.state.raiseVersion(version);
  }

  #call(batch: EntryBatch): unknown {
    const { index, payload } = this.#source.view;
    const { machineVersion: version } = this.state;
    const at = { index, term: batch.term, timeMs: batch.timeMs, version };
    try {
      return this.#hooks.machine.apply(payload, at);
    } catch (cause) {
      throw applyFailed(index, cause);
    }
  }
}
