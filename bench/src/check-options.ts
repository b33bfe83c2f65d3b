/** The command line of `check`. */
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { seconds, UsageError, wholeNumber } from "./options.ts";

/** How to measure, and what to do with it. */
export interface CheckOptions {
  /** Writes what was measured as the record that later runs are compared with. */
  readonly record: boolean;
  readonly runs: number;
  readonly windowMs: number;
  readonly directory: string;
  readonly allowMemory: boolean;
  readonly json: boolean;
  /** The record is `bench/results/NAME.json`. */
  readonly name: string;
}

export function parseCheckOptions(args: readonly string[]): CheckOptions {
  const values = parse(args);
  return {
    record: values.record,
    runs: wholeNumber("runs", values.runs),
    windowMs: seconds("seconds", values.seconds),
    directory: values.dir,
    allowMemory: values["allow-memory"],
    json: values.json,
    name: values.name,
  };
}

/** The command that measures the same again. */
export function checkCommand({ runs, windowMs }: CheckOptions): string {
  return `npm run bench -- check --runs ${runs} --seconds ${windowMs / 1000}`;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        record: { type: "boolean", default: false },
        runs: { type: "string", default: "5" },
        seconds: { type: "string", default: "1" },
        dir: { type: "string", default: tmpdir() },
        name: { type: "string", default: "check" },
        json: { type: "boolean", default: false },
        "allow-memory": { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
