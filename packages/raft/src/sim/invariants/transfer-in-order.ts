/**
 * Leadership is handed over as the thesis says (3.10).
 *
 *  - Timeout-now leaves a leader only for a member that has the leader's whole log on its disk,
 *    unless that member is in a later term already.
 *  - From the beginning of a transfer to its end the leader appends nothing.
 *  - Nobody asks for votes in the name of the leader before unless that leader, of the very term
 *    before, told it to: such a request is heard in spite of a leader that is well.
 */
import type { MemberId } from "../../core/configuration.ts";
import type { TimeoutNow } from "../../core/message.ts";
import type { Output } from "../../core/output.ts";
import type { PeerMessage } from "../../transport/peer-message.ts";
import type { MemberView, Observer } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import type { Invariant, InvariantContext } from "./invariant.ts";

/** See the top of this file. */
export const transferInOrder: Invariant = {
  name: "transfer-in-order",
  text: "Leadership goes only to a member that has the whole log, and only where it was handed over.",
  watch: (context) => new TransferInOrder(context),
};

class TransferInOrder implements Observer {
  readonly #context: InvariantContext;
  /** Who was told to campaign by the leader of which term. */
  readonly #told: Set<string> = new Set();
  /** Members that are handing over. */
  readonly #handing: Set<MemberView> = new Set();

  constructor(context: InvariantContext) {
    this.#context = context;
  }

  died(member: MemberView): void {
    this.#handing.delete(member);
  }

  output(member: MemberView, output: Output): void {
    const wasHanding = this.#handing.has(member);
    let hasEnded = false;
    for (const event of output.events) {
      if (event.type !== "transfer") continue;
      if (event.phase === "started") this.#handing.add(member);
      if (event.phase !== "ended") continue;
      this.#handing.delete(member);
      hasEnded = true;
    }
    const [first] = output.entries;
    if (!wasHanding || hasEnded || first === undefined) return;
    throw broken(`${member.id} appends entry ${first.firstIndex} while it hands leadership over`);
  }

  sent(member: MemberView, to: MemberId, message: PeerMessage): void {
    if (message.type === "timeout-now") this.#tells(member, to, message);
    if (message.type !== "request-vote" || !message.transfer) return;
    if (this.#told.has(`${member.id} ${message.term - 1}`)) return;
    throw broken(
      `${member.id} asks for votes in term ${message.term} as the leader of term ` +
        `${message.term - 1} wished; that leader never told it to`,
    );
  }

  #tells(member: MemberView, to: MemberId, message: TimeoutNow): void {
    const { term, lastIndex, lastTerm } = message;
    this.#told.add(`${to} ${term}`);
    // A directory that is gone may have a successor of its id.
    const target = this.#context.members.findLast(({ id }) => id === to);
    if (target === undefined || target.durable.term > term) return;
    const { log } = target.durable;
    // A log that has let go of all it held still knows the term at its start.
    const own = log.lastIndex === lastIndex ? log.lastTerm : log.termAt(lastIndex);
    if (own === lastTerm) return;
    throw broken(
      `${member.id} hands leadership of term ${term} to ${to}, whose durable log ends at ` +
        `${log.lastIndex} and not at ${lastIndex}@${lastTerm}`,
    );
  }
}

function broken(what: string): SimViolation {
  return new SimViolation(transferInOrder.name, what);
}
