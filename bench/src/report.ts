/** Results as a table for the terminal, as Markdown and as JSON. */
import { floorOf, isFloor } from "./protocol.ts";
import type { Window } from "./cluster.ts";
import type { Environment, Machine } from "./environment.ts";
import type { BenchOptions } from "./options.ts";
import { worstOf } from "./loop-delay.ts";
import type { ReplicationMeasurement, Series } from "./replication.ts";
import { short, spreadOf } from "./statistics.ts";
import type { Spread } from "./statistics.ts";

/** The result of one system at one load: medians over the runs, with lowest and highest. */
export interface Row {
  readonly system: string;
  readonly valueBytes: number;
  readonly outstanding: number;
  readonly entriesPerSecond: Spread;
  readonly p50Ms: Spread;
  readonly p99Ms: Spread;
  readonly maxMs: Spread;
  readonly cpuLeaderUs: Spread;
  readonly cpuFollowerUs: Spread;
  readonly entriesPerWrite: Spread | undefined;
  readonly leaderRssMiB: Spread;
  /** Of the worst event loop of the three in each run; undefined for a system without. */
  readonly loopP999Ms: Spread | undefined;
  readonly loopMaxMs: Spread | undefined;
  /** Entries per second as a share of the floor's, run by run; undefined without a floor. */
  readonly ofFloor: Spread | undefined;
}

export function rowsOf(all: readonly Series[]): readonly Row[] {
  return all.map((series) => {
    const of = (value: (window: Window) => number): Spread => spreadOf(series.windows.map(value));
    const delays = series.windows.flatMap((window) => worstOf(window.loopDelays) ?? []);
    const perWrite = series.windows.flatMap((window) => window.entriesPerWrite ?? []);
    return {
      system: series.system,
      valueBytes: series.valueBytes,
      outstanding: series.outstanding,
      entriesPerSecond: of((w) => w.entriesPerSecond),
      p50Ms: of((w) => w.p50Ms),
      p99Ms: of((w) => w.p99Ms),
      maxMs: of((w) => w.maxMs),
      cpuLeaderUs: of((w) => w.cpuLeaderUs),
      cpuFollowerUs: of((w) => mean(w.cpuFollowersUs)),
      entriesPerWrite: spreadIfAny(perWrite),
      leaderRssMiB: of((w) => w.leaderRssBytes / 2 ** 20),
      loopP999Ms: spreadIfAny(delays.map(({ p999Ms }) => p999Ms)),
      loopMaxMs: spreadIfAny(delays.map(({ maxMs }) => maxMs)),
      ofFloor: ofFloor(series, all),
    };
  });
}

const HEADS = [
  "system",
  "bytes",
  "outstanding",
  "entries/s",
  "p50 ms",
  "p99 ms",
  "max ms",
  "CPU µs leader",
  "CPU µs follower",
  "entries/write",
  "leader MiB",
  "loop p99.9 ms",
  "loop max ms",
  "of floor",
] as const;

function cellsOf(row: Row): readonly string[] {
  return [
    row.system,
    String(row.valueBytes),
    String(row.outstanding),
    withSpread(row.entriesPerSecond),
    withSpread(row.p50Ms),
    withSpread(row.p99Ms),
    short(row.maxMs.median),
    withSpread(row.cpuLeaderUs),
    withSpread(row.cpuFollowerUs),
    row.entriesPerWrite === undefined ? "–" : short(row.entriesPerWrite.median),
    short(row.leaderRssMiB.median),
    row.loopP999Ms === undefined ? "–" : withSpread(row.loopP999Ms),
    row.loopMaxMs === undefined ? "–" : withSpread(row.loopMaxMs),
    row.ofFloor === undefined ? "–" : withSpread(row.ofFloor),
  ];
}

/** Aligned columns for a terminal. */
export function terminalTable(found: ReplicationMeasurement): string {
  const table = aligned([HEADS, ...rowsOf(found.series).map(cellsOf)]);
  return [table, ...missingLines(found), ...failureLines(found)].join("\n");
}

