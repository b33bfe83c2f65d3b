/**
 * The session of this handle, as the handle itself sees it: which of its writes has which sequence,
 * and which is the lowest whose caller still waits.
 *
 * The rule on which "exactly once" rests: {@link OwnSession.lowest} never passes a write that has
 * not ended, since what lies below it is dropped wherever it turns up. A write that moved to
 * another session has left this one.
 */
import { SESSION_BOUNDS } from "../machine/sessions.ts";
import type { WriteCall } from "./calls.ts";

/** One session that this member opened. */
export class OwnSession {
  /** The index of the entry that opened it. */
  readonly id: number;
  readonly #windowMax: number;
  /** By sequence; the one at `head` has the sequence `first`. */
  #calls: WriteCall[] = [];
  #head = 0;
  #first = 1;

  constructor(id: number, windowMax: number = SESSION_BOUNDS.windowMax) {
    this.id = id;
    this.#windowMax = windowMax;
  }

  /** The lowest sequence whose caller waits; the next one to be given where nobody does. */
  get lowest(): number {
    const calls = this.#calls;
    while (this.#head < calls.length && this.#hasLeft(calls[this.#head]!)) {
      this.#head++;
      this.#first++;
    }
    if (this.#head === calls.length) {
      this.#calls = [];
      this.#head = 0;
    } else if (this.#head > 1_024 && this.#head * 2 > calls.length) {
      this.#calls = calls.slice(this.#head);
      this.#head = 0;
    }
    return this.#first;
  }

  /** Whether anybody waits. */
  get isEmpty(): boolean {
    return this.lowest === this.#next;
  }

  /** Whether one more write has a place: beyond the window every member would drop it. */
  get hasRoom(): boolean {
    // Looked for only where it may be needed.
    if (this.#next - this.#first < this.#windowMax) return true;
    return this.#next - this.lowest < this.#windowMax;
  }

  /** Gives a write its place. */
  admit(call: WriteCall): void {
    call.session = this.id;
    call.sequence = this.#next;
    this.#calls.push(call);
  }

  /** Who waits for this sequence; undefined where nobody does. */
  find(sequence: number): WriteCall | undefined {
    const place = sequence - this.#first;
    if (place < 0) return undefined;
    const call = this.#calls[this.#head + place];
    return call === undefined || this.#hasLeft(call) ? undefined : call;
  }

  /** Everything that waits. */
  *pending(): Generator<WriteCall> {
    for (let at = this.#head; at < this.#calls.length; at++) {
      const call = this.#calls[at]!;
      if (!this.#hasLeft(call)) yield call;
    }
  }

  get #next(): number {
    return this.#first + this.#calls.length - this.#head;
  }

  #hasLeft(call: WriteCall): boolean {
    return call.settled || call.session !== this.id;
  }
}
