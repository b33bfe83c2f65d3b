/**
 * What clients heard, held against the promises, with no look inside: once, when a run has ended.
 *
 *  - `linearizable`: per key, some order of all operations explains every answer. Keys are taken in
 *    an order drawn from the seed until the budget of operations is used up; a search that needs
 *    too many steps is counted as undecided, never as right.
 *  - `refused-kept-out`: no answer, not even a local one, shows what a refused write would have
 *    written.
 *  - `local-read`: an old answer is allowed, an invented one is not. The value was called for by
 *    somebody, its revision never stood for another value, and within one life of a member no key
 *    goes back behind what an answer of that member has shown, the caller's own writes included.
 *    Reads that may be so and so old are looked at in the same way; how old they are is for the
 *    witness, and reads by lease have to be linearizable like all others.
 *
 * witness.ts sees the same and more, by looking at the log; this check believes nobody.
 */
import { checkLinearizable } from "../../testing/linearizability.ts";
import type { Random } from "../../util/random.ts";
import type { Observer, SimOperation } from "../observer.ts";
import { mayBeOld, SimViolation } from "../observer.ts";
import type { KvFound, KvWritten } from "./kv-machine.ts";
import type { KvInput, KvOperation } from "./kv-model.ts";
import { kvModel, pieceWritten, piecesOf } from "./kv-model.ts";

/** How much to look at. */
export interface HistoryCheckOptions {
  /** Operations that are searched through, in whole keys; at least one key is. */
  readonly operationsMax?: number;
  /** Steps of the model in all. */
  readonly stepsMax?: number;
}

/** So that a run spends most of its time on running. */
const OPERATIONS_MAX = 4_000;
const STEPS_MAX = 2_000_000;
const CONFIGURATIONS_MAX = 200_000;

/** One operation, and the life of the member that it was called at. */
export interface RecordedOperation {
  readonly operation: SimOperation;
  readonly life: number;
}

/** What a check of a history did. */
export interface HistoryVerdict {
  /** Operations of the keys that were searched through. */
  readonly searched: number;
  /** Keys for which the budget did not suffice. */
  readonly undecided: readonly string[];
}

/** Keeps the history of a run and checks it at the end. */
export class HistoryCheck implements Observer {
  readonly #history: RecordedOperation[] = [];
  readonly #random: Random;
  readonly #options: HistoryCheckOptions;
  /** What the check did; undefined before it. */
  verdict: HistoryVerdict | undefined;

  constructor(random: Random, options: HistoryCheckOptions = {}) {
    this.#random = random;
    this.#options = options;
  }

  called(operation: SimOperation): void {
    this.#history.push({ operation, life: operation.member.life });
  }

