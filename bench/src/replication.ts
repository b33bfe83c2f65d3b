/**
 * The measurement: rounds of fresh clusters, the systems taking turns within each round, so that
 * whatever the machine does meanwhile hits all of them.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Cluster } from "./cluster.ts";
import type { Window } from "./cluster.ts";
import { findLibraries } from "./library-systems.ts";
import type { FoundLibraries } from "./library-systems.ts";
import type { BenchOptions } from "./options.ts";
import type { Progress } from "./progress.ts";
import { isOwn } from "./protocol.ts";
import type { SystemName } from "./protocol.ts";

/** Under the highest load, in every fresh cluster, before anything is measured. */
const FIRST_WARM_UP_MS = 4_000;

/** All windows of one system at one load, in the order they were measured. */
export interface Series {
  readonly system: SystemName;
  readonly valueBytes: number;
  readonly outstanding: number;
  readonly windows: Window[];
}

/** What was measured, and what could not be. */
export interface ReplicationMeasurement extends Omit<FoundLibraries, "systems"> {
  /** Why a peer could not be measured. */
  readonly failures: Readonly<Record<string, string>>;
  readonly series: readonly Series[];
}

export async function measureReplication(
  options: BenchOptions,
  progress: Progress,
): Promise<ReplicationMeasurement> {
  const { systems, versions, missing } = findLibraries(options.systems);
  const failures: Record<string, string> = {};
  const series = options.valueBytes.flatMap((valueBytes) =>
    options.outstanding.flatMap((outstanding) =>
      systems.map((system): Series => ({ system, valueBytes, outstanding, windows: [] })),
    ),
  );
  progress.begin(options.runs * series.length);
  for (let run = 0; run < options.runs; run++) {
    for (const system of systems.filter((name) => !(name in failures))) {
      const own = series.filter((one) => one.system === system);
      try {
        await measureRound(options, progress, own);
      } catch (error) {
        if (isOwn(system)) throw error;
        // One of the peers: what the others came to is not lost with it.
        failures[system] = error instanceof Error ? error.message : String(error);
      }
    }
  }
  progress.end();
  return { versions, missing, failures, series: series.filter((one) => !(one.system in failures)) };
}

async function measureRound(
  options: BenchOptions,
  progress: Progress,
  series: readonly Series[],
): Promise<void> {
  const directory = mkdtempSync(join(options.directory, "quorate-bench-"));
  try {
    const cluster = await Cluster.start(series[0]!.system, directory, options.nodeFlags);
    try {
      const most = Math.max(...options.outstanding);
      progress.note(`${series[0]!.system}, warming up`);
      const [valueBytes] = options.valueBytes;
      const first = { ...options, valueBytes: valueBytes!, outstanding: most };
      await cluster.warmUp(first, FIRST_WARM_UP_MS);
      for (const one of series) {
        const { outstanding, valueBytes } = one;
        progress.step(`${one.system}, ${valueBytes} B, ${outstanding} outstanding`);
        one.windows.push(await cluster.measure({ ...options, outstanding, valueBytes }));
      }
    } finally {
      await cluster.end();
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
