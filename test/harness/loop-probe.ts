/**
 * How long the event loop of a member stands still, measured inside its own process: a timer of
 * 2 ms, loaded before anything else, notes how late it is and how much of that time the process was
 * computing. The worst of every 100 ms goes to a file.
 *
 * Both are needed: on a machine with more to do than processors, a process also waits for its turn,
 * which no code of ours can help. Computing is counted over all threads of the process, so it is
 * never too little.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Member } from "./cluster.ts";

const PROBE = `
import { appendFileSync } from "node:fs";
const TICK_MS = 2;
const path = process.env.QUORATE_PROBE_FILE;
let [lastMs, cpu, lateMs, busyMs] = [performance.now(), process.cpuUsage(), 0, 0];
setInterval(() => {
  const [nowMs, usage] = [performance.now(), process.cpuUsage(cpu)];
  const late = nowMs - lastMs - TICK_MS;
  const busy = Math.min(late, (usage.user + usage.system) / 1_000);
  lateMs = Math.max(lateMs, late);
  busyMs = Math.max(busyMs, busy);
  lastMs = nowMs;
  cpu = process.cpuUsage();
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
  /** How long it was late while its process was computing. */
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
