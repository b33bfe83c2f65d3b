/**
 * Writes that begin at a fixed rate, whatever became of those before, to all members in turns: what
 * a service sees that never stops asking. It keeps when each write succeeded, from which one reads
 * how long none did.
 */
import { Agent, request } from "node:http";
import type { PlainRequest } from "./http-request.ts";

const TICK_MS = 1;
const SOCKETS_MAX = 512;
const WRITE_TIMEOUT_MS = 10_000;

/** A running probe; `stop` ends it. */
export class WriteProbe {
  /** When writes succeeded, in the order in which they did. */
  readonly successMs: number[] = [];
  readonly #agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX });
  readonly #ports: readonly number[];
  readonly #next: (i: number) => PlainRequest;
  readonly #timer: NodeJS.Timeout;
  readonly #waiting = new Set<() => void>();
  readonly #startedMs = performance.now();
  #begun = 0;
  #newestBeginMs = 0;

  /** `next` makes the `i`-th write. */
  constructor(ports: readonly number[], ratePerSecond: number, next: (i: number) => PlainRequest) {
    this.#ports = ports;
    this.#next = next;
    this.#timer = setInterval(() => {
      const due = ((performance.now() - this.#startedMs) * ratePerSecond) / 1_000;
      while (this.#begun < due) this.#begin(this.#begun++);
    }, TICK_MS);
  }

  /** Resolves once a write has succeeded that began after this moment. */
  async successOfNewWrite(timeoutMs: number): Promise<void> {
    const sinceMs = performance.now();
    while (this.#newestBeginMs <= sinceMs) {
      if (performance.now() - sinceMs > timeoutMs) throw new Error("no write succeeds any more");
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
        setTimeout(resolve, 100);
      });
    }
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#agent.destroy();
  }

  #begin(i: number): void {
    const port = this.#ports[i % this.#ports.length]!;
    const { method, path, body } = this.#next(i);
    const beginMs = performance.now();
    const options = { agent: this.#agent, host: "127.0.0.1", port, method, path };
    const sent = request({ ...options, timeout: WRITE_TIMEOUT_MS }, (response) => {
      response.on("error", () => {});
      response.on("end", () => {
        if (response.statusCode === 200) this.#succeeded(beginMs);
      });
      response.resume();
    });
    sent.on("timeout", () => sent.destroy());
    sent.on("error", () => {}); // a write that failed is one that did not succeed
    if (typeof body === "string") sent.setHeader("content-type", "application/json");
    sent.end(body);
  }

  #succeeded(beginMs: number): void {
    this.successMs.push(performance.now());
    this.#newestBeginMs = Math.max(this.#newestBeginMs, beginMs);
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

/** The longest time between two successes that ended after `fromMs`. */
export function longestGapMs(successMs: readonly number[], fromMs: number): number {
  let longest = 0;
  for (let i = successMs.length - 1; i > 0 && successMs[i]! > fromMs; i--) {
    longest = Math.max(longest, successMs[i]! - successMs[i - 1]!);
  }
  return longest;
}
