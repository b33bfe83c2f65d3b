/**
 * Did the system behave as if every operation had happened at one moment between its call and its
 * return? (Herlihy and Wing, 1990.) A black-box check of a recorded history against a model.
 *
 * Linearizability is local: a history is linearizable if and only if its part for every key is. So
 * keys are checked apart, the one with the fewest operations first, and the first one that fails is
 * reported. The question is NP-complete in general; with a few clients per key and mostly distinct
 * values it is answered in about the time it takes to read the history. What cannot be answered
 * within the budget is `unknown`, never `ok`.
 */
import { validateOperation } from "./history.ts";
import type { Operation } from "./history.ts";
import { LinearizabilitySearch } from "./linearizability-search.ts";
import type { SearchBudget, SearchDeadEnd } from "./linearizability-search.ts";
import type { SequentialModel } from "./sequential-model.ts";

/** How long to look. */
export interface LinearizabilityOptions {
  /** Time after which the verdict is `unknown`. Default 60,000 ms. */
  readonly budgetMs?: number;
  /** Steps of the model after which it is; for runs that must not depend on time. Default: none. */
  readonly stepsMax?: number;
  /** Remembered configurations of one key; they bound the memory. Default 2,000,000. */
  readonly configurationsMax?: number;
  /** The clock behind `budgetMs`. Default `performance.now`. */
  readonly nowMs?: () => number;
}

/** What the check did. */
export interface LinearizabilityStatistics {
  /** Operations that were answered. */
  readonly answered: number;
  /** Operations whose outcome is unknown. */
  readonly unknown: number;
  readonly keys: number;
  /** How often the model was asked. */
  readonly steps: number;
}

/** A key whose operations fit in no order, and where the longest attempt ended. */
export interface LinearizabilityViolation<Input, Output> {
  readonly key: string;
  /** How many answered operations the longest order found has. */
  readonly placed: number;
  /** The last operations of that order. */
  readonly tail: ReadonlyArray<Operation<Input, Output>>;
  /** Those of which one would have to come next. */
  readonly stuck: ReadonlyArray<Operation<Input, Output>>;
  /** All of this as text. */
  readonly report: string;
}

/** The answer; `unknown` names the keys that the budget did not suffice for. */
export type LinearizabilityVerdict<Input, Output> = LinearizabilityStatistics &
  (
    | { readonly verdict: "ok" }
    | {
        readonly verdict: "violated";
        readonly violation: LinearizabilityViolation<Input, Output>;
      }
    | { readonly verdict: "unknown"; readonly keysLeft: readonly string[] }
  );

/**
 * Checks a history against a model, key by key. Operations with outcome `not-done` are left out.
 * Throws `OPTION_INVALID` where the times of an operation make no sense.
 *
 * @example
 * ```ts
 * const result = checkLinearizable(keyValueModel, parseHistory(text), { budgetMs: 30_000 });
 * if (result.verdict === "violated") throw new Error(result.violation.report);
 * ```
 */
export function checkLinearizable<Input, Output, State>(
  model: SequentialModel<Input, Output, State>,
  history: ReadonlyArray<Operation<Input, Output>>,
  options: LinearizabilityOptions = {},
): LinearizabilityVerdict<Input, Output> {
  const partitions = partitionByKey(history);
  const budget = new Budget(options);
  const keysLeft: string[] = [];
  let steps = 0;
  const statistics = (): LinearizabilityStatistics => ({
    answered: count(history, "done"),
    unknown: count(history, "unknown"),
    keys: partitions.length,
    steps,
  });
  for (const [i, [key, operations]] of partitions.entries()) {
    budget.share(partitions.length - i);
    const search = new LinearizabilitySearch(model, operations, budget);
    const verdict = search.run();
    steps += search.steps;
    if (verdict === "unknown") keysLeft.push(key);
    if (verdict === "violated" && search.deadEnd !== undefined) {
      const violation = violationOf(model, key, operations, search.deadEnd);
      return { verdict, violation, ...statistics() };
    }
  }
  if (keysLeft.length > 0) return { verdict: "unknown", keysLeft, ...statistics() };
  return { verdict: "ok", ...statistics() };
}

function partitionByKey<Input, Output>(
  history: ReadonlyArray<Operation<Input, Output>>,
): Array<[string, Array<Operation<Input, Output>>]> {
  const partitions = new Map<string, Array<Operation<Input, Output>>>();
  history.forEach((operation, i) => {
    validateOperation(operation, `operation ${i + 1} of the history`);
    if (operation.outcome === "not-done") return;
    const partition = partitions.get(operation.key);
    if (partition === undefined) partitions.set(operation.key, [operation]);
    else partition.push(operation);
  });
  return [...partitions].sort(([, a], [, b]) => a.length - b.length);
}

/** What is left is shared evenly by the keys that are left. */
class Budget implements SearchBudget {
  readonly configurationsMax: number;
  readonly #nowMs: () => number;
  readonly #endMs: number;
  #stepsLeft: number;
  #shareEndMs = 0;
  #shareSteps = 0;

  constructor(options: LinearizabilityOptions) {
    this.configurationsMax = options.configurationsMax ?? 2_000_000;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#endMs = this.#nowMs() + (options.budgetMs ?? 60_000);
    this.#stepsLeft = options.stepsMax ?? Infinity;
  }

  share(partitions: number): void {
    const now = this.#nowMs();
    this.#shareEndMs = now + Math.max(0, this.#endMs - now) / partitions;
    this.#shareSteps = this.#stepsLeft / partitions;
  }

  mayContinue(steps: number): boolean {
    this.#stepsLeft -= steps;
    this.#shareSteps -= steps;
    return this.#shareSteps > 0 && this.#nowMs() < this.#shareEndMs;
  }
}

function violationOf<Input, Output, State>(
  model: SequentialModel<Input, Output, State>,
  key: string,
  operations: ReadonlyArray<Operation<Input, Output>>,
  { placed, tail, state, stuck }: SearchDeadEnd<Input, Output, State>,
): LinearizabilityViolation<Input, Output> {
  const line = (operation: Operation<Input, Output>): string => `  ${lineOf(model, operation)}`;
  const report = [
    `key ${JSON.stringify(key)} is not linearizable: at most ${placed} of its ` +
      `${count(operations, "done")} answered operations fit in one order`,
    placed === 0 ? "that order is empty" : "the end of that order (call, return, client):",
    ...tail.map(line),
    `then the key is ${model.describeState(state)}`,
    "one of these would have to come next, and none can:",
    ...stuck.map(line),
  ].join("\n");
  return { key, placed, tail, stuck, report };
}

function lineOf<Input, Output, State>(
  model: SequentialModel<Input, Output, State>,
  operation: Operation<Input, Output>,
): string {
  const isDone = operation.outcome === "done";
  const returnAt = isDone ? formatTime(operation.returnAt) : "?".padStart(TIME_COLUMNS);
  const times = `${formatTime(operation.callAt)} ${returnAt}`;
  const what = model.describe(operation.input, isDone ? operation.output : undefined);
  return `${times}  ${operation.client}  ${what}`;
}

const TIME_COLUMNS = 12;

function formatTime(time: number): string {
  return (Number.isInteger(time) ? String(time) : time.toFixed(3)).padStart(TIME_COLUMNS);
}

function count(history: ReadonlyArray<Operation<unknown, unknown>>, outcome: string): number {
  return history.filter((operation) => operation.outcome === outcome).length;
}
