/**
 * What the core knows of its log: terms, configurations, and the newest batches.
 *
 * The entries themselves are on disk. For every index the core must know the term, and for that the
 * *runs* of equal terms are enough: one per leadership, however many entries it wrote.
 * Configurations are in force from the moment they are appended (thesis, 4.1), so a truncation that
 * removes one brings the one before it back.
 *
 * The log starts after a position that a snapshot covers. That start moves forwards: inside of the
 * log as entries are released, or, where the log lacks what the snapshot covers, to a new log
 * without entries. Term and configuration at the start stay known.
 *
 * Invariants: `log-contiguous`, `log-terms-ordered`, `start-monotone`. The rules about what may be
 * truncated or released are the caller's (append.ts, snapshot.ts), who knows the commit index.
 */
import { BytesError } from "../util/bytes.ts";
import type { Checksum } from "../util/checksum.ts";
import { BatchTail } from "./batch-tail.ts";
import { memberOf } from "./configuration.ts";
import type {
  Configuration,
  Incarnation,
  IndexedConfiguration,
  MemberId,
} from "./configuration.ts";
import { decodeConfiguration } from "./configuration-codec.ts";
import type { RecoveredGroup, SnapshotPoint } from "./contract.ts";
import type { EntryBatch } from "./entry.ts";
import { EntryCursor, EntryKind } from "./entry.ts";
import { violated } from "./invariants.ts";

/** Terms, configurations and newest batches of one log. */
export class EntryLog {
  #startIndex: number;
  #startTerm: number;
  readonly #checksum: Checksum;
  readonly #tail: BatchTail = new BatchTail();
  /** First index and term of each run, side by side. */
  readonly #runIndexes: number[] = [];
  readonly #runTerms: number[] = [];
  /** By index; the first one is the one in force at the start. */
  readonly #configurations: IndexedConfiguration[];
  #lastIndex: number;
  #lastTimeMs: number;

  constructor(recovered: RecoveredGroup, checksum: Checksum) {
    this.#startIndex = recovered.startIndex;
    this.#startTerm = recovered.startTerm;
    this.#checksum = checksum;
    this.#lastIndex = recovered.lastIndex;
    this.#lastTimeMs = recovered.lastTimeMs;
    this.#configurations = [recovered.startConfiguration, ...recovered.configurations];
    for (const run of recovered.termRuns) {
      this.#runIndexes.push(run.index);
      this.#runTerms.push(run.term);
    }
    this.#checkRecovered();
  }

  /** The log starts after this position. */
  get startIndex(): number {
    return this.#startIndex;
  }

  get startTerm(): number {
    return this.#startTerm;
  }

  get lastIndex(): number {
    return this.#lastIndex;
  }

  get lastTerm(): number {
    return this.#runTerms.length === 0 ? this.#startTerm : this.#runTerms.at(-1)!;
  }

  /** Cluster time of the last entry. */
  get lastTimeMs(): number {
    return this.#lastTimeMs;
  }

  /** The configuration in force: the newest one appended. */
  get configuration(): Configuration {
    return this.#configurations.at(-1)!.configuration;
  }

  get configurationIndex(): number {
    return this.#configurations.at(-1)!.index;
  }

  /** The configuration in force at `index`; undefined before the start of the log. */
  configurationAt(index: number): IndexedConfiguration | undefined {
    if (index < this.#startIndex) return undefined;
    return this.#configurations.findLast((known) => known.index <= index);
  }

  /** Every configuration held, the oldest first. */
  get configurations(): readonly IndexedConfiguration[] {
    return this.#configurations;
  }

  /**
   * Whether the configuration in force gives `id` to another directory (or to one that is not known
   * yet) than an earlier one of this log did, which named this one.
   */
  isSuperseded(id: MemberId, incarnation: Incarnation): boolean {
    const present = memberOf(this.configuration, id);
    if (present === undefined || present.incarnation === incarnation) return false;
    return this.#configurations.some(
      ({ configuration }) => memberOf(configuration, id)?.incarnation === incarnation,
    );
  }

