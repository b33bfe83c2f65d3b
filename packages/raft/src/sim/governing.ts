/**
 * Who decides in a simulated cluster: the newest configuration that is known to be committed.
 *
 * It is gathered from what cores hand out, without asking any of them again: each configuration is
 * noted where it is appended, by index and term, and counts once some core shows that index as
 * committed, with that term. Directories are told apart by their incarnation, so a member that was
 * replaced is another one than its successor of the same id.
 *
 * Before any is known, and in a cluster without spare places, all members vote.
 */
import type { Configuration, MemberId } from "../core/configuration.ts";
import { memberOf } from "../core/configuration.ts";
import type { RecoveredGroup } from "../core/contract.ts";
import type { Output } from "../core/output.ts";
import type { MemberView, Observer } from "./observer.ts";

/** The newest committed configuration; an observer that comes before all others. */
export class Governing implements Observer {
  readonly #members: readonly MemberView[];
  /** Seen in logs, and not known to be committed: by index and term. */
  readonly #seen = new Map<string, Configuration>();
  #index = 0;
  #configuration: Configuration | undefined;

  constructor(members: readonly MemberView[]) {
    this.#members = members;
  }

  get configuration(): Configuration | undefined {
    return this.#configuration;
  }

  recovered(member: MemberView, recovered: RecoveredGroup): void {
    for (const { index, configuration } of recovered.configurations) {
      const run = recovered.termRuns.findLast((one) => one.index <= index);
      if (run !== undefined) this.#note(index, run.term, configuration);
    }
    const { index, configuration } = recovered.startConfiguration;
    if (index > this.#index) this.#take(index, configuration);
    this.#look(member, recovered.hardState.commit);
  }

  output(member: MemberView, output: Output): void {
    const appended = new Map<number, Configuration>();
    for (const event of output.events) {
      if (event.type === "configuration") appended.set(event.index, event.configuration);
      if (event.type !== "truncated") continue;
      // What was appended and removed within one output is in no log any more.
      for (const index of appended.keys()) if (index >= event.from) appended.delete(index);
    }
    for (const [index, configuration] of appended) {
      const term = member.core?.log.termAt(index);
      if (term !== undefined) this.#note(index, term, configuration);
    }
    this.#look(member, output.commit);
  }

  /** Whether a directory is named, in whatever role. */
  names(member: MemberView): boolean {
    const { id, incarnation } = member;
    // A place that nobody has taken, or whose member waits, has none yet.
    if (incarnation === undefined) return false;
    if (this.#configuration === undefined) return true;
    return memberOf(this.#configuration, id)?.incarnation === incarnation;
  }

  /**
   * Whether enough of those who decide are such that nobody can decide without one of them, by the
   * newest committed configuration.
   *
   * Of a joint one half is enough for that: every decision needs a majority of either half. And no
   * more can be asked for: what was committed before it is held by a majority of the old half, and
   * what a leader commits that has appended the final one already, by a majority of the new half.
   * The joint entry itself (`index`) was counted by both, and has to be held by both.
   */
  isQuorum(isSuch: (member: MemberView) => boolean, index?: number): boolean {
    const configuration = this.#configuration;
    if (configuration === undefined) {
      return this.#members.filter(isSuch).length > this.#members.length / 2;
    }
    const named = (member: MemberView): boolean =>
      member.incarnation !== undefined &&
      memberOf(configuration, member.id)?.incarnation === member.incarnation;
    const holds = (ids: readonly MemberId[]): boolean => {
      const count = ids.filter((id) =>
        this.#members.some((member) => member.id === id && named(member) && isSuch(member)),
      ).length;
      return count > ids.length / 2;
    };
    const { voters, outgoing } = configuration;
    if (outgoing.length === 0) return holds(voters);
    return index === this.#index
      ? holds(voters) && holds(outgoing)
      : holds(voters) || holds(outgoing);
  }

  #note(index: number, term: number, configuration: Configuration): void {
    if (index > this.#index) this.#seen.set(`${index}@${term}`, configuration);
  }

  #look(member: MemberView, commit: number): void {
    if (this.#seen.size === 0) return;
    for (const [key, configuration] of this.#seen) {
      const index = Number.parseInt(key, 10);
      if (index <= this.#index) this.#seen.delete(key);
      else if (index <= commit && key === `${index}@${member.core?.log.termAt(index)}`) {
        this.#take(index, configuration);
      }
    }
  }

  #take(index: number, configuration: Configuration): void {
    if (index <= this.#index) return;
    this.#index = index;
    this.#configuration = configuration;
  }
}
