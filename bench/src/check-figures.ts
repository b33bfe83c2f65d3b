/** Which figures the guard compares: ratios within one run, and processor time per operation. */
import type { Figure } from "./check-compare.ts";
import type { Window, WindowOptions } from "./cluster.ts";
import type { LoadWindow } from "./http-window.ts";
import type { ServerLoad } from "./server.ts";

/** The same load on the library and on the floor, one after the other. */
export interface Pair {
  readonly quorate: Window;
  readonly floor: Window;
}

/** What is compared of one load on the library; of each pair only ratios and processor time. */
export function libraryFigures(
  { valueBytes, outstanding }: Pick<WindowOptions, "valueBytes" | "outstanding">,
  pairs: readonly Pair[],
): readonly Figure[] {
  const name = `library, ${valueBytes} B, ${outstanding} outstanding`;
  const values = (of: (window: Window) => number): number[] =>
    pairs.map(({ quorate, floor }) => of(quorate) / of(floor));
  const clusterUs = (window: Window): number => window.cpuLeaderUs + sum(window.cpuFollowersUs);
  const cpu: Figure[] = [
    { name: `${name}: CPU of leader, × floor`, kind: "cpu", values: values((w) => w.cpuLeaderUs) },
    {
      name: `${name}: CPU of followers, × floor`,
      kind: "cpu",
      values: values((w) => sum(w.cpuFollowersUs)),
    },
  ];
  if (outstanding === 1) {
    // A lone write's µs follow the machine's idle states and neighbours more than the code.
    return [
      { name: `${name}: p50, × floor`, kind: "latency", values: values((w) => w.p50Ms) },
      ...cpu,
    ];
  }
  return [
    {
      name: `${name}: entries/s, of floor`,
      kind: "share",
      values: values((w) => w.entriesPerSecond),
    },
    ...cpu,
    {
      name: `${name}: CPU of cluster, µs per entry`,
      kind: "cpuUs",
      values: pairs.map(({ quorate }) => clusterUs(quorate)),
      reference: pairs.map(({ floor }) => clusterUs(floor)),
    },
  ];
}

/** What is compared of one load on the server. */
export function serverFigures(
  { operation, place, connections }: ServerLoad,
  windows: readonly LoadWindow[],
): readonly Figure[] {
  const name = `server, ${operation} to ${place}, ${connections} connections`;
  return [
    {
      name: `${name}: CPU of cluster, × generator`,
      kind: "cpu",
      values: windows.map((w) => sum(w.cpuUs) / w.generatorCpuUs),
    },
    {
      name: `${name}: CPU of cluster, µs per request`,
      kind: "cpuUs",
      values: windows.map((w) => sum(w.cpuUs)),
      reference: windows.map((w) => w.generatorCpuUs),
    },
  ];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
