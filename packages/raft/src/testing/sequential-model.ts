/**
 * What a correct system does when it is asked one thing at a time.
 *
 * A model is a value: its functions are pure, its states are immutable. A state may stand for
 * several possible worlds (a write whose answer was lost has *some* revision); an operation that
 * tells them apart then narrows the state.
 */
import type { Operation } from "./history.ts";

/** A sequential specification of one partition (one key) of a system. */
export interface SequentialModel<Input, Output, State> {
  readonly initial: State;

  /**
   * The state after an operation that was answered with `output`; undefined where the system could
   * not have answered so in this state.
   */
  step(state: State, input: Input, output: Output): State | undefined;

  /**
   * The state after an operation whose answer nobody heard, if it takes effect; undefined where it
   * has none in this state.
   */
  stepUnknown(state: State, input: Input): State | undefined;

  /** Equal texts if and only if the states are the same. */
  stateKey(state: State): string;

  /**
   * Whether an operation with this output changes no state it is possible in, apart from narrowing.
   * Such operations are placed as soon as they fit. Saying false costs time only.
   */
  isReadOnly(input: Input, output: Output): boolean;

  /** Whether everything that may happen after `b` may happen after `a` as well. */
  covers(a: State, b: State): boolean;

  /** Equal texts only for inputs that do the same in every state. */
  inputKey(input: Input): string;

  /** Whether, wherever `b` has an effect when nobody hears its answer, `a` has the same one. */
  standsInFor(a: Input, b: Input): boolean;

  /**
   * Where the answers tell an order: an operation of lower rank never fits behind one of higher
   * rank. Undefined where this answer tells nothing.
   */
  rank(input: Input, output: Output): number | undefined;

  /**
   * The same operations, one for one, with what follows from the whole of them written in: one of
   * unknown outcome whose effect was seen becomes answered, with the answer it must have had and a
   * `returnAt` by which it must have happened; what cannot be told apart may be made equal. The
   * result is linearizable if and only if the operations are. Reports show the originals.
   */
  settle(
    operations: ReadonlyArray<Operation<Input, Output>>,
  ): ReadonlyArray<Operation<Input, Output>>;

  /** One short line for reports; `output` is undefined where it is unknown. */
  describe(input: Input, output: Output | undefined): string;

  /** A state, for reports. */
  describeState(state: State): string;
}
