/**
 * The state machine behind a {@link ReplicatedLock}: who holds which lock, until when.
 *
 * Time is cluster time (`at.timeMs`), which the leader stamps on every entry. It is never ahead of
 * the time that has really passed, and stands still while nobody leads. So a lock that was granted
 * for a time is not given to anybody else before that time has passed by any sound clock; it may be
 * kept for longer.
 *
 * Invariants:
 *  - a lock has one owner at a time: it is granted only if it is free or its time has passed;
 *  - the fence of a grant, its position in the log, is above every fence that was granted before,
 *    for this lock and all others;
 *  - what has passed its time is not renewed, even if nobody else has come: its owner had to stop
 *    by then.
 *
 * An owner is a word of the caller's that nobody else uses. Asking again as the same owner renews,
 * under the same fence, so that an `acquire` whose outcome was unknown can simply be repeated.
 */
import type { Applied, ResultOf, Returns, StateMachine } from "../index.ts";
import { itemsIn, linesOf } from "./lines.ts";

/** The lock is the caller's. */
export interface LockGranted {
  readonly type: "granted";
  /** Larger than that of every earlier grant of any lock. */
  readonly fence: number;
}

/** Somebody else has it. */
export interface LockHeld {
  readonly type: "held";
  readonly owner: string;
  readonly fence: number;
  /** So much cluster time is left to it. */
  readonly leftMs: number;
}

/** The caller does not have it, or not any more. */
export interface LockLost {
  readonly type: "lost";
}

/** It was the caller's, and is free now. */
export interface LockReleased {
  readonly type: "released";
}

/** Takes a lock if it is free, or renews one's own. */
export interface LockAcquire extends Returns<LockGranted | LockHeld> {
  readonly type: "acquire";
  readonly name: string;
  readonly owner: string;
  readonly ttlMs: number;
}

/** Gives one's own lock its full time again. */
export interface LockRenew extends Returns<LockGranted | LockLost> {
  readonly type: "renew";
  readonly name: string;
  readonly owner: string;
  readonly ttlMs: number;
}

/** Gives one's own lock up. */
export interface LockRelease extends Returns<LockReleased | LockLost> {
  readonly type: "release";
  readonly name: string;
  readonly owner: string;
}

/** Everything that changes locks. */
export type LockCommand = LockAcquire | LockRenew | LockRelease;

/** Who holds a lock; undefined where nobody does, as of the last command that was applied. */
export interface LockQuery extends Returns<LockHeld | undefined> {
  readonly type: "owner";
  readonly name: string;
}

interface Grant {
  readonly owner: string;
  readonly fence: number;
  readonly untilMs: number;
}

const RECIPE = "lock";
const VERSION = 1;
/** With each grant so many others are looked at, and dropped where their time has passed. */
const LOOKED_AT = 2;

/**
 * The state machine of replicated locks; see {@link ReplicatedLock}. One machine has any number of
 * locks, by their names; what was released or has passed its time takes no room for long.
 */
export class LockMachine implements StateMachine<LockCommand, LockQuery> {
  #grants = new Map<string, Grant>();
  #nowMs = 0;

  apply(command: LockCommand, at: Applied): ResultOf<LockCommand> {
    this.#nowMs = at.timeMs;
    const held = this.#valid(command.name);
    const isOwn = held?.owner === command.owner;
    if (command.type === "release") {
      if (!isOwn) return { type: "lost" };
      this.#grants.delete(command.name);
      return { type: "released" };
    }
    if (!isOwn && command.type === "renew") return { type: "lost" };
    if (!isOwn && held !== undefined) return this.#heldBy(held);
    if (!isOwn) this.#sweep();
    const fence = isOwn ? held.fence : at.index;
    const untilMs = this.#nowMs + command.ttlMs;
    this.#grants.set(command.name, { owner: command.owner, fence, untilMs });
    return { type: "granted", fence };
  }

  query({ name }: LockQuery): LockHeld | undefined {
    const held = this.#valid(name);
    return held === undefined ? undefined : this.#heldBy(held);
  }

  snapshot(): AsyncIterable<Uint8Array> {
    const grants = Array.from(this.#grants, ([name, grant]) => ({ name, ...grant }));
    return linesOf(RECIPE, VERSION, [{ nowMs: this.#nowMs }, ...grants]);
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const [clock, ...items] = await itemsIn(RECIPE, VERSION, chunks);
    const grants = new Map<string, Grant>();
    for (const item of items) {
      const { name, owner, fence, untilMs } = item as Grant & { readonly name: string };
      grants.set(name, { owner, fence, untilMs });
    }
    this.#nowMs = (clock as { readonly nowMs: number }).nowMs;
    this.#grants = grants;
  }

  #valid(name: string): Grant | undefined {
    const grant = this.#grants.get(name);
    return grant !== undefined && this.#nowMs < grant.untilMs ? grant : undefined;
  }

  #heldBy({ owner, fence, untilMs }: Grant): LockHeld {
    return { type: "held", owner, fence, leftMs: untilMs - this.#nowMs };
  }

  /** Looks at those that were not looked at for longest, so that none stays for ever. */
  #sweep(): void {
    let looks = LOOKED_AT;
    for (const [name, grant] of this.#grants) {
      if (looks-- === 0) return;
      this.#grants.delete(name);
      if (this.#nowMs < grant.untilMs) this.#grants.set(name, grant);
    }
  }
}
