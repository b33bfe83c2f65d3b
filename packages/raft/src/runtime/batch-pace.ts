/**
 * When the writes that a leader has gathered leave as its next batch.
 *
 * A batch costs every member a message, a synced write and an answer, be it small or large. Batches
 * that leave with every turn are many and small exactly when there is much to do. So gathered
 * writes wait until they are as many as are under way, or until those have been applied: then the
 * writers share two batches of half their number, one on its way and one being gathered.
 *
 * Who is alone waits for nobody: nothing is under way, or one write, and one more is as many. And
 * nobody waits for long: where a round takes much longer than that (a slow disk, members far away)
 * it passes unnoticed beside the round itself.
 */

/** How long a gathered write waits for company at most. */
const HELD_MS_MAX = 2;

/** The pace of one group, while this member leads it. */
export class BatchPace {
  #proposedTo = 0;
  #appliedTo = 0;
  /** Since when writes are held; Infinity: none are. */
  #heldSinceMs = Number.POSITIVE_INFINITY;

  /** When what is held leaves at the latest; Infinity where nothing is held. */
  get dueMs(): number {
    return this.#heldSinceMs + HELD_MS_MAX;
  }

  /** Whether the writes gathered, so many, wait still. */
  holds(nowMs: number, gathered: number): boolean {
    if (this.#isEnough(gathered) || nowMs >= this.dueMs) {
      this.#heldSinceMs = Number.POSITIVE_INFINITY;
      return false;
    }
    this.#heldSinceMs = Math.min(this.#heldSinceMs, nowMs);
    return true;
  }

  /** Whether writes were held that need not be any more. */
  hasRelease(gathered: number): boolean {
    return this.#heldSinceMs !== Number.POSITIVE_INFINITY && this.#isEnough(gathered);
  }

  /** A batch has left; its last entry has this index. */
  proposed(lastIndex: number): void {
    this.#proposedTo = lastIndex;
  }

  applied(index: number): void {
    this.#appliedTo = index;
  }

  /** Another leader: what was under way is for the log to say. */
  leaderChanged(): void {
    this.#proposedTo = 0;
    this.#heldSinceMs = Number.POSITIVE_INFINITY;
  }

  #isEnough(gathered: number): boolean {
    return gathered >= this.#proposedTo - this.#appliedTo;
  }
}
