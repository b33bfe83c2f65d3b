/**
 * What brings committed entries to the state machine, in index order: the contract of both ways to
 * do so. A machine in memory takes one command at a time (memory-applier.ts), one on disk many in
 * one transaction (disk-applier.ts).
 *
 * Only commands reach the machine, and of these only the ones that have not been applied before and
 * whose session exists (machine/sessions.ts); all other entries move the index, and change at most
 * the engine's own state.
 *
 * A machine that throws stops the replica; its entry is never skipped (design: on every member
 * alike). So does a version of the machine that came into force and that ours does not know, before
 * anything is applied under it.
 */
import type { EntryBatch, EntryKind } from "../core/entry.ts";
import type { EngineState } from "../machine/engine-state.ts";
import type { SessionVerdict } from "../machine/sessions.ts";
import type { Clock } from "../util/clock.ts";
import { QuorateError, messageOf } from "../util/error.ts";
import type { EntrySourceHooks } from "./entry-source.ts";

/** A single call longer than this is reported. */
export const SLOW_APPLY_MS = 50;

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

/** What an applier needs of its group, whatever its machine is. */
export interface ApplierHooks extends EntrySourceHooks {
  readonly clock: Clock;
  /** An entry of a term that was not seen before is about to be applied. */
  termStarts(term: number): void;
  /** The entry is overwritten after the call. */
  applied(entry: AppliedEntry): void;
  slow(index: number, elapsedMs: number): void;
}

/** Why nothing may be applied now; `checkpoint`: the machine is to stand still for a moment. */
export type Hold = "restore" | "snapshot" | "checkpoint";

/** The applier of one group. */
export interface Applier {
  readonly applied: number;
  /** Entries up to here are committed. */
  commit: number;
  /** The term of the last entry applied in this life, or restored. */
  readonly term: number;
  /** Bytes of all batches that were opened: how much log there is to apply again. */
  readonly bytes: number;
  /** The engine's own replicated state, as of {@link applied}. */
  readonly state: EngineState;
  /** Whether the machine has no space; what it could not take is tried again at {@link nextMs}. */
  readonly isFull: boolean;
  /** When {@link run} is needed at the latest, for that. */
  readonly nextMs: number;
  /** Whether the machine is being replaced. */
  readonly isRestoring: boolean;
  /** Whether the machine is at work between two turns: only then it is not as of `applied`. */
  readonly isBusy: boolean;
  /** Nothing more is begun until {@link letGo}. */
  hold(why: Hold): void;
  letGo(why: Hold): void;
  /** The machine has become what a snapshot at this position says. */
  restored(index: number, term: number, state: EngineState): void;
  /** Applies until `untilMs` or until nothing more is at hand; true if it could go on at once. */
  run(untilMs: number): boolean;
  /** Applies nothing more, not even in the run that is going on. */
  halt(): void;
  /** What was asked of the log has come. */
  loaded(batches: EntryBatch[]): void;
  /** Resolves when the machine is not at work any more. */
  idle(): Promise<void>;
}

/** A fresh description of an entry. */
export function blankEntry(kind: EntryKind): AppliedEntry {
  return { index: 0, term: 0, kind, session: 0, sequence: 0, verdict: "new", value: undefined };
}

/** What a group ends with whose machine does not apply. */
export function applyFailed(index: number, cause: unknown): QuorateError {
  return new QuorateError(
    "REPLICA_FAILED",
    `the state machine threw while applying entry ${index}: ${messageOf(cause)}; ` +
      `the entry is not skipped: correct the machine and start again`,
    { cause },
  );
}
