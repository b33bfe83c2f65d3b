/** Memory over time, as a table, as Markdown, as JSON and as a picture. */
import type { Environment } from "./environment.ts";
import { memoryCommand } from "./memory-options.ts";
import type { MemoryOptions } from "./memory-options.ts";
import type { MemoryMeasurement, MemorySample } from "./memory.ts";
import { noteOf } from "./pictures.ts";
import { picture } from "./plot.ts";
import type { Line } from "./plot.ts";
import {
  aligned,
  failureLines,
  machineLine,
  missingLines,
  othersLine,
  versionsLine,
  withSpread,
} from "./report.ts";
import { short, spreadOf } from "./statistics.ts";
import type { Spread } from "./statistics.ts";

const MIB = 2 ** 20;
const MS_PER_MINUTE = 60_000;

const HEADS = [
  "system",
  "member",
  "first MiB",
  "MiB in the last half",
  "highest MiB",
  "anonymous MiB in the last half",
  "MiB a minute in the last half",
  "% a minute",
] as const;

/** Whether memory is flat: the straight line that lies nearest to the samples of the last half. */
export interface Flatness {
  readonly residentMiB: Spread;
  readonly anonymousMiB: Spread;
  readonly mibPerMinute: number;
  /** Of the median. */
  readonly sharePerMinute: number;
}

export function flatnessOf(samples: readonly MemorySample[]): Flatness {
  const half = samples.slice(samples.length >> 1);
  if (half.length < 2) throw new Error("too few samples: the run has to be longer");
  const residentMiB = spreadOf(half.map(({ residentBytes }) => residentBytes / MIB));
  const mibPerMinute = slopeOf(
    half.map(({ atMs, residentBytes }) => [atMs / MS_PER_MINUTE, residentBytes / MIB]),
  );
  return {
    residentMiB,
    anonymousMiB: spreadOf(half.map(({ anonymousBytes }) => anonymousBytes / MIB)),
    mibPerMinute,
    sharePerMinute: mibPerMinute / residentMiB.median,
  };
}

/** Of the line with the least squares. */
function slopeOf(points: readonly (readonly [number, number])[]): number {
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
  let above = 0;
  let below = 0;
  for (const [x, y] of points) {
    above += (x - meanX) * (y - meanY);
    below += (x - meanX) ** 2;
  }
  return above / below;
}

function linesOf({ series }: MemoryMeasurement): (readonly string[])[] {
  return series.flatMap(({ system, leader, follower }) =>
    [
      { member: "leader", samples: leader },
      { member: "follower", samples: follower },
    ].map(({ member, samples }) => {
      const { residentMiB, anonymousMiB, mibPerMinute, sharePerMinute } = flatnessOf(samples);
      return [
        system,
        member,
        short(samples[0]!.residentBytes / MIB),
        withSpread(residentMiB),
        short(Math.max(...samples.map(({ residentBytes }) => residentBytes)) / MIB),
        withSpread(anonymousMiB),
        signed(mibPerMinute),
        signed(sharePerMinute * 100),
      ];
    }),
  );
}

/** Aligned columns for a terminal. */
export function memoryTable(found: MemoryMeasurement): string {
  const table = aligned([HEADS, ...linesOf(found)]);
  return [table, ...loadLines(found), ...missingLines(found), ...failureLines(found)].join("\n");
}

export function memoryMarkdown(
  found: MemoryMeasurement,
  environment: Environment,
  options: MemoryOptions,
): string {
  const table = [HEADS, HEADS.map(() => "---"), ...linesOf(found)];
  const e = environment;
  return [
    "# Memory",
    "",
    ...table.map((line) => `| ${line.join(" | ")} |`),
    "",
    `Resident memory, sampled every second for ${options.minutes} minutes of writes over ${options.connections} connections to the leader, ` +
      `each with one outstanding; ${options.keys} keys, values of ${options.valueBytes} bytes; one run, one system after the other. Medians of the ` +
      "samples (lowest–highest); a minute's growth is the slope of the straight line nearest to the last half of them. The follower is " +
      "the one that had most at the end. Resident memory has the mapped pages of files in it, anonymous memory has not.",
    "",
    ...loadLines(found),
    ...missingLines(found),
    ...failureLines(found),
    versionsLine(found),
    othersLine(found.series.flatMap(({ window }) => window.othersShare ?? [])),
    machineLine(e),
    `- Disk: ${e.fileSystem}; one data-synced write of 4 KiB takes ${short(e.syncedWriteMs)} ms`,
    `- Commit: ${e.commit}; ${e.date}`,
    `- Command: \`${memoryCommand(options)}\``,
    "",
  ].join("\n");
}

export function memoryJson(
  found: MemoryMeasurement,
  environment: Environment,
  options: MemoryOptions,
): string {
  const rows = found.series.map(({ system, leader, follower }) => {
    return { system, leader: flatnessOf(leader), follower: flatnessOf(follower) };
  });
  const command = memoryCommand(options);
  return `${JSON.stringify({ environment, command, ...found, rows }, undefined, 1)}\n`;
}

export function memoryPicture({ series }: MemoryMeasurement, environment: Environment): string {
  const line = (name: string, samples: readonly MemorySample[], more: Partial<Line>): Line => ({
    name,
    ...more,
    points: samples.map(({ atMs, residentBytes }) => {
      return { x: atMs / MS_PER_MINUTE, value: residentBytes / MIB };
    }),
  });
  return picture("Memory", noteOf(environment), [
    {
      kind: "lines",
      title: "Resident memory under writes that never stop",
      x: { label: "minutes" },
      y: { label: "MiB" },
      lines: series.flatMap(({ system, leader, follower }) => [
        line(`${system}, leader`, leader, { colour: system }),
        line(`${system}, follower`, follower, { colour: system, isDotted: true }),
      ]),
    },
  ]);
}

/** What the members did meanwhile: memory at rest says little. */
function loadLines({ series }: MemoryMeasurement): readonly string[] {
  return series.map(({ system, window }) => {
    const loop = window.loopDelays[0];
    const delays =
      loop === undefined
        ? ""
        : `; the leader's loop was late by ${short(loop.p999Ms)} ms at p99.9, ${short(loop.maxMs)} ms at most`;
    return `- Load: ${system} answered ${short(window.requestsPerSecond)} writes/s, p50 ${short(window.p50Ms)} ms, p99 ${short(window.p99Ms)} ms${delays}`;
  });
}

function signed(value: number): string {
  return `${value < 0 ? "−" : "+"}${short(Math.abs(value))}`;
}
