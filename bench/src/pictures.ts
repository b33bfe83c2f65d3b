/** The pictures of all benches: which of their figures are drawn, and how. */
import { isFloor } from "./protocol.ts";
import type { Machine } from "./environment.ts";
import type { FailoverOptions } from "./failover-options.ts";
import type { FailoverMeasurement } from "./failover.ts";
import { picture } from "./plot.ts";
import type { Bar, BarGroup, Chart, Line, Mark } from "./plot.ts";
import type { Row } from "./report.ts";
import type { ServerRow } from "./server-report.ts";
import type { Round } from "./simulator.ts";
import { quantileOf, spreadOf } from "./statistics.ts";
import type { Spread } from "./statistics.ts";
import type { StoreFigures, StoreRounds } from "./store.ts";

/** Throughput, latency and processor time of the library beside the floor. */
export function replicationPicture(title: string, rows: readonly Row[], machine: Machine): string {
  const sizes = distinct(rows.map(({ valueBytes }) => valueBytes));
  const charts = sizes.flatMap((bytes) =>
    replicationCharts(
      rows.filter(({ valueBytes }) => valueBytes === bytes),
      bytes,
    ),
  );
  return picture(title, noteOf(machine), charts);
}

function replicationCharts(rows: readonly Row[], valueBytes: number): readonly Chart[] {
  const line = (system: string, of: (row: Row) => Spread, more: Partial<Line> = {}): Line => ({
    name: system,
    ...isReference(system),
    ...more,
    points: rows
      .filter((row) => row.system === system)
      .map((row) => ({ x: row.outstanding, ...markOf(of(row)) })),
  });
  const systems = distinct(rows.map(({ system }) => system));
  const x = { label: "writes outstanding", log: true };
  return [
    {
      kind: "lines",
      title: `Throughput, values of ${valueBytes} bytes`,
      x,
      y: { label: "entries/s", log: true },
      lines: systems.map((system) => line(system, (row) => row.entriesPerSecond)),
    },
    {
      kind: "lines",
      title: `Latency, values of ${valueBytes} bytes`,
      x,
      y: { label: "ms", log: true },
      lines: systems.flatMap((system) => [
        line(system, (row) => row.p50Ms, { name: `${system} p50`, colour: system }),
        line(system, (row) => row.p99Ms, {
          name: `${system} p99`,
          colour: system,
          isDotted: true,
        }),
      ]),
    },
    {
      kind: "bars",
      title: `Processor time per entry in µs, values of ${valueBytes} bytes`,
      groups: distinct(rows.map(({ outstanding }) => outstanding)).map((outstanding) => ({
        label: `${outstanding} outstanding`,
        bars: rows
          .filter((row) => row.outstanding === outstanding)
          .flatMap(({ system, cpuLeaderUs, cpuFollowerUs }) => {
            const common = { colour: system, ...isReference(system) };
            return [
              { name: `${system} leader`, ...common, ...markOf(cpuLeaderUs) },
              { name: `${system} follower`, ...common, ...markOf(cpuFollowerUs) },
            ];
          }),
      })),
    },
  ];
}

/** Servers over the number of connections, an operation at a time. */
export function serverPicture(title: string, rows: readonly ServerRow[], machine: Machine): string {
  const places = distinct(rows.map(({ place }) => place));
  const nameOf = ({ system, place }: ServerRow): string =>
    places.length === 1 ? system : `${system}, ${place}`;
  const charts = distinct(rows.map(({ operation }) => operation)).flatMap((operation) =>
    serverCharts(
      operation,
      rows.filter((row) => row.operation === operation),
      nameOf,
    ),
  );
  return picture(title, noteOf(machine), charts);
}

function serverCharts(
  operation: string,
  rows: readonly ServerRow[],
  nameOf: (row: ServerRow) => string,
): readonly Chart[] {
  const names = distinct(rows.map(nameOf));
  const line = (name: string, of: (row: ServerRow) => Spread, more: Partial<Line> = {}): Line => ({
    name,
    ...more,
    points: rows
      .filter((row) => nameOf(row) === name)
      .map((row) => ({ x: row.connections, ...markOf(of(row)) })),
  });
  const x = { label: "connections", log: true };
  return [
    {
      kind: "lines",
      title: `${operation}: requests per second`,
      x,
      y: { label: "requests/s", log: true },
      lines: names.map((name) => line(name, (row) => row.requestsPerSecond)),
    },
    {
      kind: "lines",
      title: `${operation}: latency`,
      x,
      y: { label: "ms", log: true },
      lines: names.flatMap((name) => [
        line(name, (row) => row.p50Ms, { name: `${name} p50`, colour: name }),
        line(name, (row) => row.p99Ms, { name: `${name} p99`, colour: name, isDotted: true }),
      ]),
    },
    {
      kind: "bars",
      title: `${operation}: processor time of the whole cluster, µs per request (ms per 1,000)`,
      groups: distinct(rows.map(({ connections }) => connections)).map((connections) => ({
        label: `${connections} ${connections === 1 ? "connection" : "connections"}`,
        bars: rows
          .filter((row) => row.connections === connections)
          .map((row) => ({ name: nameOf(row), ...markOf(row.cpuClusterUs) })),
      })),
    },
  ];
}

