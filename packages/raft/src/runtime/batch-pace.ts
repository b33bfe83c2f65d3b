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
 *
 * It is about the writes of this member's own callers: what others forward comes in batches.
 */

/** How long a gathered write waits for company at most. */
const HELD_MS_MAX = 2;

/** Writes that left together. */
interface UnderWay {
  readonly lastIndex: number;
  readonly count: number;
}

/** The pace of one group, while this member leads it. */
export class BatchPace {
  #batches: UnderWay[] = [];
  /** How many writes are in {@link #batches}. */
  #count = 0;
  /** Since when writes are held; Infinity: none are. */
  #heldSinceMs = Number.POSITIVE_INFINITY;

  /** When what is held leaves at the latest; Infinity where nothing is held. */
  get dueMs(): number {
    return this.#heldSinceMs + HELD_MS_MAX;
  }

  /** Whether the writes gathered, so many, wait still. */
  holds(nowMs: number, gathered: number): boolean {
    if (gathered >= this.#count || nowMs >= this.dueMs) {
      this.letGo();
      return false;
    }
    this.#heldSinceMs = Math.min(this.#heldSinceMs, nowMs);
    return true;
  }

  /** Whether writes were held that need not be any more. */
  hasRelease(gathered: number): boolean {
    return this.#heldSinceMs !== Number.POSITIVE_INFINITY && gathered >= this.#count;
  }

  /** Nothing is held any more. */
  letGo(): void {
    this.#heldSinceMs = Number.POSITIVE_INFINITY;
  }

  /** So many writes have left; the last one has this index. */
  proposed(lastIndex: number, count: number): void {
    this.#batches.push({ lastIndex, count });
    this.#count += count;
  }

  /** Everything up to `index` was applied. */
  applied(index: number): void {
    while (this.#batches.length > 0 && this.#batches[0]!.lastIndex <= index) {
      this.#count -= this.#batches.shift()!.count;
    }
  }

  /** Another leader, another term: what was under way is for the log to say. */
  forget(): void {
    this.#batches = [];
    this.#count = 0;
    this.letGo();
  }
}
