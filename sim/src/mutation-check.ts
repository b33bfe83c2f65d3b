/**
 * `npm run sim -- --mutations`: every planted defect must be caught within its budget, and the
 * library as it is must stand the very same scenarios and seeds.
 *
 * A defect that escapes, does not fit the code any more or does not compile fails the whole. A
 * mutant that hangs has escaped: nobody learns anything from a run without an end. One that
 * crashes is caught, and is told as that.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MutationsCommand } from "./command-line.ts";
import { UsageError } from "./command-line.ts";
import { buildMutant, judge, patchedFiles, removeMutant } from "./mutant.ts";
import { readMutations } from "./mutation.ts";
import type { CaughtBy, Mutation } from "./mutation.ts";
import { PatchError } from "./patch.ts";
import { commit, ROOT } from "./repository.ts";
import { alignRows, duration, LiveLine, stylesOf } from "./terminal.ts";
import type { Question, Verdict } from "./verdict.ts";

const MUTATIONS = join(ROOT, "sim/mutations");
const CONTROL_SECONDS_MAX = 600;
const TEXT_COLUMNS = 90;

/** What came of one defect. */
interface Outcome {
  readonly mutation: Mutation;
  readonly type: "caught" | "ESCAPED" | "BROKEN" | "equivalent";
  readonly text: string;
  readonly seeds: number;
  readonly seconds: number;
  /** What the library without the defect must stand. */
  readonly control: Question | undefined;
}

/** Checks the defects that were asked for; returns whether all is well. */
export async function runMutations(command: MutationsCommand): Promise<boolean> {
  const mutations = chosen(command.names);
  if (command.list) {
    list(mutations, command.json);
    return true;
  }
  const directory = mkdtempSync(join(tmpdir(), "quorate-mutants-"));
  const interrupted = (): void => {
    removeMutant(directory);
    process.exit(130);
  };
  process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
  try {
    return await new Check(directory, command, mutations).run();
  } finally {
    process.off("SIGINT", interrupted).off("SIGTERM", interrupted);
    removeMutant(directory);
  }
}

function chosen(names: readonly string[]): Mutation[] {
  const all = readMutations(MUTATIONS);
  for (const name of names) {
    if (!all.some((mutation) => mutation.name === name)) {
      throw new UsageError(`no planted defect is called "${name}"; --list names them`);
    }
  }
  return all.filter((mutation) => names.length === 0 || names.includes(mutation.name));
}

class Check {
  readonly #directory: string;
  readonly #command: MutationsCommand;
  readonly #mutations: readonly Mutation[];
  readonly #line: LiveLine = new LiveLine(process.stderr);
  readonly #styled = stylesOf(process.stdout);
  readonly #outcomes: Outcome[] = [];
  readonly #begun = performance.now();

  constructor(directory: string, command: MutationsCommand, mutations: readonly Mutation[]) {
    this.#directory = directory;
    this.#command = command;
    this.#mutations = mutations;
  }

  async run(): Promise<boolean> {
    const control = join(this.#directory, "control");
    await buildMutant(control, []);
    this.#progress("");
    await inLanes(this.#mutations, this.#command.jobs, async (mutation) => {
      this.#tell(await this.#check(mutation));
    });
    const failed = await this.#controlAll(control);
    this.#line.clear();
    this.#end(failed);
    const isWell = this.#outcomes.every(({ type }) => type === "caught" || type === "equivalent");
    return isWell && failed.length === 0;
  }

  async #check(mutation: Mutation): Promise<Outcome> {
    const begun = performance.now();
    const seconds = (): number => (performance.now() - begun) / 1000;
    const nothing = { mutation, seeds: 0, seconds: 0, control: undefined };
    const directory = join(this.#directory, mutation.name);
    try {
      if (mutation.caughtBy === undefined) {
        patchedFiles(mutation.files);
        return { ...nothing, type: "equivalent", text: mutation.equivalent ?? "" };
      }
      await buildMutant(directory, mutation.files);
      const question = this.#questionOf(mutation.caughtBy);
      const verdict = await judge(directory, question, mutation.budgetSeconds);
      const { seeds } = verdict;
      const control = controlOf(question, verdict);
      const text = textOf(verdict);
      return { mutation, type: typeOf(verdict), text, seeds, seconds: seconds(), control };
    } catch (error) {
      if (!(error instanceof PatchError)) throw error;
      return { ...nothing, type: "BROKEN", text: error.message, seconds: seconds() };
    } finally {
      removeMutant(directory);
    }
  }

  #questionOf(by: CaughtBy): Question {
    if (by.kind === "scenario") return by;
    return { ...by, firstSeed: this.#command.from };
  }