  ended(): void {
    this.verdict = checkHistory(this.#history, this.#random, this.#options);
  }
}

/** Throws {@link SimViolation} where a history breaks a promise. Keys are sampled with `random`. */
export function checkHistory(
  history: readonly RecordedOperation[],
  random: Random,
  options: HistoryCheckOptions = {},
): HistoryVerdict {
  checkAnswers(history);
  return checkOrder(history, random, options);
}

// ---- linearizable

function checkOrder(
  history: readonly RecordedOperation[],
  random: Random,
  options: HistoryCheckOptions,
): HistoryVerdict {
  const operations = sampled(history, random, options.operationsMax ?? OPERATIONS_MAX);
  const result = checkLinearizable(kvModel, operations, {
    stepsMax: options.stepsMax ?? STEPS_MAX,
    configurationsMax: CONFIGURATIONS_MAX,
    nowMs: () => 0,
  });
  if (result.verdict === "violated")
    throw new SimViolation("linearizable", result.violation.report);
  const undecided = result.verdict === "unknown" ? result.keysLeft : [];
  return { searched: operations.length, undecided };
}

/** The operations of some keys, drawn, as many keys as fit. */
function sampled(
  history: readonly RecordedOperation[],
  random: Random,
  operationsMax: number,
): KvOperation[] {
  const byKey = new Map<string, KvOperation[]>();
  for (const { operation } of history) {
    const recorded = operationOf(operation);
    if (recorded === undefined) continue;
    const operations = byKey.get(recorded.key);
    if (operations === undefined) byKey.set(recorded.key, [recorded]);
    else operations.push(recorded);
  }
  const left = [...byKey.values()];
  const chosen: KvOperation[] = [];
  while (left.length > 0) {
    const [operations] = left.splice(random.below(left.length), 1);
    if (chosen.length > 0 && chosen.length + operations!.length > operationsMax) continue;
    for (const operation of operations!) chosen.push(operation);
  }
  return chosen;
}

/** An operation as the checker takes it; undefined where it says nothing about the order. */
function operationOf(operation: SimOperation): KvOperation | undefined {
  const { kind, outcome, client, calledUs } = operation;
  if (mayBeOld(kind) || outcome === "not-done") return undefined;
  const input = operation.input as KvInput;
  const { key } = input;
  const callAt = calledUs;
  if (outcome !== "done") {
    return kind === "write" ? { client, key, input, callAt, outcome: "unknown" } : undefined;
  }
  const { value, revision } = operation.result as KvFound;
  const output = {
    ok: kind === "write" && (operation.result as KvWritten).ok,
    after: revisionShown(operation),
    found: { value, revision },
  };
  return { client, key, input, callAt, outcome, output, returnAt: operation.returnedUs };
}

/** The newest revision of its key that an answered operation has shown. */
function revisionShown({ kind, result }: SimOperation): number {
  if (kind !== "write") return (result as KvFound).revision;
  const { ok, index, revision } = result as KvWritten;
  return ok ? index : revision;
}

// ---- answers by themselves

/** All that is known of one key. */
interface KeyFacts {
  /** Who may have written a piece, by the first call; refused ones only where nobody else did. */
  readonly writers: Map<string, SimOperation>;
  /** The value that a revision was seen with first. */
  readonly values: Map<number, Sighting>;
}

interface Sighting {
  readonly value: string | null;
  /** Undefined: the state in which every key begins. */
  readonly by: SimOperation | undefined;
}

function checkAnswers(history: readonly RecordedOperation[]): void {
  const facts = new Map<string, KeyFacts>();
  for (const { operation } of history) {
    if (operation.kind === "write") noteWriter(factsOf(facts, keyOf(operation)), operation);
  }
  const done = history.filter(({ operation }) => operation.outcome === "done");
  for (const { operation } of done) checkFound(factsOf(facts, keyOf(operation)), operation);
  checkLives(done);
}

function noteWriter({ writers }: KeyFacts, operation: SimOperation): void {
  const piece = pieceWritten(operation.input as KvInput);
  if (piece === undefined) return;
  const known = writers.get(piece);
  if (known === undefined || (known.outcome === "not-done" && operation.outcome !== "not-done")) {
    writers.set(piece, operation);
  }
}

/** What an answer shows was written by somebody, in time, and is what others saw. */
function checkFound({ writers, values }: KeyFacts, operation: SimOperation): void {
  const { value, revision } = operation.result as KvFound;
  const known = values.get(revision);
  if (known === undefined) values.set(revision, { value, by: operation });
  else if (known.value !== value) {
    const other = known.by === undefined ? "an empty store" : textOf(known.by);
    throw new SimViolation(
      invariantOf(operation),
      `${textOf(operation)} and ${other} differ in the value of one revision`,
    );
  }
  if (known !== undefined || value === null) return;
  for (const piece of piecesOf(value)) if (piece !== "") checkPiece(writers, piece, operation);
}

function checkPiece(
  writers: ReadonlyMap<string, SimOperation>,
  piece: string,
  operation: SimOperation,
): void {
  const writer = writers.get(piece);
  if (writer === undefined || writer.calledUs > operation.returnedUs) {
    throw new SimViolation(
      invariantOf(operation),
      `${textOf(operation)} saw ${JSON.stringify(piece)}, which nobody had written`,
    );
  }
  if (writer.outcome === "not-done") {
    throw new SimViolation(
      "refused-kept-out",
      `${textOf(operation)} saw what ${textOf(writer)} was to write, which had been refused`,
    );
  }
}

/** Within one life of a member no key goes back for who reads there. */
function checkLives(done: readonly RecordedOperation[]): void {
  // By member, life and key: the newest revision that was shown so far, and by whom.
  const shown = new Map<string, SimOperation>();
  for (const { record, isReturn } of moments(done)) {
    const { operation, life } = record;
    const place = `${operation.member.number} ${life} ${keyOf(operation)}`;
    const newest = shown.get(place);
    if (isReturn) {
      if (newest === undefined || revisionShown(newest) < revisionShown(operation)) {
        shown.set(place, operation);
      }
    } else if (newest !== undefined && revisionShown(operation) < revisionShown(newest)) {
      throw new SimViolation(
        "local-read",
        `${textOf(operation)} went back behind ${textOf(newest)}, which had ended before`,
      );
    }
  }
}

interface Moment {
  readonly record: RecordedOperation;
  readonly isReturn: boolean;
  readonly atUs: number;
}

/** Calls of reads that may be old, returns of everything, by time; calls first where equal. */
function moments(done: readonly RecordedOperation[]): Moment[] {
  const all: Moment[] = [];
  for (const record of done) {
    const { kind, calledUs, returnedUs } = record.operation;
    if (mayBeOld(kind)) all.push({ record, isReturn: false, atUs: calledUs });
    all.push({ record, isReturn: true, atUs: returnedUs });
  }
  return all.sort((a, b) => a.atUs - b.atUs || Number(a.isReturn) - Number(b.isReturn));
}

function factsOf(facts: Map<string, KeyFacts>, key: string): KeyFacts {
  let known = facts.get(key);
  if (known === undefined) {
    known = { writers: new Map(), values: new Map([[0, { value: null, by: undefined }]]) };
    facts.set(key, known);
  }
  return known;
}

function keyOf({ input }: SimOperation): string {
  return (input as KvInput).key;
}

function invariantOf({ kind }: SimOperation): string {
  return mayBeOld(kind) ? "local-read" : "linearizable";
}

const SHORT = 120;

function textOf({ number, client, kind, input, member, result }: SimOperation): string {
  const short = (value: unknown): string =>
    ((JSON.stringify(value) as string | undefined) ?? "").slice(0, SHORT);
  const answer = result === undefined ? "" : ` → ${short(result)}`;
  return `${kind} ${number} (${client} at ${member.id}, ${short(input)}${answer})`;
}
