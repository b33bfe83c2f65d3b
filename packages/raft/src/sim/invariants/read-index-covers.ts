/**
 * A linearizable read shows whatever anybody could know when it was called: the member that
 * answers has applied everything that any member had applied at that moment (thesis, 6.4). What a
 * caller was told, by a write or by another read, had been applied by somebody.
 *
 * That goes for reads by lease as well, as long as clocks keep to the bound that members were told.
 *
 * This is a witness for every read, at the cost of a comparison. That the answer itself is right is
 * for the check of the whole history.
 */
import type { AppliedCommand, MemberView, Observer, SimOperation } from "../observer.ts";
import { mayBeOld, SimViolation } from "../observer.ts";
import type { Invariant } from "./invariant.ts";

/** See the top of this file. */
export const readIndexCovers: Invariant = {
  name: "read-index-covers",
  text: "A linearizable read never misses what was applied anywhere before it was called.",
  watch: () => new ReadIndexCovers(),
};

class ReadIndexCovers implements Observer {
  /** The highest index of a command that anybody has applied. */
  #anywhere = 0;
  /** Per member: the last command that its machine got in this life. */
  readonly #applied: number[] = [];
  /** By operation: what had been applied when it was called. */
  readonly #floors: Map<number, number> = new Map();

  started(member: MemberView): void {
    this.#applied[member.number] = 0;
  }

  applied(member: MemberView, command: AppliedCommand): void {
    const { index } = command;
    this.#applied[member.number] = index;
    if (index > this.#anywhere) this.#anywhere = index;
  }

  called(operation: SimOperation): void {
    const { kind, number } = operation;
    if (kind === "read" || kind === "lease-read") this.#floors.set(number, this.#anywhere);
  }

  settled(operation: SimOperation): void {
    const { number, kind, member, client } = operation;
    if (kind === "write" || mayBeOld(kind)) return;
    const floor = this.#floors.get(number) ?? 0;
    this.#floors.delete(number);
    // A snapshot may have brought the machine further than its commands did.
    const restored = member.core?.appliedIndex ?? 0;
    const applied = Math.max(this.#applied[member.number] ?? 0, restored);
    if (operation.outcome !== "done" || applied >= floor) return;
    throw new SimViolation(
      readIndexCovers.name,
      `${kind} ${number} of client ${client} was answered by ${member.id} (life ${member.life}) ` +
        `with index ${applied} applied; index ${floor} had been applied when it was called`,
    );
  }
}
