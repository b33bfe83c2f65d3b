/**
 * What the sessions will say of commands that are gathered for one transaction, before those ahead
 * of them were applied.
 *
 * A machine on disk gets many commands at once, and only those that are new. But what a session
 * says of a command depends on the commands before it, whose results are not known yet. So nothing
 * is changed here: the sessions are asked as they are, and what the batch does to them so far is
 * kept beside them. After the transaction each command is judged once more, one by one as on every
 * other member, and the verdict has to be the same.
 *
 * One thing cannot be told: whether a sequence that is not above all of its session in this batch
 * was among them. Then the batch ends before it, and the next one knows.
 *
 * Holds only while the batch holds commands alone: what opens or closes a session, or raises the
 * version, ends a batch.
 */
import type { Ahead, Sessions, SessionVerdict } from "./sessions.ts";

/** Foresees verdicts for one batch at a time. */
export class Foreseen {
  readonly #sessions: Map<number, Ahead> = new Map();
  /** The one asked for last: most commands follow one of their own session. */
  #id = 0;
  #ahead: Ahead | undefined;

  /** A new batch begins. */
  clear(): void {
    this.#sessions.clear();
    this.#id = 0;
    this.#ahead = undefined;
  }

  /** The verdict that will be given; undefined where the batch has to end before this command. */
  // eslint-disable-next-line max-params -- the fields of an entry, without an object for them
  verdict(
    sessions: Sessions,
    id: number,
    sequence: number,
    lowestUnanswered: number,
    timeMs: number,
  ): SessionVerdict | undefined {
    const ahead = this.#of(sessions, id);
    // Expired it stays: time does not go back, and nothing touches it any more.
    if (ahead === undefined || timeMs - ahead.lastMs > ahead.timeoutMs) return "expired";
    ahead.lastMs = timeMs;
    if (lowestUnanswered > ahead.lowest) ahead.lowest = lowestUnanswered;
    const place = sequence - ahead.lowest;
    if (place < 0 || place >= sessions.windowMax) return "dropped";
    if (sessions.isDone(id, sequence)) return "duplicate";
    if (sequence <= ahead.highest) return undefined;
    ahead.highest = sequence;
    return "new";
  }

  #of(sessions: Sessions, id: number): Ahead | undefined {
    if (this.#id === id) return this.#ahead;
    let ahead = this.#sessions.get(id);
    if (ahead === undefined) {
      ahead = sessions.look(id);
      if (ahead !== undefined) this.#sessions.set(id, ahead);
    }
    this.#id = id;
    this.#ahead = ahead;
    return ahead;
  }
}