/** Lines of cells as columns; the first one to the left. */
export function aligned(lines: readonly (readonly string[])[]): string {
  const widths = lines[0]!.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, i) => pad(cell, widths[i]!, i === 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

export function markdown(
  title: string,
  found: ReplicationMeasurement,
  environment: Environment,
  options: BenchOptions,
): string {
  const { series } = found;
  const table = [HEADS, HEADS.map(() => "---"), ...rowsOf(series).map(cellsOf)];
  const e = environment;
  return [
    `# ${title}`,
    "",
    ...table.map((line) => `| ${line.join(" | ")} |`),
    "",
    `Medians of ${options.runs} interleaved runs (lowest–highest), ${options.windowMs / 1000} s each ` +
      `after ${options.warmUpMs / 1000} s of warm-up, on members warmed up by the highest load before; three ` +
      "processes on one machine. CPU is user and system time of the whole process per entry. The loop's " +
      "delay is that of the worst of the three members.",
    "",
    ...missingLines(found),
    ...failureLines(found),
    versionsLine(found),
    othersLine(series.flatMap((one) => one.windows.flatMap((w) => w.othersShare ?? []))),
    machineLine(e),
    `- Disk: ${e.fileSystem}; one data-synced write of 4 KiB takes ${short(e.syncedWriteMs)} ms`,
    `- Commit: ${e.commit}; ${e.date}`,
    `- Command: \`${commandOf(options)}\``,
    "",
  ].join("\n");
}

/** How much of the machine others had in each window where that is known. */
export function othersLine(shares: readonly number[]): string {
  if (shares.length === 0) return "- What else the machine did meanwhile is not known";
  const { median, max } = spreadOf(shares.map((share) => share * 100));
  return `- Others (and the hypervisor) had ${short(median)} % of the machine meanwhile, at most ${short(max)} %`;
}

export function machineLine(e: Machine): string {
  return `- Machine: ${e.processor}, ${e.cores} cores, ${e.memoryGiB} GiB; ${e.kernel}; Node ${e.node}`;
}

export function jsonResult(
  found: ReplicationMeasurement,
  environment: Environment,
  options: BenchOptions,
): string {
  const { series, ...systems } = found;
  const rows = rowsOf(series);
  const command = commandOf(options);
  return `${JSON.stringify({ environment, command, ...systems, rows, series }, undefined, 2)}\n`;
}

function commandOf(options: BenchOptions): string {
  const what = isFloorAlone(options.systems) ? "floor" : "replication";
  return [
    `npm run bench -- ${what}`,
    ...(what === "floor" ? [] : [`--systems ${options.systems.join(",")}`]),
    `--outstanding ${options.outstanding.join(",")}`,
    `--value ${options.valueBytes.join(",")}`,
    `--runs ${options.runs}`,
    `--warm-up ${options.warmUpMs / 1000}`,
    `--seconds ${options.windowMs / 1000}`,
    ...options.nodeFlags.map((flag) => `--node-flag=${flag}`),
  ].join(" ");
}

/** Whether only the bare path was measured, with nothing beside it. */
export function isFloorAlone(systems: BenchOptions["systems"]): boolean {
  return systems.every((name) => name === "floor");
}

function spreadIfAny(values: readonly number[]): Spread | undefined {
  return values.length === 0 ? undefined : spreadOf(values);
}

/** What was asked for and is not there is said, never passed over. */
export function missingLines({ missing }: { missing: Reasons }): readonly string[] {
  return Object.entries(missing).map(
    ([name, reason]) => `- **Missing: ${name}** was not measured: ${reason}`,
  );
}

/** Peers that were there and failed. */
export function failureLines({ failures }: { failures: Reasons }): readonly string[] {
  return Object.entries(failures).map(
    ([name, reason]) => `- **Not measured: ${name}** failed under the load: ${reason}`,
  );
}

/** What the systems call themselves. */
export function versionsLine({ versions }: { versions: Reasons }): string {
  const all = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `- Versions: ${all.join(", ")}`;
}

type Reasons = Readonly<Record<string, string>>;

function ofFloor(series: Series, all: readonly Series[]): Spread | undefined {
  const floor = all.find(
    (other) =>
      other.system === floorOf(series.system) &&
      other.valueBytes === series.valueBytes &&
      other.outstanding === series.outstanding,
  );
  if (floor === undefined || isFloor(series.system)) return undefined;
  return spreadOf(
    series.windows.map((w, run) => w.entriesPerSecond / floor.windows[run]!.entriesPerSecond),
  );
}

export function withSpread(spread: Spread): string {
  return `${short(spread.median)} (${short(spread.min)}–${short(spread.max)})`;
}

function pad(text: string, width: number, left: boolean): string {
  return left ? text.padEnd(width) : text.padStart(width);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
