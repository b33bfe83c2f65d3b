/**
 * A clock that stands still until it is told to go on: for tests of what depends on time.
 *
 * Due tasks run in the order of their time, tasks of the same time in the order of the calls, and
 * `soon` before any timer that is not due yet. Time jumps from one task to the next.
 */
import type { Clock, Timer } from "../util/clock.ts";

interface Task {
  readonly atMs: number;
  readonly run: () => void;
  cancelled: boolean;
}

/** The clock port, by hand. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #soon: (() => void)[] = [];
  /** Sorted by time; equal times in the order of the calls. */
  readonly #tasks: Task[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  soon(task: () => void): void {
    this.#soon.push(task);
  }

  setTimer(delayMs: number, task: () => void): Timer {
    const entry: Task = { atMs: this.#nowMs + Math.max(0, delayMs), run: task, cancelled: false };
    let at = this.#tasks.length;
    while (at > 0 && this.#tasks[at - 1]!.atMs > entry.atMs) at--;
    this.#tasks.splice(at, 0, entry);
    return {
      cancel: () => {
        entry.cancelled = true;
      },
    };
  }

  /** Timers that would still fire. */
  get pending(): number {
    return this.#tasks.filter((task) => !task.cancelled).length + this.#soon.length;
  }

  /** Lets time pass, and everything due in it happen. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      this.#runSoon();
      const next = this.#tasks[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#tasks.shift();
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      if (!next.cancelled) next.run();
    }
    this.#nowMs = untilMs;
  }

  #runSoon(): void {
    while (this.#soon.length > 0) {
      const tasks = this.#soon;
      this.#soon = [];
      for (const task of tasks) task();
    }
  }
}
