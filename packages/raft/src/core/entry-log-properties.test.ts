/**
 * The arithmetic of the log against a naive one: an array of entries, every question answered by
 * looking at all of them. Terms, conflicts, slices, truncation, eviction, configurations.
 */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { fromUtf8, utf8 } from "../util/bytes.ts";
import { crc32 } from "../util/checksum.ts";
import type { Random } from "../util/random.ts";
import { SeededRandom } from "../util/random.ts";
import type { Configuration, IndexedConfiguration } from "./configuration.ts";
import { encodeConfiguration } from "./configuration-codec.ts";
import type { TermRun } from "./contract.ts";
import { configurationOf } from "./core-harness.ts";
import { EntryLog } from "./entry-log.ts";
import { EntryBatch, EntryCursor, EntryKind, packEntries } from "./entry.ts";

interface NaiveEntry {
  readonly term: number;
  readonly text: string;
  readonly configuration: Configuration | undefined;
}

/** Index i stands at i - startIndex - 1. */
class NaiveLog {
  readonly startIndex: number;
  readonly startTerm: number;
  readonly startConfiguration: IndexedConfiguration;
  entries: NaiveEntry[] = [];

  constructor(startIndex: number, startTerm: number, startConfiguration: IndexedConfiguration) {
    this.startIndex = startIndex;
    this.startTerm = startTerm;
    this.startConfiguration = startConfiguration;
  }

  get lastIndex(): number {
    return this.startIndex + this.entries.length;
  }

  at(index: number): NaiveEntry | undefined {
    return index > this.startIndex ? this.entries[index - this.startIndex - 1] : undefined;
  }

  termAt(index: number): number | undefined {
    return index === this.startIndex ? this.startTerm : this.at(index)?.term;
  }

  get configurations(): IndexedConfiguration[] {
    const found = [this.startConfiguration];
    this.entries.forEach(({ configuration }, i) => {
      if (configuration === undefined) return;
      found.push({ index: this.startIndex + 1 + i, configuration });
    });
    return found;
  }

  get runs(): TermRun[] {
    const runs: TermRun[] = [];
    this.entries.forEach(({ term }, i) => {
      if (runs.at(-1)?.term !== term) runs.push({ index: this.startIndex + 1 + i, term });
    });
    return runs;
  }

  /** The largest index, from `index` down to the start, whose term is at most `term`. */
  lastIndexWithTermAtMost(index: number, term: number): number {
    let i = Math.min(index, this.lastIndex);
    while (i >= this.startIndex && (this.termAt(i) ?? Infinity) > term) i--;
    return i;
  }

  /**
   * The first index of a batch whose entry is not here; what lies before the start is committed.
   */
  firstDifference(first: number, terms: readonly number[]): number {
    const at = terms.findIndex((term, i) => {
      const index = first + i;
      return index > this.startIndex && this.termAt(index) !== term;
    });
    return at < 0 ? first + terms.length : first + at;
  }
}

