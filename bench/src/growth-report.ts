/** What growing costs, as a table, as Markdown, as JSON and as pictures. */
import type { Environment } from "./environment.ts";
import { growthCommand, sizesOf, SWEEPS } from "./growth-options.ts";
import type { GrowthOptions, Sweep } from "./growth-options.ts";
import type { GrowthPoint } from "./growth.ts";
import type { LoadWindow } from "./http-window.ts";
import { noteOf } from "./pictures.ts";
import { picture } from "./plot.ts";
import type { Chart, Line } from "./plot.ts";
import { aligned, machineLine, othersLine, withSpread } from "./report.ts";
import { short, spreadOf } from "./statistics.ts";
import type { Spread } from "./statistics.ts";

const MIB = 2 ** 20;

const HEADS = [
  "what grows",
  "store",
  "size",
  "puts/s",
  "put p50 ms",
  "put p99 ms",
  "CPU µs/put, cluster",
  "gets/s",
  "get p50 ms",
  "get p99 ms",
  "leader MiB",
  "files MiB",
  "snapshot ms",
  "restart ms",
  "first start ms",
] as const;

function of<T>(all: readonly T[], value: (one: T) => number): Spread {
  return spreadOf(all.map(value));
}

const requestsPerSecond = (window: LoadWindow): number => window.requestsPerSecond;
const p50Ms = (window: LoadWindow): number => window.p50Ms;
const p99Ms = (window: LoadWindow): number => window.p99Ms;
const cpuUs = (window: LoadWindow): number => window.cpuUs.reduce((sum, us) => sum + us, 0);

function cellsOf(point: GrowthPoint): readonly string[] {
  const { sweep, store, size, puts, gets } = point;
  const snapshots = snapshotsOf(point);
  return [
    SWEEPS[sweep].unit,
    store,
    size.toLocaleString("en-GB"),
    withSpread(of(puts, requestsPerSecond)),
    short(of(puts, p50Ms).median),
    withSpread(of(puts, p99Ms)),
    short(of(puts, cpuUs).median),
    withSpread(of(gets, requestsPerSecond)),
    short(of(gets, p50Ms).median),
    withSpread(of(gets, p99Ms)),
    short(point.residentBytes / MIB),
    short(point.fileBytes / MIB),
    snapshots.length === 0 ? "over 60,000" : withSpread(spreadOf(snapshots)),
    withSpread(spreadOf(point.restartMs)),
    short(point.startMs),
  ];
}

/** Aligned columns for a terminal. */
export function growthTable(
  points: readonly GrowthPoint[],
  environment: Environment,
  options: GrowthOptions,
): string {
  const table = aligned([HEADS, ...points.map(cellsOf)]);
  return [table, ...lostLines(points), ...tooLargeLines(options, environment)].join("\n");
}

export function growthMarkdown(
  points: readonly GrowthPoint[],
  environment: Environment,
  options: GrowthOptions,
): string {
  const table = [HEADS, HEADS.map(() => "---"), ...points.map(cellsOf)];
  const e = environment;
  return [
    "# Growth",
    "",
    ...table.map((line) => `| ${line.join(" | ")} |`),
    "",
    `Medians of ${options.repeats} rounds (lowest–highest) on one cluster for each size, windows of ${options.windowMs / 1000} s, 64 connections to the ` +
      "leader with one request outstanding each. Unless it is what grows: three members, 10,000 keys (where values grow: 1,000, and 64 MiB at most), values of " +
      "256 bytes. A restart goes from the start of a member that was killed to its first linearizable read; a snapshot is one of the " +
      "leader by `POST /snapshot`; memory and files are the leader's at the end; the first start is that of all members on empty directories.",
    "",
    ...lostLines(points),
    ...tooLargeLines(options, environment),
    othersLine(
      points.flatMap(({ puts, gets }) => [...puts, ...gets].flatMap((w) => w.othersShare ?? [])),
    ),
    machineLine(e),
    `- Disk: ${e.fileSystem}; one data-synced write of 4 KiB takes ${short(e.syncedWriteMs)} ms`,
    `- Commit: ${e.commit}; ${e.date}`,
    `- Command: \`${growthCommand(options)}\``,
    "",
  ].join("\n");
}

