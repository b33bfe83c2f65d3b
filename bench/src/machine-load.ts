/**
 * How busy the machine was with other things while a window was measured. A number taken beside
 * somebody else's work is still a number, but its reader must know.
 */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/** Processor time of the whole machine since it started. */
export interface MachineTime {
  readonly atMs: number;
  /** User, system and interrupts, and what the hypervisor kept for itself. */
  readonly busyUs: number;
}

const US_PER_TICK = 10_000; // USER_HZ is 100 wherever Node runs on Linux

/** Undefined where the system does not say. */
export function machineTime(): MachineTime | undefined {
  try {
    const [line] = readFileSync("/proc/stat", "utf8").split("\n", 1);
    const ticks = line!.trim().split(/\s+/).slice(1).map(Number);
    const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = ticks;
    const busyUs = (user + nice + system + irq + softirq + steal) * US_PER_TICK;
    return { atMs: performance.now(), busyUs };
  } catch {
    return undefined;
  }
}

/** The share of all cores that others had meanwhile; `ownUs` is what the members used. */
export function shareOfOthers(
  before: MachineTime | undefined,
  after: MachineTime | undefined,
  ownUs: number,
): number | undefined {
  if (before === undefined || after === undefined) return undefined;
  const wholeUs = (after.atMs - before.atMs) * 1000 * availableParallelism();
  return Math.max(0, (after.busyUs - before.busyUs - ownUs) / wholeUs);
}
