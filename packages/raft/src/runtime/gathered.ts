/**
 * Writes that have arrived and have not been handed on: the next turn (or the one that the pace
 * permits: batch-pace.ts) packs them into as few batches as the bound on a batch allows.
 *
 * Packing is done when a batch leaves and not when a write arrives: what was aborted or has expired
 * in between then simply is not packed, and a write that must be proposed again is packed again.
 * So a write gets its place in the session when it is first packed, and keeps it from then on.
 */
import { EntryKind, packedSize, packEntry } from "../core/entry.ts";
import type { EntryFields, PackedEntries } from "../core/entry.ts";
import { unknownOutcome } from "./calls.ts";
import type { WriteCall } from "./calls.ts";
import type { OwnSession } from "./own-session.ts";

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
   * Packs the next batch without taking it: undefined where nothing is left, or where the session
   * has no room. What is past its deadline ends here, while it is known what that means.
   */
  nextBatch(nowMs: number, session: OwnSession): Batch | undefined {
    const calls: WriteCall[] = [];
    let isFull = false;
    let bytes = 0;
    let ended = 0;
    for (let at = this.#head; at < this.#queue.length; at++) {
      const call = this.#queue[at]!;
      if (!call.settled && call.deadlineMs <= nowMs) call.reject(call.timeoutError());
      if (!call.settled && call.session !== session.id) leaveSession(call);
      if (call.settled) {
        ended++;
        continue;
      }
      const size = packedSize(call.payload.length);
      if (calls.length > 0 && bytes + size > this.#batchBytesMax) break;
      isFull = call.session === 0 && !session.hasRoom;
      if (isFull) break;
      if (call.session === 0) session.admit(call);
      calls.push(call);
      bytes += size;
    }
    if (calls.length === 0) {
      if (isFull) return undefined;
      this.#queue = [];
      this.#head = 0;
      return undefined;
    }
    if (ended > calls.length) this.#forgetEnded();
    ENTRY.session = session.id;
    ENTRY.lowestUnanswered = session.lowest;
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

  /** Whether anybody waits; what is past its deadline ends here, and what has ended leaves. */
  hasPending(nowMs: number): boolean {
    for (const call of this.pending()) {
      if (call.deadlineMs <= nowMs) call.reject(call.timeoutError());
    }
    this.#forgetEnded();
    return this.#queue.length > 0;
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
      ENTRY.sequence = call.sequence;
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

/**
 * A write of a session that is gone. It may have another one only where it is certain that it was
 * not done under the old one: a session knows nothing of what another one did.
 */
function leaveSession(call: WriteCall): void {
  if (call.doubts > 0) {
    call.reject(unknownOutcome("the session expired while the write was being repeated"));
  }
  call.session = 0;
  call.sequence = 0;
}

/** One object for all entries: packing must not allocate per command. */
const ENTRY: { -readonly [K in keyof EntryFields]: EntryFields[K] } = {
  kind: EntryKind.command,
  payload: new Uint8Array(0),
  session: 0,
  sequence: 0,
  lowestUnanswered: 0,
};
