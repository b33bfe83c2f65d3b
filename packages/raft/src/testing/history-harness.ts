/**
 * Histories for the checker's own tests: written by hand in a short notation, or drawn from a store
 * that is linearizable by construction. And a second checker, naive on purpose and written from the
 * definition alone, to compare with.
 */
import type { Random } from "../util/random.ts";
import type { KeyValueInput, KeyValueOperation, KeyValueOutput } from "./key-value-model.ts";

/** A history from lines like `a 0-10 put x -> ok 1`; `?` for an unknown end, `!` for refused. */
export function historyOf(text: string): KeyValueOperation[] {
  const lines = text.split("\n").map((line) => line.trim());
  return lines.filter((line) => line !== "").map(operationOf);
}

function operationOf(line: string): KeyValueOperation {
  const match = /^(\w+)(?::(\w+))? +(\d+)-(\d+|\?|!) +(.*?)(?: -> (.*))?$/.exec(line);
  if (match === null) throw new Error(`not an operation: ${line}`);
  const [, client = "", key = "k", call, end, asked = "", answered] = match;
  const operation = { client, key, input: inputOf(asked), callAt: Number(call) };
  if (end === "?") return { ...operation, outcome: "unknown" };
  if (end === "!") return { ...operation, outcome: "not-done" };
  const output = outputOf(answered ?? "");
  return { ...operation, outcome: "done", output, returnAt: Number(end) };
}

function inputOf(text: string): KeyValueInput {
  const [type, value = "", word, condition = ""] = text.split(" ");
  if (type === "read") return { type };
  if (type === "put" || type === "create") return { type, value };
  if (type === "cas" && word === "if") return { type, value, ifValue: condition };
  if (type === "cas" && word === "rev") return { type, value, ifRevision: Number(condition) };
  if (type === "delete") return value === "rev" ? { type, ifRevision: Number(word) } : { type };
  throw new Error(`not an input: ${text}`);
}

function outputOf(text: string): KeyValueOutput {
  const [first = "", second] = text.split(" ");
  const revision = second === undefined ? {} : { revision: Number(second) };
  if (first === "ok") return { type: "ok", ...revision };
  if (first === "absent") return { type: first };
  if (first === "failed") {
    return second === undefined ? { type: first } : { type: first, current: Number(second) };
  }
  return { type: "value", value: first, ...revision };
}

/** What a drawn history looks like. */
export interface WorkloadShape {
  readonly operations: number;
  readonly keys: number;
  readonly clients: number;
  /** Of 100 operations, how many lose their answer. */
  readonly unknownPercent: number;
  /** Distinct values, or few that repeat. */
  readonly values: "distinct" | number;
  /** Whether answers show revisions. */
  readonly revisions: boolean;
}

/**
 * Runs clients one operation at a time against one sequential store. Every operation takes effect
 * at a point drawn between its call and its return, so the history is linearizable.
 */
export function drawHistory(random: Random, shape: WorkloadShape): KeyValueOperation[] {
  const pending: Array<{ at: number; run: () => void }> = [];
  const store = new Map<string, { value: string; revision: number }>();
  const history: KeyValueOperation[] = [];
  let revision = 0;
  let started = 0;
  const schedule = (at: number, run: () => void): void => {
    pending.push({ at, run });
  };
  const start = (client: string, callAt: number): void => {
    if (started++ >= shape.operations) return;
    const key = `k${random.below(shape.keys)}`;
    const value = `v${shape.values === "distinct" ? started : random.below(shape.values)}`;
    const input = drawInput(random, value, store.get(key));
    const effectAt = callAt + 1 + random.below(20);
    const isUnknown = random.below(100) < shape.unknownPercent;
    const returnAt = effectAt + 1 + random.below(20);
    const operation = { client, key, input, callAt };
    if (isUnknown) {
      history.push({ ...operation, outcome: "unknown" });
      const fate = random.below(3);
      const later = callAt + (fate === 1 ? 10 : 400);
      if (fate > 0) schedule(later, () => void applyTo(store, key, input, ++revision));
      // The client gives up after its deadline and goes on.
      schedule(callAt + 50, () => start(client, callAt + 50));
      return;
    }
    schedule(effectAt, () => {
      const output = applyTo(store, key, input, ++revision);
      const shown = shape.revisions ? output : withoutRevision(output);
      history.push({ ...operation, outcome: "done", output: shown, returnAt });
    });
    schedule(returnAt + 1, () => start(client, returnAt + 1));
  };
  for (let c = 0; c < shape.clients; c++) schedule(c, () => start(`c${c}`, c));
  while (pending.length > 0) {
    let first = 0;
    for (let i = 1; i < pending.length; i++) if (pending[i]!.at < pending[first]!.at) first = i;
    pending.splice(first, 1)[0]!.run();
  }
  return history;
}

