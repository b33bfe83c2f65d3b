/**
 * How time passes in a test cluster.
 *
 * `virtual`: only while somebody waits for something, and then as fast as the processor goes. The
 * order of events is the same on every run. `real`: as it does outside; what is due is run when it
 * is due, in the same order as it would be in virtual time, so that a test that blocks the event
 * loop makes everybody late alike and starts no election.
 *
 * Whatever waits is counted. Where nothing can happen any more, or a virtual hour has passed in
 * vain, whoever waits gets an error: a test must not hang.
 */
import { QuorateError } from "../util/error.ts";
import type { SimWorld } from "./sim-world.ts";

/** Lets time pass. */
export interface TestTime {
  /** Milliseconds since the cluster began. */
  nowMs(): number;
  /** Something was asked of the cluster from outside: it has to go on. */
  wake(): void;
  /** Time passes at least until the promise settles; hands on what it comes to. */
  during<T>(promise: Promise<T>): Promise<T>;
  /** Lets so much time pass. */
  advance(ms: number): Promise<void>;
  /** Time stops for good. */
  stop(): void;
}

const MS = 1_000;
/** Longer than any deadline that a test gives. */
const WAIT_MAX_MS = 3_600_000;

/** Somebody who waits: when in vain, and what to do then. */
interface Waiter {
  readonly endUs: number;
  readonly giveUp: (error: Error) => void;
}

/** Virtual time: the world runs as long as there are waiters. */
export class VirtualTime implements TestTime {
  readonly #world: SimWorld;
  readonly #waiters: Set<Waiter> = new Set();
  #isRunning = false;
  #isStopped = false;

  constructor(world: SimWorld) {
    this.#world = world;
  }

  nowMs(): number {
    return this.#world.nowUs() / MS;
  }

  wake(): void {
    // Nothing happens before somebody waits for it.
  }

  during<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#isStopped) {
        promise.then(resolve, reject);
        reject(new QuorateError("CLOSED", "the cluster is closed"));
        return;
      }
      const endUs = this.#world.nowUs() + WAIT_MAX_MS * MS;
      const waiter: Waiter = { endUs, giveUp: reject };
      this.#waiters.add(waiter);
      promise.then(resolve, reject).finally(() => this.#waiters.delete(waiter));
      void this.#run();
    });
  }

  advance(ms: number): Promise<void> {
    return this.during(
      new Promise((resolve) => {
        this.#world.schedule.after(Math.ceil(ms * MS), resolve);
      }),
    );
  }

  stop(): void {
    this.#isStopped = true;
    this.#giveUp("the cluster is closed");
  }

  async #run(): Promise<void> {
    if (this.#isRunning || this.#isStopped) return;
    this.#isRunning = true;
    const world = this.#world;
    let isInVain = false;
    const until = (): boolean => {
      isInVain = world.steps % 1_024 === 0 && this.#isInVain();
      return this.#waiters.size === 0 || this.#isStopped || isInVain;
    };
    // Once more where somebody came while the run before was ending.
    while (this.#waiters.size > 0 && !this.#isStopped) {
      const goesOn = await world.run(until);
      if (!goesOn || isInVain) this.#giveUp("nothing that was waited for can happen any more");
    }
    this.#isRunning = false;
  }

  #isInVain(): boolean {
    const nowUs = this.#world.nowUs();
    for (const { endUs } of this.#waiters) if (nowUs > endUs) return true;
    return false;
  }

  #giveUp(why: string): void {
    const error = new QuorateError("CLOSED", why, { cause: this.#world.violation?.error });
    for (const { giveUp } of this.#waiters) giveUp(error);
    this.#waiters.clear();
  }
}

/** What real time needs of the host. Browsers and Node have both. */
interface Host {
  setTimeout(task: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
  readonly performance: { now(): number };
}

/** What is due within a millisecond is due: timers of hosts are no finer. */
const AHEAD_US = 1_000;

/** Real time: the world is kept at the time of the host. */
export class RealTime implements TestTime {
  readonly #world: SimWorld;
  readonly #host: Host;
  readonly #startMs: number;
  #timer: unknown;
  #isRunning = false;
  #isStopped = false;
  #isWoken = false;

  constructor(world: SimWorld) {
    this.#world = world;
    this.#host = globalThis;
    this.#startMs = this.#host.performance.now();
  }

  nowMs(): number {
    return this.#host.performance.now() - this.#startMs;
  }

  wake(): void {
    if (this.#isRunning) this.#isWoken = true;
    else void this.#run();
  }

  during<T>(promise: Promise<T>): Promise<T> {
    this.wake();
    return promise;
  }

  advance(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#host.setTimeout(resolve, ms);
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#host.clearTimeout(this.#timer);
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    const world = this.#world;
    const { schedule } = world;
    do {
      this.#isWoken = false;
      const limitUs = Math.floor(this.nowMs() * MS) + AHEAD_US;
      await world.run(() => (schedule.nextUs ?? Number.POSITIVE_INFINITY) > limitUs);
      // What is asked for next begins now, not when the last thing happened.
      const nowUs = Math.floor(this.nowMs() * MS);
      schedule.skipTo(Math.min(nowUs, schedule.nextUs ?? nowUs));
    } while (this.#isWoken && !this.#isStopped);
    this.#isRunning = false;
    this.#setTimer();
  }

  #setTimer(): void {
    this.#host.clearTimeout(this.#timer);
    const { nextUs } = this.#world.schedule;
    if (this.#isStopped || nextUs === undefined) return;
    const waitMs = Math.max(0, nextUs / MS - this.nowMs());
    this.#timer = this.#host.setTimeout(() => this.wake(), waitMs);
  }
}
