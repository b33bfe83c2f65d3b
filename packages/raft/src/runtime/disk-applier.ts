/**
 * Brings commands to a machine on disk: many at a time, in one transaction, and with them what the
 * engine has to remember of them (machine/engine-journal.ts).
 *
 *   gather ──▶ machine.apply(batch) ──at once, or by a promise──▶ judge one by one ──▶ tell
 *
 * Gathering changes nothing: what sessions will say is foreseen (machine/foreseen.ts). When the
 * transaction is done each entry is taken as on every other member, one by one, and must come to
 * what was foreseen; only then is it applied, as far as anybody can see. So if the process dies in
 * between, machine and engine agree all the same: both are in the transaction, or neither.
 *
 * A machine gets an entry only once this member's own log has it durable: committed is what a
 * majority has, and this member may not be of it yet. Otherwise it could come back with a machine
 * that is ahead of its log.
 *
 * A machine without space gets the same batch again after a while: by its promise
 * (machine/no-space.ts) nothing of it is there. Until then the member is read-only.
 *
 * Batches without a command for the machine are no transaction of their own; what they did goes
 * with the next one. Until then the machine's records are behind `applied`, and what they lack is
 * in the log.
 *
 * No promise, closure or object is made per entry but the one that the machine is handed.
 */
import type { RaftInputs } from "../core/contract.ts";
import { EntryKind } from "../core/entry.ts";
import type { EntryBatch } from "../core/entry.ts";
import type { DiskBatch, DiskEntry, EngineRecord } from "../machine/disk-machine.ts";
import type { EngineJournal, PlannedEntry } from "../machine/engine-journal.ts";
import { EngineState } from "../machine/engine-state.ts";
import { Foreseen } from "../machine/foreseen.ts";
import type { DiskHost } from "../machine/machine-host.ts";
import { isNoSpace } from "../machine/no-space.ts";
import type { SessionVerdict } from "../machine/sessions.ts";
import { assert } from "../util/assert.ts";
import { readU32 } from "../util/bytes.ts";
import { QuorateError } from "../util/error.ts";
import { applyFailed, blankEntry, SLOW_APPLY_MS } from "./applier.ts";
import type { AppliedEntry, Applier, ApplierHooks, Hold } from "./applier.ts";
import { EntrySource } from "./entry-source.ts";
import { LIMITS } from "./limits.ts";
import { checkVersion } from "./versions.ts";

/** What this applier needs of its group. */
export interface DiskApplierHooks extends ApplierHooks {
  readonly machine: DiskHost<unknown>;
  readonly journal: EngineJournal;
  /** After so long a machine that had no space is asked again. */
  readonly retryMs: number;
  clusterId(): string;
  /** Asks for a turn: the machine has finished. */
  wake(): void;
}

/** What came of a transaction. */
type Outcome = { readonly results: readonly unknown[] } | { readonly error: unknown };

const NO_BYTES = new Uint8Array(0);
const { diskBatchEntriesMax: ENTRIES_MAX, diskBatchEntriesMin: ENTRIES_MIN } = LIMITS;
/** Steps of entries without a command are stored at the latest when they are so many. */
const PENDING_BYTES_MAX = 65_536;

/** The applier of a machine on disk. */
export class DiskApplier implements Applier {
  readonly #hooks: DiskApplierHooks;
  readonly #core: RaftInputs;
  readonly #source: EntrySource;
  readonly #entry: AppliedEntry = blankEntry(EntryKind.noop);
  readonly #holds: Set<Hold> = new Set();
  readonly #foreseen: Foreseen = new Foreseen();
  /** The batch under way; objects behind its count are leftovers that are used again. */
  readonly #planned: PlannedEntry[] = [];
  #count = 0;
  #commands: DiskEntry<unknown>[] = [];
  /** The machine has asked for the records of the batch under way. */
  #isRecorded = false;
  #running: Promise<void> | undefined;
  #outcome: Outcome | undefined;
  #isHalted = false;
  /** So many entries fit into a slice, as far as the machine's last answers tell. */
  #entriesMax: number = ENTRIES_MAX;
  #term = 0;
  /** Bytes that the source had opened before the batch under way. */
  #bytesBefore = 0;
  #retryAtMs: number = Number.POSITIVE_INFINITY;
  isFull = false;
  state: EngineState = new EngineState();
  applied: number;
  commit: number;

  constructor(core: RaftInputs, startIndex: number, hooks: DiskApplierHooks) {
    this.#hooks = hooks;
    this.#core = core;
    this.#source = new EntrySource(core, hooks);
    const { index, term, state } = hooks.journal.opened;
    // Behind the start of the log it is only where a snapshot takes its place.
    this.applied = Math.max(startIndex, index);
    this.commit = this.applied;
    if (index < startIndex) return;
    this.#term = term;
    this.state = state;
  }

  get bytes(): number {
    return this.#source.bytes;
  }

  get term(): number {
    return this.#term;
  }

