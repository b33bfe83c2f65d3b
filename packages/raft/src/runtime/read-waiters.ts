/**
 * Linearizable reads on their way to an index that is safe to read at (thesis, 6.4).
 *
 *   gathered ──readIndex(context)──▶ asked ──ok, index──▶ confirmed ──applied >= index──▶ queried
 *       ▲                              │ └──no-leader──▶ refused
 *       └────── leadership-lost ───────┘     tried again under a fresh context
 *
 * All reads of one turn share one context, those that a lease may answer another one, so confirming
 * costs the same for one read as for a thousand. A context is used once: the answer to an earlier
 * attempt never counts for a later one. The core ends every context, so none is forgotten here.
 *
 * Each confirmed index also says how fresh this member is: once it has applied up to an index that
 * was asked for at a time, it holds every write that had ended by then. That is what reads with
 * `maxStalenessMs` are judged by: a time of our own clock, read before the question left, and
 * nobody else's.
 */
import type { ReadCall } from "./calls.ts";

interface Asked {
  readonly calls: readonly ReadCall[];
  readonly askedMs: number;
}

interface Confirmed extends Asked {
  readonly index: number;
}

/** The reads of one group. */
export class ReadWaiters {
  /** Those that only a round may answer, and those that a lease may answer, too. */
  #byRound: ReadCall[] = [];
  #byLease: ReadCall[] = [];
  readonly #asked = new Map<number, Asked>();
  #confirmed: Confirmed[] = [];
  #lastContext = 0;
  /** Every write that had ended by then has been applied here; by the clock of this process. */
  freshMs: number = Number.NEGATIVE_INFINITY;

  add(call: ReadCall): void {
    (call.byLease ? this.#byLease : this.#byRound).push(call);
  }

  /** Puts what was gathered under a fresh context and returns it; undefined where nothing was. */
  ask(nowMs: number, byLease: boolean): number | undefined {
    const gathered = byLease ? this.#byLease : this.#byRound;
    if (gathered.length === 0) return undefined;
    if (byLease) this.#byLease = [];
    else this.#byRound = [];
    const calls = gathered.filter((call) => !call.settled);
    if (calls.length === 0) return undefined;
    this.#asked.set(++this.#lastContext, { calls, askedMs: nowMs });
    return this.#lastContext;
  }

  /** Takes the reads of a context out: it was refused, or ended without an index. */
  take(context: number): readonly ReadCall[] {
    const asked = this.#asked.get(context);
    this.#asked.delete(context);
    return asked?.calls ?? [];
  }

  /** The reads of a context may be answered once `index` is applied. */
  confirm(context: number, index: number): void {
    const asked = this.#asked.get(context);
    if (asked === undefined) return;
    this.#asked.delete(context);
    this.#confirmed.push({ ...asked, index });
  }

  /** A read that waits only until the machine can be asked again. */
  hold(call: ReadCall): void {
    this.#confirmed.push({ calls: [call], askedMs: -Infinity, index: 0 });
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
    for (const { askedMs } of ready) this.freshMs = Math.max(this.freshMs, askedMs);
    for (const { calls } of ready) for (const call of calls) if (!call.settled) answer(call);
  }

  /** What waits for an index above this one. */
  *beyond(lastIndex: number): Generator<ReadCall> {
    for (const { calls, index } of this.#confirmed) if (index > lastIndex) yield* calls;
  }

  /** Everything that waits and has not ended. */
  *pending(): Generator<ReadCall> {
    for (const call of this.#byRound) if (!call.settled) yield call;
    for (const call of this.#byLease) if (!call.settled) yield call;
    for (const { calls } of this.#asked.values()) {
      for (const call of calls) if (!call.settled) yield call;
    }
    for (const { calls } of this.#confirmed)
      for (const call of calls) if (!call.settled) yield call;
  }
}
