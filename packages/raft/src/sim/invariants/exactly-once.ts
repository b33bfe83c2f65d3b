/**
 * What a caller was told about a write is true, and no write happens twice.
 *
 * Per operation: it is applied at one index at most. `done`: it was applied. `not-done`: it is
 * never applied, neither before nor at any time after. `unknown`: at most once, like any other. A
 * client that tries again makes a new operation, so it is this library's own repeating that is
 * looked at.
 */
import type { AppliedCommand, MemberView, Observer, SimOperation } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import type { Invariant } from "./invariant.ts";

/** See the top of this file. */
export const exactlyOnce: Invariant = {
  name: "exactly-once",
  text: "A write that is done was applied once; one that is certainly not done never is.",
  watch: () => new ExactlyOnce(),
};

class ExactlyOnce implements Observer {
  /** By operation: the index at which it was applied. */
  readonly #indexes: number[] = [];
  /** Operations that ended as certainly not done, and where they were called. */
  readonly #refused: Map<number, SimOperation> = new Map();

  applied(member: MemberView, command: AppliedCommand): void {
    const { operation, index, term } = command;
    const known = this.#indexes[operation];
    if (known === index) return;
    if (known !== undefined) {
      throw new SimViolation(
        exactlyOnce.name,
        `${member.id} (life ${member.life}) applies operation ${operation} at index ${index} of ` +
          `term ${term}; it was applied at index ${known} already, and a write happens once`,
      );
    }
    this.#indexes[operation] = index;
    const refused = this.#refused.get(operation);
    if (refused !== undefined) this.#violated(refused, `applied at index ${index} by ${member.id}`);
  }

  settled(operation: SimOperation): void {
    if (operation.kind !== "write") return;
    const index = this.#indexes[operation.number];
    if (operation.outcome === "done" && index === undefined) {
      this.#violated(operation, "applied nowhere");
    }
    if (operation.outcome !== "not-done") return;
    this.#refused.set(operation.number, operation);
    if (index !== undefined) this.#violated(operation, `applied at index ${index}`);
  }

  #violated(operation: SimOperation, how: string): never {
    const { number, client, member, outcome, error } = operation;
    const code = error === undefined ? "" : ` (${error})`;
    const expected = outcome === "done" ? "has to be applied once" : "must never be applied";
    throw new SimViolation(
      exactlyOnce.name,
      `operation ${number} of client ${client} on ${member.id} ended as ${outcome}${code} and ` +
        `was ${how}; it ${expected}`,
    );
  }
}
