/**
 * One key of a key-value store with revisions: what its HTTP interface answers, as a model.
 *
 * The revision of a key is the log index of the write that made its present value. Log indexes are
 * global to the store, so on one key they grow from write to write, with gaps. A delete has a
 * revision of its own; an absent key shows none.
 *
 * A state is {value, revision, atLeast, excluded}. `revision` is undefined while the newest write
 * is one whose answer was lost (or that came without revisions). Then all that is known is that its
 * revision is `atLeast` or more, and not one of `excluded`, those which a failed comparison ruled
 * out. The first answer that shows the revision narrows the state to it. `atLeast` is kept the
 * smallest revision possible, so a state stands for exactly the worlds that fit what was heard, and
 * a write with revision r can follow if and only if r > atLeast.
 */
import type { Operation } from "./history.ts";
import type { SequentialModel } from "./sequential-model.ts";

/** What can be asked of one key. Values are compared as strings. */
export type KeyValueInput =
  | { readonly type: "read" }
  | { readonly type: "put"; readonly value: string }
  /** Writes only if the key is absent (`If-None-Match: *`). */
  | { readonly type: "create"; readonly value: string }
  /** Writes only if the key has this revision, or this value. */
  | { readonly type: "cas"; readonly value: string; readonly ifRevision: number }
  | { readonly type: "cas"; readonly value: string; readonly ifValue: string }
  /** Removes the key; with `ifRevision` only if it has that revision. */
  | { readonly type: "delete"; readonly ifRevision?: number };

/** What can be answered. `revision` may be left out where a system shows none. */
export type KeyValueOutput =
  /** A read of a key that is there. */
  | { readonly type: "value"; readonly value: string; readonly revision?: number }
  /** A read or a delete of a key that is not there. */
  | { readonly type: "absent" }
  /** A write that happened, with its own revision. */
  | { readonly type: "ok"; readonly revision?: number }
  /** A condition did not hold; nothing was changed. `current`: the revision found, 0 if absent. */
  | { readonly type: "failed"; readonly current?: number };

/** What is known of one key; see the top of this file. */
export interface KeyValueState {
  /** Undefined: absent. */
  readonly value: string | undefined;
  readonly revision: number | undefined;
  readonly atLeast: number;
  readonly excluded: readonly number[];
}

/** An operation on the store. */
export type KeyValueOperation = Operation<KeyValueInput, KeyValueOutput>;

/** The model of one key, for `checkLinearizable`. Partitions are keys. */
export const keyValueModel: SequentialModel<KeyValueInput, KeyValueOutput, KeyValueState> = {
  initial: { value: undefined, revision: undefined, atLeast: 0, excluded: [] },
  step,
  stepUnknown,
  stateKey: (s) => `${JSON.stringify(s.value)}@${s.revision}>${s.atLeast}!${s.excluded.join()}`,
  isReadOnly: (input, output) => input.type === "read" || output.type !== "ok",
  covers,
  inputKey: (input) => JSON.stringify(input),
  standsInFor,
  rank,
  settle,
  describe,
  describeState,
};

/** The value a write would leave behind; undefined for reads and deletes. */
export function valueWritten(input: KeyValueInput): string | undefined {
  return input.type === "read" || input.type === "delete" ? undefined : input.value;
}

function step(
  state: KeyValueState,
  input: KeyValueInput,
  output: KeyValueOutput,
): KeyValueState | undefined {
  switch (output.type) {
    case "value":
      if (input.type !== "read" || state.value !== output.value) return undefined;
      return output.revision === undefined ? state : withRevision(state, output.revision);
    case "absent":
      if (input.type !== "read" && input.type !== "delete") return undefined;
      return state.value === undefined ? state : undefined;
    case "failed":
      return afterFailure(found(state, output.current), input);
    case "ok": {
      const met = afterSuccess(state, input);
      return met === undefined ? undefined : written(met, input, output.revision);
    }
    default:
      return undefined; // read from a file: not an answer of this model
  }
}

/** An unheard operation has an effect exactly where its condition holds. */
function stepUnknown(state: KeyValueState, input: KeyValueInput): KeyValueState | undefined {
  const met = afterSuccess(state, input);
  return met === undefined ? undefined : written(met, input, undefined);
}

