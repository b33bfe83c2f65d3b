/**
 * What the tests of the log share: batches, clocks, and a naive model of what a log must hold.
 */
import { votersOnly } from "../core/configuration.ts";
import type { Configuration } from "../core/configuration.ts";
import { encodeConfiguration } from "../core/configuration.ts";
import { EntryBatch, EntryCursor, EntryKind, packEntries } from "../core/entry.ts";
import type { EntryFields } from "../core/entry.ts";
import type { HardState } from "../core/output.ts";
import { SimDisk } from "../disk/sim-disk.ts";
import type { Disk } from "../disk/disk.ts";
import { crc32 } from "../util/checksum.ts";
import type { Clock, Timer } from "../util/clock.ts";
import { SeededRandom } from "../util/random.ts";
import { openLog } from "./open-log.ts";
import type { LogOptions } from "./open-log.ts";
import type { SegmentedLog } from "./segmented-log.ts";

export const DIRECTORY = "/data/log";

/** A clock whose timers fire when a test says so. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #timers: { atMs: number; task: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, task: () => void): Timer {
    const timer = { atMs: this.#nowMs + delayMs, task };
    this.#timers.push(timer);
    return { cancel: () => void (this.#timers = this.#timers.filter((other) => other !== timer)) };
  }

  soon(task: () => void): void {
    queueMicrotask(task);
  }

  /** Moves on and fires what is due. */
  advance(byMs: number): void {
    this.#nowMs += byMs;
    const due = this.#timers.filter((timer) => timer.atMs <= this.#nowMs);
    this.#timers = this.#timers.filter((timer) => timer.atMs > this.#nowMs);
    for (const timer of due) timer.task();
  }
}

/** An empty simulated disk with a durable data directory. */
export async function emptyDisk(disk: SimDisk = new SimDisk()): Promise<SimDisk> {
  await disk.makeDirectory("/data");
  await disk.syncDirectory("/");
  return disk;
}

export function logOptions(disk: Disk, options: Partial<LogOptions> = {}): LogOptions {
  return {
    disk,
    directory: DIRECTORY,
    checksum: crc32,
    clock: new ManualClock(),
    random: new SeededRandom(7),
    segmentBytes: 4_096,
    ...options,
  };
}

export function open(disk: Disk, options: Partial<LogOptions> = {}): Promise<SegmentedLog> {
  return openLog(logOptions(disk, options));
}

/** A batch of commands, `text` with the index behind it. */
export function batchOf(
  firstIndex: number,
  term: number,
  options: { count?: number; text?: string; timeMs?: number } = {},
): EntryBatch {
  const { count = 1, text = "v", timeMs = firstIndex * 10 } = options;
  const entries: EntryFields[] = [];
  for (let i = 0; i < count; i++) {
    const payload = new TextEncoder().encode(`${text}${firstIndex + i}`);
    entries.push({ kind: EntryKind.command, payload, session: 3, sequence: firstIndex + i });
  }
  return EntryBatch.seal(packEntries(entries), { term, firstIndex, timeMs, checksum: crc32 });
}

/** A batch with one configuration entry. */
export function configurationBatch(index: number, term: number, voters: number): EntryBatch {
  const payload = encodeConfiguration(configurationOf(voters));
  return EntryBatch.seal(packEntries([{ kind: EntryKind.configuration, payload }]), {
    term,
    firstIndex: index,
    timeMs: index * 10,
    checksum: crc32,
  });
}

export function configurationOf(voters: number): Configuration {
  const members = [];
  for (let i = 1; i <= voters; i++) {
    members.push({ id: `n${i}`, address: `127.0.0.1:${9090 + i}`, incarnation: "ab".repeat(16) });
  }
  return votersOnly(members);
}

export function hard(term: number, vote?: string, commit = 0): HardState {
  const incarnation = "cd".repeat(16);
  return { term, vote: vote === undefined ? undefined : { id: vote, incarnation }, commit };
}

/** The entries of batches as `index@term:payload`. */
export function textOf(batches: readonly EntryBatch[]): string[] {
  const texts: string[] = [];
  const cursor = new EntryCursor();
  for (const batch of batches) {
    cursor.reset(batch);
    while (cursor.next()) {
      const payload = new TextDecoder("latin1").decode(cursor.view.payload);
      texts.push(`${cursor.view.index}@${batch.term}:${payload}`);
    }
  }
  return texts;
}

/** All entries of a group, read in pieces. */
export async function readAll(log: SegmentedLog, group: number, last: number): Promise<string[]> {
  const texts: string[] = [];
  const { startIndex } = log.recovered(group);
  let from = startIndex + 1;
  while (from <= last) {
    const batches = await log.read(group, from, last, 1_000);
    if (batches.length === 0) break;
    texts.push(...textOf(batches));
    from = batches.at(-1)!.lastIndex + 1;
  }
  return texts;
}
