/**
 * The memory of members under a load that never stops: writes over many connections to the leader
 * for minutes, and the resident memory of each member every second. One system after the other in
 * the same run, each with the machine for itself.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { KvCluster } from "./kv-cluster.ts";
import type { KvSystem } from "./kv-system.ts";
import { findSystems } from "./kv-systems.ts";
import type { FoundSystems } from "./kv-systems.ts";
import type { MemoryOptions } from "./memory-options.ts";
import { memoryOf } from "./process-times.ts";
import type { Progress } from "./progress.ts";
import { measureLoad, reasonOf, warmUpServer } from "./server.ts";
import type { LoadOptions, ServerWindow } from "./server.ts";

const SAMPLE_MS = 1_000;
const WARM_UP_MS = 1_000;

/** What a member had at one moment. */
export interface MemorySample {
  /** Since the load began. */
  readonly atMs: number;
  readonly residentBytes: number;
  /** Of these, what is not a file mapped into memory. */
  readonly anonymousBytes: number;
}

/** One system. */
export interface MemorySeries {
  readonly system: string;
  readonly leader: readonly MemorySample[];
  /** Of the follower that had most at the end. */
  readonly follower: readonly MemorySample[];
  readonly window: ServerWindow;
}

/** What was measured, and what could not be. */
export interface MemoryMeasurement extends Omit<FoundSystems, "found"> {
  readonly failures: Readonly<Record<string, string>>;
  readonly series: readonly MemorySeries[];
}

export async function measureMemory(
  options: MemoryOptions,
  progress: Progress,
): Promise<MemoryMeasurement> {
  const { found, versions, missing } = findSystems(options.systems);
  const failures: Record<string, string> = {};
  const series: MemorySeries[] = [];
  progress.begin(found.length);
  for (const system of found) {
    progress.step(`${system.name}, ${options.minutes} minutes`);
    try {
      series.push(await measureSystem(system, options));
    } catch (error) {
      if (system === found[0]) throw error;
      failures[system.name] = reasonOf(error);
    }
  }
  progress.end();
  return { versions, missing, failures, series };
}

async function measureSystem(system: KvSystem, options: MemoryOptions): Promise<MemorySeries> {
  const directory = mkdtempSync(join(options.directory, "quorate-bench-memory-"));
  try {
    const cluster = await KvCluster.start(system, directory, options.timing);
    try {
      return await measureCluster(cluster, options);
    } finally {
      await cluster.end();
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measureCluster(
  cluster: KvCluster,
  { minutes, connections, keys, valueBytes }: MemoryOptions,
): Promise<MemorySeries> {
  const given: LoadOptions = {
    ratePerSecond: undefined,
    keys,
    valueBytes,
    warmUpMs: WARM_UP_MS,
    windowMs: minutes * 60_000,
  };
  await warmUpServer(cluster, given);
  const leader = await cluster.ready();
  const samples: MemorySample[][] = cluster.pids.map(() => []);
  const startedMs = performance.now();
  const timer = setInterval(() => {
    const atMs = performance.now() - startedMs;
    cluster.pids.forEach((pid, i) => samples[i]!.push({ atMs, ...memoryOf(pid) }));
  }, SAMPLE_MS);
  try {
    const { system } = cluster;
    const load = { system: system.name, operation: "put", place: "leader", connections } as const;
    const window = await measureLoad(cluster, load, given);
    const followers = samples.filter((_, i) => i !== leader);
    followers.sort((a, b) => lastOf(b) - lastOf(a));
    return { system: system.name, leader: samples[leader]!, follower: followers[0] ?? [], window };
  } finally {
    clearInterval(timer);
  }
}

function lastOf(samples: readonly MemorySample[]): number {
  return samples.at(-1)?.residentBytes ?? 0;
}
