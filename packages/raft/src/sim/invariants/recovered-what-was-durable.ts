/**
 * A restart finds everything that was reported durable, and nothing that was never written.
 *
 * Writes are applied in order, so what a restart may find is what was durable, or that with some
 * of the writes that were under way, in their order: a prefix of them. Term and vote have to be
 * those that were durable, or those of a write under way. The commit index on disk is a hint, but
 * one that this member has shown.
 *
 * Before its first life with a core a member has nothing, or exactly the entry that forming made.
 */
import type { RecoveredGroup } from "../../core/contract.ts";
import type { HardState, Output, Vote } from "../../core/output.ts";
import type { MemberView, Observer } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import { FORMED_INDEX, ledgerOf } from "./committed-ledger.ts";
import type { CommittedLedger } from "./committed-ledger.ts";
import type { Invariant } from "./invariant.ts";
import { entryText, TermLog } from "./term-log.ts";

/** See the top of this file. */
export const recoveredWhatWasDurable: Invariant = {
  name: "recovered-what-was-durable",
  text: "A restarted member finds all that its disk had confirmed, and invents nothing.",
  watch: (context) => new RecoveredWhatWasDurable(ledgerOf(context)),
};

/** What one member's disk has to hold. */
class Kept {
  state: HardState = { term: 0, vote: undefined, commit: 0 };
  log: TermLog = new TermLog();
  /** Outputs with something to persist that were not reported durable, in their order. */
  pending: Output[] = [];
  /** The highest commit index this member ever showed. */
  commit = 0;
  isFormed = false;
}

class RecoveredWhatWasDurable implements Observer {
  readonly #kept: Kept[] = [];
  readonly #ledger: CommittedLedger;

  constructor(ledger: CommittedLedger) {
    this.#ledger = ledger;
  }

  recovered(member: MemberView, recovered: RecoveredGroup): void {
    const kept = this.#keptOf(member);
    if (kept.isFormed) this.#check(member, kept, recovered);
    else checkFormed(member, recovered);
    kept.isFormed = true;
    kept.state = recovered.hardState;
    kept.log = TermLog.of(recovered);
    kept.pending = [];
    kept.commit = Math.max(kept.commit, recovered.hardState.commit);
  }

  output(member: MemberView, output: Output): void {
    const kept = this.#keptOf(member);
    if (output.commit > kept.commit) kept.commit = output.commit;
    this.#ledger.note(member, output);
    const { hardState, reset, entries } = output;
    if (hardState !== undefined || reset !== undefined || entries.length > 0) {
      kept.pending.push(output);
    }
  }

  persisted(member: MemberView, output: number): void {
    const kept = this.#keptOf(member);
    const { pending } = kept;
    let count = 0;
    while (count < pending.length && pending[count]!.number <= output) {
      const { hardState, reset, entries } = pending[count++]!;
      if (hardState !== undefined) kept.state = hardState;
      if (reset !== undefined) kept.log.reset(reset.index, reset.term);
      for (const { firstIndex, lastIndex, term } of entries) {
        kept.log.append(firstIndex, lastIndex, term);
      }
    }
    if (count > 0) kept.pending = count === pending.length ? [] : pending.slice(count);
  }

  /**
   * Opening may have made good what a crash cut short: a snapshot is here of which the log did not
   * know. Then the log begins behind it, empty, and may not have held its last entry before.
   */
  #check(member: MemberView, kept: Kept, recovered: RecoveredGroup): void {
    const { startIndex, startTerm, lastIndex } = recovered;
    const isNew = startIndex === lastIndex && kept.log.termAt(startIndex) !== startTerm;
    if (!isNew || startIndex <= kept.log.startIndex) {
      check(member, kept, recovered);
      return;
    }
    const known = this.#ledger.termAt(startIndex);
    if (known !== 0 && known !== startTerm) {
      const was = `${entryText(startIndex, known)} is committed`;
      violated(member, `it starts behind ${entryText(startIndex, startTerm)}, but ${was}`);
    }
  }

  #keptOf(member: MemberView): Kept {
    return (this.#kept[member.number] ??= new Kept());
  }
}

function checkFormed(member: MemberView, recovered: RecoveredGroup): void {
  const { hardState, lastIndex } = recovered;
  if (hardState.vote === undefined && lastIndex <= FORMED_INDEX) return;
  violated(
    member,
    `it found ${entryText(lastIndex, TermLog.of(recovered).lastTerm)} and a vote for ` +
      `${hardState.vote?.id ?? "nobody"} before it ever had a core`,
  );
}

function check(member: MemberView, kept: Kept, recovered: RecoveredGroup): void {
  const { term, vote, commit } = recovered.hardState;
  const isKnown = (state: HardState | undefined): boolean =>
    state !== undefined && state.term === term && isSame(state.vote, vote);
  if (!isKnown(kept.state) && !kept.pending.some((output) => isKnown(output.hardState))) {
    const { state } = kept;
    violated(
      member,
      `it found term ${term} with a vote for ${vote?.id ?? "nobody"}; durable was term ` +
        `${state.term} with a vote for ${state.vote?.id ?? "nobody"}`,
    );
  }
  if (commit > kept.commit) {
    violated(member, `it found commit index ${commit}; it never showed more than ${kept.commit}`);
  }
  checkLog(member, kept, TermLog.of(recovered));
}

/** What was found is what was durable, with none, some or all of the writes under way. */
function checkLog(member: MemberView, kept: Kept, found: TermLog): void {
  const difference = kept.log.firstDifference(found);
  if (difference === undefined) return;
  const log = kept.log.copy();
  for (const output of kept.pending) {
    if (output.reset !== undefined) {
      log.reset(output.reset.index, output.reset.term);
      if (log.firstDifference(found) === undefined) return;
    }
    for (const { firstIndex, lastIndex, term } of output.entries) {
      log.append(firstIndex, lastIndex, term);
      if (log.firstDifference(found) === undefined) return;
    }
  }
  violated(
    member,
    `it found ${entryText(difference, found.termAt(difference))} and a log that ends at ` +
      `${found.lastIndex}; durable was ${entryText(difference, kept.log.termAt(difference))} and ` +
      `a log that ends at ${kept.log.lastIndex}, with ${kept.pending.length} writes under way`,
  );
}

function isSame(a: Vote | undefined, b: Vote | undefined): boolean {
  return a?.id === b?.id && a?.incarnation === b?.incarnation;
}

function violated(member: MemberView, what: string): never {
  throw new SimViolation(
    recoveredWhatWasDurable.name,
    `${member.id} (life ${member.life}) came back wrong: ${what}`,
  );
}
