/**
 * The terms of a log, as runs: what an invariant remembers of a log without keeping an entry of it.
 *
 * A batch ends everything from its first index on, as in the real log. Each step costs as much as
 * there are runs at its end, which is one, or a few after a conflict.
 */
import type { RecoveredGroup } from "../../core/contract.ts";

/** Terms by index, from 1 on or from behind `startIndex`. */
export class TermLog {
  startIndex = 0;
  startTerm = 0;
  lastIndex = 0;
  readonly #indexes: number[] = [];
  readonly #terms: number[] = [];

  /** The log that recovery found. */
  static of(recovered: RecoveredGroup): TermLog {
    const log = new TermLog();
    log.startIndex = recovered.startIndex;
    log.startTerm = recovered.startTerm;
    log.lastIndex = recovered.lastIndex;
    for (const { index, term } of recovered.termRuns) {
      log.#indexes.push(index);
      log.#terms.push(term);
    }
    return log;
  }

  get lastTerm(): number {
    return this.#terms.at(-1) ?? this.startTerm;
  }

  /** The term at `index`; undefined where the log does not have it. */
  termAt(index: number): number | undefined {
    if (index <= this.startIndex || index > this.lastIndex) return undefined;
    let low = 0;
    let high = this.#indexes.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#indexes[middle]! <= index) low = middle;
      else high = middle - 1;
    }
    return this.#terms[low];
  }

  /** Whether the log has that entry, or starts behind it. */
  holds(index: number, term: number): boolean {
    return index <= this.startIndex || this.termAt(index) === term;
  }

  /** Takes a batch in; it ends everything from its first index on. */
  append(firstIndex: number, lastIndex: number, term: number): void {
    while (this.#indexes.length > 0 && this.#indexes.at(-1)! >= firstIndex) {
      this.#indexes.pop();
      this.#terms.pop();
    }
    if (this.#terms.at(-1) !== term) {
      this.#indexes.push(firstIndex);
      this.#terms.push(term);
    }
    this.lastIndex = lastIndex;
  }

  /** The first index at which two logs differ; undefined where they are the same. */
  firstDifference(other: TermLog): number | undefined {
    const last = Math.min(this.lastIndex, other.lastIndex);
    let index = Math.max(this.startIndex, other.startIndex) + 1;
    while (index <= last) {
      if (this.termAt(index) !== other.termAt(index)) return index;
      index = Math.min(this.#runEnd(index), other.#runEnd(index)) + 1;
    }
    return this.lastIndex === other.lastIndex ? undefined : last + 1;
  }

  /** Starts anew behind a snapshot. */
  reset(index: number, term: number): void {
    this.startIndex = index;
    this.startTerm = term;
    this.lastIndex = index;
    this.#indexes.length = 0;
    this.#terms.length = 0;
  }

  copy(): TermLog {
    const log = new TermLog();
    log.startIndex = this.startIndex;
    log.startTerm = this.startTerm;
    log.lastIndex = this.lastIndex;
    log.#indexes.push(...this.#indexes);
    log.#terms.push(...this.#terms);
    return log;
  }

  /** The last index of the run that `index` is in. */
  #runEnd(index: number): number {
    for (let run = this.#indexes.length - 1; run >= 0; run--) {
      if (this.#indexes[run]! <= index) return (this.#indexes[run + 1] ?? this.lastIndex + 1) - 1;
    }
    return this.lastIndex;
  }
}

/** "entry 7 of term 3", or that there is none. */
export function entryText(index: number, term: number | undefined): string {
  return term === undefined ? `no entry ${index}` : `entry ${index} of term ${term}`;
}