/** The state narrowed to the worlds in which a write succeeds; undefined where there are none. */
function afterSuccess(state: KeyValueState, input: KeyValueInput): KeyValueState | undefined {
  switch (input.type) {
    case "read":
      return undefined;
    case "put":
      return state;
    case "create":
      return state.value === undefined ? state : undefined;
    case "cas":
      if (state.value === undefined) return undefined;
      if ("ifRevision" in input) return withRevision(state, input.ifRevision);
      return state.value === input.ifValue ? state : undefined;
    case "delete":
      if (state.value === undefined) return undefined;
      return input.ifRevision === undefined ? state : withRevision(state, input.ifRevision);
    default:
      return undefined;
  }
}

/** The state narrowed to the worlds in which the key has this revision, or is absent for 0. */
function found(state: KeyValueState, current: number | undefined): KeyValueState | undefined {
  if (current === undefined) return state;
  if (state.value === undefined) return current === 0 ? state : undefined;
  return withRevision(state, current);
}

/** The state narrowed to the worlds in which a conditional write is refused. */
function afterFailure(
  state: KeyValueState | undefined,
  input: KeyValueInput,
): KeyValueState | undefined {
  if (state === undefined) return undefined;
  switch (input.type) {
    case "create":
      return state.value === undefined ? undefined : state;
    case "cas":
      if (state.value === undefined) return state;
      if ("ifRevision" in input) return withoutRevision(state, input.ifRevision);
      return state.value === input.ifValue ? undefined : state;
    case "delete":
      if (input.ifRevision === undefined) return undefined;
      return state.value === undefined ? state : withoutRevision(state, input.ifRevision);
    default:
      return undefined; // reads and plain writes have no condition that could fail
  }
}

function written(
  state: KeyValueState,
  input: KeyValueInput,
  revision: number | undefined,
): KeyValueState | undefined {
  if (revision !== undefined && revision <= state.atLeast) return undefined;
  const value = valueWritten(input);
  const atLeast = revision ?? state.atLeast + 1;
  // An absent key shows no revision, so there is none to remember beyond the bound.
  return { value, revision: value === undefined ? undefined : revision, atLeast, excluded: [] };
}

function withRevision(state: KeyValueState, revision: number): KeyValueState | undefined {
  if (state.revision !== undefined) return state.revision === revision ? state : undefined;
  if (revision < state.atLeast || state.excluded.includes(revision)) return undefined;
  return { value: state.value, revision, atLeast: revision, excluded: [] };
}

function withoutRevision(state: KeyValueState, revision: number): KeyValueState | undefined {
  if (state.revision !== undefined) return state.revision === revision ? undefined : state;
  if (revision < state.atLeast || state.excluded.includes(revision)) return state;
  let excluded = [...state.excluded, revision].sort((a, b) => a - b);
  let atLeast = state.atLeast;
  while (excluded[0] === atLeast) {
    excluded = excluded.slice(1);
    atLeast++;
  }
  return { value: state.value, revision: undefined, atLeast, excluded };
}

function covers(a: KeyValueState, b: KeyValueState): boolean {
  if (a.value !== b.value) return false;
  if (a.value === undefined) return a.atLeast <= b.atLeast;
  if (a.revision !== undefined) return a.revision === b.revision;
  if (b.revision !== undefined) return withRevision(a, b.revision) !== undefined;
  return a.atLeast <= b.atLeast && a.excluded.every((r) => r < b.atLeast || b.excluded.includes(r));
}

/** A plain write can stand in for a conditional one of the same value, a plain delete likewise. */
function standsInFor(a: KeyValueInput, b: KeyValueInput): boolean {
  if (a.type === "put") return b.type !== "put" && valueWritten(b) === a.value;
  if (a.type !== "delete" || a.ifRevision !== undefined) return false;
  return b.type === "delete" && b.ifRevision !== undefined;
}

/** Revisions on one key grow, so whoever showed the lower one came first. */
function rank(_: KeyValueInput, output: KeyValueOutput): number | undefined {
  if (output.type === "failed") return output.current === 0 ? undefined : output.current;
  return "revision" in output ? output.revision : undefined;
}

