/**
 * Committed entries of one group, one after the other: from the core's memory where they are still
 * there, else from the log, one stretch at a time.
 *
 * A batch is read up to the commit index known when it was opened and then opened anew: behind the
 * commit index it may yet be replaced.
 */
import type { RaftInputs } from "../core/contract.ts";
import { EntryCursor } from "../core/entry.ts";
import type { EntryBatch } from "../core/entry.ts";
import { assert, assertDefined } from "../util/assert.ts";

const READ_BYTES = 1_048_576;

/** What a source needs of its group. */
export interface EntrySourceHooks {
  /** Reads batches of the group's log; the answer comes through {@link EntrySource.loaded}. */
  load(from: number, to: number, bytesMax: number): void;
}

/** See the top of this file. */
export class EntrySource {
  readonly #core: RaftInputs;
  readonly #hooks: EntrySourceHooks;
  readonly #cursor: EntryCursor = new EntryCursor();
  #batch: EntryBatch | undefined;
  /** Where the cursor stands, and how far it may go before the batch has to be looked up again. */
  #at = 0;
  #upTo = 0;
  #loaded: EntryBatch[] = [];
  #isLoading = false;
  /** Bytes of all batches that were opened. */
  bytes = 0;

  constructor(core: RaftInputs, hooks: EntrySourceHooks) {
    this.#core = core;
    this.#hooks = hooks;
  }

  /** The entry that {@link seek} has found; its fields change with the next one. */
  get view(): EntryCursor["view"] {
    return this.#cursor.view;
  }

  /** The batch of that entry. */
  get batch(): EntryBatch {
    return assertDefined(this.#batch, "no entry was sought");
  }

  /**
   * Goes to the entry at `index`, which follows the one sought last, or is it once more; `commit`:
   * how far entries are committed. False if it is not in memory; unless `mayLoad` is false it is
   * asked for.
   */
  seek(index: number, commit: number, mayLoad = true): boolean {
    if (this.#at === index) return true;
    if (index > this.#upTo) this.#batch = undefined;
    if (this.#batch === undefined && !this.#open(index, commit, mayLoad)) return false;
    assert(this.#cursor.next(), "the batch ends before its last index");
    const { view } = this.#cursor;
    assert(view.index === index, () => `${view.index} follows ${index - 1}`);
    this.#at = index;
    return true;
  }

  /** Another entry follows than was thought. */
  reset(): void {
    this.#batch = undefined;
    this.#at = 0;
    this.#upTo = 0;
  }

  /** What was asked of the log has come. */
  loaded(batches: EntryBatch[]): void {
    this.#isLoading = false;
    this.#loaded = batches;
  }

  /** Opens the batch that holds the entry; false if the log has to be read first. */
  #open(index: number, commit: number, mayLoad: boolean): boolean {
    const batch = this.#core.batchAt(index) ?? this.#fromLog(index, commit, mayLoad);
    if (batch === undefined) return false;
    this.#batch = batch;
    if (index === batch.firstIndex) this.bytes += batch.byteLength;
    this.#upTo = Math.min(batch.lastIndex, commit);
    this.#cursor.reset(batch, index);
    return true;
  }

  #fromLog(index: number, commit: number, mayLoad: boolean): EntryBatch | undefined {
    if (this.#isLoading) return undefined;
    while (this.#loaded.length > 0) {
      const batch = this.#loaded[0]!;
      if (batch.firstIndex <= index && index <= batch.lastIndex) return batch;
      this.#loaded.shift();
    }
    if (!mayLoad) return undefined;
    this.#isLoading = true;
    // Where memory begins, the log may still hold what was truncated and is not overwritten yet.
    this.#hooks.load(index, Math.min(commit, this.#core.memoryIndex - 1), READ_BYTES);
    return undefined;
  }
}
