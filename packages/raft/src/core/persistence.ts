/**
 * What is durable and what is on its way to the disk.
 *
 * Outputs are numbered. Each one that holds something to persist proves, once durable, a prefix of
 * the log: everything up to the last entry at the time it was handed out. A truncation takes that
 * back: it *clamps* what every pending output can still prove to what lies before it. So the late
 * completion of a write that was overwritten meanwhile never counts for the entries that took its
 * place, even where they have the same indexes (the ABA race that an index alone could not see).
 *
 * A reset (the log starts anew behind a snapshot) is like a truncation of everything that was not
 * committed, and is itself something to persist: the output that carries it proves the snapshot's
 * index.
 *
 * Term and vote are durable once the output that carries them is. Completions may be late,
 * repeated, or cover many outputs at once.
 */
import type { Checksum } from "../util/checksum.ts";
import type { SnapshotPoint } from "./contract.ts";
import type { EntryBatch } from "./entry.ts";
import { violated } from "./invariants.ts";
import type { Vote } from "./output.ts";

const NO_ENTRIES: readonly EntryBatch[] = [];

/** What of one member is durable, output by output. */
export class Persistence {
  readonly #checksum: Checksum;
  /** Number of the newest output handed out. */
  #newest = 0;
  /** The largest number that was reported durable. */
  #persisted = 0;
  #stableIndex: number;
  /**
   * Outputs that hold something to persist and are not durable yet: numbers, and what they prove.
   */
  readonly #pendingNumbers: number[] = [];
  readonly #pendingProofs: number[] = [];
  #unsaved: EntryBatch[] = [];
  /** Where the log starts anew, not handed out yet; goes before the unsaved entries. */
  #reset: SnapshotPoint | undefined;
  /** Term and vote as last handed out, and with which output. */
  #savedTerm: number;
  #savedVote: Vote | undefined;
  #hardStateOutput = 0;

  constructor(stableIndex: number, term: number, vote: Vote | undefined, checksum: Checksum) {
    this.#stableIndex = stableIndex;
    this.#savedTerm = term;
    this.#savedVote = vote;
    this.#checksum = checksum;
  }

  /** Every entry up to here is durable on this member. */
  get stableIndex(): number {
    return this.#stableIndex;
  }

  /** How many outputs are on their way to the disk. */
  get pending(): number {
    return this.#pendingNumbers.length;
  }

  get hasUnsaved(): boolean {
    return this.#unsaved.length > 0 || this.#reset !== undefined;
  }

  /** Whether term or vote differ from what was last handed out. */
  isHardStateNew(term: number, vote: Vote | undefined): boolean {
    return term !== this.#savedTerm || vote !== this.#savedVote;
  }

  /** Whether term and vote, as they are now, are durable. */
  isHardStateDurable(term: number, vote: Vote | undefined): boolean {
    return !this.isHardStateNew(term, vote) && this.#hardStateOutput <= this.#persisted;
  }

  /**
   * The newest output that is not durable yet; 0 where everything is. Waiting for it is waiting for
   * everything before it too.
   */
  get newestPending(): number {
    return this.#pendingNumbers.at(-1) ?? 0;
  }

  /** Entries were appended: they go out with the next output. */
  append(batch: EntryBatch): void {
    this.#unsaved.push(batch);
  }

  /** Everything from `index` on left the log: no write of it proves anything any more. */
  truncateFrom(index: number): void {
    const unsaved = this.#unsaved;
    while (unsaved.length > 0 && unsaved.at(-1)!.lastIndex >= index) {
      const last = unsaved.pop()!;
      if (last.firstIndex < index) unsaved.push(last.upTo(index - 1, this.#checksum));
    }
    const proofs = this.#pendingProofs;
    for (let i = 0; i < proofs.length; i++) proofs[i] = Math.min(proofs[i]!, index - 1);
    this.#stableIndex = Math.min(this.#stableIndex, index - 1);
  }

  /**
   * The log starts anew. What was on its way still proves what is committed, since the snapshot
   * holds that as well, and nothing more.
   */
  resetTo(start: SnapshotPoint, commit: number): void {
    this.truncateFrom(commit + 1);
    this.#unsaved = [];
    this.#reset = start;
  }

  /** Numbers a new output; `lastIndex` is where the log ends now. */
  handOut(lastIndex: number, term: number, vote: Vote | undefined): HandedOut {
    const number = ++this.#newest;
    // Never the array that is still appended to: what was handed out must not change any more.
    const entries = this.#unsaved.length > 0 ? this.#unsaved : NO_ENTRIES;
    const hardState = this.isHardStateNew(term, vote);
    if (hardState) {
      this.#savedTerm = term;
      this.#savedVote = vote;
      this.#hardStateOutput = number;
    }
    const reset = this.#reset;
    this.#reset = undefined;
    if (entries.length > 0) this.#unsaved = [];
    if (hardState || reset !== undefined || entries.length > 0) {
      this.#pendingNumbers.push(number);
      this.#pendingProofs.push(lastIndex);
    }
    return { number, entries, hardState, reset };
  }

  /** Output `output` and all before it are durable; true where more of the log is than before. */
  persisted(output: number, lastIndex: number): boolean {
    if (!Number.isSafeInteger(output) || output > this.#newest) {
      violated("outputs-in-sequence", `Output ${output} of ${this.#newest} is said to be durable.`);
    }
    if (output <= this.#persisted) return false;
    this.#persisted = output;
    const before = this.#stableIndex;
    let done = 0;
    const numbers = this.#pendingNumbers;
    while (done < numbers.length && numbers[done]! <= output) done++;
    if (done > 0) {
      this.#stableIndex = this.#pendingProofs[done - 1]!;
      numbers.splice(0, done);
      this.#pendingProofs.splice(0, done);
    }
    if (this.#stableIndex > lastIndex) {
      violated(
        "stable-within-log",
        `Durable up to ${this.#stableIndex}, log ends at ${lastIndex}.`,
      );
    }
    return this.#stableIndex > before;
  }
}

/** What an output is numbered and what it has to persist. */
export interface HandedOut {
  readonly number: number;
  readonly entries: readonly EntryBatch[];
  readonly reset: SnapshotPoint | undefined;
  /** Term and vote must be persisted with it. */
  readonly hardState: boolean;
}
