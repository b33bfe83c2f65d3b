/**
 * A planted defect with what is claimed about it: `sim/mutations/NAME.patch`.
 *
 * | header | what it says |
 * |---|---|
 * | `defect` | one sentence: what is wrong |
 * | `area` | votes, append, commit, reads, disk, log, runtime, transport, … |
 * | `known` | the historical bug, as project#number |
 * | `caught-by` | `random`, `random PROFILE` or `scenario NAME` |
 * | `seeds` | how many seeds random runs may take; 300 if it is not said |
 * | `seconds` | how long it may take; 600 if it is not said |
 * | `equivalent` | the argument why no run can show a difference; such a defect is not run |
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { PatchError, parsePatch } from "./patch.ts";
import type { FilePatch } from "./patch.ts";

/** By what a defect is to be caught. */
export type CaughtBy =
  | { readonly kind: "random"; readonly profile: string | undefined; readonly seeds: number }
  | { readonly kind: "scenario"; readonly scenario: string };

/** A planted defect. */
export interface Mutation {
  readonly name: string;
  readonly defect: string;
  readonly area: string;
  readonly known: string | undefined;
  /** The argument, where the defect makes no difference. */
  readonly equivalent: string | undefined;
  /** Undefined only for an equivalent one. */
  readonly caughtBy: CaughtBy | undefined;
  readonly budgetSeconds: number;
  readonly files: readonly FilePatch[];
}

const HEADERS = ["defect", "area", "known", "caught-by", "seeds", "seconds", "equivalent"];
const SEEDS_DEFAULT = 300;
const SECONDS_DEFAULT = 600;

/** Every defect of a folder, sorted by name. Throws {@link PatchError} naming the file. */
export function readMutations(directory: string): Mutation[] {
  const names = readdirSync(directory).filter((name) => name.endsWith(".patch"));
  return names.toSorted().map((file) => {
    const name = file.slice(0, -".patch".length);
    return parseMutation(name, readFileSync(join(directory, file), "utf8"));
  });
}

/** Reads one defect. Throws {@link PatchError} where something is missing or not understood. */
export function parseMutation(name: string, text: string): Mutation {
  try {
    return mutationOf(name, text);
  } catch (error) {
    if (error instanceof PatchError) throw new PatchError(`${name}: ${error.message}`);
    throw error;
  }
}

function mutationOf(name: string, text: string): Mutation {
  const { headers, files } = parsePatch(text);
  for (const key of headers.keys()) {
    if (!HEADERS.includes(key)) throw new PatchError(`nobody knows the header "${key}"`);
  }
  if (files.length === 0) throw new PatchError("no file is changed");
  const equivalent = headers.get("equivalent");
  const by = headers.get("caught-by");
  if ((by === undefined) === (equivalent === undefined)) {
    throw new PatchError('wants either the header "caught-by" or "equivalent"');
  }
  return {
    name,
    defect: required(headers, "defect"),
    area: required(headers, "area"),
    known: headers.get("known"),
    equivalent,
    caughtBy: by === undefined ? undefined : caughtByOf(by, count(headers, "seeds", SEEDS_DEFAULT)),
    budgetSeconds: count(headers, "seconds", SECONDS_DEFAULT),
    files,
  };
}

function caughtByOf(text: string, seeds: number): CaughtBy {
  const [kind, name, ...rest] = text.split(/\s+/);
  if (rest.length === 0 && kind === "random") return { kind, profile: name, seeds };
  if (rest.length === 0 && kind === "scenario" && name !== undefined) {
    return { kind, scenario: name };
  }
  const want = '"random", "random PROFILE" or "scenario NAME"';
  throw new PatchError(`caught-by is ${want}, not "${text}"`);
}

function required(headers: ReadonlyMap<string, string>, key: string): string {
  const value = headers.get(key) ?? "";
  if (value === "") throw new PatchError(`wants the header "${key}"`);
  return value;
}

function count(headers: ReadonlyMap<string, string>, key: string, otherwise: number): number {
  const text = headers.get(key);
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new PatchError(`${key} is a whole number of 1 or more, not "${text}"`);
}
