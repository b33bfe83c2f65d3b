/**
 * Entries that have to be durable on a majority of voters from some moment on, for ever.
 *
 * That is looked at when the entry is guarded, and again whenever a member comes back with what its
 * disk held. In between nothing has to be asked: what was reported durable changes only by an
 * overwriting, and that is the concern of `committed-never-truncated`.
 *
 * A member that is down counts with what it had reported as durable, and so does one that is lost:
 * it will never vote without it.
 */
import type { RecoveredGroup } from "../../core/contract.ts";
import type { MemberView } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import type { InvariantContext } from "./invariant.ts";
import { TermLog } from "./term-log.ts";

/** Guarded entries, and the check. */
export class DurableQuorum {
  readonly #context: InvariantContext;
  readonly #name: string;
  readonly #what: string;
  /** By index; undefined and 0 are not guarded. */
  readonly #terms: number[] = [];

  /** `what` says in a message what these entries are: "committed". */
  constructor(context: InvariantContext, name: string, what: string) {
    this.#context = context;
    this.#name = name;
    this.#what = what;
  }

  /** From now on a majority has to have it; `by` is who relies on that. */
  guard(index: number, term: number, by: MemberView): void {
    this.#terms[index] = term;
    if (this.#isHeld(index, term, undefined)) return;
    this.#violated(index, term, `${by.id} was the first to show it`, undefined);
  }

  /** A member came back with this: whatever it lacks, enough others have to have. */
  recheck(member: MemberView, recovered: RecoveredGroup): void {
    const log = TermLog.of(recovered);
    const { durable } = member;
    for (let index = log.startIndex + 1; index < this.#terms.length; index++) {
      const term = this.#terms[index] ?? 0;
      if (term === 0 || log.holds(index, term) || this.#isHeld(index, term, member)) continue;
      const before = durable.log.termAt(index);
      const by = `${member.id} came back without it (it had ${before ?? "none"} durable there)`;
      this.#violated(index, term, by, member);
    }
  }

  #isHeld(index: number, term: number, without: MemberView | undefined): boolean {
    if (this.#context.isQuorum !== undefined) {
      // That both halves have a joint entry is asked when it is committed, not for ever.
      const asked = without === undefined ? index : undefined;
      return this.#context.isQuorum((one) => one !== without && holds(one, index, term), asked);
    }
    let held = 0;
    for (const member of this.#context.members) {
      if (member !== without && holds(member, index, term)) held++;
    }
    return held >= this.#context.majority;
  }

  #violated(index: number, term: number, by: string, without: MemberView | undefined): never {
    const { members, majority } = this.#context;
    const holders = members.filter((m) => m !== without && holds(m, index, term));
    const names = holders.map((m) => (m.state === "lost" ? `${m.id} (lost)` : m.id));
    throw new SimViolation(
      this.#name,
      `entry ${index} of term ${term} is ${this.#what}, but durable only on ` +
        `${names.join(", ") || "nobody"}; ${majority} of ${members.length} members have to have ` +
        `it; ${by}`,
    );
  }
}

function holds(member: MemberView, index: number, term: number): boolean {
  const { log } = member.durable;
  return index <= log.startIndex || log.termAt(index) === term;
}
