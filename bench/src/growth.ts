/**
 * What growing costs: the same writes and reads on members that hold more keys, have a longer log
 * behind them, take larger values, are more, or have more idle connections. At each size a fresh
 * cluster is started and filled; then, several times over: a window of writes, one of reads, a
 * snapshot of the leader, and the end by SIGKILL and the next start of another member.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describeMachine } from "./environment.ts";
import { sizesOf, SWEEPS } from "./growth-options.ts";
import type { GrowthOptions, Store, Sweep } from "./growth-options.ts";
import { keyNamed } from "./http-request.ts";
import { IdleConnections } from "./idle-connections.ts";
import { KvCluster } from "./kv-cluster.ts";
import { memoryOf } from "./process-times.ts";
import type { Progress } from "./progress.ts";
import { quorateOn } from "./quorate-kv.ts";
import { fillServer, measureLoad } from "./server.ts";
import type { LoadOptions, ServerWindow } from "./server.ts";

const TIMING = { electionTimeoutMs: 1_000, heartbeatIntervalMs: 100 } as const;
const CONNECTIONS = 64;
const WARM_UP_MS = 500;
const KEYS = 10_000;
const KEYS_OF_VALUES = 1_000;
const BYTES_OF_VALUES = 64 << 20;
const VALUE_BYTES = 256;
/** A fill goes by parts, since the load generator makes all its requests beforehand. */
const FILL_KEYS = 200_000;
const FILL_CONNECTIONS = 256;
const RESTART_MAX_MS = 600_000;
const POLL_MS = 5;

/** One size. */
export interface GrowthPoint {
  readonly sweep: Sweep;
  readonly store: Store;
  readonly size: number;
  readonly puts: readonly ServerWindow[];
  readonly gets: readonly ServerWindow[];
  /** From the start of processes on empty directories until one of them leads. */
  readonly startMs: number;
  /** Of the leader, with all its keys; undefined: it did not end within the time of a call. */
  readonly snapshotMs: readonly (number | undefined)[];
  /** From the start of a member that was killed to its first linearizable read. */
  readonly restartMs: readonly number[];
  /** Of the leader, at the end. */
  readonly residentBytes: number;
  /** What the leader's files take, at the end. */
  readonly fileBytes: number;
  /** Idle connections that were still open at the end. */
  readonly idleLeft: number;
}

/** How a size is made. */
interface Shape {
  readonly members: number;
  readonly keys: number;
  readonly valueBytes: number;
  /** Writes beyond those that fill the keys. */
  readonly writesBefore: number;
  readonly idle: number;
}

