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
  /** A plain JSON value, or chunks of bytes. */
  snapshot(): unknown;
  /** Called with a complete, verified snapshot only; replaces the whole state. */
  restore(chunks: AsyncIterable<Uint8Array>): Promise<void>;
}

/** How commands cross disk and wire. Decoding must accept whatever encoding ever produced. */
export interface Codec<T> {
  encode(value: T): Uint8Array;
  /** The bytes are a view that changes after the call: copy what is kept. */
  decode(bytes: Uint8Array): T;
}
