/** The command line of `memory`. */
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import type { KvTiming } from "./kv-system.ts";
import { UsageError, wholeNumber } from "./options.ts";

/** What to measure. */
export interface MemoryOptions {
  readonly systems: readonly string[];
  readonly minutes: number;
  readonly connections: number;
  readonly keys: number;
  readonly valueBytes: number;
  readonly timing: KvTiming;
  readonly directory: string;
  readonly allowMemory: boolean;
  readonly json: boolean;
  readonly name: string | undefined;
}

export function parseMemoryOptions(args: readonly string[]): MemoryOptions {
  const values = parse(args);
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) throw new UsageError(`--minutes wants more than 0, not "${values.minutes}"`);
  return {
    systems: values.systems.split(","),
    minutes,
    connections: wholeNumber("connections", values.connections),
    keys: wholeNumber("keys", values.keys),
    valueBytes: wholeNumber("value", values.value),
    timing: { electionTimeoutMs: 1_000, heartbeatIntervalMs: 100 },
    directory: values.dir,
    allowMemory: values["allow-memory"],
    json: values.json,
    name: values["no-save"] ? undefined : values.name,
  };
}

/** The command that measures the same again. */
export function memoryCommand(options: MemoryOptions): string {
  return [
    `npm run bench -- memory --systems ${options.systems.join(",")}`,
    `--minutes ${options.minutes}`,
    `--connections ${options.connections}`,
    `--keys ${options.keys}`,
    `--value ${options.valueBytes}`,
  ].join(" ");
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        systems: { type: "string", default: "quorate,etcd" },
        minutes: { type: "string", default: "5" },
        connections: { type: "string", default: "256" },
        keys: { type: "string", default: "10000" },
        value: { type: "string", default: "256" },
        dir: { type: "string", default: tmpdir() },
        name: { type: "string", default: "memory" },
        "no-save": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        "allow-memory": { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