/** `save` is called after each size with all so far: hours of work do not wait for their end. */
export async function measureGrowth(
  options: GrowthOptions,
  progress: Progress,
  save: (points: readonly GrowthPoint[]) => void,
): Promise<readonly GrowthPoint[]> {
  const { sizes } = sizesOf(options, describeMachine().memoryGiB);
  progress.begin(sizes.length);
  const points: GrowthPoint[] = [];
  for (const { sweep, size, store } of sizes) {
    progress.step(`${size} ${SWEEPS[sweep].unit}, ${store}`);
    const directory = mkdtempSync(join(options.directory, "quorate-bench-growth-"));
    try {
      const measured = await measureSize(shapeOf(sweep, size), store, directory, options);
      points.push({ sweep, store, size, ...measured });
      save(points);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
  progress.end();
  return points;
}

function shapeOf(sweep: Sweep, size: number): Shape {
  const usual: Shape = {
    members: 3,
    keys: KEYS,
    valueBytes: VALUE_BYTES,
    writesBefore: 0,
    idle: 0,
  };
  if (sweep === "keys") return { ...usual, keys: size };
  if (sweep === "log") return { ...usual, writesBefore: size };
  if (sweep === "value") {
    const keys = Math.min(KEYS_OF_VALUES, Math.floor(BYTES_OF_VALUES / size));
    return { ...usual, keys, valueBytes: size };
  }
  return sweep === "members" ? { ...usual, members: size } : { ...usual, idle: size };
}

type Measured = Omit<GrowthPoint, "sweep" | "store" | "size">;

async function measureSize(
  shape: Shape,
  store: Store,
  directory: string,
  options: GrowthOptions,
): Promise<Measured> {
  const startedMs = performance.now();
  const cluster = await KvCluster.start(quorateOn(store), directory, TIMING, shape.members);
  const startMs = performance.now() - startedMs;
  const idle = new IdleConnections();
  try {
    await fill(cluster, shape);
    const leader = await cluster.ready();
    await idle.open(cluster.specs[leader]!.httpPort, shape.idle);
    const rounds = await measureRounds(cluster, shape, options);
    const { residentBytes } = memoryOf(cluster.pids[await cluster.ready()]!);
    const fileBytes = sizeOf(cluster.specs[leader]!.dataDir);
    return { ...rounds, startMs, residentBytes, fileBytes, idleLeft: idle.left };
  } finally {
    idle.close();
    await cluster.end();
  }
}

/** Every key once, and then as many writes more as are asked for. */
async function fill(cluster: KvCluster, { keys, valueBytes, writesBefore }: Shape): Promise<void> {
  const part = { ...lengths(0), warmUpMs: 0, valueBytes, fillConnections: FILL_CONNECTIONS };
  for (let from = 0; from < keys; from += FILL_KEYS) {
    await fillServer(cluster, { ...part, keys: Math.min(FILL_KEYS, keys - from), keyFrom: from });
  }
  for (let written = 0; written < writesBefore; written += keys) {
    await fillServer(cluster, { ...part, keys: Math.min(keys, writesBefore - written) });
  }
}

async function measureRounds(
  cluster: KvCluster,
  { keys, valueBytes }: Shape,
  { repeats, windowMs }: GrowthOptions,
): Promise<Pick<GrowthPoint, "puts" | "gets" | "snapshotMs" | "restartMs">> {
  // A window touches so many keys, from all over the store.
  const touched = Math.min(keys, KEYS);
  const keyStride = Math.floor(keys / touched);
  const given = { ...lengths(windowMs), keys: touched, keyStride, valueBytes };
  const load = { system: "quorate", place: "leader", connections: CONNECTIONS } as const;
  const puts: ServerWindow[] = [];
  const gets: ServerWindow[] = [];
  const snapshotMs: (number | undefined)[] = [];
  const restartMs: number[] = [];
  for (let i = 0; i < repeats; i++) {
    puts.push(await measureLoad(cluster, { ...load, operation: "put" }, given));
    gets.push(await measureLoad(cluster, { ...load, operation: "get" }, given));
    snapshotMs.push(await takeSnapshot(cluster, await cluster.ready()));
    restartMs.push(await restart(cluster, await cluster.ready()));
  }
  return { puts, gets, snapshotMs, restartMs };
}

function lengths(windowMs: number): Omit<LoadOptions, "keys" | "valueBytes"> {
  return { ratePerSecond: undefined, warmUpMs: WARM_UP_MS, windowMs };
}

/** How long it took; undefined: longer than a call may last. */
export async function takeSnapshot(
  { specs }: KvCluster,
  member: number,
): Promise<number | undefined> {
  const { httpPort } = specs[member]!;
  const startedMs = performance.now();
  const answer = await fetch(`http://127.0.0.1:${httpPort}/snapshot?timeoutMs=60000`, {
    method: "POST",
  });
  const said = await answer.text();
  if (answer.status === 200) return performance.now() - startedMs;
  if (said.includes("TIMEOUT")) return undefined;
  throw new Error(`no snapshot: HTTP ${answer.status}: ${said}`);
}

/** Kills a follower, or the leader where it is alone, and starts it again. */
async function restart(cluster: KvCluster, leader: number): Promise<number> {
  const member = (leader + 1) % cluster.specs.length;
  await cluster.endMember(member, "SIGKILL");
  const startedMs = performance.now();
  cluster.startMember(member);
  const url = `http://127.0.0.1:${cluster.specs[member]!.httpPort}/kv/${keyNamed(0)}`;
  for (;;) {
    const status = await statusOf(url);
    const tookMs = performance.now() - startedMs;
    if (status === 200) return tookMs;
    if (tookMs > RESTART_MAX_MS) throw new Error(`a member does not come back: HTTP ${status}`);
    await sleep(POLL_MS);
  }
}

/** 0 while nobody answers. */
export async function statusOf(url: string): Promise<number> {
  try {
    const answer = await fetch(url);
    await answer.arrayBuffer();
    return answer.status;
  } catch {
    return 0;
  }
}

/** The space that the files of a directory take; one that goes meanwhile takes none. */
function sizeOf(directory: string): number {
  let bytes = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) bytes += sizeOf(path);
    else bytes += (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
  }
  return bytes;
}
