/**
 * A machine is given every command that has to have an effect, once per life, in the order of the
 * log, from the log's start on; and nothing else.
 *
 * Between two commands there may only be what no machine gets: entries that are no commands, and
 * commands that are repetitions, came too late, or belong to a session that is gone. Which these
 * are is worked out from the entries themselves (session-model.ts). That a replay in a later life
 * gives the same is state-machine-safety's.
 */
import type { RecoveredGroup } from "../../core/contract.ts";
import type { Output } from "../../core/output.ts";
import type { AppliedCommand, MemberView, Observer } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import type { Invariant } from "./invariant.ts";
import { SessionModel } from "./session-model.ts";

/** See the top of this file. */
export const appliedMonotone: Invariant = {
  name: "applied-monotone",
  text: "Each life of a member applies every command that has an effect once, in order, no other.",
  watch: () => new AppliedMonotone(),
};

class AppliedMonotone implements Observer {
  /** Per member: the last index that its machine got in this life. */
  readonly #applied: number[] = [];
  readonly #model = new SessionModel();

  recovered(member: MemberView, recovered: RecoveredGroup): void {
    this.#applied[member.number] = recovered.startIndex;
  }

  output(_member: MemberView, output: Output): void {
    for (const batch of output.entries) this.#model.learn(batch);
  }

  applied(member: MemberView, command: AppliedCommand): void {
    // A life that begins with a snapshot, or gets one, goes on behind it; the core was told so.
    const restored = member.core?.appliedIndex ?? 0;
    const before = Math.max(this.#applied[member.number] ?? 0, restored);
    const { index } = command;
    if (index <= before) this.#violated(member, command, `after ${before}`);
    this.#model.advance(index, (at) => member.core?.log.termAt(at));
    if (this.#model.hasEffect(index) === false) {
      this.#violated(member, command, "which must have no effect: its session says so");
    }
    for (let skipped = before + 1; skipped < index; skipped++) {
      if (this.#model.hasEffect(skipped) === true) {
        this.#violated(member, command, `after ${before}, skipping the command at ${skipped}`);
      }
    }
    this.#applied[member.number] = index;
  }

  #violated(member: MemberView, command: AppliedCommand, how: string): never {
    throw new SimViolation(
      appliedMonotone.name,
      `${member.id} (life ${member.life}) applies index ${command.index} of term ${command.term} ` +
        `${how}; a life applies every command that has an effect once, in the order of the log`,
    );
  }
}
