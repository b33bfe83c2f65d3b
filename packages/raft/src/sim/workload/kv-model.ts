/**
 * One key of the key-value machine as a model for the linearizability checker.
 *
 * Every answer shows the value and the revision that it found, so nearly every answer has one place
 * only; what is left to search for are the writes whose answers were lost. A state is {value,
 * revision, atLeast}: `revision` is undefined while the newest write is one of those. Then all that
 * is known is that its revision is `atLeast` or more, and the first answer that shows it narrows
 * the state.
 */
import type { Operation } from "../../testing/history.ts";
import type { SequentialModel } from "../../testing/sequential-model.ts";
import type { KvCommand, KvQuery } from "./kv-machine.ts";
import { PIECES_MAX, valueAfter } from "./kv-machine.ts";

/** What can be asked of one key. */
export type KvInput = KvCommand | KvQuery;

/** What was answered. */
export interface KvOutput {
  /** Whether a write changed the key; false for reads. */
  readonly ok: boolean;
  /** The revision that the key has afterwards; the same as `revision` where nothing changed. */
  readonly after: number;
  /** What was found; undefined where only other answers tell that the write happened. */
  readonly found: { readonly value: string | null; readonly revision: number } | undefined;
  /** The value left behind, where others saw it and the caller did not hear. */
  readonly made?: string | null;
}

/** What is known of one key; see the top of this file. */
export interface KvState {
  readonly value: string | null;
  readonly revision: number | undefined;
  readonly atLeast: number;
}

/** An operation on one key. */
export type KvOperation = Operation<KvInput, KvOutput>;

/** The model of one key. Partitions are keys. */
export const kvModel: SequentialModel<KvInput, KvOutput, KvState> = {
  initial: { value: null, revision: 0, atLeast: 0 },
  step,
  stepUnknown: (state, input) => written(state, input, undefined),
  stateKey: ({ value, revision, atLeast }) =>
    `${revision}>${atLeast}${value === null ? "-" : `=${value}`}`,
  isReadOnly: (_, output) => !output.ok,
  covers,
  inputKey: (input) => JSON.stringify(input),
  standsInFor: () => false,
  // Whoever showed a lower revision of the key came first.
  rank: (_, output) => output.after,
  settle,
  describe,
  describeState,
};

/** The last piece of a value that a write leaves behind; undefined for reads and deletes. */
export function pieceWritten(input: KvInput): string | undefined {
  return "value" in input ? lastPiece(input.value) : undefined;
}

/** The pieces of a value, in the order in which they were written. */
export function piecesOf(value: string): string[] {
  return value.split("|");
}

function step(state: KvState, input: KvInput, output: KvOutput): KvState | undefined {
  const met = found(state, output.found);
  if (met === undefined) return undefined;
  if (input.type === "get") return met;
  if (output.ok) {
    const state = written(met, input, output.after);
    return output.made === undefined || output.made === state?.value ? state : undefined;
  }
  return valueAfter(met.value, input) === undefined ? met : undefined;
}

function found(state: KvState, seen: KvOutput["found"]): KvState | undefined {
  if (seen === undefined) return state;
  const { value, revision } = seen;
  if (state.value !== value) return undefined;
  if (state.revision !== undefined) return state.revision === revision ? state : undefined;
  return revision < state.atLeast ? undefined : { value, revision, atLeast: revision };
}

function written(
  state: KvState,
  input: KvInput,
  revision: number | undefined,
): KvState | undefined {
  if (input.type === "get") return undefined;
  const value = valueAfter(state.value, input);
  if (value === undefined) return undefined;
  if (revision !== undefined && revision <= state.atLeast) return undefined;
  return { value, revision, atLeast: revision ?? state.atLeast + 1 };
}

function covers(a: KvState, b: KvState): boolean {
  if (a.value !== b.value) return false;
  if (a.revision !== undefined) return a.revision === b.revision;
  return a.atLeast <= b.atLeast;
}

/**
 * What follows from the whole of the answers, so that the search has little left to try:
 *
 *  - If one write only can have made a piece that was seen last in a value, that write happened, at
 *    the revision that was seen with it and before whoever saw it had returned.
 *  - If a piece was only seen further in front, its write was one of the last changes before the
 *    one that was seen. Nobody saw its revision, so a fraction stands for it.
 *  - A piece that is in no value that was seen or compared with cannot be told from another such
 *    piece: writes of unknown outcome that made one become equal, see `opaque`.
 */
function settle(operations: readonly KvOperation[]): readonly KvOperation[] {
  const sightings = sightingsIn(operations);
  const writers = writersOf(operations);
  const known = piecesKnown(operations);
  let unseen = UNSEEN;
  while (known.has(unseen)) unseen += UNSEEN;
  return operations.map((operation) => {
    if (operation.outcome !== "unknown") return operation;
    const { input } = operation;
    const piece = pieceWritten(input);
    // Deletes leave nothing that tells one from the other.
    if (piece === undefined) return operation;
    if (!known.has(piece)) return { ...operation, input: opaque(input, unseen) };
    const seen = sightings.get(piece);
    // Seen before it was written is for the search to find.
    if (seen === undefined || writers.get(piece) !== 1 || seen.returnAt < operation.callAt) {
      return operation;
    }
    const output = { ok: true, after: seen.revision, found: undefined, made: seen.value };
    return { ...operation, outcome: "done", output, returnAt: seen.returnAt };
  });
}

