/**
 * A machine is given every command once per life, in the order of the log, from the log's start on.
 *
 * Between two commands there may only be what no machine gets: entries that open a term, and
 * configurations. The first are known by their content, which is empty; the second are told by the
 * core and by recovery. That a replay in a later life gives the same is state-machine-safety's.
 */
import type { RecoveredGroup } from "../../core/contract.ts";
import { EntryKind } from "../../core/entry.ts";
import type { Output } from "../../core/output.ts";
import type { AppliedCommand, MemberView, Observer } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import type { Invariant } from "./invariant.ts";

/** See the top of this file. */
export const appliedMonotone: Invariant = {
  name: "applied-monotone",
  text: "Each life of a member applies every committed command once, in the order of the log.",
  watch: () => new AppliedMonotone(),
};

/** What a shadow log shows for an entry without content: the checksum of nothing is its seed. */
const NOOP_HASH: number = EntryKind.noop + 1;

class AppliedMonotone implements Observer {
  /** Per member: the last index that its machine got in this life. */
  readonly #applied: number[] = [];
  /** Indexes that hold, or once held, a configuration. */
  readonly #configurations: Set<number> = new Set();

  recovered(member: MemberView, recovered: RecoveredGroup): void {
    this.#applied[member.number] = recovered.startIndex;
    for (const { index } of recovered.configurations) this.#configurations.add(index);
  }

  output(_member: MemberView, output: Output): void {
    for (const event of output.events) {
      if (event.type === "configuration") this.#configurations.add(event.index);
    }
  }

  applied(member: MemberView, command: AppliedCommand): void {
    const before = this.#applied[member.number] ?? 0;
    const { index } = command;
    if (index <= before) this.#violated(member, command, `after ${before}`);
    for (let skipped = before + 1; skipped < index; skipped++) {
      if (!this.#isNoCommand(member, skipped)) {
        this.#violated(member, command, `after ${before}, skipping the command at ${skipped}`);
      }
    }
    this.#applied[member.number] = index;
  }

  #isNoCommand(member: MemberView, index: number): boolean {
    const hash = member.core?.log.hashAt(index) ?? 0;
    // Not known: it was recovered without having been reported durable before.
    return hash === NOOP_HASH || hash === 0 || this.#configurations.has(index);
  }

  #violated(member: MemberView, command: AppliedCommand, how: string): never {
    throw new SimViolation(
      appliedMonotone.name,
      `${member.id} (life ${member.life}) applies index ${command.index} of term ${command.term} ` +
        `${how}; a life applies every command once, in the order of the log`,
    );
  }
}
