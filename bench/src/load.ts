/**
 * The driver: keeps a fixed number of writes outstanding, each a promise, and starts the next one
 * when one ends. The same driver loads every system, so its own cost is in all the numbers alike.
 */
import { Histogram } from "./histogram.ts";

/** Submits one value; resolves when it is committed. */
export type Submit = (value: Uint8Array) => Promise<unknown>;

/** What the driver counted since the last `reset`. */
export interface LoadSample {
  readonly entries: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** A closed loop of `outstanding` writers. */
export class Load {
  readonly #submit: Submit;
  readonly #histogram = new Histogram();
  #writers: Promise<void>[] = [];
  #running = false;

  constructor(submit: Submit) {
    this.#submit = submit;
  }

  start(outstanding: number, valueBytes: number): void {
    if (this.#running) throw new Error("the load runs already");
    this.#running = true;
    this.#writers = Array.from({ length: outstanding }, (_, i) => this.#write(i, valueBytes));
    for (const writer of this.#writers) writer.catch(() => {}); // reported by stop()
  }

  /** Forgets what was counted: a window begins here. */
  reset(): void {
    this.#histogram.clear();
  }

  sample(): LoadSample {
    const h = this.#histogram;
    return {
      entries: h.count,
      p50Ms: h.quantileMs(0.5),
      p99Ms: h.quantileMs(0.99),
      maxMs: h.maxMs,
    };
  }

  /** Ends the loop and waits for what is outstanding; rejects if a write failed meanwhile. */
  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#writers);
    this.#writers = [];
  }

  async #write(writer: number, valueBytes: number): Promise<void> {
    const value = new Uint8Array(valueBytes).fill(writer);
    const view = new DataView(value.buffer);
    const histogram = this.#histogram;
    for (let sequence = 0; this.#running; sequence++) {
      if (valueBytes >= 8) view.setUint32(4, sequence);
      const begin = performance.now();
      await this.#submit(value);
      histogram.record(performance.now() - begin);
    }
  }
}
