/**
 * Leaving in an orderly way, so that a stop hurts nobody:
 *
 *   handing over ──another leads──▶ draining ──nothing waits──▶ farewell ──a moment later──▶ over
 *
 * 1. A member that leads hands leadership over, to whom it suits best, again if need be. Where
 *    nobody can take over (no other voter, nobody reachable) it goes on without.
 * 2. What this member's own callers wait for is brought to its end: held writes go to the new
 *    leader.
 * 3. Everybody is told that no forwarded command is taken any more (`leaving`), with the number of
 *    the last one that was. So who forwarded something that crosses this message knows that it was
 *    not done and asks the new leader, instead of not knowing.
 * 4. It stays a moment: what was said has to get out of the door.
 *
 * All of this is bounded by a deadline, about one election timeout: who waits longer than that for
 * a stop would be killed anyway. What still waits then ends as the closing of the group says.
 */
import type { RaftInputs } from "../core/contract.ts";
import type { Calls } from "./calls.ts";

/** What a departure needs of its group. */
export interface DepartureHooks {
  readonly deadlineMs: number;
  readonly lingerMs: number;
  readonly calls: Calls;
  /** Tells everybody; false where nobody heard it. */
  farewell(): boolean;
  over(): void;
}

/** A member on its way out. */
export class Departure {
  readonly #hooks: DepartureHooks;
  /** It led, and began to hand over: then it stays until it sees who leads. */
  #hasHandedOver = false;
  #isAlone = false;
  #lingersUntilMs: number | undefined;
  #isOver = false;
  /** Some calls end without a turn, by a promise of the machine. */
  #lookAgainMs = 0;

  constructor(hooks: DepartureHooks) {
    this.#hooks = hooks;
  }

  /** When {@link step} is needed at the latest. */
  get nextMs(): number {
    if (this.#isOver) return Infinity;
    return this.#lingersUntilMs ?? Math.min(this.#hooks.deadlineMs, this.#lookAgainMs);
  }

  /** Goes on as far as is possible now. */
  step(nowMs: number, core: RaftInputs | undefined): void {
    if (this.#isOver) return;
    this.#lookAgainMs = nowMs + this.#hooks.lingerMs;
    const isLate = nowMs >= this.#hooks.deadlineMs;
    if (core === undefined) {
      this.end();
      return;
    }
    if (this.#lingersUntilMs === undefined) {
      if (!isLate && !this.#isReady(nowMs, core)) return;
      this.#lingersUntilMs = this.#hooks.farewell() ? nowMs + this.#hooks.lingerMs : nowMs;
    }
    if (nowMs >= this.#lingersUntilMs) this.end();
  }

  /** Enough: whatever has not been done is left undone. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#hooks.over();
  }

  #isReady(nowMs: number, core: RaftInputs): boolean {
    const { role, leader } = core.status();
    if (role === "leader" && !this.#isAlone) {
      const result = core.transferLeadership(nowMs, undefined);
      if (result.ok) this.#hasHandedOver = true;
      else this.#isAlone = true;
      if (result.ok) return false;
    }
    if (this.#hooks.calls.waiting > 0) return false;
    return leader !== undefined || !this.#hasHandedOver;
  }
}
