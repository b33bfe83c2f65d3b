/**
 * The newest batches of the log, in memory: what peers are sent without asking the disk.
 *
 * Consecutive, without a gap, ending at the last entry of the log; empty after a restart. The
 * oldest ones leave once they are durable and the tail is larger than its bound. A queue in one
 * array with a moving head: no object beyond the batches themselves.
 */
import type { Checksum } from "../util/checksum.ts";
import type { EntryBatch } from "./entry.ts";

/** Empty slots at the front that are put up with in any case; beyond, up to half of the array. */
const SLACK = 1_024;

/** The newest batches of the log, in memory. */
export class BatchTail {
  #batches: EntryBatch[] = [];
  #head = 0;
  #bytes = 0;

  /** Bytes of all bodies. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The first index in memory; undefined where there is none. */
  get firstIndex(): number | undefined {
    return this.#batches[this.#head]?.firstIndex;
  }

  push(batch: EntryBatch): void {
    this.#batches.push(batch);
    this.#bytes += batch.byteLength;
  }

  /** The batch that holds `index`, where it is in memory. */
  batchAt(index: number): EntryBatch | undefined {
    let low = this.#head;
    let high = this.#batches.length - 1;
    if (low > high || index < this.#batches[low]!.firstIndex) return undefined;
    const newest = this.#batches[high]!;
    if (index >= newest.firstIndex) return index <= newest.lastIndex ? newest : undefined;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#batches[middle]!.firstIndex <= index) low = middle;
      else high = middle - 1;
    }
    return this.#batches[low];
  }

  /** Drops every entry from `index` on; a batch that spans it is cut. */
  truncateFrom(index: number, checksum: Checksum): void {
    const batches = this.#batches;
    while (batches.length > this.#head && batches[batches.length - 1]!.lastIndex >= index) {
      const last = batches.pop()!;
      this.#bytes -= last.byteLength;
      if (last.firstIndex < index) this.push(last.upTo(index - 1, checksum));
    }
  }

  /** Lets every batch go that ends at `index` or before. */
  releaseThrough(index: number): void {
    const batches = this.#batches;
    while (this.#head < batches.length && batches[this.#head]!.lastIndex <= index) {
      this.#bytes -= batches[this.#head]!.byteLength;
      batches[this.#head++] = undefined as unknown as EntryBatch;
    }
    if (this.#head > SLACK && this.#head * 2 > batches.length) this.#compact();
  }

  /** Lets the oldest batches go that are durable, down to `bytesMax`. */
  evict(bytesMax: number, durableIndex: number): void {
    const batches = this.#batches;
    while (this.#bytes > bytesMax && this.#head < batches.length) {
      const oldest = batches[this.#head]!;
      if (oldest.lastIndex > durableIndex) break;
      this.#bytes -= oldest.byteLength;
      batches[this.#head++] = undefined as unknown as EntryBatch;
    }
    if (this.#head > SLACK && this.#head * 2 > batches.length) this.#compact();
  }

  #compact(): void {
    this.#batches = this.#batches.slice(this.#head);
    this.#head = 0;
  }
}
