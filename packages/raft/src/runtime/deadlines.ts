/**
 * Deadlines of many calls, without a timer for each: a wheel of slots of {@link SLOT_MS}.
 *
 * A call sits in the slot of its deadline, in a doubly linked list that runs through the calls
 * themselves, so that adding and removing cost a few assignments whatever the number of calls.
 * Nearly all calls end long before their deadline; the wheel is looked at only when the earliest
 * possible one may be due. A deadline further away than the wheel is long stays in its slot for
 * another round. A deadline is never served early, and at most one slot late.
 */
import { assert } from "../util/assert.ts";

/** Width of a slot: the accuracy of deadlines. */
export const SLOT_MS = 8;
const SLOTS = 512;

/** What has a deadline. The links belong to the wheel. */
export interface Timed {
  readonly deadlineMs: number;
  slot: number;
  before: Timed | undefined;
  behind: Timed | undefined;
}

/** The wheel. */
export class Deadlines {
  readonly #heads: (Timed | undefined)[] = Array.from({ length: SLOTS }, () => undefined);
  #sweptTick = 0;
  #count = 0;
  /** When {@link sweep} is next needed; Infinity where nothing waits. */
  nextMs: number = Number.POSITIVE_INFINITY;

  get count(): number {
    return this.#count;
  }

  add(timed: Timed): void {
    assert(timed.slot === -1, "a call is in the wheel once");
    const tick = Math.floor(timed.deadlineMs / SLOT_MS);
    const slot = tick % SLOTS;
    const head = this.#heads[slot];
    timed.slot = slot;
    timed.before = undefined;
    timed.behind = head;
    if (head !== undefined) head.before = timed;
    this.#heads[slot] = timed;
    this.#count++;
    const endMs = (tick + 1) * SLOT_MS;
    if (endMs < this.nextMs) this.nextMs = endMs;
  }

  /** Harmless for what is not in the wheel. */
  remove(timed: Timed): void {
    if (timed.slot === -1) return;
    if (timed.before === undefined) this.#heads[timed.slot] = timed.behind;
    else timed.before.behind = timed.behind;
    if (timed.behind !== undefined) timed.behind.before = timed.before;
    timed.slot = -1;
    timed.before = undefined;
    timed.behind = undefined;
    this.#count--;
  }

  /** Removes everything that is due and hands it to `expire`. */
  sweep(nowMs: number, expire: (timed: Timed) => void): void {
    const tick = Math.floor(nowMs / SLOT_MS);
    // A full round visits every slot, however long ago the last sweep was.
    const first = Math.max(this.#sweptTick, tick - SLOTS + 1);
    for (let at = first; at <= tick; at++) this.#sweepSlot(at % SLOTS, nowMs, expire);
    this.#sweptTick = tick;
    this.nextMs = this.#findNext(tick);
  }

  #sweepSlot(slot: number, nowMs: number, expire: (timed: Timed) => void): void {
    let timed = this.#heads[slot];
    while (timed !== undefined) {
      const behind: Timed | undefined = timed.behind;
      if (timed.deadlineMs <= nowMs) {
        this.remove(timed);
        expire(timed);
      }
      timed = behind;
    }
  }

  #findNext(tick: number): number {
    if (this.#count === 0) return Number.POSITIVE_INFINITY;
    for (let at = tick; at < tick + SLOTS; at++) {
      if (this.#heads[at % SLOTS] !== undefined) return (at + 1) * SLOT_MS;
    }
    return Number.POSITIVE_INFINITY;
  }
}
