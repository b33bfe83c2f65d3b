/**
 * Which commands of the log have to reach a machine, worked out anew, in the plainest way, from the
 * entries that members append: without bounds, and without a look at what the engine keeps.
 *
 * A command has an effect if its session was opened before it, has not been closed since, nor been
 * silent for longer than its timeout by the cluster time of its entries, if its sequence is not
 * below the lowest unanswered one that any entry of the session has named, and if no earlier entry
 * had the same sequence.
 */
import { EntryCursor, EntryKind } from "../../core/entry.ts";
import type { EntryBatch } from "../../core/entry.ts";
import { decodeSessionEntry } from "../../machine/session-entry.ts";

interface Head {
  readonly term: number;
  readonly kind: EntryKind;
  readonly session: number;
  readonly sequence: number;
  readonly lowest: number;
  readonly timeMs: number;
  /** Of an entry that opens a session; 0 for one that closes it, or for nonsense. */
  readonly timeoutMs: number;
}

interface Session {
  readonly timeoutMs: number;
  lastMs: number;
  lowest: number;
  readonly done: Set<number>;
}

/** The model of one run. */
export class SessionModel {
  readonly #cursor = new EntryCursor();
  /** What was appended at an index, by any leader. */
  readonly #heads: Map<number, Head[]> = new Map();
  readonly #verdicts: (boolean | undefined)[] = [];
  readonly #sessions: Map<number, Session> = new Map();
  /** Everything up to here was judged. */
  #judged = 0;

  /** A member has appended a batch. */
  learn(batch: EntryBatch): void {
    if (batch.lastIndex <= this.#judged) return;
    const known = this.#heads.get(batch.lastIndex);
    if (known?.some(({ term }) => term === batch.term) === true) return;
    this.#cursor.reset(batch);
    while (this.#cursor.next()) this.#learnEntry(batch);
  }

  /** Judges everything up to `index`, of a log that is committed up to there. */
  advance(index: number, termAt: (index: number) => number | undefined): void {
    while (this.#judged < index) {
      const at = ++this.#judged;
      const term = termAt(at);
      const head = this.#heads.get(at)?.find((one) => one.term === term);
      this.#heads.delete(at);
      this.#verdicts[at] = head === undefined ? undefined : this.#judge(at, head);
    }
  }

  /** Whether the entry has to reach a machine; undefined where nobody was seen to append it. */
  hasEffect(index: number): boolean | undefined {
    return this.#verdicts[index];
  }

  #learnEntry(batch: EntryBatch): void {
    const { view } = this.#cursor;
    const { index, kind, session, sequence, lowestUnanswered: lowest } = view;
    if (index <= this.#judged) return;
    const heads = this.#heads.get(index);
    if (heads?.some(({ term }) => term === batch.term) === true) return;
    const asked = kind === EntryKind.session ? decodeSessionEntry(view.payload) : undefined;
    const timeoutMs = asked?.type === "open" ? asked.timeoutMs : 0;
    const { term, timeMs } = batch;
    const head: Head = { term, kind, session, sequence, lowest, timeMs, timeoutMs };
    if (heads === undefined) this.#heads.set(index, [head]);
    else heads.push(head);
  }

  #judge(index: number, head: Head): boolean {
    const { kind, session: id, sequence, lowest, timeMs, timeoutMs } = head;
    if (kind === EntryKind.session) {
      if (timeoutMs === 0) this.#sessions.delete(id);
      else this.#sessions.set(index, { timeoutMs, lastMs: timeMs, lowest: 1, done: new Set() });
    }
    if (kind !== EntryKind.command) return false;
    if (id === 0) return true;
    const session = this.#sessions.get(id);
    if (session === undefined) return false;
    if (timeMs > session.lastMs + session.timeoutMs) {
      this.#sessions.delete(id);
      return false;
    }
    session.lastMs = timeMs;
    session.lowest = Math.max(session.lowest, lowest);
    for (const done of session.done) if (done < session.lowest) session.done.delete(done);
    if (sequence < session.lowest || session.done.has(sequence)) return false;
    session.done.add(sequence);
    return true;
  }
}
