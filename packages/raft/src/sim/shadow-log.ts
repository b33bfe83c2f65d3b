/**
 * A log as its observer remembers it: term and content of every index, nothing of the engine's own.
 */
import type { RecoveredGroup } from "../core/contract.ts";
import type { EntryBatch } from "../core/entry.ts";
import { EntryCursor } from "../core/entry.ts";
import { assert } from "../util/assert.ts";
import type { Checksum } from "../util/checksum.ts";

/** Terms and checksums by index. Entries after `startIndex` are there, up to `lastIndex`. */
export class ShadowLog {
  #startIndex = 0;
  #startTerm = 0;
  readonly #terms: number[] = [];
  readonly #hashes: number[] = [];
  readonly #cursor: EntryCursor = new EntryCursor();
  readonly #checksum: Checksum;

  constructor(checksum: Checksum) {
    this.#checksum = checksum;
  }

  get startIndex(): number {
    return this.#startIndex;
  }

  get lastIndex(): number {
    return this.#startIndex + this.#terms.length;
  }

  get lastTerm(): number {
    return this.#terms.at(-1) ?? this.#startTerm;
  }

  /** The term at `index`; undefined where the log does not have it. */
  termAt(index: number): number | undefined {
    return this.#terms[index - this.#startIndex - 1];
  }

  /** Kind and payload of the entry as one number; 0 where only its term is known. */
  hashAt(index: number): number {
    return this.#hashes[index - this.#startIndex - 1] ?? 0;
  }

  /** Takes a batch in; it ends everything from its first index on. */
  append(batch: EntryBatch): void {
    this.truncateFrom(batch.firstIndex);
    assert(batch.firstIndex === this.lastIndex + 1, "a batch leaves a gap behind the log");
    this.#cursor.reset(batch);
    while (this.#cursor.next()) {
      const { kind, payload } = this.#cursor.view;
      this.#terms.push(batch.term);
      this.#hashes.push(this.#checksum(payload, kind) + 1);
    }
  }

  truncateFrom(index: number): void {
    const length = Math.max(0, index - this.#startIndex - 1);
    if (length >= this.#terms.length) return;
    this.#terms.length = length;
    this.#hashes.length = length;
  }

  /** Starts anew, without entries, behind a snapshot. */
  reset(index: number, term: number): void {
    this.#startIndex = index;
    this.#startTerm = term;
    this.#terms.length = 0;
    this.#hashes.length = 0;
  }

  /** Becomes a log of which only terms are known; contents known from `before` stay known. */
  recover(recovered: RecoveredGroup, before: ShadowLog): void {
    const { startIndex, startTerm, lastIndex, termRuns: runs } = recovered;
    const terms: number[] = [];
    const hashes: number[] = [];
    let run = -1;
    for (let index = startIndex + 1; index <= lastIndex; index++) {
      while (run + 1 < runs.length && runs[run + 1]!.index <= index) run++;
      const term = runs[run]?.term ?? 0;
      terms.push(term);
      hashes.push(before.termAt(index) === term ? before.hashAt(index) : 0);
    }
    this.#startIndex = startIndex;
    this.#startTerm = startTerm;
    this.#terms.splice(0, this.#terms.length, ...terms);
    this.#hashes.splice(0, this.#hashes.length, ...hashes);
  }

  /** Becomes equal to another log. */
  copy(from: ShadowLog): void {
    this.#startIndex = from.#startIndex;
    this.#startTerm = from.#startTerm;
    this.#terms.splice(0, this.#terms.length, ...from.#terms);
    this.#hashes.splice(0, this.#hashes.length, ...from.#hashes);
  }
}
