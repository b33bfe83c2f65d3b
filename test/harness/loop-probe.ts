/**
 * How long the event loop of a member stands still, measured inside its own process: a timer of
 * 2 ms, loaded before anything else, notes how late it is and for how much of that time the main
 * thread was running. The worst of every 100 ms goes to a file.
 *
 * Both are needed: on a machine with more to do than processors, a process also waits for its turn,
 * which no code of ours can help. Linux tells how long a thread has run; elsewhere the processor
 * time of the whole process stands for it, which is never too little.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Member } from "./cluster.ts";

const PROBE = `
import { appendFileSync, openSync, readSync } from "node:fs";
const TICK_MS = 2;
const path = process.env.QUORATE_PROBE_FILE;
const buffer = Buffer.alloc(80);
let stat;
try {
  stat = openSync("/proc/self/task/" + process.pid + "/schedstat", "r");
} catch {}
function ranMs() {
  if (stat === undefined) {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  }
  const length = readSync(stat, buffer, 0, buffer.length, 0);
  return Number(buffer.toString("latin1", 0, length).split(" ", 1)[0]) / 1e6;
}
let [lastMs, lastRanMs, lateMs, busyMs] = [performance.now(), ranMs(), 0, 0];
setInterval(() => {
  const [nowMs, nowRanMs] = [performance.now(), ranMs()];
  const late = nowMs - lastMs - TICK_MS;
  lateMs = Math.max(lateMs, late);
  busyMs = Math.max(busyMs, Math.min(late, nowRanMs - lastRanMs));
  [lastMs, lastRanMs] = [nowMs, nowRanMs];
}, TICK_MS).unref();
setInterval(() => {
  appendFileSync(path, Date.now() + " " + lateMs + " " + busyMs + "\\n");
  [lateMs, busyMs] = [0, 0];
}, 100).unref();
`;

/** The worst of a span of time, in ms. */
export interface Delays {
  /** How late the loop was, whatever the reason. */
  readonly lateMs: number;
  /** For how long of that its thread was running. */
  readonly busyMs: number;
}

/** Has all processes measured that are started from now on. */
export function probeLoops(directory: string, members: readonly Member[]): void {
  const module = join(directory, "probe.mjs");
  writeFileSync(module, PROBE);
  for (const member of members) {
    member.variables = {
      NODE_OPTIONS: `--import ${pathToFileURL(module).href}`,
      QUORATE_PROBE_FILE: probeFileOf(member),
    };
  }
}

/** The worst that a member has measured since this time (of `Date.now`). */
export function delaysSince(member: Member, sinceMs: number): Delays {
  let [lateMs, busyMs] = [0, 0];
  for (const line of readFileSync(probeFileOf(member), "utf8").trim().split("\n")) {
    const [atMs, late, busy] = line.split(" ").map(Number) as [number, number, number];
    // The span of the first note begins 100 ms before it.
    if (atMs < sinceMs + 100) continue;
    lateMs = Math.max(lateMs, late);
    busyMs = Math.max(busyMs, busy);
  }
  return { lateMs, busyMs };
}

function probeFileOf(member: Member): string {
  return `${member.outputPath}.probe`;
}
