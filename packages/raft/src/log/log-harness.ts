/**
 * What the tests of the log share: batches, clocks, and a naive model of what a log must hold.
 */
import { votersOnly } from "../core/configuration.ts";
import type { Configuration } from "../core/configuration.ts";
import { encodeConfiguration } from "../core/configuration-codec.ts";
import { EntryBatch, EntryCursor, EntryKind, packEntries } from "../core/entry.ts";
import type { EntryFields } from "../core/entry.ts";
import type { RecoveredGroup } from "../core/contract.ts";
import type { HardState } from "../core/output.ts";
import { SimDisk } from "../disk/sim-disk.ts";
import type { Disk } from "../disk/disk.ts";
import { crc32 } from "../util/checksum.ts";
import type { Clock, Timer } from "../util/clock.ts";
import { QuorateError } from "../util/error.ts";
import { SeededRandom } from "../util/random.ts";
import type { LogWrite } from "./log.ts";
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

/** One thing that happens to a log as a whole or not at all. */
export type Step =
  | { readonly kind: "state"; readonly group: number; readonly hardState: HardState }
  | { readonly kind: "batch"; readonly group: number; readonly batch: EntryBatch }
  | { readonly kind: "release"; readonly group: number; readonly index: number };

/** The steps of an append, in the order in which they may become durable. */
export function stepsOf(writes: readonly LogWrite[]): Step[] {
  const steps: Step[] = [];
  for (const { group, hardState, entries } of writes) {
    if (hardState !== undefined) steps.push({ kind: "state", group, hardState });
    for (const batch of entries) steps.push({ kind: "batch", group, batch });
  }
  return steps;
}

interface ModelGroup {
  term: number;
  vote: string;
  start: number;
  startTerm: number;
  /** `index@term:payload`, from start + 1 on. */
  entries: string[];
}

/** The naive model: what a log must hold after some steps. */
export class LogModel {
  readonly #groups: Map<number, ModelGroup> = new Map();

  apply(step: Step): this {
    const group = this.group(step.group);
    if (step.kind === "state") {
      group.term = step.hardState.term;
      group.vote = voteText(step.hardState);
    } else if (step.kind === "batch") {
      group.entries.length = step.batch.firstIndex - 1 - group.start;
      group.entries.push(...textOf([step.batch]));
    } else if (step.index > group.start) {
      const gone = group.entries.splice(0, step.index - group.start);
      group.start = step.index;
      group.startTerm = termOf(gone.at(-1)!);
    }
    return this;
  }

  group(id: number): ModelGroup {
    let group = this.#groups.get(id);
    if (group === undefined) {
      group = { term: 0, vote: "-", start: 0, startTerm: 0, entries: [] };
      this.#groups.set(id, group);
    }
    return group;
  }

  lastIndex(id: number): number {
    const group = this.group(id);
    return group.start + group.entries.length;
  }

  copy(): LogModel {
    const copy = new LogModel();
    for (const [id, group] of this.#groups) {
      copy.#groups.set(id, { ...group, entries: [...group.entries] });
    }
    return copy;
  }

  /** What recovery alone can tell. */
  summary(): string[] {
    return this.#lines((group) => runsText(group.entries));
  }

  /** Everything. */
  content(): string[] {
    return this.#lines((group) => group.entries.join(" "));
  }

  #lines(show: (group: ModelGroup) => string): string[] {
    const lines: string[] = [];
    for (const [id, group] of [...this.#groups].sort(([a], [b]) => a - b)) {
      const { term, vote, start, startTerm } = group;
      const line = `${id}: term ${term} vote ${vote} from ${start}@${startTerm} ${show(group)}`;
      if (line !== `${id}: term 0 vote - from 0@0 `) lines.push(line);
    }
    return lines;
  }
}

/** What recovery says of some groups, in the words of the model. */
export function summaryOf(groups: Iterable<readonly [number, RecoveredGroup]>): string[] {
  return modelOf(groups).summary();
}

/** What a log holds, in the words of the model. */
export async function contentOf(log: SegmentedLog, ids: readonly number[]): Promise<string[]> {
  const model = modelOf(ids.map((id) => [id, log.recovered(id)] as const));
  for (const id of ids) {
    const { lastIndex } = log.recovered(id);
    model.group(id).entries = await readAll(log, id, lastIndex);
  }
  return model.content();
}

function modelOf(groups: Iterable<readonly [number, RecoveredGroup]>): LogModel {
  const model = new LogModel();
  for (const [id, group] of groups) {
    const { hardState, startIndex, startTerm, termRuns, lastIndex } = group;
    const entries: string[] = [];
    for (const [i, run] of termRuns.entries()) {
      const end = termRuns[i + 1]?.index ?? lastIndex + 1;
      for (let index = run.index; index < end; index++) entries.push(`${index}@${run.term}`);
    }
    Object.assign(model.group(id), {
      term: hardState.term,
      vote: voteText(hardState),
      start: startIndex,
      startTerm,
      entries,
    });
  }
  return model;
}

function voteText(hardState: HardState): string {
  const { vote } = hardState;
  return vote === undefined ? "-" : `${vote.id}/${vote.incarnation}`;
}

function termOf(entry: string): number {
  return Number(/@(\d+)/.exec(entry)![1]);
}

function runsText(entries: readonly string[]): string {
  return entries.map((entry) => /^\d+@\d+/.exec(entry)![0]).join(" ");
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

/** A write of one entry. */
export function put(group: number, index: number, term = 1, text = "v"): LogWrite {
  return { group, hardState: undefined, entries: [batchOf(index, term, { text })], commit: 0 };
}

/** The code of one of our errors. */
export function codeOf(error: unknown): string | undefined {
  return QuorateError.is(error) ? error.code : undefined;
}

/** The code of the error that it ends with; undefined where it ends well. */
export async function failureOf(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => undefined,
    (error: unknown) => codeOf(error) ?? String(error),
  );
}