/**
 * Two things follow from what was seen of the values.
 *
 * If only one write can have left a value that was seen, that write happened, and before whoever
 * saw the value had returned. Values that several writes may have left tell nothing. Values seen
 * without a revision tell something, but not where in the order the write belongs, and then the
 * search does better to place it when it is needed.
 *
 * A value that no read returned and no comparison names cannot be told from another such value: a
 * read of either would have returned it, and every comparison with a value fails on both. So all of
 * them become one.
 */
function settle(operations: readonly KeyValueOperation[]): readonly KeyValueOperation[] {
  const sightings = sightingsIn(operations);
  const writers = writersOf(operations);
  let unseen = UNSEEN;
  while (sightings.has(unseen)) unseen += UNSEEN;
  return operations.map((operation) => {
    const value = valueWritten(operation.input);
    if (value === undefined) return operation;
    const seen = sightings.get(value);
    if (seen === undefined) {
      return { ...operation, input: { ...operation.input, value: unseen } as KeyValueInput };
    }
    const { returnAt, revision } = seen;
    // Seen before it was written is for the search to find.
    const isSettled =
      revision !== undefined && writers.get(value) === 1 && returnAt >= operation.callAt;
    if (operation.outcome !== "unknown" || !isSettled) return operation;
    return { ...operation, outcome: "done", output: { type: "ok", revision }, returnAt };
  });
}

const UNSEEN = "(never seen)";

function writersOf(operations: readonly KeyValueOperation[]): Map<string, number> {
  const writers = new Map<string, number>();
  for (const operation of operations) {
    const value = valueWritten(operation.input);
    if (value === undefined || !mayHaveWritten(operation)) continue;
    writers.set(value, (writers.get(value) ?? 0) + 1);
  }
  return writers;
}

interface Sighting {
  /** When the first who saw the value had returned; Infinity for who may have seen it. */
  returnAt: number;
  revision: number | undefined;
}

function sightingsIn(operations: readonly KeyValueOperation[]): Map<string, Sighting> {
  const sightings = new Map<string, Sighting>();
  const note = (value: string, returnAt: number, revision: number | undefined): void => {
    const known = sightings.get(value);
    if (known === undefined) sightings.set(value, { returnAt, revision });
    else {
      known.returnAt = Math.min(known.returnAt, returnAt);
      known.revision ??= revision;
    }
  };
  for (const operation of operations) {
    const { input } = operation;
    // A comparison distinguishes its value from all others, whatever came of it.
    if (input.type === "cas" && "ifValue" in input) note(input.ifValue, Infinity, undefined);
    if (operation.outcome !== "done" || operation.output.type !== "value") continue;
    note(operation.output.value, operation.returnAt, operation.output.revision);
  }
  return sightings;
}

function mayHaveWritten(operation: KeyValueOperation): boolean {
  if (operation.outcome === "done") return operation.output.type === "ok";
  return operation.outcome === "unknown";
}

function describe(input: KeyValueInput, output: KeyValueOutput | undefined): string {
  return `${describeInput(input)} → ${describeOutput(output)}`;
}

function describeInput(input: KeyValueInput): string {
  switch (input.type) {
    case "put":
    case "create":
      return `${input.type} ${JSON.stringify(input.value)}`;
    case "cas": {
      const value = JSON.stringify(input.value);
      return "ifRevision" in input
        ? `cas ${value} if revision ${input.ifRevision}`
        : `cas ${value} if ${JSON.stringify(input.ifValue)}`;
    }
    case "delete":
      return input.ifRevision === undefined ? "delete" : `delete if revision ${input.ifRevision}`;
    default:
      return input.type;
  }
}

function describeOutput(output: KeyValueOutput | undefined): string {
  if (output === undefined) return "unknown";
  const revision =
    "revision" in output && output.revision !== undefined ? ` at revision ${output.revision}` : "";
  if (output.type === "failed" && output.current !== undefined) {
    return output.current === 0 ? "failed, absent" : `failed, found revision ${output.current}`;
  }
  return (output.type === "value" ? JSON.stringify(output.value) : output.type) + revision;
}

function describeState(state: KeyValueState): string {
  if (state.value === undefined) return `absent, last revision ${state.atLeast} or later`;
  const revision = state.revision ?? `${state.atLeast} or later, never shown`;
  return `${JSON.stringify(state.value)} at revision ${revision}`;
}
