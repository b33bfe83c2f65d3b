/**
 * Tools for the tests of recipes: a clock that goes with the virtual time of a test cluster, and
 * snapshots there and back.
 */
import type { TestCluster } from "../sim/test-cluster.ts";
import type { Applied } from "../index.ts";
import type { RecipeClock } from "./recipe-clock.ts";

/** Where a command is applied. */
export function at(index: number, timeMs: number = index): Applied {
  return { index, term: 1, timeMs, version: 1 };
}

/** A clock of a recipe on a test cluster: its timers fire while `advance` lets time pass. */
export class ClusterClock implements RecipeClock {
  readonly #cluster: Pick<TestCluster<never, never>, "nowMs" | "advance">;
  readonly #timers = new Set<{ readonly atMs: number; readonly callback: () => void }>();

  constructor(cluster: Pick<TestCluster<never, never>, "nowMs" | "advance">) {
    this.#cluster = cluster;
  }

  nowMs(): number {
    return this.#cluster.nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.nowMs() + delayMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers that have not fired. */
  get waiting(): number {
    return this.#timers.size;
  }

  async advance(ms: number): Promise<void> {
    const endMs = this.nowMs() + ms;
    while (this.nowMs() < endMs) {
      const next = Math.min(endMs, ...Array.from(this.#timers, ({ atMs }) => atMs));
      // What a timer begins needs time as well, so never further than a step.
      await this.#cluster.advance(Math.max(0.1, Math.min(next - this.nowMs(), 5)));
      for (const timer of [...this.#timers]) {
        if (timer.atMs > this.nowMs() || !this.#timers.delete(timer)) continue;
        timer.callback();
      }
    }
  }
}

/** All bytes of a snapshot. */
export async function bytesOf(snapshot: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of snapshot) chunks.push(chunk);
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let end = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, end);
    end += chunk.length;
  }
  return bytes;
}

/** The same bytes in pieces of another size. */
export async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}
