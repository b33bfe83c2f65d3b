/**
 * What a user writes whose state is larger than memory, or who does not want to live through the
 * log at each start: a machine that owns its storage.
 *
 * Who has an ordered store with transactions need not write all of this: `quorate/store` has it,
 * and `quorate/lmdb` a store on disk.
 */
import type { Applied, ResultOf, StateMachine } from "./state-machine.ts";

/** One command of a batch, with its place. */
export interface DiskEntry<Command> extends Applied {
  readonly command: Command;
}

/** What the engine keeps with a machine: a pair that it alone understands. */
export interface EngineRecord {
  /** Up to 32 of `a-z 0-9 / -`. */
  readonly key: string;
  /** A later record of the same key takes its place. */
  readonly value: Uint8Array;
}

/** Commands that are applied together, in this order. */
export interface DiskBatch<Command> {
  readonly entries: readonly DiskEntry<Command>[];
  /**
   * What has to be stored with the effects, in the same transaction. Called once, when all results
   * are known and before the transaction is committed; there are records even where there are no
   * entries.
   */
  records(results: readonly unknown[]): readonly EngineRecord[];
}

/** A machine's state at one moment, which stays readable while commands are applied. */
export interface Checkpoint {
  /** All of the state but the engine's records. Called once at most. */
  stream(): AsyncIterable<Uint8Array>;
  /** Called once, when nobody reads any more; also where {@link stream} was never called. */
  release(): void;
}

/**
 * A state machine that lives on disk and survives restarts without living through the log again.
 *
 * What makes writes happen once across a crash: the effects of a batch and the engine's records of
 * it (how far the log is applied, cluster time, sessions with their kept results) are stored in
 * *one* transaction. After a crash the machine may be anywhere in its past, as far as the last
 * `sync` at least, but always at the end of some batch, and with the records of that batch. What
 * comes after is applied again from the log, which is kept that long.
 *
 * `apply`, `checkpoint`, `sync`, `restore` and `close` are never called while an `apply` or a
 * `restore` is under way, with one exception: `sync` runs beside `apply`. `query` is called at any
 * time between `open` and `close`, also while a batch is applied or the machine is restored; then
 * it answers from before or after, never from between.
 *
 * `apply` must be deterministic, as that of a `StateMachine`. What it throws or rejects with stops
 * the replica; so does a failed `sync` or `restore`. There is one exception: an error that says
 * that there is no space, by its `code` or by that of its `cause` (`ENOSPC`, `EDQUOT`,
 * `SQLITE_FULL`, `MDB_MAP_FULL`, `DISK_FULL`). It promises that nothing of the transaction is there
 * and that the machine is as before the call. Then the member is read-only, hands leadership over,
 * and makes the same call again until there is space.
 *
 * @example
 * ```ts
 * class Accounts implements DiskStateMachine<Command, Query> {
 *   apply(batch: DiskBatch<Command>) {
 *     return this.#db.transaction(() => {
 *       const results = batch.entries.map((entry) => this.#applyOne(entry));
 *       for (const { key, value } of batch.records(results)) this.#putRecord(key, value);
 *       return results;
 *     });
 *   }
 *   // …
 * }
 * ```
 */
export interface DiskStateMachine<Command, Query> {
  /** Raised when `apply` changes its meaning. Default 1. */
  readonly version?: number;
  /**
   * Whether it has no space for what it was given, and keeps that in memory until it has: for
   * machines that commit later than they apply. While it says so the member is read-only and calls
   * `sync` now and then. Default: never.
   */
  readonly isFull?: boolean;
  /**
   * Opens the storage, or makes it, and gives the records that are in it. Called once, before
   * anything else, when no other process has the data directory.
   */
  open(): Promise<readonly EngineRecord[]>;
  /**
   * Applies a batch in one transaction, the engine's records with it, and gives one result per
   * entry. It need not be durable before `sync`. A promise holds up what follows, but not the loop.
   */
  apply(
    batch: DiskBatch<Command>,
  ): readonly ResultOf<Command>[] | Promise<readonly ResultOf<Command>[]>;
  /** Sees every batch that was applied, whole. */
  query(query: Query): ResultOf<Query> | Promise<ResultOf<Query>>;
  /** Resolves when what was applied at the time of the call survives a power cut. */
  sync(): Promise<void>;
  /** The state as it is now. Cheap: other work waits for it. */
  checkpoint(): Checkpoint;
  /**
   * Becomes what a stream says, together with these records, in a new place; then takes that place
   * in one step that survives a power cut, before it resolves. Called with a complete, verified and
   * durable stream only. Where the process dies before that step, the machine is what it was.
   */
  restore(chunks: AsyncIterable<Uint8Array>, records: readonly EngineRecord[]): Promise<void>;
  /** Lets go of everything. What was applied need not be durable. */
  close(): Promise<void>;
}

/** A machine of either kind. */
export type AnyMachine<Command, Query> =
  | StateMachine<Command, Query>
  | DiskStateMachine<Command, Query>;

/** Tells the two kinds of machines apart. */
export function isDiskMachine<Command, Query>(
  machine: object,
): machine is DiskStateMachine<Command, Query> {
  return "checkpoint" in machine && typeof machine.checkpoint === "function";
}
