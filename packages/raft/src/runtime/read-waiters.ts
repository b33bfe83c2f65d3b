/**
 * Linearizable reads on their way to an index that is safe to read at (thesis, 6.4).
 *
 *   gathered ──readIndex(context)──▶ asked ──ok, index──▶ confirmed ──applied >= index──▶ queried
 *       ▲                              │ └──no-leader──▶ refused
 *       └────── leadership-lost ───────┘     tried again under a fresh context
 *
 * All reads of one turn share one context, so confirming costs the same for one read as for a
 * thousand. A context is used once: the answer to an earlier attempt never counts for a later one.
 * The core ends every context, so none is forgotten here.
 */
import type { ReadCall } from "./calls.ts";

interface Confirmed {
  readonly index: number;
  readonly calls: readonly ReadCall[];
}

/** The reads of one group. */
export class ReadWaiters {
  #gathered: ReadCall[] = [];
  readonly #asked = new Map<number, readonly ReadCall[]>();
  #confirmed: Confirmed[] = [];
  #lastContext = 0;

  get hasGathered(): boolean {
    return this.#gathered.length > 0;
  }

  add(call: ReadCall): void {
    this.#gathered.push(call);
  }

  /** Puts what was gathered under a fresh context and returns it; undefined where nothing was. */
  ask(): number | undefined {
    const calls = this.#gathered.filter((call) => !call.settled);
    this.#gathered = [];
    if (calls.length === 0) return undefined;
    this.#asked.set(++this.#lastContext, calls);
    return this.#lastContext;
  }

  /** Takes the reads of a context out: it was refused, or ended without an index. */
  take(context: number): readonly ReadCall[] {
    const calls = this.#asked.get(context) ?? [];
    this.#asked.delete(context);
    return calls;
  }

  /** The reads of a context may be answered once `index` is applied. */
  confirm(context: number, index: number): void {
    const calls = this.take(context);
    if (calls.length > 0) this.#confirmed.push({ index, calls });
  }

  /** Hands every read that is safe at `applied` to `answer`. */
  serve(applied: number, answer: (call: ReadCall) => void): void {
    if (this.#confirmed.length === 0) return;
    const waiting: Confirmed[] = [];
    const ready: Confirmed[] = [];
    for (const confirmed of this.#confirmed) {
      (confirmed.index <= applied ? ready : waiting).push(confirmed);
    }
    this.#confirmed = waiting;
    for (const { calls } of ready) for (const call of calls) if (!call.settled) answer(call);
  }

  /** Everything that waits and has not ended. */
  *pending(): Generator<ReadCall> {
    for (const call of this.#gathered) if (!call.settled) yield call;
    for (const calls of this.#asked.values()) {
      for (const call of calls) if (!call.settled) yield call;
    }
    for (const { calls } of this.#confirmed)
      for (const call of calls) if (!call.settled) yield call;
  }
}
