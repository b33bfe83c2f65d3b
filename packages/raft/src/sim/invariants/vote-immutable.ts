/**
 * A vote stands (paper, section 5.2): one candidate per term and member.
 *
 * Within a life that holds for what the core has in memory. Across lives it holds for what a member
 * is bound to: what it *said* (a granted vote, or asking for votes, which is a vote for itself) and
 * what was reported durable. A vote that was neither may be forgotten by a crash and given anew.
 */
import type { MemberId } from "../../core/configuration.ts";
import type { RecoveredGroup } from "../../core/contract.ts";
import type { HardState, Output, Vote } from "../../core/output.ts";
import type { PeerMessage } from "../../transport/peer-message.ts";
import type { MemberView, Observer } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import type { Invariant } from "./invariant.ts";

/** See the top of this file. */
export const voteImmutable: Invariant = {
  name: "vote-immutable",
  text: "A member never votes for two candidates in one term, whatever crashes lie between.",
  watch: () => new VoteImmutable(),
};

const NOTHING: HardState = { term: 0, vote: undefined, commit: 0 };

class VoteImmutable implements Observer {
  /** Per member: whom it is bound to, by term. */
  readonly #bound: Map<number, MemberId>[] = [];
  /** Per member: term and vote in memory. */
  readonly #memory: HardState[] = [];
  /** Per member: the vote that was durable when it was last looked at. */
  readonly #durable: (Vote | undefined)[] = [];

  recovered(member: MemberView, recovered: RecoveredGroup): void {
    const { term, vote } = recovered.hardState;
    const bound = this.#boundOf(member).get(term);
    if (bound !== undefined && bound !== vote?.id) {
      this.#violated(member, term, bound, `recovered a vote for ${vote?.id ?? "nobody"}`);
    }
    this.#memory[member.number] = recovered.hardState;
  }

  output(member: MemberView, output: Output): void {
    const state = output.hardState;
    if (state === undefined) return;
    const before = this.#memory[member.number] ?? NOTHING;
    this.#memory[member.number] = state;
    const { term, vote } = state;
    if (term === before.term && before.vote !== undefined && !isSame(before.vote, vote)) {
      this.#violated(member, term, before.vote.id, `now has a vote for ${vote?.id ?? "nobody"}`);
    }
    const bound = this.#boundOf(member).get(term);
    if (bound !== undefined && bound !== vote?.id) {
      this.#violated(member, term, bound, `now has a vote for ${vote?.id ?? "nobody"}`);
    }
  }

  persisted(member: MemberView): void {
    const { vote, term } = member.durable;
    if (vote === undefined || vote === this.#durable[member.number]) return;
    this.#durable[member.number] = vote;
    this.#bind(member, term, vote.id, "made durable");
  }

  sent(member: MemberView, to: MemberId, message: PeerMessage): void {
    if (message.type === "request-vote") {
      this.#bind(member, message.term, member.id, "asks for votes on the strength of");
    } else if (message.type === "request-vote-response" && message.granted) {
      this.#bind(member, message.term, to, "grants");
    }
  }

  #bind(member: MemberView, term: number, candidate: MemberId, how: string): void {
    const bound = this.#boundOf(member);
    const known = bound.get(term);
    if (known === undefined) bound.set(term, candidate);
    else if (known !== candidate) {
      this.#violated(member, term, known, `now ${how} a vote for ${candidate}`);
    }
  }

  #boundOf(member: MemberView): Map<number, MemberId> {
    return (this.#bound[member.number] ??= new Map());
  }

  #violated(member: MemberView, term: number, known: MemberId, now: string): never {
    throw new SimViolation(
      voteImmutable.name,
      `${member.id} (life ${member.life}) voted for ${known} in term ${term} and ${now}; ` +
        `a vote stands for its term`,
    );
  }
}

function isSame(a: Vote, b: Vote | undefined): boolean {
  return b !== undefined && a.id === b.id && a.incarnation === b.incarnation;
}
