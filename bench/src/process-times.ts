/**
 * What another process has used so far, as the kernel counts it: processor time and the most memory
 * that it ever had. Read from outside, so that a member is measured as it is run, in any language.
 */
import { readFileSync } from "node:fs";

const US_PER_TICK = 10_000; // USER_HZ is 100 wherever Node runs on Linux

/** The processor time of a process, of all its threads, in µs. */
export function cpuUsOf(pid: number): number {
  return parseCpuUs(readFileSync(`/proc/${pid}/stat`, "utf8"));
}

/** The most memory that a process ever had resident, in bytes. */
export function peakBytesOf(pid: number): number {
  return parsePeakBytes(readFileSync(`/proc/${pid}/status`, "utf8"));
}

/** The bytes that a process has resident now, and those of them that are no mapped file. */
export function memoryOf(pid: number): { residentBytes: number; anonymousBytes: number } {
  return parseMemory(readFileSync(`/proc/${pid}/status`, "utf8"));
}

/** The memory of now in `/proc/PID/status`. */
export function parseMemory(status: string): { residentBytes: number; anonymousBytes: number } {
  return { residentBytes: bytesIn(status, "VmRSS"), anonymousBytes: bytesIn(status, "RssAnon") };
}

/** User and system time in a line of `/proc/PID/stat`. */
export function parseCpuUs(stat: string): number {
  // The name of the process stands in parentheses and may have spaces and parentheses itself.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [user, system] = [Number(fields[11]), Number(fields[12])];
  if (!Number.isFinite(user + system)) throw new Error(`not a line of /proc/PID/stat: ${stat}`);
  return (user + system) * US_PER_TICK;
}

/** The high-water mark in `/proc/PID/status`. */
export function parsePeakBytes(status: string): number {
  return bytesIn(status, "VmHWM");
}

function bytesIn(status: string, name: string): number {
  const [, kib] = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status) ?? [];
  if (kib === undefined) throw new Error(`no ${name} in /proc/PID/status`);
  return Number(kib) * 1_024;
}
