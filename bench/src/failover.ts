/**
 * How long no write succeeds when the leader is killed, and when it is stopped: again and again,
 * under writes that begin at a fixed rate. Blocks of fresh clusters, the systems taking turns;
 * within a block kills and stops alternate, and each member that ended is started again.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { FailoverOptions } from "./failover-options.ts";
import { KvCluster } from "./kv-cluster.ts";
import type { KvSystem } from "./kv-system.ts";
import { findSystems } from "./kv-systems.ts";
import type { FoundSystems } from "./kv-systems.ts";
import type { Progress } from "./progress.ts";
import { longestGapMs, WriteProbe } from "./write-probe.ts";

/** How a leader ends, and the signal that does it. */
export const ENDINGS = { "kill -9": "SIGKILL", stop: "SIGTERM" } as const;
export type Ending = keyof typeof ENDINGS;

const BLOCK_ROUNDS = 10;
const WARM_UP_MS = 3_000;
/** Between a cluster that is whole again and the next end of its leader. */
const QUIET_MS = 500;
/** Beyond the first success: what follows at once belongs to the same outage. */
const AFTERMATH_MS = 200;
const OUTAGE_MAX_MS = 30_000;
const KEYS = 1_000;

/** All outages of one kind in one system, in the order in which they were. */
export interface FailoverSeries {
  readonly system: string;
  readonly ending: Ending;
  readonly outagesMs: number[];
}

export interface FailoverMeasurement extends Omit<FoundSystems, "found"> {
  readonly series: readonly FailoverSeries[];
}

export async function measureFailover(
  options: FailoverOptions,
  progress: Progress,
): Promise<FailoverMeasurement> {
  const { found, versions, missing } = findSystems(options.systems);
  const endings = Object.keys(ENDINGS) as Ending[];
  const series = found.flatMap((system) =>
    endings.map((ending): FailoverSeries => ({ system: system.name, ending, outagesMs: [] })),
  );
  progress.begin(options.rounds * series.length);
  for (let done = 0; done < options.rounds; done += BLOCK_ROUNDS) {
    const rounds = Math.min(BLOCK_ROUNDS, options.rounds - done);
    for (const system of found) {
      const own = series.filter((one) => one.system === system.name);
      await measureBlock(system, own, { ...options, rounds }, progress);
    }
  }
  progress.end();
  return { versions, missing, series };
}

async function measureBlock(
  system: KvSystem,
  series: readonly FailoverSeries[],
  options: FailoverOptions,
  progress: Progress,
): Promise<void> {
  const directory = mkdtempSync(join(options.directory, "quorate-bench-failover-"));
  try {
    const cluster = await KvCluster.start(system, directory, options.timing);
    try {
      await measureEndings(cluster, series, options, progress);
    } finally {
      await cluster.end();
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measureEndings(
  cluster: KvCluster,
  series: readonly FailoverSeries[],
  options: FailoverOptions,
  progress: Progress,
): Promise<void> {
  const { system, specs } = cluster;
  const value = Buffer.alloc(options.valueBytes, "v");
  const ports = specs.map(({ httpPort }) => httpPort);
  const probe = new WriteProbe(ports, options.ratePerSecond, (i) =>
    system.request("put", `key-${i % KEYS}`, value),
  );
  try {
    await sleep(WARM_UP_MS);
    for (let round = 0; round < options.rounds; round++) {
      for (const { ending, outagesMs } of series) {
        progress.step(`${system.name} ${ending}`);
        outagesMs.push(await outageOf(cluster, probe, ending, options));
      }
    }
  } finally {
    probe.stop();
  }
}

async function outageOf(
  cluster: KvCluster,
  probe: WriteProbe,
  ending: Ending,
  { timing }: FailoverOptions,
): Promise<number> {
  const leader = await cluster.ready();
  // At no fixed place between two heartbeats.
  await sleep(QUIET_MS + Math.random() * timing.heartbeatIntervalMs);
  const fromMs = performance.now();
  await cluster.endMember(leader, ENDINGS[ending]);
  await probe.successOfNewWrite(OUTAGE_MAX_MS);
  await sleep(AFTERMATH_MS);
  const outageMs = longestGapMs(probe.successMs, fromMs);
  cluster.startMember(leader);
  return outageMs;
}
