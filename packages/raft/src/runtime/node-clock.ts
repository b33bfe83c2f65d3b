/**
 * The clock of a Node process: `performance.now`, its timers, and `setImmediate`, which runs after
 * the poll phase and so after the sockets that had something to say were read.
 *
 * Node keeps timers in whole milliseconds of a time that it caches per turn, so one can fire a
 * fraction early; the port promises that none does, and a timer that fires early waits again.
 */
import { performance } from "node:perf_hooks";
import type { Clock, Timer } from "../util/clock.ts";

const TIMER_MAX_MS = 2 ** 31 - 1;

/** Monotonic time and timers of this process. */
export const nodeClock: Clock = {
  nowMs: () => performance.now(),
  setTimer: (delayMs, task) => new NodeTimer(delayMs, task),
  soon: (task) => {
    setImmediate(task);
  },
};

class NodeTimer implements Timer {
  readonly #dueMs: number;
  readonly #task: () => void;
  #handle: NodeJS.Timeout | undefined;

  constructor(delayMs: number, task: () => void) {
    this.#dueMs = performance.now() + delayMs;
    this.#task = task;
    this.#arm(delayMs);
  }

  cancel(): void {
    clearTimeout(this.#handle);
    this.#handle = undefined;
  }

  #arm(delayMs: number): void {
    const wholeMs = Math.min(Math.max(Math.ceil(delayMs), 1), TIMER_MAX_MS);
    this.#handle = setTimeout(() => this.#fire(), wholeMs);
  }

  #fire(): void {
    const leftMs = this.#dueMs - performance.now();
    if (leftMs > 0) this.#arm(leftMs);
    else this.#task();
  }
}
