/**
 * Log Matching (paper, figure 3): an index and a term name one entry, and one entry before it, in
 * every log and for ever.
 *
 * Looked at when entries are written to a log. By induction it holds for whole logs: equal entries
 * have equal terms before them, and those name equal entries again.
 */
import type { RecoveredGroup } from "../../core/contract.ts";
import type { Output } from "../../core/output.ts";
import type { CoreView, MemberView, Observer } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import type { Invariant } from "./invariant.ts";

/** See the top of this file. */
export const logMatching: Invariant = {
  name: "log-matching",
  text: "Entries of the same index and term are equal in all logs, and so is all before them.",
  watch: () => new LogMatching(),
};

/** Stands where a number is not known: what was recovered shows its term only. */
const UNKNOWN = -1;

/** What an index and a term stand for. */
interface Known {
  readonly term: number;
  hash: number;
  previous: number;
  readonly member: MemberView;
}

class LogMatching implements Observer {
  /** By index: what was seen there first. Nearly always there is nothing else. */
  readonly #first: Known[] = [];
  /** By index: what else was seen there, of other terms. */
  readonly #others: Map<number, Known[]> = new Map();

  recovered(member: MemberView, recovered: RecoveredGroup): void {
    const { termRuns, startIndex, startTerm } = recovered;
    let previous = startIndex === 0 ? 0 : startTerm;
    for (const { index, term } of termRuns) {
      this.#see(member, index, { term, hash: UNKNOWN, previous, member });
      previous = term;
    }
  }

  output(member: MemberView, output: Output): void {
    if (output.entries.length === 0) return;
    const { core } = member;
    if (core === undefined) return;
    for (const { firstIndex, lastIndex, term } of output.entries) {
      let previous = termBefore(core, firstIndex);
      for (let index = firstIndex; index <= lastIndex; index++) {
        // A later batch of the same output may have ended this one again.
        if (core.log.termAt(index) !== term) break;
        this.#entry(member, core, index, previous);
        previous = term;
      }
    }
  }

  /** The usual case without an object: the entry is known, and equal. */
  #entry(member: MemberView, core: CoreView, index: number, previous: number): void {
    const term = core.log.termAt(index)!;
    const hash = core.log.hashAt(index);
    const known = this.#first[index];
    if (known?.term === term && known.hash === hash && known.previous === previous) return;
    this.#see(member, index, { term, hash: hash === 0 ? UNKNOWN : hash, previous, member });
  }

  #see(member: MemberView, index: number, entry: Known): void {
    const known = this.#find(index, entry);
    if (known === entry) return;
    if (known.hash === UNKNOWN) known.hash = entry.hash;
    if (known.previous === UNKNOWN) known.previous = entry.previous;
    if (entry.hash !== UNKNOWN && entry.hash !== known.hash) {
      violated(member, index, known, "the contents differ");
    }
    if (entry.previous !== UNKNOWN && entry.previous !== known.previous) {
      const before = `it follows term ${entry.previous} there and term ${known.previous} here`;
      violated(member, index, known, before);
    }
  }

  /** What is known under this index and term; the entry itself where nothing was. */
  #find(index: number, entry: Known): Known {
    const first = this.#first[index];
    if (first === undefined) {
      this.#first[index] = entry;
      return entry;
    }
    if (first.term === entry.term) return first;
    const others = this.#others.get(index);
    if (others === undefined) {
      this.#others.set(index, [entry]);
      return entry;
    }
    const other = others.find((known) => known.term === entry.term);
    if (other !== undefined) return other;
    others.push(entry);
    return entry;
  }
}

function termBefore(core: CoreView, index: number): number {
  if (index === 1) return 0;
  return core.log.termAt(index - 1) ?? UNKNOWN;
}

function violated(member: MemberView, index: number, known: Known, how: string): never {
  throw new SimViolation(
    logMatching.name,
    `${member.id} (life ${member.life}) and ${known.member.id} both have entry ${index} of term ` +
      `${known.term}, but ${how}; an index and a term name one entry and one log before it`,
  );
}
