/**
 * Histories: what clients asked a system for, what they heard, and when.
 *
 * A history is the only evidence a black-box check has, so it keeps the three ends of a call apart:
 *  - `done`: answered. It took effect at one moment between `callAt` and `returnAt`.
 *  - `unknown`: no answer, or one that leaves it open. It took effect at some moment after
 *    `callAt`, possibly long after the client gave up, or never.
 *  - `not-done`: refused with the promise that nothing happened and nothing will. A checker leaves
 *    it out; `refusedValuesSeen` (key-value-checks.ts) holds the system to that promise.
 *
 * Times come from one monotonic clock, in any unit. Processes of one machine share it on Linux
 * (`process.hrtime`, CLOCK_MONOTONIC). Where `returnAt` of one operation equals `callAt` of another
 * they count as concurrent: that can hide a violation, never invent one.
 *
 * As text a history is JSON lines, one operation each, so that several processes can write parts
 * of it and the parts can be joined with `cat`.
 */
import { QuorateError } from "../util/error.ts";

/** What is known of every operation. */
export interface OperationCall<Input> {
  /** Who asked. Only for reports: a client may have several operations open. */
  readonly client: string;
  /** Operations of different keys are checked apart from each other. */
  readonly key: string;
  readonly input: Input;
  readonly callAt: number;
}

/** An operation that was answered. */
export interface DoneOperation<Input, Output> extends OperationCall<Input> {
  readonly outcome: "done";
  readonly output: Output;
  readonly returnAt: number;
}

/** An operation that may have happened or may yet happen. */
export interface UnknownOperation<Input> extends OperationCall<Input> {
  readonly outcome: "unknown";
}

/** An operation that certainly has no effect. */
export interface RefusedOperation<Input> extends OperationCall<Input> {
  readonly outcome: "not-done";
}

/** One call of one client and how it ended. */
export type Operation<Input, Output> =
  | DoneOperation<Input, Output>
  | UnknownOperation<Input>
  | RefusedOperation<Input>;

/**
 * Writes a history as JSON lines.
 *
 * @example
 * ```ts
 * await appendFile("client-3.history", formatHistory(operations));
 * ```
 */
export function formatHistory<Input, Output>(
  history: ReadonlyArray<Operation<Input, Output>>,
): string {
  return history.map((operation) => `${JSON.stringify(operation)}\n`).join("");
}

/**
 * Reads JSON lines back and checks everything but the shape of inputs and outputs, which belong to
 * the model. Throws `OPTION_INVALID` and names the line.
 */
export function parseHistory<Input, Output>(text: string): Array<Operation<Input, Output>> {
  const history: Array<Operation<Input, Output>> = [];
  text.split("\n").forEach((line, i) => {
    if (line.trim() !== "") history.push(parseLine<Input, Output>(line, `history line ${i + 1}`));
  });
  return history;
}

/** Throws `OPTION_INVALID` unless the times of an operation make sense. */
export function validateOperation(operation: Operation<unknown, unknown>, where: string): void {
  const { callAt } = operation;
  if (!Number.isFinite(callAt)) throw invalid(`${where}: callAt is not a number`);
  if (operation.outcome !== "done") return;
  if (!Number.isFinite(operation.returnAt)) throw invalid(`${where}: returnAt is not a number`);
  if (operation.returnAt < callAt) throw invalid(`${where}: returnAt is before callAt`);
}

function parseLine<Input, Output>(line: string, where: string): Operation<Input, Output> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new QuorateError("OPTION_INVALID", `${where} is not JSON`, { cause });
  }
  if (typeof value !== "object" || value === null) throw invalid(`${where} is not an object`);
  const { client, key, outcome } = value as Partial<Operation<Input, Output>>;
  if (typeof client !== "string") throw invalid(`${where}: client is not a string`);
  if (typeof key !== "string") throw invalid(`${where}: key is not a string`);
  if (!("input" in value)) throw invalid(`${where}: input is missing`);
  if (outcome !== "done" && outcome !== "unknown" && outcome !== "not-done") {
    throw invalid(`${where}: outcome is none of done, unknown, not-done`);
  }
  if (outcome === "done" && !("output" in value)) throw invalid(`${where}: output is missing`);
  const operation = value as Operation<Input, Output>;
  validateOperation(operation, where);
  return operation;
}

function invalid(message: string): QuorateError {
  return new QuorateError("OPTION_INVALID", message);
}
