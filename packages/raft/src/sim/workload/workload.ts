/**
 * What clients do and through what they do it: the contract between a workload (which calls), the
 * clients (when, at which member, and what after a failure) and the world (which carries them out).
 *
 * A workload knows nothing of members and of time. It draws from the randomness it is handed and
 * from nothing else, so the same seed makes the same calls.
 */
import type { Random } from "../../util/random.ts";
import type { MemberView, SimOperation } from "../observer.ts";

/** One thing that a client wants. */
export type Call<Command, Query> =
  | { readonly kind: "write"; readonly command: Command }
  | { readonly kind: "read" | "lease-read" | "local-read"; readonly query: Query }
  | { readonly kind: "stale-read"; readonly query: Query; readonly maxStalenessMs: number };

/** Who asks. */
export interface ClientContext {
  /** Unique in a run. */
  readonly name: string;
  /** How many operations this client has made before: with the name it makes values unique. */
  readonly calls: number;
}

/** What clients do all day. One object serves all clients of a run. */
export interface Workload<Command, Query> {
  /** The next call of a client; draws from `random`. */
  next(random: Random, client: ClientContext): Call<Command, Query>;
  /** The same call as a new operation, for one that failed. Default: the call as it is. */
  again?(call: Call<Command, Query>, client: ClientContext): Call<Command, Query>;
  /** An operation has ended: later calls may build on what was heard. */
  ended?(operation: SimOperation): void;
}

/** How one operation is carried out. */
export interface CallTerms {
  readonly timeoutMs: number;
  /** The name of the client, for {@link SimOperation}. */
  readonly client: string;
}

/** What clients act through. */
export interface Harbour<Command, Query> {
  readonly members: readonly MemberView[];
  nowUs(): number;
  /** Runs later; dropped where the run is over by then. */
  after(delayUs: number, act: () => void): void;
  /**
   * Begins an operation. `done` is called once, when it has ended; that may be before this returns.
   * At a member without a process it ends at once as `not-done`.
   */
  call(
    member: MemberView,
    call: Call<Command, Query>,
    terms: CallTerms,
    done: (operation: SimOperation) => void,
  ): SimOperation;
  /** No client begins anything any more. */
  readonly isOver: boolean;
}
