/**
 * What anybody shows as committed is durable on a majority of voters at that moment, and stays so
 * through every crash. Not meant is the first configuration: forming agrees on it before there are
 * voters.
 */
import type { RecoveredGroup } from "../../core/contract.ts";
import type { Output } from "../../core/output.ts";
import type { MemberView, Observer } from "../observer.ts";
import { FORMED_INDEX, ledgerOf } from "./committed-ledger.ts";
import type { CommittedLedger } from "./committed-ledger.ts";
import { DurableQuorum } from "./durable-quorum.ts";
import type { Invariant, InvariantContext } from "./invariant.ts";

/** See the top of this file. */
export const committedOnQuorum: Invariant = {
  name: "committed-on-quorum",
  text: "What is shown as committed is on the disks of a majority, then and after every crash.",
  watch: (context) => new CommittedOnQuorum(context),
};

class CommittedOnQuorum implements Observer {
  readonly #ledger: CommittedLedger;
  readonly #entries: DurableQuorum;
  #checked = FORMED_INDEX;

  constructor(context: InvariantContext) {
    this.#ledger = ledgerOf(context);
    this.#entries = new DurableQuorum(context, committedOnQuorum.name, "committed");
  }

  recovered(member: MemberView, recovered: RecoveredGroup): void {
    this.#entries.recheck(member, recovered);
  }

  output(member: MemberView, output: Output): void {
    if (output.commit <= this.#checked) return;
    const ledger = this.#ledger;
    ledger.note(member, output);
    while (this.#checked < ledger.lastIndex) {
      const index = ++this.#checked;
      const term = ledger.termAt(index);
      if (term !== 0) this.#entries.guard(index, term, member);
    }
  }
}
