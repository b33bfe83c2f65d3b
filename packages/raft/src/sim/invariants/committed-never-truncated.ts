/**
 * A committed entry is never overwritten or cut off.
 *
 * Two cases, by who knows of the commitment:
 *  - the member itself showed it as committed in this life: then nothing may change there
 *  - somebody else did, in term T: then a member that is in T or a later term and has the entry
 *    keeps it. One that is in a lower term may still follow a leader of that term, which knows
 *    nothing of the commitment, and lose its copy by right: it was not counted.
 *
 * What is durable changes by the same writes, only later, and by restarts, which are the concern of
 * recovered-what-was-durable.
 */
import type { RecoveredGroup, SnapshotPoint } from "../../core/contract.ts";
import type { Output } from "../../core/output.ts";
import type { CoreView, MemberView, Observer } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import { ledgerOf } from "./committed-ledger.ts";
import type { CommittedLedger } from "./committed-ledger.ts";
import type { Invariant, InvariantContext } from "./invariant.ts";
import { entryText, TermLog } from "./term-log.ts";

/** See the top of this file. */
export const committedNeverTruncated: Invariant = {
  name: "committed-never-truncated",
  text: "No member overwrites or cuts off an entry that is committed.",
  watch: (context) => new CommittedNeverTruncated(context),
};

/** One member as it was before the output that is looked at. */
interface Before {
  term: number;
  commit: number;
  log: TermLog;
}

class CommittedNeverTruncated implements Observer {
  readonly #ledger: CommittedLedger;
  readonly #before: Before[] = [];

  constructor(context: InvariantContext) {
    this.#ledger = ledgerOf(context);
  }

  recovered(member: MemberView, recovered: RecoveredGroup): void {
    const { term, commit } = recovered.hardState;
    this.#before[member.number] = { term, commit, log: TermLog.of(recovered) };
  }

  output(member: MemberView, output: Output): void {
    const before = this.#before[member.number];
    const { core } = member;
    if (before === undefined || core === undefined) return;
    const { log } = before;
    if (output.reset !== undefined) this.#startedAnew(member, before, output.reset);
    for (const { firstIndex } of output.entries) {
      if (firstIndex <= log.lastIndex) this.#compare(member, core, firstIndex);
    }
    for (const { firstIndex, lastIndex, term } of output.entries) {
      log.append(firstIndex, lastIndex, term);
    }
    before.term = core.term;
    before.commit = output.commit;
    this.#ledger.note(member, output);
  }

  /**
   * A snapshot took the place of the log: it has to stand for what is committed, and what it takes
   * away must not be: a log that holds its last entry keeps all that follows.
   */
  #startedAnew(member: MemberView, before: Before, { index, term }: SnapshotPoint): void {
    const { log } = before;
    const known = this.#ledger.termAt(index);
    const isHeld = log.startIndex < index && log.termAt(index) === term;
    if (isHeld || index <= before.commit || (known !== 0 && known !== term)) {
      throw new SimViolation(
        committedNeverTruncated.name,
        `${member.id} (life ${member.life}) starts its log anew behind entry ${index} of term ` +
          `${term}; it showed commit index ${before.commit} and had ` +
          `${entryText(index, log.termAt(index))}, committed is ${entryText(index, known)}`,
      );
    }
    log.reset(index, term);
  }

  /** The log was overwritten from some index on: looks at what was committed there. */
  #compare(member: MemberView, core: CoreView, from: number): void {
    const before = this.#before[member.number]!;
    const last = Math.min(this.#ledger.lastIndex, before.log.lastIndex);
    for (let index = from; index <= last; index++) {
      const term = before.log.termAt(index);
      const now = core.log.termAt(index);
      if (now === term || term !== this.#ledger.termAt(index)) continue;
      const inTerm = this.#ledger.inTermAt(index);
      if (index > before.commit && before.term < inTerm) continue;
      throw new SimViolation(
        committedNeverTruncated.name,
        `${member.id} (life ${member.life}) in term ${core.term} had ${entryText(index, term)}, ` +
          `which was committed in term ${inTerm}, and now has ${entryText(index, now)}; ` +
          `it showed commit index ${before.commit}`,
      );
    }
  }
}
