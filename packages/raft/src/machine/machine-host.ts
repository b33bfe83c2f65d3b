/**
 * The one way in which the engine reaches a state machine: commands cross as bytes, results as
 * values. An implementation may keep the machine in this thread or, later, in another.
 *
 * There are two kinds of machines. One lives in memory and begins anew with every process, from a
 * snapshot and the log; one owns storage and remembers what it has applied.
 *
 * Contract: commands are applied in index order, each once per run of the process; what `apply`
 * throws is the machine's own failure and stops the replica. `query` is called between applies and
 * may return a promise; what it throws or rejects with goes to the caller of the query. `snapshot`
 * is called between applies, too; what it throws, or its pieces do, ends that snapshot alone.
 * `restore` replaces everything that was applied; nothing is applied until it has ended, and if it
 * rejects, the replica stops. A machine in memory is not asked meanwhile either.
 */
import type { DiskBatch, EngineRecord } from "./disk-machine.ts";
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

/** What both kinds have in common. */
interface AnyHost<Query> {
  /** The highest version of itself that the machine knows. */
  readonly version: number;
  query(query: Query): unknown;
  /** Begins a snapshot of what is applied now. */
  snapshot(): MachineSnapshot;
}

/** Where a machine in memory lives, seen from the engine. */
export interface MemoryHost<Query> extends AnyHost<Query> {
  readonly kind: "memory";
  /** Applies one command; `payload` is a view that changes after the call. */
  apply(payload: Uint8Array, at: Applied): unknown;
  /** Becomes what a snapshot says, which is whole, verified and durable. */
  restore(chunks: AsyncIterable<Uint8Array>): Promise<void>;
}

/** Where a machine on disk lives, seen from the engine. */
export interface DiskHost<Query> extends AnyHost<Query> {
  readonly kind: "disk";
  /** It has no space for what it was given, and holds that in memory. */
  readonly isFull: boolean;
  /** Opens the machine and gives what it keeps for the engine. */
  open(): Promise<readonly EngineRecord[]>;
  /** The command in these bytes, which stay as they are until it was applied. */
  decode(payload: Uint8Array): unknown;
  /** Applies commands and stores the records in one transaction. */
  apply(batch: DiskBatch<unknown>): readonly unknown[] | Promise<readonly unknown[]>;
  sync(): Promise<void>;
  restore(chunks: AsyncIterable<Uint8Array>, records: readonly EngineRecord[]): Promise<void>;
  close(): Promise<void>;
}

/** Where the machine lives, seen from the engine. */
export type MachineHost<Query> = MemoryHost<Query> | DiskHost<Query>;
