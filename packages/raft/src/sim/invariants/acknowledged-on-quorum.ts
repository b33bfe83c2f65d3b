/**
 * A write whose caller was told that it is done is durable on a majority of voters at that moment,
 * and stays so through every crash.
 *
 * It is found by where its command was applied, not by what anybody says is committed.
 */
import type { RecoveredGroup } from "../../core/contract.ts";
import type { AppliedCommand, MemberView, Observer, SimOperation } from "../observer.ts";
import { DurableQuorum } from "./durable-quorum.ts";
import type { Invariant, InvariantContext } from "./invariant.ts";

/** See the top of this file. */
export const acknowledgedOnQuorum: Invariant = {
  name: "acknowledged-on-quorum",
  text: "An acknowledged write is on the disks of a majority, then and after every crash.",
  watch: (context) => new AcknowledgedOnQuorum(context),
};

class AcknowledgedOnQuorum implements Observer {
  readonly #entries: DurableQuorum;
  /** By operation: where it was applied. */
  readonly #indexes: number[] = [];
  readonly #terms: number[] = [];

  constructor(context: InvariantContext) {
    this.#entries = new DurableQuorum(context, acknowledgedOnQuorum.name, "acknowledged");
  }

  applied(_member: MemberView, command: AppliedCommand): void {
    this.#indexes[command.operation] = command.index;
    this.#terms[command.operation] = command.term;
  }

  settled(operation: SimOperation): void {
    if (operation.kind !== "write" || operation.outcome !== "done") return;
    const { number, member } = operation;
    const index = this.#indexes[number];
    // One that was applied nowhere is the concern of exactly-once.
    if (index !== undefined) this.#entries.guard(index, this.#terms[number]!, member);
  }

  recovered(member: MemberView, recovered: RecoveredGroup): void {
    this.#entries.recheck(member, recovered);
  }
}
