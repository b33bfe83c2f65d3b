/**
 * The one way in which the engine reaches a state machine: commands cross as bytes, results as
 * values. An implementation may keep the machine in this thread or, later, in another.
 *
 * Contract: `apply` is called for committed commands in index order, each once per run of the
 * process; what it throws is the machine's own failure and stops the replica. `query` is called
 * between applies and may return a promise; what it throws or rejects with goes to the caller of
 * the query. `snapshot` is called between applies, too; what it throws, or its pieces do, ends that
 * snapshot alone. `restore` replaces everything that was applied; nothing else is called until it
 * has ended, and if it rejects, the replica stops.
 */
import type { Applied } from "./state-machine.ts";

/** The state of a machine at one index, as bytes that come. */
export type MachineSnapshot =
  /** All of it is here. */
  | { readonly kind: "whole"; readonly bytes: Uint8Array }
  /** Nothing may be applied before the last piece was taken. */
  | { readonly kind: "held"; readonly pieces: Iterator<unknown, unknown, undefined> }
  /** A point in time: commands are applied while it is read. `first` has been asked for already. */
  | {
      readonly kind: "live";
      readonly first: Promise<IteratorResult<unknown, unknown>>;
      readonly pieces: AsyncIterator<unknown, unknown, undefined>;
    };

/** Where the machine lives, seen from the engine. */
export interface MachineHost<Query> {
  /** The highest version of itself that the machine knows. */
  readonly version: number;
  /** Applies one command; `payload` is a view that changes after the call. */
  apply(payload: Uint8Array, at: Applied): unknown;
  query(query: Query): unknown;
  /** Begins a snapshot of what is applied now. */
  snapshot(): MachineSnapshot;
  /** Becomes what a snapshot says, which is whole, verified and durable. */
  restore(chunks: AsyncIterable<Uint8Array>): Promise<void>;
}
