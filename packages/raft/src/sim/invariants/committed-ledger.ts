/**
 * What was shown as committed by whomever showed it first, index by index: several invariants hold
 * it against members.
 *
 * There is one ledger per run. Whoever needs it tells it of each output first; what it knows
 * already costs it one comparison.
 *
 * The term *in which* an entry was committed is kept beside the entry's own: Leader Completeness
 * speaks of entries committed in *lower* terms only. A leader of an older term that nobody needs
 * any more may well lack an entry that was committed since (section 5.4.3).
 */
import type { Output } from "../../core/output.ts";
import type { CoreView, MemberView } from "../observer.ts";
import type { InvariantContext } from "./invariant.ts";

/** The first configuration is agreed by forming, without a vote: see runtime/formation.ts. */
export const FORMED_INDEX = 1;
const FORMED_TERM = 1;

const LEDGERS: WeakMap<InvariantContext, CommittedLedger> = new WeakMap();

/** The ledger of a run. */
export function ledgerOf(context: InvariantContext): CommittedLedger {
  let ledger = LEDGERS.get(context);
  if (ledger === undefined) {
    ledger = new CommittedLedger();
    LEDGERS.set(context, ledger);
  }
  return ledger;
}

/** Committed entries by index. */
export class CommittedLedger {
  /** Everything up to here was shown as committed by somebody. */
  lastIndex: number = FORMED_INDEX;
  readonly #terms: number[] = [0, FORMED_TERM];
  readonly #inTerms: number[] = [0, FORMED_TERM];
  readonly #hashes: number[] = [0, 0];

  /** Takes in what an output shows as committed. */
  note(member: MemberView, output: Output): void {
    const { core } = member;
    if (output.commit <= this.lastIndex || core === undefined) return;
    for (const event of output.events) {
      if (event.type === "commit") this.#extend(core, event.index, event.term);
    }
    this.#extend(core, output.commit, core.term);
  }

  /** Term of the entry; 0 where it is not known. */
  termAt(index: number): number {
    return this.#terms[index] ?? 0;
  }

  /** The term in which it was first shown as committed. */
  inTermAt(index: number): number {
    return this.#inTerms[index] ?? 0;
  }

  /** Its content as a number; 0 where it is not known. */
  hashAt(index: number): number {
    return this.#hashes[index] ?? 0;
  }

  #extend(core: CoreView, commit: number, inTerm: number): void {
    const { log } = core;
    const last = Math.min(commit, log.lastIndex);
    while (this.lastIndex < last) {
      const index = ++this.lastIndex;
      this.#terms[index] = log.termAt(index) ?? 0;
      this.#hashes[index] = log.hashAt(index);
      this.#inTerms[index] = inTerm;
    }
  }
}
