/** One window of load on a running cluster, measured by a process of its own. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { KvOperation } from "./kv-system.ts";

/** What the generator is told. */
export interface LoadRun {
  readonly system: string;
  readonly operation: KvOperation;
  readonly ports: readonly number[];
  readonly connections: number;
  /** Undefined: a closed loop. */
  readonly ratePerSecond: number | undefined;
  /** So many keys from the `keyFrom`-th on, each `keyStride`-th. */
  readonly keys: number;
  readonly keyFrom: number;
  readonly keyStride: number;
  readonly valueBytes: number;
  /** The window begins after both. */
  readonly warmUpMs: number;
  readonly reachesEveryKey: boolean;
  readonly windowMs: number;
  /** Whose processor time and memory is counted. */
  readonly pids: readonly number[];
}

/** What it found. Processor times are per request. */
export interface LoadWindow {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Of each process asked for. */
  readonly cpuUs: readonly number[];
  readonly generatorCpuUs: number;
  /** The most memory that each process ever had, from its start to the end of the window. */
  readonly peakBytes: readonly number[];
  readonly othersShare: number | undefined;
}

const PROCESS = fileURLToPath(new URL("./http-load-process.js", import.meta.url));

export async function measureWindow(run: LoadRun): Promise<LoadWindow> {
  const given = [PROCESS, JSON.stringify(run)];
  const { stdout } = await promisify(execFile)(process.execPath, given);
  return JSON.parse(stdout) as LoadWindow;
}