export function growthJson(
  points: readonly GrowthPoint[],
  environment: Environment,
  options: GrowthOptions,
): string {
  const command = growthCommand(options);
  return `${JSON.stringify({ environment, command, points }, undefined, 1)}\n`;
}

/** A picture for each thing that grows. */
export function growthPictures(
  points: readonly GrowthPoint[],
  environment: Environment,
): Readonly<Record<string, string>> {
  const sweeps = [...new Set(points.map(({ sweep }) => sweep))];
  return Object.fromEntries(
    sweeps.map((sweep) => {
      const own = points.filter((point) => point.sweep === sweep);
      return [
        sweep,
        picture(`Growth: ${SWEEPS[sweep].unit}`, noteOf(environment), chartsOf(sweep, own)),
      ];
    }),
  );
}

function chartsOf(sweep: Sweep, points: readonly GrowthPoint[]): readonly Chart[] {
  const stores = [...new Set(points.map(({ store }) => store))];
  const isLog = sweep !== "members" && sweep !== "connections";
  const x = { label: SWEEPS[sweep].unit, log: isLog };
  const lines = (
    name: string,
    spread: (point: GrowthPoint) => Spread | undefined,
    more: Partial<Line> = {},
  ): Line[] =>
    stores.map((store) => ({
      name: stores.length === 1 ? name : `${name}, ${store}`,
      ...more,
      points: points.flatMap((point) => {
        const found = point.store === store ? spread(point) : undefined;
        if (found === undefined) return [];
        return [{ x: point.size, value: found.median, low: found.min, high: found.max }];
      }),
    }));
  return [
    {
      kind: "lines",
      title: "Throughput, 64 connections",
      x,
      y: { label: "requests/s" },
      lines: [
        ...lines("put", ({ puts }) => of(puts, requestsPerSecond)),
        ...lines("get", ({ gets }) => of(gets, requestsPerSecond)),
      ],
    },
    {
      kind: "lines",
      title: "Latency of a put, 64 connections",
      x,
      y: { label: "ms", log: true },
      lines: [
        ...lines("p50", ({ puts }) => of(puts, p50Ms)),
        ...lines("p99", ({ puts }) => of(puts, p99Ms)),
      ],
    },
    {
      kind: "lines",
      title: "Memory and files of the leader",
      x,
      y: { label: "MiB", log: isLog },
      lines: [
        ...lines("resident", (point) => spreadOf([point.residentBytes / MIB])),
        ...lines("files", (point) => spreadOf([point.fileBytes / MIB])),
      ],
    },
    {
      kind: "lines",
      title: "Snapshot of the leader, and restart of a killed member",
      x,
      y: { label: "ms", log: true },
      lines: [
        ...lines("snapshot", (point) => {
          const snapshots = snapshotsOf(point);
          return snapshots.length === 0 ? undefined : spreadOf(snapshots);
        }),
        ...lines("restart", ({ restartMs }) => spreadOf(restartMs)),
      ],
    },
  ];
}

function snapshotsOf({ snapshotMs }: GrowthPoint): readonly number[] {
  return snapshotMs.flatMap((ms) => ms ?? []);
}

/** What was asked for and was not measured, since the members would not fit. */
function tooLargeLines(options: GrowthOptions, { memoryGiB }: Environment): readonly string[] {
  return sizesOf(options, memoryGiB).tooLarge.map(({ sweep, size, store }) => {
    const what = `${size.toLocaleString("en-GB")} ${SWEEPS[sweep].unit}, ${store}`;
    return `- **Left out: ${what}**: three members with as much in memory do not fit into ${memoryGiB} GiB`;
  });
}

/** Idle connections that a member closed are said, not passed over. */
function lostLines(points: readonly GrowthPoint[]): readonly string[] {
  return points
    .filter(({ sweep, size, idleLeft }) => sweep === "connections" && idleLeft < size)
    .map(({ size, store, idleLeft }) => {
      return `- Of ${size.toLocaleString("en-GB")} idle connections (${store}) ${idleLeft.toLocaleString("en-GB")} were open at the end`;
    });
}
