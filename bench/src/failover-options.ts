/** The command line of `failover`. */
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import type { KvTiming } from "./kv-system.ts";
import { UsageError, wholeNumber } from "./options.ts";

/** What to measure. */
export interface FailoverOptions {
  readonly systems: readonly string[];
  /** Ends of each kind. */
  readonly rounds: number;
  readonly ratePerSecond: number;
  readonly valueBytes: number;
  readonly timing: KvTiming;
  readonly directory: string;
  readonly allowMemory: boolean;
  readonly json: boolean;
  readonly name: string | undefined;
}

export function parseFailoverOptions(args: readonly string[]): FailoverOptions {
  const values = parse(args);
  const electionTimeoutMs = wholeNumber("election-timeout", values["election-timeout"]);
  return {
    systems: values.systems.split(","),
    rounds: wholeNumber("rounds", values.rounds),
    ratePerSecond: wholeNumber("rate", values.rate),
    valueBytes: wholeNumber("value", values.value),
    timing: { electionTimeoutMs, heartbeatIntervalMs: Math.floor(electionTimeoutMs / 10) },
    directory: values.dir,
    allowMemory: values["allow-memory"],
    json: values.json,
    name: values["no-save"] ? undefined : values.name,
  };
}

/** The command that measures the same again. */
export function failoverCommand(options: FailoverOptions): string {
  return [
    `npm run bench -- failover --systems ${options.systems.join(",")}`,
    `--rounds ${options.rounds}`,
    `--election-timeout ${options.timing.electionTimeoutMs}`,
    `--rate ${options.ratePerSecond}`,
    `--value ${options.valueBytes}`,
  ].join(" ");
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        systems: { type: "string", default: "quorate" },
        rounds: { type: "string", default: "50" },
        "election-timeout": { type: "string", default: "1000" },
        rate: { type: "string", default: "500" },
        value: { type: "string", default: "256" },
        dir: { type: "string", default: tmpdir() },
        name: { type: "string", default: "failover" },
        "no-save": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        "allow-memory": { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
