/**
 * Brings committed entries to the state machine, in index order, in slices.
 *
 * Entries come from the core's memory where they are still there, else from the log, one
 * stretch at a time. Only commands reach the machine, and of these only the ones that have not
 * been applied before and whose session exists (machine/sessions.ts); all other entries move the
 * index, and change at most the engine's own state. A batch is read up to the commit index known
 * when it was opened and then opened anew: behind the commit index it may yet be replaced.
 *
 * A machine that throws stops the replica; its entry is never skipped (design: on every member
 * alike). So does a version of the machine that came into force and that ours does not know, before
 * anything is applied under it.
 */
import type { RaftInputs } from "../core/contract.ts";
import { EntryCursor, EntryKind } from "../core/entry.ts";
import type { EntryBatch } from "../core/entry.ts";
import { EngineState } from "../machine/engine-state.ts";
import { decodeSessionEntry } from "../machine/session-entry.ts";
import type { SessionVerdict } from "../machine/sessions.ts";
import type { MachineHost } from "../machine/machine-host.ts";
import { assert } from "../util/assert.ts";
import { readU32 } from "../util/bytes.ts";
import type { Clock } from "../util/clock.ts";
import { QuorateError, messageOf } from "../util/error.ts";
import { checkVersion } from "./versions.ts";

const READ_BYTES = 1_048_576;
/** A single call longer than this is reported. */
const SLOW_APPLY_MS = 50;

/** One entry that has been applied; the same object for all of them. */
export interface AppliedEntry {
  index: number;
  term: number;
  kind: EntryKind;
  session: number;
  sequence: number;
  /** `duplicate` has the kept result as its value; `lost`: it was done, but its result is gone. */
  verdict: SessionVerdict | "lost";
  /** What `apply` returned; of an entry that opened a session, the id of that. */
  value: unknown;
}

/** What an applier needs of its group. */
export interface ApplierHooks {
  readonly clock: Clock;
  readonly machine: MachineHost<unknown>;
  /** Reads batches of the group's log; the answer comes through {@link Applier.loaded}. */
  load(from: number, to: number, bytesMax: number): void;
  /** An entry of a term that was not seen before is about to be applied. */
  termStarts(term: number): void;
  /** The entry is overwritten after the call. */
  applied(entry: AppliedEntry): void;
  slow(index: number, elapsedMs: number): void;
}

/** The applier of one group. */
export class Applier {
  readonly #hooks: ApplierHooks;
  readonly #core: RaftInputs;
  readonly #cursor: EntryCursor = new EntryCursor();
  readonly #entry: AppliedEntry = {
    index: 0,
    term: 0,
    kind: EntryKind.noop,
    session: 0,
    sequence: 0,
    verdict: "new",
    value: undefined,
  };
  #batch: EntryBatch | undefined;
  /** The cursor may go up to here before the batch has to be looked up again. */
  #batchUpTo = 0;
  #loaded: EntryBatch[] = [];
  #isLoading = false;
  #term = 0;
  /** Why nothing may be applied now. */
  readonly #holds: Set<"restore" | "snapshot"> = new Set();
  /** Bytes of all batches that were opened: how much log there is to apply again. */
  bytes = 0;
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

  /** The term of the last entry applied in this life, or restored. */
  get term(): number {
    return this.#term;
  }

  /** Nothing is applied until {@link letGo}. */
  hold(why: "restore" | "snapshot"): void {
    this.#holds.add(why);
  }

  letGo(why: "restore" | "snapshot"): void {
    this.#holds.delete(why);
  }

  /** Whether the machine is being replaced: it must not even be asked. */
  get isRestoring(): boolean {
    return this.#holds.has("restore");
  }

  /** The machine has become what a snapshot at this position says. */
  restored(index: number, term: number, state: EngineState): void {
    assert(this.isRestoring && index >= this.applied, () => `${index} behind ${this.applied}`);
    this.#batch = undefined;
    this.#term = term;
    this.applied = index;
    this.state = state;
    this.letGo("restore");
  }

  /** Applies until `untilMs` or until nothing more is at hand; true if it could go on at once. */
  run(untilMs: number): boolean {
    if (this.#holds.size > 0) return false;
    let nowMs = this.#hooks.clock.nowMs();
    checkVersion(this.state.machineVersion, this.#hooks.machine.version);
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
    this.#take(batch);
    this.applied = view.index;
    if (view.index >= this.#batchUpTo) this.#batch = undefined;
    this.#hooks.applied(this.#entry);
    const nowMs = this.#hooks.clock.nowMs();
    if (nowMs - startedMs > SLOW_APPLY_MS) this.#hooks.slow(view.index, nowMs - startedMs);
    return nowMs;
  }

  /** Does what the entry under the cursor asks for, and describes it in {@link #entry}. */
  #take(batch: EntryBatch): void {
    const { index, kind, session, sequence, payload } = this.#cursor.view;
    const entry = this.#entry;
    entry.index = index;
    entry.term = batch.term;
    entry.kind = kind;
    entry.session = session;
    entry.sequence = sequence;
    entry.verdict = "new";
    entry.value = undefined;
    if (kind === EntryKind.command) this.#takeCommand(batch);
    else if (kind === EntryKind.session) entry.value = this.#takeSession(payload);
    else if (kind === EntryKind.version) this.#takeVersion(payload);
  }

  #takeCommand(batch: EntryBatch): void {
    const { index, session, sequence, lowestUnanswered } = this.#cursor.view;
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

  /** The id of the session that was opened. */
  #takeSession(payload: Uint8Array): number | undefined {
    const { index, session } = this.#cursor.view;
    const asked = decodeSessionEntry(payload);
    if (asked?.type === "close") this.state.sessions.close(session);
    if (asked?.type !== "open") return undefined;
    this.state.sessions.open(index, this.state.timeMs, asked.timeoutMs);
    return index;
  }

  #takeVersion(payload: Uint8Array): void {
    if (payload.length !== 4) return;
    const version = readU32(payload, 0);
    checkVersion(version, this.#hooks.machine.version);
    // Versions only rise: an entry of a leader that knew less changes nothing.
    if (version > this.state.machineVersion) this.state.machineVersion = version;
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
    if (index === batch.firstIndex) this.bytes += batch.byteLength;
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
    // Where memory begins, the log may still hold what was truncated and is not overwritten yet.
    this.#hooks.load(index, Math.min(this.commit, this.#core.memoryIndex - 1), READ_BYTES);
    return undefined;
  }
}
