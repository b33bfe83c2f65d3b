/**
 * Writes that were appended somewhere and wait for the log to say what became of them.
 *
 * A write is known by the position that its leader gave it: (index, term). When this member applies
 * that index, the term decides. The same term: it is done, and its result is the one just computed,
 * unless its session judged otherwise (machine/sessions.ts).
 * Another term: the log has gone another way, and the write was certainly not done and never will
 * be (Log Matching: an index is committed once). More than that: terms never fall along a log, so
 * an applied entry of term t settles every waiter of a smaller term behind it, too.
 *
 * Ruled out is said once: whoever hears it proposes the write again, and hearing it twice would do
 * the write twice.
 *
 * Waiters come in runs: what was appended together has consecutive indexes and one term. So they
 * are kept as runs in the order of their first index; nearly always a new run goes last and the
 * first one is the one being applied. Runs can overlap after a change of leader.
 */
import type { WriteCall } from "./calls.ts";

interface Run {
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly term: number;
  readonly calls: readonly WriteCall[];
  /** What is below was decided by its own index: a later term must not rule it out once more. */
  undecidedFrom: number;
}

const NONE: WriteCall[] = [];
/** Stands where a run was whose calls have all ended. */
const PASSED: Run = { firstIndex: 0, lastIndex: 0, term: 0, calls: NONE, undecidedFrom: 0 };

/** The waiters of one group, by position. */
export class WriteWaiters {
  #runs: Run[] = [];
  #head = 0;
  #ruledOut: WriteCall[] = [];

  /** Whether anything waits. */
  get isEmpty(): boolean {
    return this.#head === this.#runs.length;
  }

  get hasRuledOut(): boolean {
    return this.#ruledOut.length > 0;
  }

  /** Waits for `calls` at consecutive indexes from `firstIndex` on, in `term`. */
  add(firstIndex: number, term: number, calls: readonly WriteCall[]): void {
    for (const call of calls) call.stage = "appended";
    const lastIndex = firstIndex + calls.length - 1;
    const run: Run = { firstIndex, lastIndex, term, calls, undecidedFrom: firstIndex };
    let at = this.#runs.length;
    while (at > this.#head && this.#runs[at - 1]!.firstIndex > firstIndex) at--;
    if (at === this.#runs.length) this.#runs.push(run);
    else this.#runs.splice(at, 0, run);
  }

  /**
   * The entry (index, term) was passed. `isDone`: it had its effect, with this result; else what
   * becomes of the write is for its session to say.
   */
  applied(entry: { index: number; term: number; value: unknown }, isDone: boolean): void {
    const { index, term, value } = entry;
    for (let at = this.#head; at < this.#runs.length; at++) {
      const run = this.#runs[at]!;
      if (run.firstIndex > index) break;
      if (index > run.lastIndex) continue;
      const call = run.calls[index - run.firstIndex]!;
      run.undecidedFrom = index + 1;
      if (run.term === term) {
        if (isDone) call.resolve(value);
      } else this.#ruledOut.push(call);
    }
    while (this.#head < this.#runs.length && this.#runs[this.#head]!.lastIndex <= index) {
      // Not kept here until the next compaction: thousands of ended calls would grow old with it.
      this.#runs[this.#head++] = PASSED;
    }
    if (this.#head > 64 && this.#head * 2 > this.#runs.length) this.#compact();
  }

  /**
   * Everything up to `index` was applied somewhere else and came as a snapshot: takes out whoever
   * waits there. What became of them nobody here can say.
   */
  skipTo(index: number): WriteCall[] {
    const skipped: WriteCall[] = [];
    const kept: Run[] = [];
    for (let at = this.#head; at < this.#runs.length; at++) {
      const run = this.#runs[at]!;
      const from = run.undecidedFrom - run.firstIndex;
      const to = Math.min(index, run.lastIndex) - run.firstIndex + 1;
      if (to > from) skipped.push(...run.calls.slice(from, to));
      run.undecidedFrom = Math.max(run.undecidedFrom, run.firstIndex + to);
      if (run.lastIndex > index) kept.push(run);
    }
    this.#runs = kept;
    this.#head = 0;
    return skipped.filter((call) => !call.settled);
  }

  /** An entry of `term` is about to be applied: whoever waits in a smaller term waits in vain. */
  termApplied(term: number): void {
    const kept: Run[] = [];
    for (let at = this.#head; at < this.#runs.length; at++) {
      const run = this.#runs[at]!;
      if (run.term >= term) kept.push(run);
      else this.#ruledOut.push(...run.calls.slice(run.undecidedFrom - run.firstIndex));
    }
    this.#runs = kept;
    this.#head = 0;
  }

  /** Takes out the writes that were certainly not done. */
  takeRuledOut(): WriteCall[] {
    if (this.#ruledOut.length === 0) return NONE;
    const calls = this.#ruledOut.filter((call) => !call.settled);
    this.#ruledOut = [];
    return calls;
  }

  /** Everything that waits and has not ended. */
  *pending(): Generator<WriteCall> {
    for (let at = this.#head; at < this.#runs.length; at++) {
      for (const call of this.#runs[at]!.calls) if (!call.settled) yield call;
    }
  }

  #compact(): void {
    this.#runs = this.#runs.slice(this.#head);
    this.#head = 0;
  }
}
