/**
 * The guard's measurement: a minute and a half of windows that take turns, on clusters that stay up
 * for all of them. The library and the floor run side by side and have each load in turn, so that a
 * ratio compares windows a second apart; the server's members are compared with the load generator,
 * whose work for a request never changes.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Figure } from "./check-compare.ts";
import { libraryFigures, serverFigures } from "./check-figures.ts";
import type { Pair } from "./check-figures.ts";
import type { CheckOptions } from "./check-options.ts";
import { Cluster } from "./cluster.ts";
import type { Window, WindowOptions } from "./cluster.ts";
import type { LoadWindow } from "./http-window.ts";
import { KvCluster } from "./kv-cluster.ts";
import type { Progress } from "./progress.ts";
import { quorateKv } from "./quorate-kv.ts";
import { measureLoad, warmUpServer } from "./server.ts";
import type { LoadOptions, ServerLoad } from "./server.ts";

const FIRST_WARM_UP_MS = 3_000;
const WARM_UP_MS = 300;
const KEYS = 10_000;
const VALUE_BYTES = 256;
const TIMING = { electionTimeoutMs: 1_000, heartbeatIntervalMs: 100 } as const;

const LOADS = [
  { valueBytes: VALUE_BYTES, outstanding: 1 },
  { valueBytes: VALUE_BYTES, outstanding: 256 },
  { valueBytes: 16, outstanding: 4_096 },
] as const;

const SERVER_LOADS: readonly ServerLoad[] = [
  { system: "quorate", operation: "put", place: "leader", connections: 64 },
  { system: "quorate", operation: "get", place: "leader", connections: 64 },
  { system: "quorate", operation: "put", place: "spread", connections: 64 },
];

/** What was measured, and how busy others were. */
export interface CheckMeasurement {
  readonly figures: readonly Figure[];
  readonly othersShares: readonly number[];
}

export async function measureCheck(
  options: CheckOptions,
  progress: Progress,
): Promise<CheckMeasurement> {
  progress.begin(options.runs * (LOADS.length + SERVER_LOADS.length));
  const directory = mkdtempSync(join(options.directory, "quorate-bench-check-"));
  try {
    const library = await measureLibrary(directory, options, progress);
    const server = await measureServer(directory, options, progress);
    progress.end();
    const windows: readonly (Window | LoadWindow)[] = [
      ...library.flat().flatMap(({ quorate, floor }) => [quorate, floor]),
      ...server.flat(),
    ];
    return {
      figures: [
        ...LOADS.flatMap((load, i) => libraryFigures(load, library[i]!)),
        ...SERVER_LOADS.flatMap((load, i) => serverFigures(load, server[i]!)),
      ],
      othersShares: windows.flatMap(({ othersShare }) => othersShare ?? []),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measureLibrary(
  directory: string,
  options: CheckOptions,
  progress: Progress,
): Promise<readonly (readonly Pair[])[]> {
  const clusters: Cluster[] = [];
  try {
    for (const system of ["floor", "quorate"] as const) {
      progress.note(`${system}, warming up`);
      const own = mkdtempSync(join(directory, `${system}-`));
      const cluster = await Cluster.start(system, own, []);
      clusters.push(cluster);
      for (const load of LOADS.slice(1)) {
        await cluster.warmUp({ ...load, ...lengthsOf(options) }, FIRST_WARM_UP_MS / 2);
      }
    }
    const [floor, quorate] = clusters as [Cluster, Cluster];
    const pairs: Pair[][] = LOADS.map(() => []);
    for (let run = 0; run < options.runs; run++) {
      for (const [i, load] of LOADS.entries()) {
        progress.step(`library, ${load.outstanding} outstanding`);
        const window = { ...load, ...lengthsOf(options) };
        // Who goes first takes turns too.
        const first = run % 2 === 0 ? floor : quorate;
        const a = await first.measure(window);
        const b = await (first === floor ? quorate : floor).measure(window);
        pairs[i]!.push(first === floor ? { floor: a, quorate: b } : { floor: b, quorate: a });
      }
    }
    return pairs;
  } finally {
    for (const cluster of clusters) await cluster.end();
  }
}

async function measureServer(
  directory: string,
  options: CheckOptions,
  progress: Progress,
): Promise<readonly (readonly LoadWindow[])[]> {
  const given = serverOptionsOf(options);
  const own = mkdtempSync(join(directory, "server-"));
  const cluster = await KvCluster.start(quorateKv, own, TIMING);
  try {
    progress.note("server, warming up");
    await warmUpServer(cluster, given);
    const windows: LoadWindow[][] = SERVER_LOADS.map(() => []);
    for (let run = 0; run < options.runs; run++) {
      for (const [i, load] of SERVER_LOADS.entries()) {
        progress.step(`server, ${load.operation} to ${load.place}`);
        windows[i]!.push(await measureLoad(cluster, load, given));
      }
    }
    return windows;
  } finally {
    await cluster.end();
  }
}

function lengthsOf({ windowMs }: CheckOptions): Pick<WindowOptions, "warmUpMs" | "windowMs"> {
  return { warmUpMs: WARM_UP_MS, windowMs };
}

function serverOptionsOf(options: CheckOptions): LoadOptions {
  return {
    ratePerSecond: undefined,
    keys: KEYS,
    valueBytes: VALUE_BYTES,
    ...lengthsOf(options),
  };
}