  /** Each distinct question once; returns what the library as it is did not stand. */
  async #controlAll(directory: string): Promise<string[]> {
    const questions = new Map<string, string[]>();
    for (const { control, mutation } of this.#outcomes) {
      if (control === undefined) continue;
      const key = JSON.stringify(control);
      questions.set(key, [...(questions.get(key) ?? []), mutation.name]);
    }
    const failed: string[] = [];
    let done = 0;
    await inLanes([...questions], this.#command.jobs, async ([key, names]) => {
      const question = JSON.parse(key) as Question;
      const { type, text } = await judge(directory, question, CONTROL_SECONDS_MAX);
      const of = `${nameOf(question)} (of ${names.join(", ")})`;
      if (type !== "quiet") failed.push(`${of}: ${type}: ${text}`);
      this.#line.show(++done / questions.size, "the same without defects");
    });
    return failed;
  }

  #tell(outcome: Outcome): void {
    this.#outcomes.push(outcome);
    this.#line.clear();
    if (!this.#command.json) process.stdout.write(`${this.#rowOf(outcome)}\n`);
    this.#progress(outcome.mutation.name);
  }

  #rowOf({ mutation, type, text, seeds, seconds }: Outcome): string {
    const width = (of: (mutation: Mutation) => string): number =>
      Math.max(...this.#mutations.map((each) => of(each).length));
    const isBad = type === "ESCAPED" || type === "BROKEN";
    const cells = [
      this.#styled(isBad ? "red" : "green", type.padEnd("equivalent".length)),
      mutation.name.padEnd(width((each) => each.name)),
      mutation.area.padEnd(width((each) => each.area)),
      seeds === 0 ? " ".repeat(10) : `${String(seeds).padStart(4)} seed${seeds === 1 ? " " : "s"}`,
      `${seconds.toFixed(1).padStart(5)} s`,
      isBad || type === "equivalent" ? text : shortened(text),
    ];
    return cells.join("  ");
  }

  #progress(last: string): void {
    const share = this.#outcomes.length / Math.max(1, this.#mutations.length);
    this.#line.show(share, `${this.#outcomes.length}/${this.#mutations.length} ${last}`);
  }

  #end(failed: readonly string[]): void {
    const seconds = (performance.now() - this.#begun) / 1000;
    const outcomes = this.#outcomes.toSorted((a, b) =>
      a.mutation.name < b.mutation.name ? -1 : 1,
    );
    const of = (type: Outcome["type"]): number => outcomes.filter((o) => o.type === type).length;
    if (this.#command.json) {
      const rows = outcomes.map(({ mutation, ...rest }) => ({
        name: mutation.name,
        area: mutation.area,
        known: mutation.known,
        ...rest,
      }));
      const all = { commit: commit(), firstSeed: this.#command.from, seconds, rows, failed };
      process.stdout.write(`${JSON.stringify(all, undefined, 2)}\n`);
      return;
    }
    for (const text of failed) {
      process.stdout.write(`${this.#styled("red", "FAILED")} without any defect: ${text}\n`);
    }
    const verdict = `${of("caught")} caught, ${of("ESCAPED")} escaped, ${of("BROKEN")} broken`;
    process.stdout.write(`\n${verdict}, ${of("equivalent")} equivalent; ${duration(seconds)}\n`);
  }
}

function typeOf({ type }: Verdict): Outcome["type"] {
  if (type === "unasked") return "BROKEN";
  return type === "violation" || type === "crash" ? "caught" : "ESCAPED";
}

function textOf({ type, text }: Verdict): string {
  return type === "crash" ? `crash: ${text}` : text;
}

/** The scenario, or the very seed that caught it. */
function controlOf(question: Question, verdict: Verdict): Question | undefined {
  if (verdict.type === "unasked") return undefined;
  if (question.kind === "scenario") return question;
  if (typeOf(verdict) !== "caught" || verdict.seeds === 0) return undefined;
  return { ...question, firstSeed: question.firstSeed + verdict.seeds - 1, seeds: 1 };
}

function nameOf(question: Question): string {
  if (question.kind === "scenario") return `scenario ${question.scenario}`;
  return `seed ${question.firstSeed} of profile ${question.profile ?? "any"}`;
}

function list(mutations: readonly Mutation[], asJson: boolean): void {
  if (asJson) {
    const rows = mutations.map(({ files, ...rest }) => ({ ...rest, changes: files.length }));
    process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`);
    return;
  }
  const rows = mutations.map((mutation) => {
    const { name, area, caughtBy: by, known, defect } = mutation;
    const caught =
      by === undefined
        ? "equivalent"
        : by.kind === "scenario"
          ? `scenario ${by.scenario}`
          : `random ${by.profile ?? ""}`.trim();
    return [name, area, caught, known === undefined ? defect : `${defect} (${known})`];
  });
  process.stdout.write(`${alignRows(rows)}\n${mutations.length} planted defects\n`);
}

function shortened(text: string): string {
  const line = text.split("\n", 1)[0]!;
  return line.length > TEXT_COLUMNS ? `${line.slice(0, TEXT_COLUMNS - 1)}…` : line;
}

async function inLanes<T>(
  items: readonly T[],
  lanes: number,
  perform: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  const lane = async (): Promise<void> => {
    for (const item of rest) await perform(item);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
