/**
 * One run, for whoever wants to understand it: here in the main thread, so that a debugger sees it,
 * with every line of its trace if that is wanted.
 */
import { readFileSync } from "node:fs";
import { drawOptions, runSimulation, shrink, TRACE_HEAD } from "quorate/sim";
import type { SimOptions, SimResult } from "quorate/sim";
import type { SingleCommand } from "./command-line.ts";
import { UsageError } from "./command-line.ts";
import { failureReport, keepOptions, withInvariant } from "./failure.ts";
import { commit } from "./repository.ts";
import { LiveLine, stylesOf } from "./terminal.ts";
import { summaryTable, Totals } from "./totals.ts";

/** Lines are written in blocks: one call per line would take longer than the run. */
const BLOCK_LINES = 500;

/** Makes the run; returns whether all is well. */
export async function runSingle(command: SingleCommand): Promise<boolean> {
  const options =
    "seed" in command.of
      ? drawOptions(command.of.seed, command.profile)
      : readOptions(command.of.file);
  if (command.shrink) return shrinkRun(options, command);
  const begun = performance.now();
  const lines = new Lines();
  if (command.trace) lines.add(TRACE_HEAD);
  const result = await runSimulation(options, {
    ...(command.until === undefined ? {} : { untilStep: command.until }),
    ...(command.trace ? { trace: (line: string) => lines.add(line) } : {}),
  });
  lines.write();
  const seconds = (performance.now() - begun) / 1000;
  process.stdout.write(command.json ? jsonOf(result) : textOf(result, command, seconds));
  return result.violation === undefined;
}

/** Options from a file: alone, or as they are kept of a failure, under `options`. */
export function readOptions(file: string): SimOptions {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--options ${file} cannot be read: ${why}`);
  }
  const options = isRecord(value) && "options" in value ? value["options"] : value;
  if (isRecord(options) && typeof options["seed"] === "number") {
    return options as unknown as SimOptions;
  }
  throw new UsageError(`--options ${file} holds no options: at least "seed" is missing`);
}

async function shrinkRun(options: SimOptions, command: SingleCommand): Promise<boolean> {
  const first = await runSimulation(options);
  const { violation } = first;
  if (violation === undefined) {
    process.stdout.write(command.json ? jsonOf(first) : "The run does not fail: nothing to do.\n");
    return true;
  }
  const line = new LiveLine(process.stderr);
  const { options: least } = await shrink(first, {
    onAttempt: ({ number, what, isKept }) => {
      line.show(0, `attempt ${number}: ${what}: ${isKept ? "fails as well" : "passes"}`);
    },
  });
  line.clear();
  const found = withInvariant(violation.invariant, violation.message);
  const kept = keepOptions(least, `${least.seed}-small.json`, found);
  const text = JSON.stringify(least, undefined, 2);
  process.stdout.write(
    command.json
      ? `${text}\n`
      : `${text}\n\nKept in ${kept}. Once it is understood and mended, it belongs into ` +
          `sim/regressions.\nReplay: npm run sim -- --options ${kept} --trace\n`,
  );
  return false;
}

function textOf(result: SimResult, command: SingleCommand, seconds: number): string {
  const styled = stylesOf(process.stdout);
  const { violation, options, traceHash } = result;
  if (violation !== undefined) {
    const { seed } = options;
    const { profile } = command;
    const { invariant } = violation;
    const report = failureReport({ seed, profile, invariant, result, reason: undefined });
    return `\n${report}\n\n${styled("red", "FAILED")}, trace ${traceHash}\n`;
  }
  const totals = new Totals();
  totals.add(result, false);
  const verdict =
    command.until === undefined || result.steps < command.until
      ? "No violation"
      : `No violation up to step ${result.steps}`;
  return [
    command.trace ? "" : `${JSON.stringify(options, undefined, 2)}\n`,
    summaryTable(totals, seconds, 1),
    "",
    `${styled("green", verdict)}, ${result.steps} steps, trace ${traceHash}, commit ${commit()}`,
    "",
  ].join("\n");
}

function jsonOf(result: SimResult): string {
  return `${JSON.stringify({ commit: commit(), ...result }, undefined, 2)}\n`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** Gathers lines for standard output. */
class Lines {
  #lines: string[] = [];

  add(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length >= BLOCK_LINES) this.write();
  }

  write(): void {
    if (this.#lines.length > 0) process.stdout.write(`${this.#lines.join("\n")}\n`);
    this.#lines = [];
  }
}