  get nextMs(): number {
    return this.#holds.size > 0 ? Number.POSITIVE_INFINITY : this.#retryAtMs;
  }

  get isBusy(): boolean {
    return this.#running !== undefined || this.#outcome !== undefined;
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
    assert(this.#running === undefined, "restored beside a transaction");
    this.#outcome = undefined;
    this.#clear();
    this.#source.reset();
    this.#term = term;
    this.applied = index;
    this.state = state;
    this.#hasSpace();
    this.letGo("restore");
  }

  run(untilMs: number): boolean {
    if (this.#isHalted || this.#running !== undefined) return false;
    const { clock, machine } = this.#hooks;
    if (this.#outcome !== undefined) this.#takeOutcome();
    if (this.#holds.size > 0) return false;
    if (this.isFull && clock.nowMs() < this.#retryAtMs) return false;
    this.#retryAtMs = Number.POSITIVE_INFINITY;
    checkVersion(this.state.machineVersion, machine.version);
    for (;;) {
      const nowMs = clock.nowMs();
      const isLate = nowMs >= untilMs;
      const upTo = Math.min(this.commit, this.#core.persistedIndex);
      if (this.applied >= upTo) return false;
      if (isLate) return true;
      if (!this.#gather(upTo)) return false;
      this.#begin(nowMs);
      if (this.isBusy || this.isFull) return false;
    }
  }

  halt(): void {
    this.#isHalted = true;
    this.commit = 0;
  }

  loaded(batches: EntryBatch[]): void {
    this.#source.loaded(batches);
  }

  async idle(): Promise<void> {
    await this.#running;
  }

  // ---- gathering

  /** Plans the next batch; false where not one entry is at hand. */
  #gather(upTo: number): boolean {
    this.#foreseen.clear();
    this.#bytesBefore = this.#source.bytes;
    let bytes = 0;
    while (this.#count < this.#entriesMax && bytes < LIMITS.diskBatchBytesMax) {
      const index = this.applied + this.#count + 1;
      if (index > upTo || !this.#source.seek(index, upTo, this.#count === 0)) break;
      const { kind, payload } = this.#source.view;
      const verdict = kind === EntryKind.command ? this.#foresee() : "new";
      if (verdict === undefined) break;
      this.#plan(verdict);
      bytes += payload.length;
      // What comes behind depends on it in ways that are not foreseen.
      if (kind === EntryKind.session || kind === EntryKind.version) break;
    }
    return this.#count > 0;
  }

  #foresee(): SessionVerdict | undefined {
    const { session, sequence, lowestUnanswered } = this.#source.view;
    if (session === 0) return "new";
    const { timeMs } = this.#source.batch;
    const { sessions } = this.state;
    return this.#foreseen.verdict(sessions, session, sequence, lowestUnanswered, timeMs);
  }

  #plan(verdict: SessionVerdict): void {
    const { index, kind, session, sequence, lowestUnanswered, payload } = this.#source.view;
    const { term, timeMs } = this.#source.batch;
    const isCommand = kind === EntryKind.command;
    const planned = (this.#planned[this.#count++] ??= blankPlan());
    planned.index = index;
    planned.term = term;
    planned.timeMs = timeMs;
    planned.kind = kind;
    planned.session = session;
    planned.sequence = sequence;
    planned.lowestUnanswered = lowestUnanswered;
    planned.verdict = verdict;
    planned.payload = isCommand ? NO_BYTES : payload;
    planned.place = -1;
    if (!isCommand || verdict !== "new") return;
    planned.place = this.#commands.length;
    const { machineVersion: version } = this.state;
    this.#commands.push({ index, term, timeMs, version, command: this.#decode(index, payload) });
  }

  #decode(index: number, payload: Uint8Array): unknown {
    try {
      return this.#hooks.machine.decode(payload);
    } catch (cause) {
      throw applyFailed(index, cause);
    }
  }

  // ---- the transaction

  #begin(startedMs: number): void {
    const { journal, machine } = this.#hooks;
    if (this.#commands.length === 0 && journal.pendingBytes < PENDING_BYTES_MAX) {
      journal.skip(this.#planned, this.#count);
      this.#complete([]);
      return;
    }
    this.#isRecorded = false;
    const batch: DiskBatch<unknown> = {
      entries: this.#commands,
      records: (results) => this.#records(results),
    };
    let answer;
    try {
      answer = machine.apply(batch);
    } catch (cause) {
      this.#failed(cause);
      return;
    }
    if (isPromise(answer)) this.#await(answer);
    else {
      this.#measure(startedMs);
      this.#store(answer);
    }
  }

  #records(results: readonly unknown[]): readonly EngineRecord[] {
    assert(!this.#isRecorded, "the records of a batch were asked for twice");
    this.#checkResults(results);
    this.#isRecorded = true;
    const clusterId = this.#hooks.clusterId();
    const { applied: index, state } = this;
    const at = { index, term: this.#term, state, clusterId };
    return this.#hooks.journal.stage(at, this.#planned, this.#count, results);
  }

  #await(answer: Promise<readonly unknown[]>): void {
    this.#running = this.#follow(answer);
  }

  async #follow(answer: Promise<readonly unknown[]>): Promise<void> {
    let outcome: Outcome;
    try {
      outcome = { results: await answer };
    } catch (error) {
      outcome = { error };
    }
    this.#running = undefined;
    this.#outcome = outcome;
    if (!this.#isHalted) this.#hooks.wake();
  }

  #takeOutcome(): void {
    const outcome = this.#outcome!;
    this.#outcome = undefined;
    if ("error" in outcome) this.#failed(outcome.error);
    else this.#store(outcome.results);
  }

  #store(results: readonly unknown[]): void {
    this.#checkResults(results);
    if (!this.#isRecorded) {
      throw this.#failure(new TypeError("apply did not ask for the records of its batch"));
    }
    this.#hooks.journal.confirm();
    this.#hasSpace();
    this.#complete(results);
  }

  /** For want of space it is gathered anew later; everything else ends the replica. */
  #failed(cause: unknown): void {
    if (!isNoSpace(cause)) throw this.#failure(cause);
    const { journal, clock, retryMs } = this.#hooks;
    journal.abandon();
    this.#clear();
    this.#source.reset();
    this.#source.bytes = this.#bytesBefore;
    this.isFull = true;
    this.#retryAtMs = clock.nowMs() + retryMs;
  }

  #hasSpace(): void {
    this.isFull = false;
    this.#retryAtMs = Number.POSITIVE_INFINITY;
  }

  /** How long the machine held the loop up, and so how many entries it gets next time. */
  #measure(startedMs: number): void {
    const elapsedMs = this.#hooks.clock.nowMs() - startedMs;
    if (elapsedMs > SLOW_APPLY_MS) this.#hooks.slow(this.applied + this.#count, elapsedMs);
    if (elapsedMs > LIMITS.applySliceMs) {
      const fitting = Math.floor((this.#count * LIMITS.applySliceMs) / elapsedMs);
      this.#entriesMax = Math.max(ENTRIES_MIN, Math.min(this.#entriesMax, fitting));
    } else if (this.#count === this.#entriesMax && elapsedMs < LIMITS.applySliceMs / 3) {
      this.#entriesMax = Math.min(2 * this.#entriesMax, ENTRIES_MAX);
    }
  }

  #checkResults(results: readonly unknown[]): void {
    const wanted = this.#commands.length;
    if (Array.isArray(results) && results.length === wanted) return;
    throw this.#failure(new TypeError(`apply has to give a list of ${wanted} results`));
  }

  #failure(cause: unknown): QuorateError {
    if (QuorateError.is(cause)) return cause;
    return applyFailed(this.#commands[0]?.index ?? this.applied + 1, cause);
  }

  // ---- afterwards

  /** The transaction is done: its entries are taken one by one. */
  #complete(results: readonly unknown[]): void {
    const count = this.#count;
    for (let i = 0; i < count && !this.#isHalted; i++) this.#take(this.#planned[i]!, results);
    this.#clear();
  }

  #clear(): void {
    this.#count = 0;
    // A new list: the machine may have kept the one it was handed.
    this.#commands = [];
  }

