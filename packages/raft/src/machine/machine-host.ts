/**
 * The one way in which the engine reaches a state machine: commands cross as bytes, results as
 * values. An implementation may keep the machine in this thread or, later, in another.
 *
 * Contract: `apply` is called for committed commands in index order, each once per run of the
 * process; what it throws is the machine's own failure and stops the replica. `query` is called
 * between applies and may return a promise; what it throws or rejects with goes to the caller of
 * the query.
 */
import type { Applied } from "./state-machine.ts";

/** Where the machine lives, seen from the engine. */
export interface MachineHost<Query> {
  /** The highest version of itself that the machine knows. */
  readonly version: number;
  /** Applies one command; `payload` is a view that changes after the call. */
  apply(payload: Uint8Array, at: Applied): unknown;
  query(query: Query): unknown;
}
