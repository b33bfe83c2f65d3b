/**
 * Who could take part in decisions at once: heard within T, and with nearly all of the log.
 *
 * "Nearly all" is measured in time, since entries and bytes mean little without a rate: a member is
 * close when it holds everything that the leader's log held T/2 to T ago. So what it lacks is what
 * came in within T, and a cluster that has to wait for it waits about that long at the most. One
 * that is slower than the writes falls back further and further, and is never close.
 *
 * For that the leader remembers where its log ended, at two moments T/2 apart.
 */
import type { MemberId } from "./configuration.ts";
import { memberOf, NO_INCARNATION } from "./configuration.ts";
import { isFresh } from "./health.ts";
import type { RaftState } from "./state.ts";

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

/** Leader: whether `id` could take part in decisions at once. */
export function isCaughtUp(state: RaftState, id: MemberId): boolean {
  if (id === state.id) return true;
  const incarnation = memberOf(state.configuration, id)?.incarnation;
  if (incarnation === undefined || incarnation === NO_INCARNATION) return false;
  const progress = state.progress.get(id);
  if (progress === undefined || !isFresh(state, progress)) return false;
  return progress.state === "replicate" && progress.match >= state.logMark.index;
}
