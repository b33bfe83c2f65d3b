/**
 * What is committed stays committed, and is the same everywhere.
 *
 * Within a life the commit index that a member shows never falls and never passes its log. Over a
 * restart it may be lower: it is a hint on disk, and the others know. But whatever a member shows
 * as committed, before or after, is entry by entry what the first one who showed it had there.
 */
import type { RecoveredGroup } from "../../core/contract.ts";
import type { Output } from "../../core/output.ts";
import type { MemberView, Observer } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import { ledgerOf } from "./committed-ledger.ts";
import type { CommittedLedger } from "./committed-ledger.ts";
import type { Invariant, InvariantContext } from "./invariant.ts";
import { entryText, TermLog } from "./term-log.ts";

/** See the top of this file. */
export const commitMonotone: Invariant = {
  name: "commit-monotone",
  text: "What a member shows as committed never shrinks or changes, and is the same everywhere.",
  watch: (context) => new CommitMonotone(context),
};

class CommitMonotone implements Observer {
  readonly #ledger: CommittedLedger;
  /** Per member: the commit index shown in this life. */
  readonly #commits: number[] = [];

  constructor(context: InvariantContext) {
    this.#ledger = ledgerOf(context);
  }

  recovered(member: MemberView, recovered: RecoveredGroup): void {
    const commit = Math.min(recovered.hardState.commit, recovered.lastIndex);
    const log = TermLog.of(recovered);
    for (let index = log.startIndex + 1; index <= commit; index++) {
      const term = log.termAt(index);
      const known = this.#ledger.termAt(index);
      if (known !== 0 && term !== known) this.#differs(member, index, term);
    }
    this.#commits[member.number] = Math.max(commit, recovered.startIndex);
  }

  output(member: MemberView, output: Output): void {
    const before = this.#commits[member.number] ?? 0;
    const { commit } = output;
    if (commit === before) return;
    if (commit < before) {
      throw new SimViolation(
        commitMonotone.name,
        `${member.id} (life ${member.life}) goes from commit index ${before} back to ${commit}; ` +
          `within a life it never falls`,
      );
    }
    this.#ledger.note(member, output);
    this.#commits[member.number] = commit;
    this.#compare(member, before + 1, commit);
  }

  #compare(member: MemberView, from: number, to: number): void {
    const log = member.core?.log;
    if (log === undefined) return;
    for (let index = from; index <= to; index++) {
      if (index <= log.startIndex) continue;
      const term = log.termAt(index);
      if (term === undefined || term !== this.#ledger.termAt(index)) {
        this.#differs(member, index, term);
      }
      const hash = log.hashAt(index);
      const known = this.#ledger.hashAt(index);
      if (hash !== 0 && known !== 0 && hash !== known) this.#differs(member, index, term);
    }
  }

  #differs(member: MemberView, index: number, term: number | undefined): never {
    const known = this.#ledger.termAt(index);
    const other = term === known ? " with another content" : "";
    throw new SimViolation(
      commitMonotone.name,
      `${member.id} (life ${member.life}) shows index ${index} as committed and has ` +
        `${entryText(index, term)} there${other}; committed in term ` +
        `${this.#ledger.inTermAt(index)} was the one of term ${known}`,
    );
  }
}
