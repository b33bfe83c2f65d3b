/**
 * What happens when: a heap on (time, tie, order of the calls).
 *
 * Time is whole microseconds. What is due at the same time happens in an order that the seed
 * decides, unless the caller names a tie of its own: tasks of equal time and tie keep the order of
 * their calls, which is how a member's own event loop stays first in, first out.
 */
import { assert } from "../util/assert.ts";
import type { SeededRandom } from "../util/random.ts";

/** Something that is due. */
export interface Scheduled {
  readonly atUs: number;
  readonly tie: number;
  readonly order: number;
  readonly run: () => void;
  /** It will not be run. May be set at any time. */
  cancelled: boolean;
}

/** The future of one run. */
export class Schedule {
  #nowUs = 0;
  #order = 0;
  readonly #heap: Scheduled[] = [];
  readonly #random: SeededRandom;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  get nowUs(): number {
    return this.#nowUs;
  }

  /** How much is still due, cancelled tasks included. */
  get size(): number {
    return this.#heap.length;
  }

  /** Runs `run` at that time, or now where that is past. */
  at(atUs: number, run: () => void, tie: number = this.#random.next()): Scheduled {
    assert(Number.isSafeInteger(atUs), () => `${atUs} is no whole microsecond`);
    const due: Scheduled = {
      atUs: Math.max(atUs, this.#nowUs),
      tie,
      order: this.#order++,
      run,
      cancelled: false,
    };
    this.#rise(due);
    return due;
  }

  /** Runs `run` so much later. */
  after(delayUs: number, run: () => void, tie?: number): Scheduled {
    return this.at(this.#nowUs + delayUs, run, tie);
  }

  /** When the next task is due; undefined where there is none. */
  get nextUs(): number | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined) return undefined;
      if (!first.cancelled) return first.atUs;
      this.#take();
    }
  }

  /** Takes the next task and moves time to it; the caller runs it. */
  next(): Scheduled | undefined {
    for (;;) {
      const first = this.#take();
      if (first === undefined) return undefined;
      if (first.cancelled) continue;
      this.#nowUs = first.atUs;
      return first;
    }
  }

  /** Lets time pass in which nothing is due. */
  skipTo(atUs: number): void {
    const nextUs = this.nextUs;
    assert(nextUs === undefined || nextUs >= atUs, "time would pass over something that is due");
    this.#nowUs = Math.max(this.#nowUs, atUs);
  }

  #take(): Scheduled | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined) return undefined;
    if (heap.length > 0) this.#sink(last);
    return first;
  }

  #rise(due: Scheduled): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(due);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(due, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = due;
  }

  #sink(due: Scheduled): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, due)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = due;
  }
}

function isBefore(a: Scheduled, b: Scheduled): boolean {
  if (a.atUs !== b.atUs) return a.atUs < b.atUs;
  return a.tie !== b.tie ? a.tie < b.tie : a.order < b.order;
}
