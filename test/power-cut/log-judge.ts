/**
 * Holds what a log contains after a power cut against what its program (log-process.ts) had said.
 *
 * Expected is exactly one of two logs: the acknowledged one, or that one after the append that was
 * in flight when the power went. Entries are told apart by the term in which they were written,
 * which is the number of the round; the program itself checks their content.
 */
import type { Judge } from "./cut-run.ts";

interface Recovered {
  readonly startIndex: number;
  readonly lastIndex: number;
  readonly termRuns: readonly { readonly term: number; readonly index: number }[];
  readonly hardState: { readonly term: number };
}

interface Append {
  readonly first: number;
  readonly last: number;
  readonly term: number;
}

/** What must be in the log, by what its program said. */
export class LogJudge implements Judge {
  readonly losses: string[] = [];
  acknowledged = 0;
  /** The term of each acknowledged entry, by index. */
  #terms: number[] = [0];
  /** The append that was in flight. */
  #pending: Append | undefined;
  #released = 0;
  #durableTerm = 0;

  hear(line: string, round: number): boolean {
    const [word, first = "", last = ""] = line.split(" ");
    if (word === "recovered") {
      this.#compare(JSON.parse(line.slice(word.length + 1)) as Recovered, round);
    } else if (word === "vote") {
      this.#durableTerm = round;
    } else if (word === "try") {
      this.#pending = { first: Number(first), last: Number(last), term: round };
    } else if (word === "release") {
      this.#released = Number(first);
    } else if (word === "ack") {
      this.acknowledged += Number(last) - Number(first) + 1;
      if (this.#pending !== undefined) this.#terms = applied(this.#terms, this.#pending);
      this.#pending = undefined;
    } else {
      this.losses.push(`round ${round}: ${line}`);
    }
    return word === "ack";
  }

  startAnew(): void {
    this.#terms = [0];
    this.#pending = undefined;
    this.#released = 0;
    this.#durableTerm = 0;
  }

  #compare(found: Recovered, round: number): void {
    const where = `recovered in round ${round}`;
    if (found.hardState.term < this.#durableTerm) {
      this.losses.push(`${where}: term ${found.hardState.term}, was ${this.#durableTerm}`);
    }
    if (found.startIndex > this.#released) {
      this.losses.push(`${where}: starts at ${found.startIndex}, released ${this.#released}`);
    }
    const terms = termsOf(found);
    const difference = compareFrom(found.startIndex + 1, this.#terms, terms);
    if (difference !== undefined) {
      // Not acknowledged, and there all the same: as good.
      const pending = this.#pending;
      const other = pending === undefined ? this.#terms : applied(this.#terms, pending);
      const unlike = compareFrom(found.startIndex + 1, other, terms);
      if (unlike !== undefined) this.losses.push(`${where}: ${difference}; or ${unlike}`);
    }
    // From here on what was found is what is known to be there.
    for (let i = 0; i <= found.startIndex; i++) terms[i] = this.#terms[i] ?? 0;
    this.#terms = terms;
    this.#pending = undefined;
  }
}

function applied(terms: readonly number[], append: Append): number[] {
  const next = terms.slice(0, append.first);
  for (let i = append.first; i <= append.last; i++) next.push(append.term);
  return next;
}

function termsOf({ startIndex, lastIndex, termRuns }: Recovered): number[] {
  const terms = Array.from<number>({ length: startIndex + 1 }).fill(0);
  let run = 0;
  for (let i = startIndex + 1; i <= lastIndex; i++) {
    while ((termRuns[run + 1]?.index ?? Number.POSITIVE_INFINITY) <= i) run++;
    terms.push(termRuns[run]?.term ?? 0);
  }
  return terms;
}

/** What is different, in words; undefined where nothing is. */
function compareFrom(
  from: number,
  want: readonly number[],
  got: readonly number[],
): string | undefined {
  for (let i = from; i < Math.max(want.length, got.length); i++) {
    if (want[i] === got[i]) continue;
    const wanted = want[i] === undefined ? "nothing" : `term ${want[i]}`;
    const found = got[i] === undefined ? "nothing" : `term ${got[i]}`;
    return `entry ${i}: want ${wanted}, found ${found} (${got.length - 1} of ${want.length - 1})`;
  }
  return undefined;
}
