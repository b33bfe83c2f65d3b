/**
 * Where a number comes from: machine, kernel, Node, disk and commit. A number without them is a
 * rumour. The disk is described by its file system and by how long one data-synced write of 4 KiB
 * takes on it, which is what a replicated write pays.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, statfsSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem, type as osType } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FloorFile } from "./floor-file.ts";
import { spreadOf } from "./statistics.ts";

/** Where and from what a number was taken. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly commit: string;
  readonly date: string;
}

/** What the results name beside the numbers. */
export interface Environment extends Machine {
  readonly fileSystem: string;
  /** One data-synced write of 4 KiB into a preallocated file: median, in ms. */
  readonly syncedWriteMs: number;
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TMPFS_MAGIC = 0x0102_1994;
const RAMFS_MAGIC = 0x8584_58f6;
const PROBE_WRITES = 400;

/** Whether a directory lives in memory, where a sync costs and means nothing. */
export function isInMemory(directory: string): boolean {
  const { type } = statfsSync(directory);
  return type === TMPFS_MAGIC || type === RAMFS_MAGIC;
}

export async function describeEnvironment(directory: string): Promise<Environment> {
  return {
    ...describeMachine(),
    fileSystem: fileSystemOf(directory),
    syncedWriteMs: await probeSyncedWrite(directory),
  };
}

export function describeMachine(): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `${osType()} ${release()}`,
    node: process.version,
    commit: commitOf(),
    date: new Date().toISOString().slice(0, 10),
  };
}

/**
 * The type and device of the mount that holds a directory, from the longest matching mount point.
 */
function fileSystemOf(directory: string): string {
  let best = { point: "", text: "unknown" };
  for (const line of readLines("/proc/self/mounts")) {
    const [device, point, type] = line.split(" ");
    if (device === undefined || point === undefined || type === undefined) continue;
    const inside = directory === point || directory.startsWith(point === "/" ? "/" : `${point}/`);
    if (inside && point.length >= best.point.length) best = { point, text: `${type} on ${device}` };
  }
  return best.text;
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n");
  } catch {
    return []; // not Linux: the file system stays "unknown"
  }
}

async function probeSyncedWrite(directory: string): Promise<number> {
  const path = join(directory, "probe.log");
  const file = new FloorFile(path, 4 << 20);
  const block = new Uint8Array(4096).fill(1);
  const times: number[] = [];
  for (let i = 0; i < PROBE_WRITES; i++) {
    const begin = performance.now();
    await new Promise<void>((resolve) => file.append(block, resolve));
    times.push(performance.now() - begin);
  }
  file.close();
  rmSync(path);
  return spreadOf(times).median;
}

function commitOf(): string {
  try {
    const git = (...args: string[]): string =>
      execFileSync("git", args, {
        cwd: ROOT,
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      });
    const commit = git("rev-parse", "--short=10", "HEAD").trim();
    const changes = git("status", "--porcelain", "--", "packages", "bench/src");
    return changes === "" ? commit : `${commit} with local changes`;
  } catch {
    return "unknown";
  }
}
