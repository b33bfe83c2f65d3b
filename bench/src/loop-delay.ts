/**
 * How long the event loop of a process kept others waiting: a timer that is due every millisecond,
 * and by how much it was late. A machine that gives the process no core shows in it too.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { IntervalHistogram } from "node:perf_hooks";

const RESOLUTION_MS = 1;
const NS_PER_MS = 1e6;

/** Delays since the last reset. */
export interface LoopDelay {
  readonly p999Ms: number;
  readonly maxMs: number;
}

/** Measures from its making on. */
export class LoopDelayMeter {
  readonly #histogram: IntervalHistogram;

  constructor() {
    this.#histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    this.#histogram.enable();
  }

  sample(): LoopDelay {
    const { max } = this.#histogram;
    return { p999Ms: delayMs(this.#histogram.percentile(99.9)), maxMs: delayMs(max) };
  }

  stop(): void {
    this.#histogram.disable();
  }

  reset(): void {
    this.#histogram.reset();
  }
}

/** The worst of several processes; undefined where none of them says. */
export function worstOf(delays: readonly (LoopDelay | undefined)[]): LoopDelay | undefined {
  const known = delays.flatMap((delay) => delay ?? []);
  if (known.length === 0) return undefined;
  return {
    p999Ms: Math.max(...known.map(({ p999Ms }) => p999Ms)),
    maxMs: Math.max(...known.map(({ maxMs }) => maxMs)),
  };
}

/** The histogram counts from one timer to the next, and the timer is meant to take its time. */
function delayMs(intervalNs: number): number {
  return Math.max(0, intervalNs / NS_PER_MS - RESOLUTION_MS);
}
