/**
 * Terms only rise: in memory within a life; across lives never below what the member had made
 * durable, or had promised something in.
 */
import type { MemberId } from "../../core/configuration.ts";
import type { RecoveredGroup } from "../../core/contract.ts";
import type { Output } from "../../core/output.ts";
import type { PeerMessage } from "../../transport/peer-message.ts";
import type { MemberView, Observer } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import type { Invariant } from "./invariant.ts";
import { isPromise } from "./promise.ts";

/** See the top of this file. */
export const termMonotone: Invariant = {
  name: "term-monotone",
  text: "The term of a member never goes back, over restarts neither.",
  watch: () => new TermMonotone(),
};

class TermMonotone implements Observer {
  /** Per member: the term in memory; the highest one promised in; the highest durable one. */
  readonly #terms: number[] = [];
  readonly #promised: number[] = [];
  readonly #durable: number[] = [];

  recovered(member: MemberView, recovered: RecoveredGroup): void {
    const { number } = member;
    const { term } = recovered.hardState;
    const durable = this.#durable[number] ?? 0;
    const promised = this.#promised[number] ?? 0;
    if (term < durable) this.#violated(member, term, `term ${durable} was durable`);
    if (term < promised) this.#violated(member, term, `it had promised something in ${promised}`);
    this.#terms[number] = term;
    this.#durable[number] = term;
  }

  output(member: MemberView, output: Output): void {
    const term = output.hardState?.term;
    if (term === undefined) return;
    const before = this.#terms[member.number] ?? 0;
    if (term < before) this.#violated(member, term, `it was in term ${before}`);
    this.#terms[member.number] = term;
  }

  persisted(member: MemberView): void {
    const { term } = member.durable;
    const before = this.#durable[member.number] ?? 0;
    if (term < before) this.#violated(member, term, `term ${before} was durable`);
    this.#durable[member.number] = term;
  }

  sent(member: MemberView, _to: MemberId, message: PeerMessage): void {
    if (!isPromise(message)) return;
    if (message.term > (this.#promised[member.number] ?? 0)) {
      this.#promised[member.number] = message.term;
    }
  }

  #violated(member: MemberView, term: number, before: string): never {
    throw new SimViolation(
      termMonotone.name,
      `${member.id} (life ${member.life}) is in term ${term}, but ${before}; terms only rise`,
    );
  }
}
