/** Outages as a table for the terminal, as Markdown and as JSON. */
import type { Environment } from "./environment.ts";
import { failoverCommand } from "./failover-options.ts";
import type { FailoverOptions } from "./failover-options.ts";
import type { FailoverMeasurement } from "./failover.ts";
import { aligned, machineLine, missingLines, versionsLine } from "./report.ts";
import { quantileOf, short } from "./statistics.ts";

const HEADS = [
  "system",
  "the leader's end",
  "times",
  "p50 ms",
  "p99 ms",
  "max ms",
  "p50 T",
  "p99 T",
  "max T",
] as const;

function linesOf(found: FailoverMeasurement, options: FailoverOptions): (readonly string[])[] {
  const t = options.timing.electionTimeoutMs;
  return found.series.map(({ system, ending, outagesMs }) => {
    const figures = [0.5, 0.99, 1].map((q) => quantileOf(outagesMs, q));
    return [
      system,
      ending,
      String(outagesMs.length),
      ...figures.map(short),
      ...figures.map((ms) => (ms / t).toFixed(2)),
    ];
  });
}

/** Aligned columns for a terminal. */
export function failoverTable(found: FailoverMeasurement, options: FailoverOptions): string {
  return [aligned([HEADS, ...linesOf(found, options)]), ...missingLines(found)].join("\n");
}

export function failoverMarkdown(
  found: FailoverMeasurement,
  environment: Environment,
  options: FailoverOptions,
): string {
  const table = [HEADS, HEADS.map(() => "---"), ...linesOf(found, options)];
  const { electionTimeoutMs, heartbeatIntervalMs } = options.timing;
  const e = environment;
  return [
    "# Failover",
    "",
    ...table.map((line) => `| ${line.join(" | ")} |`),
    "",
    "The longest time without a successful write around each end of a leader: by SIGKILL, or by SIGTERM (`stop`), which " +
      `asks it to go in order. Three members on one machine; ${options.ratePerSecond} writes of ${options.valueBytes} bytes begin every second, to all ` +
      `members in turns, whatever became of those before. T is the election timeout, ${electionTimeoutMs} ms; heartbeats every ` +
      `${heartbeatIntervalMs} ms. The 99th percentile of fewer than 100 outages is the longest one.`,
    "",
    ...missingLines(found),
    versionsLine(found),
    machineLine(e),
    `- Disk: ${e.fileSystem}; one data-synced write of 4 KiB takes ${short(e.syncedWriteMs)} ms`,
    `- Commit: ${e.commit}; ${e.date}`,
    `- Command: \`${failoverCommand(options)}\``,
    "",
  ].join("\n");
}

export function failoverJson(
  found: FailoverMeasurement,
  environment: Environment,
  options: FailoverOptions,
): string {
  const command = failoverCommand(options);
  return `${JSON.stringify({ environment, command, ...found }, undefined, 2)}\n`;
}
