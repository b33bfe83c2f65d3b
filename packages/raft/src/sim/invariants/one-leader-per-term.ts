/**
 * Election safety (paper, figure 3): a term has at most one leader.
 *
 * Who leads is taken from two sides that do not depend on each other: what the core says of its
 * role, and who speaks as a leader. A member that leads a term in two of its lives counts as two:
 * it would be two leaders to everybody else.
 */
import type { MemberId } from "../../core/configuration.ts";
import { isLeading } from "../../core/message.ts";
import type { Output } from "../../core/output.ts";
import type { PeerMessage } from "../../transport/peer-message.ts";
import type { MemberView, Observer } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import type { Invariant } from "./invariant.ts";

/** See the top of this file. */
export const oneLeaderPerTerm: Invariant = {
  name: "one-leader-per-term",
  text: "A term never has two leaders.",
  watch: () => new OneLeaderPerTerm(),
};

interface Leader {
  readonly member: MemberView;
  readonly life: number;
}

class OneLeaderPerTerm implements Observer {
  readonly #leaders: Map<number, Leader> = new Map();
  /** The last term in which each member was seen to lead in its present life. */
  readonly #seen: number[] = [];

  started(member: MemberView): void {
    this.#seen[member.number] = 0;
  }

  output(member: MemberView, output: Output): void {
    for (const event of output.events) {
      if (event.type === "role" && event.role === "leader") this.#leads(member, event.term);
    }
  }

  sent(member: MemberView, _to: MemberId, message: PeerMessage): void {
    if (isLeading(message)) this.#leads(member, message.term);
  }

  #leads(member: MemberView, term: number): void {
    if (this.#seen[member.number] === term) return;
    this.#seen[member.number] = term;
    const known = this.#leaders.get(term);
    if (known === undefined) {
      this.#leaders.set(term, { member, life: member.life });
      return;
    }
    if (known.member === member && known.life === member.life) return;
    throw new SimViolation(
      oneLeaderPerTerm.name,
      `${known.member.id} (life ${known.life}) and ${member.id} (life ${member.life}) both lead ` +
        `term ${term}; a term has one leader`,
    );
  }
}