  #take(planned: PlannedEntry, results: readonly unknown[]): void {
    const { index, term, kind, session } = planned;
    if (term !== this.#term) {
      this.#hooks.termStarts(term);
      this.#term = term;
    }
    this.state.timeMs = planned.timeMs;
    const entry = this.#entry;
    entry.index = index;
    entry.term = term;
    entry.kind = kind;
    entry.session = session;
    entry.sequence = planned.sequence;
    entry.verdict = "new";
    entry.value = undefined;
    if (kind === EntryKind.command) this.#takeCommand(planned, results);
    else if (kind === EntryKind.session) {
      entry.value = this.state.takeSession(index, session, planned.payload);
    } else if (kind === EntryKind.version) this.#takeVersion(planned.payload);
    planned.payload = NO_BYTES;
    this.applied = index;
    this.#hooks.applied(entry);
  }

  #takeCommand(planned: PlannedEntry, results: readonly unknown[]): void {
    const { index, session, sequence, lowestUnanswered, timeMs, place } = planned;
    const entry = this.#entry;
    if (place >= 0) entry.value = results[place];
    if (session === 0) return;
    const { sessions, history } = this.state;
    const verdict = sessions.judge(session, sequence, lowestUnanswered, timeMs);
    assert(
      verdict === planned.verdict,
      () => `entry ${index} was foreseen as ${planned.verdict}, and is ${verdict}`,
    );
    if (verdict === "new") {
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
}

function blankPlan(): PlannedEntry {
  return {
    index: 0,
    term: 0,
    timeMs: 0,
    kind: EntryKind.noop,
    session: 0,
    sequence: 0,
    lowestUnanswered: 0,
    verdict: "new",
    payload: NO_BYTES,
    place: -1,
  };
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as Partial<Promise<T>>).then === "function";
}
