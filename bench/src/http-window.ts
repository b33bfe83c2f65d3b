/** One window of load on a running cluster, measured by a process of its own. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
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
  /** Undefined: until its input ends, after the line `BEGUN`. */
  readonly windowMs: number | undefined;
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

/** What the generator says when a window begins whose end it is not told beforehand. */
export const BEGUN = "begun";

const PROCESS = fileURLToPath(new URL("./http-load-process.js", import.meta.url));

export async function measureWindow(run: LoadRun): Promise<LoadWindow> {
  const given = [PROCESS, JSON.stringify(run)];
  const { stdout } = await promisify(execFile)(process.execPath, given);
  return JSON.parse(stdout) as LoadWindow;
}

/** A window that is as long as `work`, which is begun when the load runs. */
export async function measureWhile<T>(
  run: Omit<LoadRun, "windowMs">,
  work: () => Promise<T>,
): Promise<{ readonly window: LoadWindow; readonly result: T }> {
  const child = spawn(process.execPath, [PROCESS, JSON.stringify(run)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  exited.catch(() => {}); // it never ran: its lines tell
  child.stdin.on("error", () => {}); // it ended before it was told to: its lines tell
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    if ((await lines.next()).value !== BEGUN) throw new Error("the load did not begin");
    const working = work();
    working.catch(() => {}); // where the load fails first, that is what is told
    const result = await Promise.race([working, failsWith(exited)]);
    child.stdin.end();
    const { value } = await lines.next();
    if (typeof value !== "string") throw new Error("the load failed");
    return { window: JSON.parse(value) as LoadWindow, result };
  } finally {
    child.kill("SIGKILL");
    await exited;
  }
}

/** Rejects when the load generator ends before it was told to. */
async function failsWith(exited: Promise<unknown>): Promise<never> {
  await exited;
  throw new Error("the load failed");
}
