/**
 * Where the leader's log ended a while ago: what a member must hold to count as caught up
 * (caught-up.ts). Kept as the end of the log at two moments that are T/2 apart.
 */

/** Where the leader's log ended a while ago. */
export class LogMark {
  /** Where it ended T/2 to T ago. */
  index = 0;
  #newer = 0;
  #newerMs = 0;

  /** A leadership begins: what was in the log then is what everybody needs. */
  begin(nowMs: number, lastIndex: number): void {
    this.index = lastIndex;
    this.#newer = lastIndex;
    this.#newerMs = nowMs;
  }

  /** Called with every heartbeat. */
  advance(nowMs: number, lastIndex: number, electionTimeoutMs: number): void {
    if (nowMs - this.#newerMs < electionTimeoutMs / 2) return;
    this.index = this.#newer;
    this.#newer = lastIndex;
    this.#newerMs = nowMs;
  }
}