/** Outages: their distribution, and their percentiles in election timeouts. */
export function failoverPicture(
  { series }: FailoverMeasurement,
  options: FailoverOptions,
  machine: Machine,
): string {
  const nameOf = ({ system, ending }: { system: string; ending: string }): string =>
    `${system}, ${ending}`;
  const t = options.timing.electionTimeoutMs;
  const distribution: Chart = {
    kind: "lines",
    title: "How long no write succeeded, at most, after a share of all ends of a leader",
    x: { label: "share of ends" },
    y: { label: "ms without a successful write", log: true },
    lines: series.map((one) => ({
      name: nameOf(one),
      points: [...one.outagesMs]
        .sort((a, b) => a - b)
        .map((ms, i) => ({ x: (i + 1) / one.outagesMs.length, value: ms })),
    })),
  };
  const groups = distinct(series.map(({ ending }) => ending)).map((ending): BarGroup => {
    const own = series.filter((one) => one.ending === ending);
    return {
      label: `${ending}: p50, p99 and longest in election timeouts of ${t} ms`,
      bars: own.flatMap((one) =>
        (["p50", "p99", "max"] as const).map((which) => ({
          name: `${one.system} ${which}`,
          colour: nameOf(one),
          value: quantileOf(one.outagesMs, { p50: 0.5, p99: 0.99, max: 1 }[which]) / t,
        })),
      ),
    };
  });
  const bars: Chart = { kind: "bars", title: "Outages", groups };
  return picture("Failover", noteOf(machine), [distribution, bars]);
}

/** The store in memory and on disk. */
export function storePicture(rounds: readonly StoreRounds[], machine: Machine): string {
  const group = (label: string, of: (one: StoreFigures) => number): BarGroup => ({
    label,
    bars: rounds.map(({ kind, figures }): Bar => {
      return { name: kind, ...markOf(spreadOf(figures.map(of))) };
    }),
  });
  const groups = [
    group("writes per second", (one) => one.writesPerSecond),
    group("local reads per second", (one) => one.readsPerSecond),
    group("bytes of files per key", (one) => one.bytesPerKey),
    group("anonymous memory, MiB", (one) => one.anonymousBytes / 2 ** 20),
    group("start, ms", (one) => one.startMs),
  ];
  return picture("Store", noteOf(machine), [{ kind: "bars", title: "One member alone", groups }]);
}

/** The simulator with its checks and without. */
export function simulatorPicture(rounds: readonly Round[], machine: Machine): string {
  const group = (label: string, of: (round: Round) => number): BarGroup => ({
    label,
    bars: [true, false].map((withChecks): Bar => {
      const these = rounds.filter((round) => round.withChecks === withChecks);
      const name = withChecks ? "with all checks" : "without checks";
      return { name, ...markOf(spreadOf(these.map(of))) };
    }),
  });
  const groups = [
    group("events per second of processor time", (one) => (one.events / one.cpuMs) * 1_000),
    group("times real time, of processor time", (one) => one.simulatedMs / one.cpuMs),
    group("events per second on the wall", (one) => (one.events / one.wallMs) * 1_000),
  ];
  const chart: Chart = { kind: "bars", title: "Whole simulated clusters in one thread", groups };
  return picture("Simulator", noteOf(machine), [chart]);
}

/** Where a picture's numbers come from, in the line below its title. */
export function noteOf(machine: Machine): string {
  const { processor, cores, node, commit, date } = machine;
  return `${processor}, ${cores} cores · Node ${node} · commit ${commit} · ${date} · medians, with lowest and highest run`;
}

function isReference(system: string): { readonly isReference?: true } {
  return isFloor(system) ? { isReference: true } : {};
}

/** A median with its spread, to be drawn. */
export function markOf({ median, min, max }: Spread): Mark {
  return { value: median, low: min, high: max };
}

function distinct<T>(values: readonly T[]): readonly T[] {
  return [...new Set(values)];
}
