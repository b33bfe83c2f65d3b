/**
 * What all connections of one transport share, and how often they may complain.
 */
import type { Checksum } from "../util/checksum.ts";
import type { Clock } from "../util/clock.ts";
import type { Random } from "../util/random.ts";
import type { MessageEncoder } from "./codec.ts";
import type { Streams } from "./streams.ts";
import type { RefusalReport, TransportHandler } from "./transport.ts";

/** The bounds of a transport; runtime/limits.ts has them all. Sizes in bytes, times in ms. */
export interface TransportLimits {
  readonly sendQueueBytesMax: number;
  readonly frameBytesMax: number;
  readonly connectionsMax: number;
  readonly helloTimeoutMs: number;
  readonly dialTimeoutMs: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** The receiving side of a busy connection says that often that it is alive. Default 1,000. */
  readonly pulseIntervalMs?: number;
  /** The sending side of a busy connection gives it up after so much silence. Default 3,000. */
  readonly stallTimeoutMs?: number;
}

/** Default of `pulseIntervalMs`. */
export const PULSE_INTERVAL_MS = 1_000;
/** Default of `stallTimeoutMs`. */
export const STALL_TIMEOUT_MS = 3_000;

/** Shared by the links of one transport. */
export interface LinkContext {
  readonly streams: Streams;
  readonly clock: Clock;
  readonly random: Random;
  readonly checksum: Checksum;
  readonly limits: Required<TransportLimits>;
  readonly handler: TransportHandler;
  readonly encoder: MessageEncoder;
  readonly reports: Reports;
}

const MINUTE_MS = 60_000;
const KEYS_MAX = 256;

/**
 * Passes reports on to the handler, the same one at most once a minute, and no more than
 * {@link KEYS_MAX} different ones of a kind: whoever can reach the port must not be able to fill a
 * log. What our own dials find is counted apart, so that strangers cannot hide it.
 */
export class Reports {
  readonly #handler: TransportHandler;
  readonly #refusals: OncePerMinute;
  readonly #problems: OncePerMinute;
  readonly #dials: OncePerMinute;
  #count = 0;
  #muted = false;

  constructor(clock: Clock, handler: TransportHandler) {
    this.#handler = handler;
    this.#refusals = new OncePerMinute(clock);
    this.#problems = new OncePerMinute(clock);
    this.#dials = new OncePerMinute(clock);
  }

  /** Accepted connections closed for what came over them, reported or not. */
  get problems(): number {
    return this.#count;
  }

  /** From now on nothing is passed on. */
  mute(): void {
    this.#muted = true;
  }

  refused(report: RefusalReport): void {
    if (this.#muted) return;
    // What a removal says depends on what the other one knows by then.
    const { incarnation = "", configurationIndex = 0 } = report.removal ?? {};
    const removal = `${incarnation} ${configurationIndex}`;
    const key = `${report.by} ${report.code} ${report.peer} ${removal}`;
    if (this.#refusals.allows(key)) this.#handler.refused(report);
  }

  /** An accepted connection was closed. Its port differs each time: the limit is per host. */
  problem(remote: string, reason: string): void {
    this.#count++;
    if (this.#muted) return;
    const host = remote.slice(0, remote.lastIndexOf(":"));
    if (this.#problems.allows(`${host} ${reason}`)) this.#handler.problem(remote, reason);
  }

  /** A dial failed. */
  dialFailed(address: string, reason: string): void {
    if (this.#muted) return;
    if (this.#dials.allows(`${address} ${reason}`)) this.#handler.problem(address, reason);
  }
}

/** Lets a key pass once a minute, and a bounded number of keys. */
class OncePerMinute {
  readonly #clock: Clock;
  readonly #seen: Map<string, number> = new Map();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  allows(key: string): boolean {
    const nowMs = this.#clock.nowMs();
    for (const [old, atMs] of this.#seen) {
      // In the order of insertion, so the first one that is fresh ends the search.
      if (nowMs - atMs < MINUTE_MS) break;
      this.#seen.delete(old);
    }
    if (this.#seen.has(key) || this.#seen.size >= KEYS_MAX) return false;
    this.#seen.set(key, nowMs);
    return true;
  }
}
