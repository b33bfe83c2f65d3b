/**
 * The server's store in memory and on disk, side by side: one member alone on a real disk, so that
 * the figures are those of log and store and not of a network. Both kinds take turns, each run in a
 * process of its own.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import type { Machine } from "./environment.ts";
import { UsageError, wholeNumber } from "./options.ts";
import type { Progress } from "./progress.ts";
import { aligned, machineLine, withSpread } from "./report.ts";
import { spreadOf } from "./statistics.ts";

/** What to measure. */
export interface StoreOptions {
  readonly keys: number;
  readonly valueBytes: number;
  readonly runs: number;
  readonly directory: string;
  readonly json: boolean;
  readonly name: string | undefined;
}

/** One run, for its process. */
export interface StoreRun {
  readonly kind: "memory" | "disk";
  readonly directory: string;
  readonly keys: number;
  readonly valueBytes: number;
}

/** What a run came to. */
export interface StoreFigures {
  readonly writesPerSecond: number;
  /** Local ones, of keys in no order. */
  readonly readsPerSecond: number;
  /** Of the machine's files: its store, or one snapshot. */
  readonly bytesPerKey: number;
  readonly anonymousBytes: number;
  /** From opening to the first linearizable read. */
  readonly startMs: number;
}

/** The figures of one kind. */
export interface StoreRounds {
  readonly kind: StoreRun["kind"];
  readonly figures: StoreFigures[];
}

const PROCESS = fileURLToPath(new URL("./store-process.js", import.meta.url));

export function parseStoreOptions(args: readonly string[]): StoreOptions {
  const values = parse(args);
  return {
    keys: wholeNumber("keys", values.keys),
    valueBytes: wholeNumber("value", values.value),
    runs: wholeNumber("runs", values.runs),
    directory: values.dir,
    json: values.json,
    name: values["no-save"] ? undefined : values.name,
  };
}

/** Runs of both kinds, in turns. */
export async function measureStore(
  options: StoreOptions,
  progress: Progress,
): Promise<readonly StoreRounds[]> {
  const { keys, valueBytes } = options;
  const rounds: StoreRounds[] = [
    { kind: "memory", figures: [] },
    { kind: "disk", figures: [] },
  ];
  progress.begin(2 * options.runs);
  for (let i = 0; i < options.runs; i++) {
    for (const { kind, figures } of rounds) {
      progress.step(`${keys} keys ${kind === "disk" ? "on disk" : "in memory"}`);
      const directory = mkdtempSync(join(options.directory, "quorate-bench-store-"));
      try {
        const run: StoreRun = { kind, directory, keys, valueBytes };
        const given = [PROCESS, JSON.stringify(run)];
        const { stdout } = await promisify(execFile)(process.execPath, given);
        figures.push(JSON.parse(stdout) as StoreFigures);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    }
  }
  progress.end();
  return rounds;
}

const HEADS = [
  "store",
  "writes/s",
  "local reads/s",
  "bytes of files per key",
  "anonymous memory, MiB",
  "start, ms",
] as const;

/** Aligned columns for a terminal. */
export function storeTable(rounds: readonly StoreRounds[]): string {
  return aligned([HEADS, ...linesOf(rounds)]);
}

export function storeMarkdown(
  rounds: readonly StoreRounds[],
  machine: Machine,
  options: StoreOptions,
): string {
  const table = [HEADS, HEADS.map(() => "---"), ...linesOf(rounds)];
  return [
    "# Store",
    "",
    ...table.map((line) => `| ${line.join(" | ")} |`),
    "",
    `Medians of ${options.runs} interleaved runs (lowest–highest): one member alone, ` +
      `${options.keys.toLocaleString("en-GB")} keys in no order with values of ${options.valueBytes} bytes, 1,024 writes ` +
      "outstanding, on a real disk with its syncs. The files are LMDB's environment, or one snapshot of the store " +
      "in memory; the log comes to both. A start goes from opening to the first linearizable read.",
    "",
    machineLine(machine),
    `- Commit: ${machine.commit}; ${machine.date}`,
    `- Command: \`${commandOf(options)}\``,
    "",
  ].join("\n");
}

export function storeJson(
  rounds: readonly StoreRounds[],
  environment: Machine,
  options: StoreOptions,
): string {
  return `${JSON.stringify({ environment, command: commandOf(options), rounds }, undefined, 2)}\n`;
}

function linesOf(rounds: readonly StoreRounds[]): (readonly string[])[] {
  return rounds.map(({ kind, figures }) => {
    const of = (value: (one: StoreFigures) => number): string =>
      withSpread(spreadOf(figures.map(value)));
    return [
      kind,
      of(({ writesPerSecond }) => writesPerSecond),
      of(({ readsPerSecond }) => readsPerSecond),
      of(({ bytesPerKey }) => bytesPerKey),
      of(({ anonymousBytes }) => anonymousBytes / 1_048_576),
      of(({ startMs }) => startMs),
    ];
  });
}

function commandOf({ keys, valueBytes, runs }: StoreOptions): string {
  return `npm run bench -- store --keys ${keys} --value ${valueBytes} --runs ${runs}`;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        keys: { type: "string", default: "500000" },
        value: { type: "string", default: "100" },
        runs: { type: "string", default: "3" },
        dir: { type: "string", default: tmpdir() },
        name: { type: "string", default: "store" },
        "no-save": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
