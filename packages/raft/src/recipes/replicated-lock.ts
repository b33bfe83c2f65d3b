/**
 * Locks over all members, as a handle on a replica, or on a part of one, that runs a
 * {@link LockMachine}.
 *
 * What a time to live means: a lock is granted for `ttlMs` of cluster time, which is never ahead of
 * the time that has really passed. Its owner counts by the clock of its own process from the moment
 * at which it *asked*, and stops a tenth early, for clocks that differ in rate: so `signal` is
 * aborted before anybody else can have the lock. But a process may be paused between looking at the
 * signal and acting on it, and no clock helps against that. What does is the *fence*: a number that
 * grows with every grant. Whoever is written to under the lock remembers the highest fence seen
 * and refuses a lower one.
 *
 * Waiting is not a queue: whoever asks first after the lock became free gets it. So nothing of
 * those who wait is replicated, and nothing of those who died waiting remains.
 */
import type { CallOptions, ReadOptions } from "../index.ts";
import { QuorateError } from "../util/error.ts";
import type { Access } from "./access.ts";
import { HeldLock } from "./held-lock.ts";
import type { LockCommand, LockHeld, LockQuery } from "./lock-machine.ts";
import { pause, platformClock } from "./recipe-clock.ts";
import type { RecipeClock } from "./recipe-clock.ts";

/** Options of a {@link ReplicatedLock}. */
export interface ReplicatedLockOptions {
  /** Who asks, for people who look at `owner`. Default `somebody`. */
  readonly owner?: string;
  /** The clock by which this member waits; for tests. */
  readonly clock?: RecipeClock;
}

/** How to take a lock. */
export interface AcquireOptions {
  /** For how long, in ms of cluster time. Default 10,000; at least 100. */
  readonly ttlMs?: number;
  /** Gives up waiting. */
  readonly signal?: AbortSignal;
  /** How long to wait for it at most, in ms. Default 30,000. */
  readonly timeoutMs?: number;
  /**
   * Whether to renew it by itself until it is released. Default false, but true under `withLock`:
   * what renews itself is held for as long as its process lives, even if its work never ends.
   */
  readonly autoRenew?: boolean;
}

/** What is done under a lock. */
export type LockedWork<T> = (held: {
  /** Grows with every grant; pass it to what is written to. */
  readonly fence: number;
  /** Aborted when the lock is lost. */
  readonly signal: AbortSignal;
}) => Promise<T>;

const TTL_MS = 10_000;
const TTL_MIN_MS = 100;
const TTL_MAX_MS = 2 ** 31 - 1;
const TIMEOUT_MS = 30_000;
/** A wish that has no answer by then is made again: as the same owner that does no harm. */
const ATTEMPT_MS = 2_000;
/** How often a waiting member looks at its own state, which costs nothing. */
const LOOK_MS = 25;
/** After an error that may pass. */
const RETRY_MS = 100;

/**
 * Locks by name, one owner at a time.
 *
 * @example
 * ```ts
 * const node = await openReplica({ ...options, machine: new LockMachine() });
 * const locks = new ReplicatedLock(node, { owner: node.id });
 * await locks.withLock("invoices", async ({ fence, signal }) => {
 *   await writeInvoices({ fence, signal });
 * });
 * ```
 */
export class ReplicatedLock {
  readonly #access: Access<LockCommand, LockQuery>;
  readonly #owner: string;
  readonly #clock: RecipeClock;

  /** On a replica whose machine is a {@link LockMachine}, or on such a part of one. */
  constructor(access: Access<LockCommand, LockQuery>, options: ReplicatedLockOptions = {}) {
    this.#access = access;
    this.#owner = options.owner ?? "somebody";
    this.#clock = options.clock ?? platformClock;
  }

  /**
   * Waits until the lock is free and takes it.
   *
   * @throws QuorateError TIMEOUT or ABORTED where it was not had in time (a grant that was on its
   * way ends by itself), OPTION_INVALID, CLOSED, and what else `write` rejects with.
   */
  async acquire(name: string, options: AcquireOptions = {}): Promise<HeldLock> {
    const attempt = this.#attempt(name, options);
    const deadlineMs = this.#clock.nowMs() + checkTimeout(options.timeoutMs ?? TIMEOUT_MS);
    let reason = `the lock ${name} was not free in time`;
    try {
      for (;;) {
        const leftMs = deadlineMs - this.#clock.nowMs();
        if (options.signal?.aborted === true) throw aborted(name, options.signal);
        if (leftMs <= 0) throw new QuorateError("TIMEOUT", reason);
        const timeoutMs = Math.min(leftMs, ATTEMPT_MS);
        const got = await attempt.once(callOf({ ...options, timeoutMs }));
        if (got instanceof HeldLock) return got;
        if ("code" in got) reason = got.message;
        await this.#wait(name, got, { leftMs, signal: options.signal });
      }
    } catch (error) {
      attempt.giveUp();
      throw error;
    }
  }

