/** What others feel of large work, as a table, as Markdown, as JSON and as a picture. */
import type { Environment } from "./environment.ts";
import { markOf, noteOf } from "./pictures.ts";
import { picture } from "./plot.ts";
import type { BarGroup, Chart } from "./plot.ts";
import { aligned, machineLine, othersLine, withSpread } from "./report.ts";
import { short, spreadOf } from "./statistics.ts";
import type { Spread } from "./statistics.ts";
import { upkeepCommand } from "./upkeep-options.ts";
import type { UpkeepOptions } from "./upkeep-options.ts";
import { SPANS, STORE_VALUE_BYTES } from "./upkeep.ts";
import type { SpanName, UpkeepSeries, UpkeepSpan } from "./upkeep.ts";

/** Whose event loop. */
const MEMBERS = ["leader", "follower", "returned", "idle"] as const;
type Member = (typeof MEMBERS)[number];

const HEADS = [
  "store",
  "meanwhile",
  "seconds",
  "writes/s",
  "p50 ms",
  "p99 ms",
  "max ms",
  ...MEMBERS.flatMap((member) => [`${member}: loop p99.9 ms`, "max ms"]),
] as const;

/** The rounds of one span with one store. */
interface UpkeepRow {
  readonly store: string;
  readonly name: SpanName;
  readonly spans: readonly UpkeepSpan[];
}

function rowsOf(all: readonly UpkeepSeries[]): readonly UpkeepRow[] {
  return all.flatMap(({ store, spans }) =>
    SPANS.map((name) => ({ store, name, spans: spans.filter((span) => span.name === name) })),
  );
}

function cellsOf({ store, name, spans }: UpkeepRow): readonly string[] {
  const of = (value: (span: UpkeepSpan) => number): Spread => spreadOf(spans.map(value));
  return [
    store,
    name,
    withSpread(of(({ tookMs }) => tookMs / 1_000)),
    short(of(({ window }) => window.requestsPerSecond).median),
    short(of(({ window }) => window.p50Ms).median),
    withSpread(of(({ window }) => window.p99Ms)),
    short(of(({ window }) => window.maxMs).max),
    ...MEMBERS.flatMap((member) => {
      const p999Ms = p999Of(spans, member);
      if (p999Ms === undefined) return ["–", "–"];
      const maxMs = Math.max(...spans.map((span) => span[member]?.maxMs ?? 0));
      return [withSpread(p999Ms), short(maxMs)];
    }),
  ];
}

/** Undefined for a member that was away. */
function p999Of(spans: readonly UpkeepSpan[], member: Member): Spread | undefined {
  const delays = spans.flatMap((span) => span[member] ?? []);
  return delays.length === 0 ? undefined : spreadOf(delays.map(({ p999Ms }) => p999Ms));
}

/** Aligned columns for a terminal. */
export function upkeepTable(all: readonly UpkeepSeries[]): string {
  return aligned([HEADS, ...rowsOf(all).map(cellsOf)]);
}

export function upkeepMarkdown(
  all: readonly UpkeepSeries[],
  environment: Environment,
  options: UpkeepOptions,
): string {
  const e = environment;
  // Of the member that comes back the processor time is not known: it would count as somebody else.
  const shares = all.flatMap(({ spans }) =>
    spans.flatMap(({ name, window }) => (name === "catch-up" ? [] : (window.othersShare ?? []))),
  );
  return [
    "# Upkeep",
    "",
    ...[HEADS, HEADS.map(() => "---"), ...rowsOf(all).map(cellsOf)].map(
      (line) => `| ${line.join(" | ")} |`,
    ),
    "",
    `Three members with ${options.mib} MiB in values of ${STORE_VALUE_BYTES.toLocaleString("en-GB")} bytes, and ${options.ratePerSecond} writes of 256 bytes that fall due every second ` +
      `(open loop, over 64 connections to the leader). Medians of ${options.repeats} rounds (lowest–highest); "max" is the highest of all. A snapshot is taken by the leader while ` +
      "one follower is away. Then, as the log does not go back far enough any more, that one is started again and sent a snapshot; from its start to its answer to a " +
      'linearizable read, its loop from its first answer on. The loop\'s delay counts what a timer of 1 ms was late, waiting for a core of this machine included; "idle" is that of a process beside ' +
      "them that does next to nothing: no member can be expected to be better.",
    "",
    othersLine(shares),
    machineLine(e),
    `- Disk: ${e.fileSystem}; one data-synced write of 4 KiB takes ${short(e.syncedWriteMs)} ms`,
    `- Commit: ${e.commit}; ${e.date}`,
    `- Command: \`${upkeepCommand(options)}\``,
    "",
  ].join("\n");
}

export function upkeepJson(
  all: readonly UpkeepSeries[],
  environment: Environment,
  options: UpkeepOptions,
): string {
  const command = upkeepCommand(options);
  return `${JSON.stringify({ environment, command, series: all }, undefined, 1)}\n`;
}

export function upkeepPicture(all: readonly UpkeepSeries[], environment: Environment): string {
  const charts = all.map(({ store, spans }): Chart => {
    const bars = (label: string, of: (name: SpanName) => Spread | undefined): BarGroup => ({
      label,
      bars: SPANS.flatMap((name) => {
        const spread = of(name);
        return spread === undefined ? [] : [{ name, ...markOf(spread) }];
      }),
    });
    const spansOf = (name: SpanName): readonly UpkeepSpan[] =>
      spans.filter((span) => span.name === name);
    return {
      kind: "bars",
      title: `Store ${store === "disk" ? "on disk" : "in memory"}`,
      groups: [
        bars("write p99, ms", (name) => spreadOf(spansOf(name).map(({ window }) => window.p99Ms))),
        ...MEMBERS.map((member) =>
          bars(`${member}: loop p99.9, ms`, (name) => p999Of(spansOf(name), member)),
        ),
      ],
    };
  });
  return picture("Upkeep", noteOf(environment), charts);
}
