/**
 * Leader Completeness (paper, figure 3): who becomes leader has every entry that was committed in a
 * lower term.
 *
 * *Lower*: a member may win an old term while an entry is committed in a later one, which it then
 * lacks by right; it can commit nothing any more (section 5.4.3 argues over later leaders only).
 */
import type { Output } from "../../core/output.ts";
import type { MemberView, Observer } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import { ledgerOf } from "./committed-ledger.ts";
import type { CommittedLedger } from "./committed-ledger.ts";
import type { Invariant, InvariantContext } from "./invariant.ts";
import { entryText } from "./term-log.ts";

/** See the top of this file. */
export const leaderCompleteness: Invariant = {
  name: "leader-completeness",
  text: "A new leader has every entry that was committed before its term.",
  watch: (context) => new LeaderCompleteness(context),
};

class LeaderCompleteness implements Observer {
  readonly #ledger: CommittedLedger;

  constructor(context: InvariantContext) {
    this.#ledger = ledgerOf(context);
  }

  output(member: MemberView, output: Output): void {
    this.#ledger.note(member, output);
    for (const event of output.events) {
      if (event.type === "role" && event.role === "leader") this.#elected(member, event.term);
    }
  }

  #elected(member: MemberView, term: number): void {
    const log = member.core?.log;
    if (log === undefined) return;
    const ledger = this.#ledger;
    for (let index = log.startIndex + 1; index <= ledger.lastIndex; index++) {
      if (ledger.inTermAt(index) >= term) continue;
      const known = ledger.termAt(index);
      const held = log.termAt(index);
      if (held === known || known === 0) continue;
      throw new SimViolation(
        leaderCompleteness.name,
        `${member.id} (life ${member.life}) leads term ${term} and has ${entryText(index, held)}` +
          `, but ${entryText(index, known)} was committed in term ${ledger.inTermAt(index)}; ` +
          `a leader has everything that was committed in lower terms`,
      );
    }
  }
}
