/**
 * Only what is committed is applied, and what is applied is what the log holds there.
 */
import type { AppliedCommand, MemberView, Observer } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import type { Invariant } from "./invariant.ts";

/** See the top of this file. */
export const appliedWithinCommit: Invariant = {
  name: "applied-within-commit",
  text: "A member applies nothing that it does not know to be committed.",
  watch: () => new AppliedWithinCommit(),
};

class AppliedWithinCommit implements Observer {
  applied(member: MemberView, command: AppliedCommand): void {
    const { core } = member;
    const { index, term } = command;
    if (core === undefined) {
      this.#violated(member, command, "has no core");
    }
    if (index > core.commit) this.#violated(member, command, `shows commit index ${core.commit}`);
    const held = core.log.termAt(index);
    if (held !== term) this.#violated(member, command, `holds term ${held ?? "none"} there`);
  }

  #violated(member: MemberView, { index, term }: AppliedCommand, but: string): never {
    throw new SimViolation(
      appliedWithinCommit.name,
      `${member.id} (life ${member.life}) applies index ${index} of term ${term}, but ${but}; ` +
        `only committed entries of its log are applied`,
    );
  }
}
