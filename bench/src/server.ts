/**
 * Key-value servers under load over HTTP: three members as processes of their own on a real disk,
 * started as their users start them. Rounds of fresh clusters, the systems taking turns; within a
 * round every load has one window, all on the same warm members.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { measureWindow } from "./http-window.ts";
import type { LoadRun, LoadWindow } from "./http-window.ts";
import { KvCluster } from "./kv-cluster.ts";
import type { KvOperation, KvSystem } from "./kv-system.ts";
import { findSystems } from "./kv-systems.ts";
import type { FoundSystems } from "./kv-systems.ts";
import type { LoopDelay } from "./loop-delay.ts";
import type { Progress } from "./progress.ts";
import type { Place, ServerOptions } from "./server-options.ts";

/** Under writes, in every fresh cluster, before anything is measured; also fills the store. */
const FIRST_WARM_UP_MS = 4_000;
const FIRST_CONNECTIONS = 64;
/** Nothing is made of it; long enough for an answer. */
const FILL_WINDOW_MS = 200;
const REASON_MAX = 200;

/** One load on one system. */
export interface ServerLoad {
  readonly system: string;
  readonly operation: KvOperation;
  readonly place: Place;
  readonly connections: number;
}

/** A window; its first process is the leader. */
export interface ServerWindow extends LoadWindow {
  readonly leader: string;
  /** Of the event loops, the leader first; undefined for members that do not say. */
  readonly loopDelays: readonly (LoopDelay | undefined)[];
}

/** All windows of one load, in the order they were measured. */
export interface ServerSeries extends ServerLoad {
  readonly windows: ServerWindow[];
}

/** What was measured, and what could not be. */
export interface ServerMeasurement extends Omit<FoundSystems, "found"> {
  /** Why a peer could not be measured: it answered with an error, or had no leader. */
  readonly failures: Readonly<Record<string, string>>;
  readonly series: readonly ServerSeries[];
}

export async function measureServers(
  options: ServerOptions,
  progress: Progress,
): Promise<ServerMeasurement> {
  const { found, versions, missing } = findSystems(options.systems);
  const rounds = found.map((system) => ({ system, series: seriesOf(system, options) }));
  const failures: Record<string, string> = {};
  progress.begin(options.runs * rounds.reduce((sum, round) => sum + round.series.length, 0));
  for (let run = 0; run < options.runs; run++) {
    for (const round of rounds) {
      if (round.system.name in failures) continue;
      try {
        await measureRound(round.system, round.series, options, progress);
      } catch (error) {
        if (round === rounds[0]) throw error;
        // One of the peers: what the others came to is not lost with it.
        failures[round.system.name] = reasonOf(error);
      }
    }
  }
  progress.end();
  const whole = rounds.filter(({ system }) => !(system.name in failures));
  return { versions, missing, failures, series: whole.flatMap((round) => round.series) };
}

/** What the load generator said, in one line. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const said = /^Error: (.*(?:\n.+)*)/m.exec(text)?.[1] ?? text;
  return said.replaceAll(/\s+/g, " ").slice(0, REASON_MAX);
}

function seriesOf(system: KvSystem, options: ServerOptions): readonly ServerSeries[] {
  const operations = options.operations.filter((one) => system.operations.includes(one));
  return operations.flatMap((operation) =>
    options.places.flatMap((place) =>
      options.connections.map((connections): ServerSeries => {
        return { system: system.name, operation, place, connections, windows: [] };
      }),
    ),
  );
}

async function measureRound(
  system: KvSystem,
  series: readonly ServerSeries[],
  options: ServerOptions,
  progress: Progress,
): Promise<void> {
  const directory = mkdtempSync(join(options.directory, "quorate-bench-server-"));
  try {
    const cluster = await KvCluster.start(system, directory, options.timing);
    try {
      progress.note(`${system.name}, warming up`);
      await warmUpServer(cluster, options);
      for (const one of series) {
        progress.step(`${one.system} ${one.operation} ${one.place} ${one.connections}`);
        one.windows.push(await measureLoad(cluster, one, options));
      }
    } finally {
      await cluster.end();
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What a window needs to know of the options. */
export interface LoadOptions extends Pick<
  ServerOptions,
  "ratePerSecond" | "keys" | "valueBytes" | "warmUpMs" | "windowMs"
> {
  /** Where the keys begin, and the distance from one to the next; without: 0 and 1. */
  readonly keyFrom?: number;
  readonly keyStride?: number;
  /** How many connections fill a store; without: as many as warm up. */
  readonly fillConnections?: number;
}

/** Under writes that reach every key, so that what is measured later is warm and full. */
export function warmUpServer(cluster: KvCluster, options: LoadOptions): Promise<void> {
  return fillServer(cluster, { ...options, warmUpMs: FIRST_WARM_UP_MS });
}

/** Writes every key at least once. */
export async function fillServer(cluster: KvCluster, options: LoadOptions): Promise<void> {
  const leader = await cluster.ready();
  const load: ServerLoad = {
    system: cluster.system.name,
    operation: "put",
    place: "leader",
    connections: Math.min(options.fillConnections ?? FIRST_CONNECTIONS, options.keys),
  };
  await measureWindow({
    ...loadRun(cluster, load, leader, { ...options, windowMs: FILL_WINDOW_MS }),
    ratePerSecond: undefined,
    reachesEveryKey: true,
  });
}

/** One window of one load on a cluster that runs. */
export async function measureLoad(
  cluster: KvCluster,
  load: ServerLoad,
  options: LoadOptions,
): Promise<ServerWindow> {
  const leader = await cluster.ready();
  await cluster.loopDelays("reset");
  const window = await measureWindow(loadRun(cluster, load, leader, options));
  const loopDelays = await cluster.loopDelays("sample");
  if ((await cluster.ready()) !== leader) {
    throw new Error("the leadership changed during a window: the run is void");
  }
  const inOrder = orderFrom(cluster, leader).map((i) => loopDelays[i]);
  return { ...window, leader: cluster.specs[leader]!.id, loopDelays: inOrder };
}

/** All members, the leader first. */
export function orderFrom(cluster: KvCluster, leader: number): readonly number[] {
  return [leader, ...cluster.specs.keys()].filter((one, i) => i === 0 || one !== leader);
}

/** What the load generator is told. */
export function loadRun(
  cluster: KvCluster,
  load: ServerLoad,
  leader: number,
  options: LoadOptions,
): LoadRun {
  const order = orderFrom(cluster, leader);
  const ports = order.map((i) => cluster.specs[i]!.httpPort);
  return {
    system: load.system,
    operation: load.operation,
    ports: load.place === "leader" ? ports.slice(0, 1) : ports,
    connections: load.connections,
    ratePerSecond: options.ratePerSecond,
    keys: options.keys,
    keyFrom: options.keyFrom ?? 0,
    keyStride: options.keyStride ?? 1,
    valueBytes: options.valueBytes,
    warmUpMs: options.warmUpMs,
    reachesEveryKey: false,
    windowMs: options.windowMs,
    pids: order.map((i) => cluster.pids[i]!),
  };
}
