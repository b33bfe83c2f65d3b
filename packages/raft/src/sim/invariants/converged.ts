/**
 * Once all is healed and quiet, members that run hold the same log, have committed and applied all
 * of it, and have it durable.
 */
import type { MemberView, Observer } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import type { ShadowLog } from "../shadow-log.ts";
import type { Invariant, InvariantContext } from "./invariant.ts";

/** See the top of this file. */
export const converged: Invariant = {
  name: "converged",
  text: "After all faults have ended all members have the same log, and have applied all of it.",
  watch: (context) => new Converged(context),
};

class Converged implements Observer {
  readonly #context: InvariantContext;

  constructor(context: InvariantContext) {
    this.#context = context;
  }

  ended(): void {
    const { members, majority } = this.#context;
    const up = members.filter(
      (member) =>
        member.state === "up" &&
        member.core !== undefined &&
        this.#context.isPart?.(member) !== false,
    );
    const first = up[0];
    if (first === undefined || up.length < majority) return;
    for (const member of up) {
      const core = member.core!;
      const { lastIndex } = core.log;
      if (core.commit !== lastIndex) violated(member, `committed up to ${core.commit}`);
      if (core.appliedIndex !== lastIndex) violated(member, `applied up to ${core.appliedIndex}`);
      if (!isSame(core.log, member.durable.log))
        violated(member, `durable up to ${member.durable.log.lastIndex}`);
      if (!isSame(core.log, first.core!.log)) {
        const { log } = first.core!;
        const other = `${first.id} has a log up to ${log.lastIndex} of term ${log.lastTerm}`;
        violated(member, other);
      }
    }
  }
}

/** Whether two logs are the same, entry by entry; a content that is not known counts as equal. */
function isSame(log: ShadowLog, mirror: ShadowLog): boolean {
  if (log.lastIndex !== mirror.lastIndex) return false;
  const from = Math.max(log.startIndex, mirror.startIndex) + 1;
  for (let index = from; index <= log.lastIndex; index++) {
    if (log.termAt(index) !== mirror.termAt(index)) return false;
    const hash = log.hashAt(index);
    const known = mirror.hashAt(index);
    if (hash !== 0 && known !== 0 && hash !== known) return false;
  }
  return true;
}

function violated(member: MemberView, what: string): never {
  const { log, term } = member.core!;
  throw new SimViolation(
    converged.name,
    `at the end ${member.id} in term ${term} has a log up to ${log.lastIndex} of term ` +
      `${log.lastTerm}, but ${what}; all members have to hold, keep and have applied the same log`,
  );
}
