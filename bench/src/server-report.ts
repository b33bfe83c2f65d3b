/** Servers under load, as a table for the terminal, as Markdown and as JSON. */
import type { Environment } from "./environment.ts";
import { worstOf } from "./loop-delay.ts";
import {
  aligned,
  failureLines,
  machineLine,
  missingLines,
  othersLine,
  versionsLine,
  withSpread,
} from "./report.ts";
import { serverCommand } from "./server-options.ts";
import type { ServerOptions } from "./server-options.ts";
import type { ServerMeasurement, ServerSeries, ServerWindow } from "./server.ts";
import { short, spreadOf } from "./statistics.ts";
import type { Spread } from "./statistics.ts";

/** The result of one load on one system: medians over the runs, with lowest and highest. */
export interface ServerRow {
  readonly system: string;
  readonly operation: string;
  readonly place: string;
  readonly connections: number;
  readonly requestsPerSecond: Spread;
  readonly p50Ms: Spread;
  readonly p99Ms: Spread;
  readonly cpuLeaderUs: Spread;
  readonly cpuFollowerUs: Spread;
  readonly cpuClusterUs: Spread;
  readonly cpuGeneratorUs: Spread;
  readonly peakLeaderMiB: Spread;
  readonly peakFollowerMiB: Spread;
  /** Of the worst event loop of the members in each run; undefined for a system without. */
  readonly loopP999Ms: Spread | undefined;
  readonly loopMaxMs: Spread | undefined;
  /** Requests per second of the first system as a multiple of this one's, run by run. */
  readonly firstIsTimes: Spread | undefined;
}

export function serverRows(all: readonly ServerSeries[]): readonly ServerRow[] {
  return all.map((one) => {
    const of = (value: (window: ServerWindow) => number): Spread =>
      spreadOf(one.windows.map(value));
    const delays = one.windows.flatMap((window) => worstOf(window.loopDelays) ?? []);
    return {
      system: one.system,
      operation: one.operation,
      place: one.place,
      connections: one.connections,
      requestsPerSecond: of((w) => w.requestsPerSecond),
      p50Ms: of((w) => w.p50Ms),
      p99Ms: of((w) => w.p99Ms),
      cpuLeaderUs: of((w) => w.cpuUs[0]!),
      cpuFollowerUs: of((w) => mean(w.cpuUs.slice(1))),
      cpuClusterUs: of((w) => sum(w.cpuUs)),
      cpuGeneratorUs: of((w) => w.generatorCpuUs),
      peakLeaderMiB: of((w) => w.peakBytes[0]! / 2 ** 20),
      peakFollowerMiB: of((w) => Math.max(...w.peakBytes.slice(1)) / 2 ** 20),
      loopP999Ms: spreadIfAny(delays.map(({ p999Ms }) => p999Ms)),
      loopMaxMs: spreadIfAny(delays.map(({ maxMs }) => maxMs)),
      firstIsTimes: firstIsTimes(one, all),
    };
  });
}

const HEADS = [
  "system",
  "request",
  "to",
  "connections",
  "requests/s",
  "p50 ms",
  "p99 ms",
  "CPU µs leader",
  "CPU µs follower",
  "CPU µs cluster",
  "CPU µs generator",
  "peak MiB leader",
  "peak MiB follower",
  "loop p99.9 ms",
  "loop max ms",
] as const;

function headsOf(options: ServerOptions): readonly string[] {
  return options.systems.length > 1 ? [...HEADS, `${options.systems[0]!} is ×`] : HEADS;
}

function linesOf(found: ServerMeasurement, options: ServerOptions): (readonly string[])[] {
  return serverRows(found.series).map((row) => {
    const cells = [
      row.system,
      row.operation,
      row.place,
      String(row.connections),
      withSpread(row.requestsPerSecond),
      withSpread(row.p50Ms),
      withSpread(row.p99Ms),
      withSpread(row.cpuLeaderUs),
      short(row.cpuFollowerUs.median),
      withSpread(row.cpuClusterUs),
      short(row.cpuGeneratorUs.median),
      short(row.peakLeaderMiB.median),
      short(row.peakFollowerMiB.median),
      row.loopP999Ms === undefined ? "–" : withSpread(row.loopP999Ms),
      row.loopMaxMs === undefined ? "–" : withSpread(row.loopMaxMs),
    ];
    if (options.systems.length === 1) return cells;
    return [...cells, row.firstIsTimes === undefined ? "–" : withSpread(row.firstIsTimes)];
  });
}

/** Aligned columns for a terminal. */
export function serverTable(found: ServerMeasurement, options: ServerOptions): string {
  const table = aligned([headsOf(options), ...linesOf(found, options)]);
  return [table, ...missingLines(found), ...failureLines(found)].join("\n");
}

export function serverMarkdown(
  found: ServerMeasurement,
  environment: Environment,
  options: ServerOptions,
): string {
  const heads = headsOf(options);
  const table = [heads, heads.map(() => "---"), ...linesOf(found, options)];
  const e = environment;
  return [
    options.what === "server" ? "# Server" : "# Peers",
    "",
    ...table.map((line) => `| ${line.join(" | ")} |`),
    "",
    `Medians of ${options.runs} interleaved runs (lowest–highest), ${options.windowMs / 1000} s each ` +
      `after ${options.warmUpMs / 1000} s of warm-up, on members warmed up by writes before; ${options.keys} keys, values of ` +
      `${options.valueBytes} bytes; ${loopOf(options)}; three processes and the load generator on one ` +
      "machine. CPU is user and system time of the whole process per request: µs per request are ms per 1,000. " +
      "Peak memory is of the process from its start to the end of the window. The loop's delay is that of the worst " +
      "member, warm-up of the window included.",
    "",
    ...missingLines(found),
    ...failureLines(found),
    versionsLine(found),
    othersLine(found.series.flatMap((one) => one.windows.flatMap((w) => w.othersShare ?? []))),
    machineLine(e),
    `- Disk: ${e.fileSystem}; one data-synced write of 4 KiB takes ${short(e.syncedWriteMs)} ms`,
    `- Commit: ${e.commit}; ${e.date}`,
    `- Command: \`${serverCommand(options)}\``,
    "",
  ].join("\n");
}

export function serverJson(
  found: ServerMeasurement,
  environment: Environment,
  options: ServerOptions,
): string {
  const { series, ...systems } = found;
  const command = serverCommand(options);
  const rows = serverRows(series);
  return `${JSON.stringify({ environment, command, ...systems, rows, series }, undefined, 2)}\n`;
}

function loopOf({ ratePerSecond }: ServerOptions): string {
  if (ratePerSecond === undefined) return "each connection has one request outstanding";
  return `${ratePerSecond} requests fall due every second, latencies count from then`;
}

function firstIsTimes(one: ServerSeries, all: readonly ServerSeries[]): Spread | undefined {
  const first = all.find(
    (other) =>
      other.operation === one.operation &&
      other.place === one.place &&
      other.connections === one.connections,
  );
  if (first === undefined || first.system === one.system) return undefined;
  return spreadOf(
    one.windows.map((w, run) => first.windows[run]!.requestsPerSecond / w.requestsPerSecond),
  );
}

function spreadIfAny(values: readonly number[]): Spread | undefined {
  return values.length === 0 ? undefined : spreadOf(values);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
