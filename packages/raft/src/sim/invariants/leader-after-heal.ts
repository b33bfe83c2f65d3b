/**
 * Once all is healed and quiet there is one leader that can serve, and every member that runs knows
 * it, in one term. Where so many members are lost that no majority is left, nothing is owed.
 */
import type { MemberView, Observer } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import type { Invariant, InvariantContext } from "./invariant.ts";

/** See the top of this file. */
export const leaderAfterHeal: Invariant = {
  name: "leader-after-heal",
  text: "After all faults have ended there is one leader, and everybody knows it.",
  watch: (context) => new LeaderAfterHeal(context),
};

class LeaderAfterHeal implements Observer {
  readonly #context: InvariantContext;

  constructor(context: InvariantContext) {
    this.#context = context;
  }

  ended(): void {
    const { members, majority } = this.#context;
    const kept = members.filter(
      (member) => member.state !== "lost" && this.#context.isPart?.(member) !== false,
    );
    if (kept.length < majority) return;
    const down = kept.filter((member) => member.state !== "up" || member.core === undefined);
    if (down.length > 0) violated(kept, `${namesOf(down)} not up`);
    const leaders = kept.filter((m) => m.core!.role === "leader" && m.core!.isReady);
    if (leaders.length !== 1) violated(kept, `${leaders.length} leaders that can serve`);
    const leader = leaders[0]!;
    const strangers = kept.filter(
      ({ core }) => core!.leader !== leader.id || core!.term !== leader.core!.term,
    );
    if (strangers.length > 0) violated(kept, `${namesOf(strangers)} not following ${leader.id}`);
  }
}

function namesOf(members: readonly MemberView[]): string {
  return members.map((member) => member.id).join(", ");
}

function violated(members: readonly MemberView[], what: string): never {
  const states = members.map(({ id, state, core }) =>
    core === undefined
      ? `${id} ${state}`
      : `${id} ${state}, ${core.role}${core.isReady ? " (ready)" : ""} in term ${core.term}, ` +
        `follows ${core.leader ?? "nobody"}`,
  );
  throw new SimViolation(
    leaderAfterHeal.name,
    `at the end: ${what}; expected one leader, known to all: ${states.join("; ")}`,
  );
}
