/**
 * Writes that have arrived and have not been handed on: the next turn packs them into as few
 * batches as the bound on a batch allows.
 *
 * Packing is done when a batch leaves and not when a write arrives: what was aborted or has expired
 * in between then simply is not packed, and a write that must be proposed again is packed again.
 */
import { EntryKind, packedSize, packEntry } from "../core/entry.ts";
import type { EntryFields, PackedEntries } from "../core/entry.ts";
import type { WriteCall } from "./calls.ts";

/** The same commands twice: as packed entries, and as those who wait for them. */
export interface Batch {
  /** A view into a buffer that the next batch overwrites. */
  readonly entries: PackedEntries;
  readonly calls: WriteCall[];
}

/** The queue of one group. */
export class Gathered {
  #queue: WriteCall[] = [];
  #head = 0;
  #buffer: Uint8Array = new Uint8Array(4_096);
  readonly #batchBytesMax: number;

  /** Batches hold at most so many bytes, or one command that is larger. */
  constructor(batchBytesMax: number) {
    this.#batchBytesMax = batchBytesMax;
  }

  /** Calls in the queue; those that have ended meanwhile still count. */
  get length(): number {
    return this.#queue.length - this.#head;
  }

  add(call: WriteCall): void {
    this.#queue.push(call);
  }

  /**
   * Packs the next batch without taking it: undefined where nothing is left. What is past its
   * deadline ends here, while it is certain that it was not done.
   */
  nextBatch(nowMs: number): Batch | undefined {
    const calls: WriteCall[] = [];
    let bytes = 0;
    let ended = 0;
    for (let at = this.#head; at < this.#queue.length; at++) {
      const call = this.#queue[at]!;
      if (!call.settled && call.deadlineMs <= nowMs) call.reject(call.timeoutError());
      if (call.settled) {
        ended++;
        continue;
      }
      const size = packedSize(call.payload.length);
      if (calls.length > 0 && bytes + size > this.#batchBytesMax) break;
      calls.push(call);
      bytes += size;
    }
    if (calls.length === 0) {
      this.#queue = [];
      this.#head = 0;
      return undefined;
    }
    if (ended > calls.length) this.#forgetEnded();
    return { entries: this.#pack(calls, bytes), calls };
  }

  /** Takes the batch that {@link nextBatch} has just packed out of the queue. */
  taken(batch: Batch): void {
    const last = batch.calls.at(-1);
    while (this.#queue[this.#head++] !== last);
    if (this.#head === this.#queue.length) {
      this.#queue = [];
      this.#head = 0;
    }
  }

  /** Everything that waits and has not ended. */
  *pending(): Generator<WriteCall> {
    for (let at = this.#head; at < this.#queue.length; at++) {
      const call = this.#queue[at]!;
      if (!call.settled) yield call;
    }
  }

  /** While nobody takes anything, what has ended would stay for ever. */
  #forgetEnded(): void {
    this.#queue = this.#queue.slice(this.#head).filter(({ settled }) => !settled);
    this.#head = 0;
  }

  #pack(calls: readonly WriteCall[], bytes: number): PackedEntries {
    // A buffer for one huge command is not kept for the small ones that follow.
    const buffer = bytes <= this.#batchBytesMax ? this.#reserve(bytes) : new Uint8Array(bytes);
    let at = 0;
    for (const call of calls) {
      ENTRY.payload = call.payload;
      at = packEntry(buffer, at, ENTRY);
    }
    return { bytes: buffer.subarray(0, at), count: calls.length };
  }

  #reserve(bytes: number): Uint8Array {
    if (this.#buffer.length < bytes) {
      this.#buffer = new Uint8Array(Math.min(this.#batchBytesMax, bytes * 2));
    }
    return this.#buffer;
  }
}

/** One object for all entries: packing must not allocate per command. */
const ENTRY: { kind: EntryFields["kind"]; payload: Uint8Array } = {
  kind: EntryKind.command,
  payload: new Uint8Array(0),
};
