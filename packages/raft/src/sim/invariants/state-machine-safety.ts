/**
 * State Machine Safety (paper, figure 3): whoever applies an index applies the same command there,
 * in every life, and the machine gives the same result.
 *
 * The second half is the user's part: a machine whose results differ is not deterministic.
 */
import type { AppliedCommand, MemberView, Observer } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import type { Invariant } from "./invariant.ts";

/** See the top of this file. */
export const stateMachineSafety: Invariant = {
  name: "state-machine-safety",
  text: "All members apply the same command at the same index, with the same result.",
  watch: () => new StateMachineSafety(),
};

class StateMachineSafety implements Observer {
  /** By index: the command that was applied there first, and by whom. */
  readonly #commands: AppliedCommand[] = [];
  readonly #members: MemberView[] = [];

  applied(member: MemberView, command: AppliedCommand): void {
    const { index } = command;
    const first = this.#commands[index];
    if (first === undefined) {
      this.#commands[index] = { ...command };
      this.#members[index] = member;
      return;
    }
    if (first.term !== command.term) {
      this.#violated(member, index, `term ${command.term}, not ${first.term}`);
    }
    if (first.operation !== command.operation || first.commandHash !== command.commandHash) {
      const other = `operation ${command.operation}, not operation ${first.operation}`;
      this.#violated(member, index, other);
    }
    if (first.timeMs !== command.timeMs) {
      this.#violated(member, index, `cluster time ${command.timeMs}, not ${first.timeMs}`);
    }
    if (first.resultHash !== command.resultHash) {
      const operation = `operation ${command.operation} with another result`;
      this.#violated(member, index, `${operation}: is the machine deterministic?`);
    }
  }

  #violated(member: MemberView, index: number, what: string): never {
    throw new SimViolation(
      stateMachineSafety.name,
      `${member.id} (life ${member.life}) applies at index ${index} ${what}; ` +
        `${this.#members[index]!.id} was the first to apply that index`,
    );
  }
}