  /**
   * Takes the lock if it is free; undefined where somebody else has it.
   *
   * @throws QuorateError as `write` of a replica does.
   */
  async tryAcquire(name: string, options: AcquireOptions = {}): Promise<HeldLock | undefined> {
    const attempt = this.#attempt(name, options);
    const got = await attempt.once(callOf(options));
    if (got instanceof HeldLock) return got;
    if (!("code" in got)) return undefined;
    attempt.giveUp();
    throw got;
  }

  /**
   * Does work under the lock, which renews itself and is released afterwards. Where the lock is
   * lost meanwhile, the signal is aborted; what the work comes to counts all the same.
   *
   * @throws QuorateError as `acquire` does; and what the work throws.
   */
  async withLock<T>(name: string, work: LockedWork<T>, options: AcquireOptions = {}): Promise<T> {
    const held = await this.acquire(name, { autoRenew: true, ...options });
    try {
      return await work(held);
    } finally {
      // A lock that cannot be released now ends by itself.
      await held.release().catch(() => {});
    }
  }

  /**
   * Who has a lock; undefined where nobody has. Its time may have passed since: cluster time moves
   * with what is written.
   */
  async owner(name: string, options?: ReadOptions): Promise<LockHeld | undefined> {
    return this.#access.read({ type: "owner", name }, options);
  }

  #attempt(name: string, { ttlMs = TTL_MS, autoRenew = false }: AcquireOptions): Attempt {
    if (!(Number.isInteger(ttlMs) && ttlMs >= TTL_MIN_MS && ttlMs <= TTL_MAX_MS)) {
      const bounds = `a whole number from ${TTL_MIN_MS} to ${TTL_MAX_MS}`;
      throw new QuorateError("OPTION_INVALID", `ttlMs must be ${bounds}, not ${String(ttlMs)}`);
    }
    // A word that nobody else uses, not even the next call of this handle.
    const owner = `${this.#owner}#${randomWord()}`;
    return new Attempt({ access: this.#access, clock: this.#clock, name, owner, ttlMs, autoRenew });
  }

  /** Until the lock looks free on this member, its time has passed, or nobody could say. */
  async #wait(
    name: string,
    got: LockHeld | QuorateError,
    { leftMs, signal }: { readonly leftMs: number; readonly signal: AbortSignal | undefined },
  ): Promise<void> {
    const mostMs = "code" in got ? RETRY_MS : got.leftMs + 1;
    const endMs = this.#clock.nowMs() + Math.min(mostMs, leftMs);
    for (let waitMs = endMs - this.#clock.nowMs(); waitMs > 0;) {
      await pause(this.#clock, Math.min(LOOK_MS, waitMs), signal);
      if (signal?.aborted === true) return;
      waitMs = endMs - this.#clock.nowMs();
      if ("code" in got) continue;
      const held = await this.owner(name, { consistency: "local" });
      if (held?.fence !== got.fence) return;
    }
  }
}

interface AttemptParts {
  readonly access: Access<LockCommand, LockQuery>;
  readonly clock: RecipeClock;
  readonly name: string;
  readonly owner: string;
  readonly ttlMs: number;
  readonly autoRenew: boolean;
}

/** One wish for a lock: asked again and again as the same owner, so that it is granted once. */
class Attempt {
  readonly #parts: AttemptParts;
  #inDoubt = false;

  constructor(parts: AttemptParts) {
    this.#parts = parts;
  }

  /** Asks once: the lock, who has it, or an error that may pass. */
  async once(options: CallOptions): Promise<HeldLock | LockHeld | QuorateError> {
    const { access, clock, name, owner, ttlMs } = this.#parts;
    const askedMs = clock.nowMs();
    try {
      const command = { type: "acquire", name, owner, ttlMs } as const;
      const result = await access.write(command, options);
      if (result.type === "held") return result;
      const held = new HeldLock({ ...this.#parts, fence: result.fence, askedMs });
      if (!held.signal.aborted) return held;
      // So late that it is over by our own clock: not ours any more, asked for again.
      this.#inDoubt = true;
      return new QuorateError("TIMEOUT", `the lock ${name} was granted too late`);
    } catch (error) {
      if (!QuorateError.is(error)) throw error;
      this.#inDoubt ||= error.outcome === "unknown";
      const mayPass = error.retryable || error.code === "OUTCOME_UNKNOWN";
      if (!mayPass || error.code === "ABORTED") throw error;
      return error;
    }
  }

  /** Frees what may have been granted without anybody knowing. */
  giveUp(): void {
    const { access, name, owner } = this.#parts;
    if (!this.#inDoubt) return;
    access.write({ type: "release", name, owner }).catch(() => {
      // It ends by itself.
    });
  }
}

function callOf({ signal, timeoutMs }: AcquireOptions): CallOptions {
  return {
    ...(signal === undefined ? {} : { signal }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

function checkTimeout(timeoutMs: number): number {
  if (timeoutMs >= 0 && timeoutMs <= TTL_MAX_MS) return timeoutMs;
  throw new QuorateError("OPTION_INVALID", `timeoutMs must be 0 to ${TTL_MAX_MS}`);
}

function aborted(name: string, { reason }: AbortSignal): QuorateError {
  const message = `the caller's signal ended the waiting for the lock ${name}`;
  return new QuorateError("ABORTED", message, { cause: reason });
}

/** 64 bits. */
function randomWord(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
