/**
 * A lock that is held: until it is released, or its time has passed by the clock of its own member,
 * counted from the moment at which it was asked for, less a tenth.
 */
import type { CallOptions } from "../index.ts";
import { QuorateError } from "../util/error.ts";
import type { Access } from "./access.ts";
import type { LockCommand, LockQuery } from "./lock-machine.ts";
import type { RecipeClock } from "./recipe-clock.ts";

/** What a held lock is made from. */
export interface HeldLockParts {
  readonly access: Access<LockCommand, LockQuery>;
  readonly clock: RecipeClock;
  readonly name: string;
  /** A word that nobody else uses. */
  readonly owner: string;
  readonly fence: number;
  readonly ttlMs: number;
  /** When it was asked for. */
  readonly askedMs: number;
  readonly autoRenew: boolean;
}

/** What our clock may be wrong by against that of the leader, with room to spare. */
const MARGIN = 0.1;
/** Renewed this often within its time, so that one or two failures do no harm. */
const RENEWALS = 3;
const RETRY_SHARE = 20;

/** A lock that is held; made by {@link ReplicatedLock}. */
export class HeldLock {
  readonly name: string;
  /** Larger than that of every earlier grant: pass it to what is written to under the lock. */
  readonly fence: number;
  readonly #parts: HeldLockParts;
  readonly #controller = new AbortController();
  #untilMs: number;
  #stopTimer = (): void => {};
  #stopRenewing = (): void => {};

  constructor(parts: HeldLockParts) {
    this.name = parts.name;
    this.fence = parts.fence;
    this.#parts = parts;
    this.#untilMs = this.#endOf(parts.askedMs);
    this.#watch();
    if (parts.autoRenew) this.#renewAfter(parts.ttlMs / RENEWALS);
  }

  /** Aborted when the lock is not held any more: its time has passed, or it was released. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** So long it is held at least, by the clock of this member, in ms; 0 where it is not. */
  get leftMs(): number {
    return this.signal.aborted ? 0 : Math.max(0, this.#untilMs - this.#parts.clock.nowMs());
  }

  /**
   * Gives the lock its full time again, under the same fence.
   *
   * @throws QuorateError LOCK_LOST where it is not held any more; and what `write` rejects with,
   * upon which it is held until its time has passed.
   */
  async renew(options?: CallOptions): Promise<void> {
    const { access, clock, name, owner, ttlMs } = this.#parts;
    if (this.signal.aborted) throw this.#lost();
    const askedMs = clock.nowMs();
    const command = { type: "renew", name, owner, ttlMs } as const;
    const result = await access.write(command, options);
    if (result.type === "lost") this.#end(this.#lost());
    // What was lost while the answer was on its way stays lost: work has been told to stop.
    if (this.signal.aborted) throw this.#lost();
    this.#untilMs = Math.max(this.#untilMs, this.#endOf(askedMs));
    this.#watch();
  }

  /**
   * Gives the lock up; whether it was still held. Its signal is aborted at once. Where that fails,
   * the lock ends by itself when its time has passed.
   *
   * @throws QuorateError as `write` of a replica does.
   */
  async release(options?: CallOptions): Promise<boolean> {
    const { access, name, owner } = this.#parts;
    this.#end(new QuorateError("ABORTED", `the lock ${name} was released`));
    const command = { type: "release", name, owner } as const;
    const result = await access.write(command, options);
    return result.type === "released";
  }

  #endOf(askedMs: number): number {
    return askedMs + this.#parts.ttlMs * (1 - MARGIN);
  }

  /** Ends it when its time has passed. */
  #watch(): void {
    this.#stopTimer();
    const leftMs = this.#untilMs - this.#parts.clock.nowMs();
    if (leftMs <= 0) this.#end(this.#lost());
    else this.#stopTimer = this.#parts.clock.after(leftMs, () => this.#watch());
  }

  #renewAfter(delayMs: number): void {
    if (this.signal.aborted) return;
    this.#stopRenewing = this.#parts.clock.after(delayMs, () => void this.#renewByItself());
  }

  async #renewByItself(): Promise<void> {
    const { ttlMs } = this.#parts;
    try {
      await this.renew({ timeoutMs: Math.max(1, Math.min(this.leftMs, ttlMs / RENEWALS)) });
      this.#renewAfter(ttlMs / RENEWALS);
    } catch {
      // Lost, and told by the signal; or not possible just now, and there is time left.
      this.#renewAfter(ttlMs / RETRY_SHARE);
    }
  }

  #end(reason: QuorateError): void {
    this.#stopTimer();
    this.#stopRenewing();
    this.#controller.abort(reason);
  }

  #lost(): QuorateError {
    return new QuorateError("LOCK_LOST", `the lock ${this.name} is not held any more`);
  }
}
