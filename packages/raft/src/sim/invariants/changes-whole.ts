/**
 * The feed of changes shows what the machines were given: every command that reached one, once, in
 * the order of the log, and nothing else.
 *
 * Each member is followed over all its lives: a feed that ends with its process goes on, in the
 * next life, behind what was shown last. Only what has left the log may be missing, and the feed
 * has to say so ({@link Observer.changesCompacted}).
 */
import type { AppliedCommand, MemberView, Observer, ShownChange } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import type { Invariant } from "./invariant.ts";

/** See the top of this file. */
export const changesWhole: Invariant = {
  name: "changes-whole",
  text: "The feed of changes shows each command that had an effect once, in order, and no other.",
  watch: () => new ChangesWhole(),
};

class ChangesWhole implements Observer {
  /** By index: the operation that some machine was given, and when, by cluster time. */
  readonly #applied: (AppliedCommand | undefined)[] = [];
  /** Per member: the index that was shown last. */
  readonly #shown: number[] = [];

  applied(_member: MemberView, command: AppliedCommand): void {
    this.#applied[command.index] ??= command;
  }

  changesCompacted(member: MemberView, firstIndex: number): void {
    this.#shown[member.number] = Math.max(this.#shown[member.number] ?? 0, firstIndex - 1);
  }

  changed(member: MemberView, { index, timeMs, operation }: ShownChange): void {
    const before = this.#shown[member.number] ?? 0;
    if (index <= before) this.#violated(member, index, `after ${before}`);
    const known = this.#applied[index];
    if (known === undefined) this.#violated(member, index, "where no machine was given a command");
    if (known.operation !== operation || known.timeMs !== timeMs) {
      this.#violated(member, index, `as operation ${operation}, not ${known.operation}`);
    }
    for (let skipped = before + 1; skipped < index; skipped++) {
      if (this.#applied[skipped] === undefined) continue;
      this.#violated(member, index, `after ${before}, without the one at ${skipped}`);
    }
    this.#shown[member.number] = index;
  }

  #violated(member: MemberView, index: number, how: string): never {
    throw new SimViolation(
      changesWhole.name,
      `the feed of ${member.id} (life ${member.life}) shows a change at ${index} ${how}`,
    );
  }
}
