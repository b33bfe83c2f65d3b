/**
 * What a user writes: a state machine, its commands and its queries.
 */

declare const RESULT: unique symbol;

/**
 * Ties a command or query to the type of its result, at no cost at run time.
 *
 * @example
 * ```ts
 * type Add = { type: "add"; amount: number } & Returns<number>;
 * const add = (amount: number): Add => ({ type: "add", amount });
 * ```
 */
export interface Returns<R> {
  readonly [RESULT]?: R;
}

/** The result type of a command or query, found through {@link Returns}; `unknown` without it. */
export type ResultOf<Call, All = Call> = All extends unknown
  ? Call extends All
    ? All extends Returns<infer R>
      ? R
      : unknown
    : never
  : never;

/** Where and when a command is applied: the same on every member. */
export interface Applied {
  /** Position in the log: grows by at least one from command to command. */
  readonly index: number;
  /** Term of the leader that took the command. */
  readonly term: number;
  /** Cluster time in milliseconds since the cluster began: never goes back, is no wall time. */
  readonly timeMs: number;
  /** The machine version in force. */
  readonly version: number;
}

/**
 * A state machine that lives in memory.
 *
 * `apply` must be deterministic: it may use its arguments and the machine's own state, nothing else
 * (no clock, no randomness, no I/O). If it throws, this replica stops with that cause, on every
 * member alike: a command is never skipped. Refuse a bad command by a result, not by an exception.
 *
 * @example
 * ```ts
 * type Command = { type: "add"; amount: number } & Returns<number>;
 * type Query = { type: "total" } & Returns<number>;
 *
 * class Counter implements StateMachine<Command, Query> {
 *   #total = 0;
 *   apply(command: Command) { return (this.#total += command.amount); }
 *   query() { return this.#total; }
 *   snapshot() { return this.#total; }
 *   async restore(chunks: AsyncIterable<Uint8Array>) { this.#total = await readJson(chunks); }
 * }
 * ```
 */
export interface StateMachine<Command, Query> {
  /** Raised when `apply` changes its meaning. Default 1. */
  readonly version?: number;
  apply(command: Command, at: Applied): ResultOf<Command>;
  query(query: Query): ResultOf<Query> | Promise<ResultOf<Query>>;
  /**
   * The whole state as of the last `apply`:
   * - a plain JSON value, or bytes: turned into text and copied at once, so for small states;
   * - a synchronous iterable of bytes: read before the next command is applied, in slices. Writes
   *   wait that long;
   * - an asynchronous iterable of bytes: read while commands are applied, and must give the state
   *   as it was at the moment of the call all the same, for instance from a copy-on-write tree. The
   *   first piece is asked for at once.
   *
   * What it throws ends this snapshot, not the replica: it is tried again later.
   */
  snapshot(): unknown;
  /**
   * Replaces the whole state by what `snapshot` gave, in pieces of 64 KiB. Called with a complete,
   * verified and durable snapshot only; nothing is applied or asked until it has ended. If it
   * rejects, the replica stops. `readJson` and `readBytes` help with small ones.
   */
  restore(chunks: AsyncIterable<Uint8Array>): Promise<void>;
  /** What has one is a `DiskStateMachine`. */
  readonly checkpoint?: undefined;
}

/** How commands cross disk and wire. Decoding must accept whatever encoding ever produced. */
export interface Codec<T> {
  encode(value: T): Uint8Array;
  /**
   * The bytes are a view into the memory of the log: never write to them. A part of them that is
   * kept beyond `apply` keeps a whole batch in memory: copy that.
   */
  decode(bytes: Uint8Array): T;
}