/** A log and its naive twin, under random use. */
class Twins {
  readonly random: Random;
  readonly naive: NaiveLog;
  log: EntryLog;
  #texts = 0;
  durable: number;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    const startIndex = this.random.below(2) * this.random.below(20);
    const startTerm = startIndex === 0 ? 0 : 1 + this.random.below(3);
    const configuration = configurationOf(["n1", "n2", "n3"]);
    const index = startIndex === 0 ? 0 : this.random.below(startIndex);
    this.naive = new NaiveLog(startIndex, startTerm, { index, configuration });
    for (let i = this.random.below(3); i > 0; i--) this.#grow();
    this.log = this.#recover();
    this.durable = this.naive.lastIndex;
  }

  /** As after a restart: nothing is in memory, all else is as before. */
  #recover(): EntryLog {
    const { startIndex, startTerm, startConfiguration, lastIndex, runs } = this.naive;
    return new EntryLog(
      {
        hardState: { term: 100, vote: undefined, commit: 0 },
        startIndex,
        startTerm,
        startConfiguration,
        lastIndex,
        termRuns: runs,
        configurations: this.naive.configurations.slice(1),
        lastTimeMs: 0,
      },
      crc32,
    );
  }

  /** New entries of one term at the end of the naive log, and the batch of them. */
  #grow(): EntryBatch {
    const { naive, random } = this;
    const term = Math.max(1, naive.termAt(naive.lastIndex) ?? 0) + random.below(2);
    const firstIndex = naive.lastIndex + 1;
    const added = Array.from({ length: 1 + random.below(4) }, (): NaiveEntry => {
      const text = `e${++this.#texts}`;
      if (random.below(6) > 0) return { term, text, configuration: undefined };
      const ids = ["n1", "n2", "n3", "n4"].filter(() => random.below(2) === 0);
      return { term, text: "", configuration: configurationOf(["n0"], ids) };
    });
    naive.entries.push(...added);
    const packed = packEntries(
      added.map(({ text, configuration }) =>
        configuration === undefined
          ? { kind: EntryKind.command, payload: utf8(text) }
          : { kind: EntryKind.configuration, payload: encodeConfiguration(configuration) },
      ),
    );
    return EntryBatch.seal(packed, { term, firstIndex, timeMs: this.#texts, checksum: crc32 });
  }

  step(): void {
    const { naive, random } = this;
    const dice = random.below(20);
    if (dice < 11) {
      const before = naive.configurations.length;
      const batch = this.#grow();
      expect(this.log.append(batch)).toBe(naive.configurations.length > before);
    } else if (dice < 14 && naive.entries.length > 0) {
      const index = naive.startIndex + 1 + random.below(naive.entries.length);
      const before = naive.configurations.length;
      naive.entries.length = index - naive.startIndex - 1;
      expect(this.log.truncateFrom(index)).toBe(naive.configurations.length < before);
      this.durable = Math.min(this.durable, index - 1);
    } else if (dice < 16) {
      this.durable += random.below(naive.lastIndex - this.durable + 1);
    } else if (dice < 19) {
      this.#evict();
    } else {
      this.log = this.#recover();
      this.durable = naive.lastIndex;
    }
  }

  #evict(): void {
    const { log } = this;
    const bytesMax = this.random.below(800);
    const { memoryIndex } = log;
    log.evict(bytesMax, this.durable);
    expect(log.memoryIndex).toBeGreaterThanOrEqual(memoryIndex);
    // What is not durable stays; and as long as there is too much, only that stays.
    expect(log.memoryIndex - 1).toBeLessThanOrEqual(Math.max(this.durable, memoryIndex - 1));
    const oldest = log.batchAt(log.memoryIndex);
    if (log.tailBytes > bytesMax) expect(oldest?.lastIndex).toBeGreaterThan(this.durable);
  }

  check(): void {
    const { log, naive } = this;
    same(log.lastIndex, naive.lastIndex);
    same(log.lastTerm, naive.termAt(naive.lastIndex));
    for (let i = Math.max(0, naive.startIndex - 2); i <= naive.lastIndex + 2; i++) {
      same(log.termAt(i), naive.termAt(i), `term of ${i}`);
    }
    expect(log.configurations).toEqual(naive.configurations);
    expect(log.configuration).toEqual(naive.configurations.at(-1)?.configuration);
    same(log.configurationIndex, naive.configurations.at(-1)?.index);
    this.#checkQuestions();
    this.#checkMemory();
  }

  #checkQuestions(): void {
    const { log, naive, random } = this;
    for (let k = 0; k < 6; k++) {
      const index = Math.max(0, naive.startIndex - 2) + random.below(naive.entries.length + 6);
      const term = random.below((naive.termAt(naive.lastIndex) ?? 0) + 3);
      same(log.matches(index, term), naive.termAt(index) === term);
      const atMost = naive.lastIndexWithTermAtMost(index, term);
      same(log.lastIndexWithTermAtMost(index, term), atMost, `${index} ${term}`);
      const lastTerm = naive.termAt(naive.lastIndex) ?? 0;
      const isUpToDate = term !== lastTerm ? term > lastTerm : index >= naive.lastIndex;
      same(log.isUpToDate(index, term), isUpToDate);
      const count = 1 + random.below(5);
      const batch = EntryBatch.seal(
        packEntries(
          Array.from({ length: count }, () => ({ kind: EntryKind.noop, payload: utf8("") })),
        ),
        { term, firstIndex: Math.max(1, index), timeMs: 0, checksum: crc32 },
      );
      const terms = Array.from({ length: count }, () => term);
      same(log.firstDifference(batch), naive.firstDifference(batch.firstIndex, terms));
    }
  }

  /** The newest entries are in memory without a gap, and they are the right ones. */
  #checkMemory(): void {
    const { log, naive } = this;
    let bytes = 0;
    let index = log.memoryIndex;
    same(log.batchAt(index - 1), undefined);
    same(log.batchAt(naive.lastIndex + 1), undefined);
    const cursor = new EntryCursor();
    while (index <= naive.lastIndex) {
      const batch = log.batchAt(index);
      if (batch === undefined) throw new Error(`entry ${index} is not in memory`);
      same(batch.firstIndex, index);
      cursor.reset(batch);
      for (; cursor.next(); index++) {
        same(log.batchAt(index), batch);
        const entry = naive.at(index);
        same(batch.term, entry?.term);
        if (cursor.view.kind !== EntryKind.command) continue;
        same(fromUtf8(cursor.view.payload), entry?.text);
      }
      bytes += batch.byteLength;
    }
    same(index, naive.lastIndex + 1);
    same(log.tailBytes, bytes);
  }
}

/** What `expect` does, without its cost: there are a hundred questions after every step. */
function same(found: unknown, expected: unknown, what = "answer"): void {
  if (found !== expected) throw new Error(`${what}: ${String(found)}, not ${String(expected)}`);
}

test("a log under random use answers every question as a naive one does", () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const twins = new Twins(seed);
      for (let i = 0; i < 30; i++) {
        twins.step();
        twins.check();
      }
    }),
    { numRuns: 60 },
  );
});