const UNSEEN = "(never seen)";

/**
 * What a write did that nobody saw. Its value can only have been removed, replaced, or appended to
 * when it was full, so a full value stands for it, whether it was put or appended. That allows one
 * thing too many, an append that drops an unseen piece, and forbids nothing.
 */
function opaque(input: KvInput, piece: string): KvInput {
  const value = `|${piece}`.repeat(PIECES_MAX);
  return input.type === "cas" ? { ...input, value } : { type: "put", key: input.key, value };
}

/** Every piece of every value that was seen or compared with. */
function piecesKnown(operations: readonly KvOperation[]): Set<string> {
  const values = new Set<string>();
  for (const { input, ...rest } of operations) {
    if (input.type === "cas" && input.expected !== null) values.add(input.expected);
    const value = rest.outcome === "done" ? rest.output.found?.value : undefined;
    if (typeof value === "string") values.add(value);
  }
  const pieces = new Set<string>();
  for (const value of values) for (const piece of piecesOf(value)) pieces.add(piece);
  return pieces;
}

interface Sighting {
  readonly value: string | null;
  readonly revision: number;
  /** When the first who saw it had returned. */
  returnAt: number;
}

/** Every version that was seen, once. Two values at one revision are for the search to find. */
function versionsSeen(operations: readonly KvOperation[]): Iterable<Sighting> {
  const versions = new Map<number, Sighting>();
  for (const operation of operations) {
    if (operation.outcome !== "done" || operation.output.found === undefined) continue;
    const { returnAt, output } = operation;
    const { value, revision } = output.found!;
    const known = versions.get(revision);
    if (known === undefined) versions.set(revision, { value, revision, returnAt });
    else if (known.value === value) known.returnAt = Math.min(known.returnAt, returnAt);
  }
  return versions.values();
}

/** For each piece that was seen: what its write left behind, when at the latest. */
function sightingsIn(operations: readonly KvOperation[]): Map<string, Sighting> {
  const last = new Map<string, Sighting>();
  const inner = new Map<string, Sighting>();
  for (const { value, revision, returnAt } of versionsSeen(operations)) {
    if (value === null) continue;
    const pieces = piecesOf(value);
    let end = value.length;
    for (let i = pieces.length - 1, before = 0; i >= 1; i--, before++) {
      const into = before === 0 ? last : inner;
      const left = { value: value.slice(0, end), revision: revision - before / FRACTIONS };
      const known = into.get(pieces[i]!);
      // Further in front there are as many versions as were seen: the first one says most.
      if (known === undefined || known.revision > left.revision) {
        into.set(pieces[i]!, {
          ...left,
          returnAt: Math.min(returnAt, known?.returnAt ?? returnAt),
        });
      } else known.returnAt = Math.min(known.returnAt, returnAt);
      end -= pieces[i]!.length + 1;
    }
  }
  for (const [piece, seen] of last) {
    const within = inner.get(piece)?.returnAt ?? Infinity;
    inner.set(piece, { ...seen, returnAt: Math.min(seen.returnAt, within) });
  }
  return inner;
}

/** More than there are pieces in a value. */
const FRACTIONS = 2 * PIECES_MAX;

function writersOf(operations: readonly KvOperation[]): Map<string, number> {
  const writers = new Map<string, number>();
  for (const operation of operations) {
    const piece = pieceWritten(operation.input);
    if (piece === undefined || operation.outcome === "not-done") continue;
    if (operation.outcome === "done" && !operation.output.ok) continue;
    writers.set(piece, (writers.get(piece) ?? 0) + 1);
  }
  return writers;
}

function lastPiece(value: string): string {
  return value.slice(value.lastIndexOf("|") + 1);
}

function describe(input: KvInput, output: KvOutput | undefined): string {
  return `${describeInput(input)} → ${describeOutput(input, output)}`;
}

function describeInput(input: KvInput): string {
  switch (input.type) {
    case "put":
    case "append":
      return `${input.type} ${short(input.value)}`;
    case "cas":
      return `cas ${short(input.value)} if ${short(input.expected)}`;
    default:
      return input.type;
  }
}

function describeOutput(input: KvInput, output: KvOutput | undefined): string {
  if (output === undefined) return "unknown";
  const seen =
    output.found === undefined ? "" : `${short(output.found.value)} at ${output.found.revision}`;
  if (input.type === "get") return seen;
  return output.ok ? `ok at ${output.after}, found ${seen}` : `refused, found ${seen}`;
}

function describeState({ value, revision, atLeast }: KvState): string {
  return `${short(value)} at revision ${revision ?? `${atLeast} or later, never shown`}`;
}

const SHORT = 60;

function short(value: string | null): string {
  if (value === null) return "absent";
  return JSON.stringify(value.length <= SHORT ? value : `${value.slice(0, SHORT)}…`);
}