function drawInput(
  random: Random,
  value: string,
  current: { value: string; revision: number } | undefined,
): KeyValueInput {
  const ifRevision = Math.max(1, (current?.revision ?? 1) - random.below(2));
  switch (random.below(10)) {
    case 0:
      return { type: "create", value };
    case 1:
      return { type: "cas", value, ifRevision };
    case 2:
      return { type: "cas", value, ifValue: current?.value ?? "v0" };
    case 3:
      return { type: "delete" };
    case 4:
      return { type: "delete", ifRevision };
    case 5:
    case 6:
    case 7:
      return { type: "put", value };
    default:
      return { type: "read" };
  }
}

function withoutRevision(output: KeyValueOutput): KeyValueOutput {
  return output.type === "value" ? { type: "value", value: output.value } : { type: output.type };
}

/** The sequential store itself. */
function applyTo(
  store: Map<string, { value: string; revision: number }>,
  key: string,
  input: KeyValueInput,
  revision: number,
): KeyValueOutput {
  const current = store.get(key);
  if (input.type === "read") {
    return current === undefined ? { type: "absent" } : { type: "value", ...current };
  }
  const failed: KeyValueOutput = { type: "failed", current: current?.revision ?? 0 };
  if (input.type === "create" && current !== undefined) return failed;
  if ("ifRevision" in input && current?.revision !== input.ifRevision) return failed;
  if ("ifValue" in input && current?.value !== input.ifValue) return failed;
  if (input.type !== "delete") {
    store.set(key, { value: input.value, revision });
    return { type: "ok", revision };
  }
  return store.delete(key) ? { type: "ok", revision } : { type: "absent" };
}

/**
 * The definition, word for word: some order of all answered operations and some of the unknown ones
 * respects real time, and a store that executes it one by one gives every answer that was heard,
 * with some revisions, growing, for the writes whose revision nobody heard. For one key and few
 * operations.
 */
export function isLinearizableNaively(history: readonly KeyValueOperation[]): boolean {
  const mentioned = history.flatMap((operation) => [
    ...("ifRevision" in operation.input ? [operation.input.ifRevision ?? 0] : []),
    ...(operation.outcome === "done" ? revisionsIn(operation.output) : []),
  ]);
  const revisionMax = Math.max(0, ...mentioned) + history.length;
  return search(history, { value: undefined, revision: 0 }, 0, revisionMax);
}

function revisionsIn(output: KeyValueOutput): number[] {
  if (output.type === "failed") return [output.current ?? 0];
  return "revision" in output ? [output.revision ?? 0] : [];
}

interface NaiveState {
  readonly value: string | undefined;
  readonly revision: number;
}

function search(
  left: readonly KeyValueOperation[],
  state: NaiveState,
  newest: number,
  revisionMax: number,
): boolean {
  const answered = left.filter((operation) => operation.outcome === "done");
  if (answered.length === 0) return true;
  for (const operation of left) {
    if (operation.outcome === "not-done") continue;
    if (answered.some((o) => o !== operation && o.returnAt < operation.callAt)) continue;
    const rest = left.filter((o) => o !== operation);
    const heard = operation.outcome === "done" ? operation.output : undefined;
    // A write without a heard revision has one of those above the newest.
    for (let revision = newest + 1; revision <= revisionMax; revision++) {
      const store = new Map<string, { value: string; revision: number }>();
      if (state.value !== undefined) {
        store.set("", { value: state.value, revision: state.revision });
      }
      const output = applyTo(store, "", operation.input, revision);
      const current = store.get("");
      const after = { value: current?.value, revision: current?.revision ?? 0 };
      const wrote = output.type === "ok";
      if (
        heard !== undefined &&
        !answersAgree(heard, output, { input: operation.input, before: state })
      ) {
        if (wrote) continue;
        break;
      }
      if (search(rest, after, wrote ? revision : newest, revisionMax)) return true;
      if (!wrote) break;
    }
  }
  return false;
}

function answersAgree(
  heard: KeyValueOutput,
  told: KeyValueOutput,
  { input, before }: { input: KeyValueInput; before: NaiveState },
): boolean {
  // A conditional delete of an absent key may be answered either way.
  const isDelete = input.type === "delete" && before.value === undefined;
  if (isDelete && heard.type === "absent") return true;
  if (heard.type !== told.type) return false;
  if (heard.type === "value" && told.type === "value" && heard.value !== told.value) return false;
  if (heard.type === "failed") {
    return heard.current === undefined || heard.current === before.revision;
  }
  if (!("revision" in heard) || heard.revision === undefined) return true;
  return "revision" in told && told.revision === heard.revision;
}