  get tailBytes(): number {
    return this.#tail.bytes;
  }

  /** The first index that is in memory; behind the last one where none is. */
  get memoryIndex(): number {
    return this.#tail.firstIndex ?? this.#lastIndex + 1;
  }

  /** The batch that holds `index`, where it is in memory. */
  batchAt(index: number): EntryBatch | undefined {
    return this.#tail.batchAt(index);
  }

  /** The term of `index`; undefined before the start of the log and behind its end. */
  termAt(index: number): number | undefined {
    if (index < this.#startIndex || index > this.#lastIndex) return undefined;
    return this.#termOfRun(this.#runAt(index));
  }

  /** Figure 2, AppendEntries 2: whether the log holds an entry of that index and term. */
  matches(index: number, term: number): boolean {
    return this.termAt(index) === term;
  }

  /** Section 5.4.1: whether a log that ends like this is at least as up to date as ours. */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    const own = this.lastTerm;
    return lastTerm > own || (lastTerm === own && lastIndex >= this.#lastIndex);
  }

  /**
   * The largest index up to `index` whose term is at most `term`: the highest place at which two
   * logs can still agree. One below the start where no such index is known any more.
   */
  lastIndexWithTermAtMost(index: number, term: number): number {
    const from = Math.min(index, this.#lastIndex);
    if (from < this.#startIndex) return from;
    let at = from;
    for (let run = this.#runAt(from); run >= 0; run--) {
      if (this.#runTerms[run]! <= term) return at;
      at = this.#runIndexes[run]! - 1;
    }
    return this.#startTerm <= term ? this.#startIndex : this.#startIndex - 1;
  }

  /**
   * The first index of `batch` that the log does not hold with the same term, or the one behind it.
   * Indexes up to the start count as held: they are committed.
   */
  firstDifference(batch: EntryBatch): number {
    const end = batch.lastIndex;
    let index = Math.max(batch.firstIndex, this.#startIndex + 1);
    while (index <= end && index <= this.#lastIndex) {
      const run = this.#runAt(index);
      if (this.#termOfRun(run) !== batch.term) return index;
      index = this.#runIndexes[run + 1] ?? this.#lastIndex + 1;
    }
    return Math.min(index, end + 1);
  }

  /**
   * Appends a batch; true where it changed the configuration. Throws BytesError, before anything
   * has changed, where a configuration in it cannot be read.
   */
  append(batch: EntryBatch): boolean {
    if (batch.firstIndex !== this.#lastIndex + 1) {
      violated("log-contiguous", `Batch ${batch.toString()} behind entry ${this.#lastIndex}.`);
    }
    if (batch.term < this.lastTerm) {
      violated("log-terms-ordered", `Batch ${batch.toString()} behind term ${this.lastTerm}.`);
    }
    const configurations = batch.hasConfiguration ? configurationsOf(batch) : undefined;
    if (batch.term > this.lastTerm || this.#runTerms.length === 0) {
      this.#runIndexes.push(batch.firstIndex);
      this.#runTerms.push(batch.term);
    }
    this.#tail.push(batch);
    this.#lastIndex = batch.lastIndex;
    this.#lastTimeMs = batch.timeMs;
    if (configurations !== undefined) this.#configurations.push(...configurations);
    return configurations !== undefined;
  }

  /** Removes every entry from `index` on; true where that changed the configuration. */
  truncateFrom(index: number): boolean {
    while (this.#runIndexes.length > 0 && this.#runIndexes.at(-1)! >= index) {
      this.#runIndexes.pop();
      this.#runTerms.pop();
    }
    this.#tail.truncateFrom(index, this.#checksum);
    this.#lastIndex = index - 1;
    let changed = false;
    while (this.#configurations.length > 1 && this.configurationIndex >= index) {
      this.#configurations.pop();
      changed = true;
    }
    return changed;
  }

  /** Everything up to `index` leaves the log, which starts after it from now on. */
  startAfter(index: number): void {
    if (index < this.#startIndex || index > this.#lastIndex) {
      violated("start-monotone", `${index}, log ${this.#startIndex}..${this.#lastIndex}.`);
    }
    const run = this.#runAt(index);
    this.#startTerm = this.#termOfRun(run);
    this.#startIndex = index;
    if (run >= 0) {
      // The run that holds the start goes on behind it, or is over.
      const end = this.#runIndexes[run + 1] ?? this.#lastIndex + 1;
      const goesOn = end > index + 1;
      if (goesOn) this.#runIndexes[run] = index + 1;
      this.#runIndexes.splice(0, goesOn ? run : run + 1);
      this.#runTerms.splice(0, goesOn ? run : run + 1);
    }
    this.#tail.releaseThrough(index);
    const inForce = this.#configurations.findLastIndex((known) => known.index <= index);
    this.#configurations.splice(0, Math.max(0, inForce));
  }

  /** A new log, without entries, that starts after `start`. */
  resetTo(start: SnapshotPoint): void {
    if (start.index <= this.#startIndex) {
      violated("start-monotone", `Reset to ${start.index}, log starts at ${this.#startIndex}.`);
    }
    this.#startIndex = start.index;
    this.#startTerm = start.term;
    this.#lastIndex = start.index;
    this.#lastTimeMs = start.timeMs;
    this.#runIndexes.length = 0;
    this.#runTerms.length = 0;
    this.#tail.truncateFrom(0, this.#checksum);
    this.#configurations.splice(0, this.#configurations.length, start.configuration);
  }

  /** Lets durable batches leave memory beyond `bytesMax`. */
  evict(bytesMax: number, durableIndex: number): void {
    if (this.#tail.bytes > bytesMax) this.#tail.evict(bytesMax, durableIndex);
  }

  /** Position of the run that holds `index`; -1 for the start itself. */
  #runAt(index: number): number {
    const indexes = this.#runIndexes;
    let high = indexes.length - 1;
    if (high < 0 || index >= indexes[high]!) return high;
    let low = -1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (indexes[middle]! <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #termOfRun(run: number): number {
    return run < 0 ? this.#startTerm : this.#runTerms[run]!;
  }

  #checkRecovered(): void {
    const indexes = this.#runIndexes;
    const empty = this.#lastIndex === this.#startIndex;
    const framed =
      this.#lastIndex >= this.#startIndex &&
      (empty ? indexes.length === 0 : indexes[0] === this.#startIndex + 1);
    if (!framed || (!empty && indexes.at(-1)! > this.#lastIndex)) {
      violated("recovered-consistent", `Runs ${indexes.join()} up to entry ${this.#lastIndex}.`);
    }
    for (let i = 0; i < indexes.length; i++) {
      if (
        (i > 0 && indexes[i]! <= indexes[i - 1]!) ||
        this.#termOfRun(i) < this.#termOfRun(i - 1)
      ) {
        violated(
          "recovered-consistent",
          `Runs ${indexes.join()} of terms ${this.#runTerms.join()}.`,
        );
      }
    }
  }
}

/** The configurations that a batch holds, by index; throws BytesError where one is unreadable. */
function configurationsOf(batch: EntryBatch): IndexedConfiguration[] {
  const found: IndexedConfiguration[] = [];
  const cursor = new EntryCursor().reset(batch);
  while (cursor.next()) {
    const { kind, index, payload } = cursor.view;
    if (kind !== EntryKind.configuration) continue;
    found.push({ index, configuration: decodeConfiguration(payload) });
  }
  return found;
}

/** Whether every configuration in `batch` can be read: asked before a foreign batch is taken. */
export function hasReadableConfigurations(batch: EntryBatch): boolean {
  if (!batch.hasConfiguration) return true;
  try {
    configurationsOf(batch);
    return true;
  } catch (error) {
    if (error instanceof BytesError) return false;
    throw error;
  }
}
