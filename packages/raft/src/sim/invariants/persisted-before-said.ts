/**
 * Nothing is said before it is durable.
 *
 * When a message leaves that others rely on, the member's disk has what it says:
 *  - asking for votes: the term, and the vote for itself in it
 *  - a granted vote: the term, and that vote
 *  - a leader's appends and heartbeats: the leader's own term, and its vote for itself
 *  - an acknowledgement of entries: the term, and the log up to the acknowledged index, entry for
 *    entry what the leader has
 *
 * Where a later term is durable already, what the message says of the earlier one binds nobody any
 * more: no vote can be given in it again, and the leader of the later one was elected without this
 * acknowledgement or with it. So only the term is looked at then.
 *
 * The runtime lets messages go in the moment in which it learns that they may, and tells the core
 * within the same moment. So what is not covered yet is *owed*, and has to be paid by the next
 * report of durability of this member, before time passes or anything else of it is seen.
 */
import type { MemberId } from "../../core/configuration.ts";
import type { AppendEntriesResponse } from "../../core/message.ts";
import type { PeerMessage } from "../../transport/peer-message.ts";
import type { MemberView, Observer } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import type { Invariant, InvariantContext } from "./invariant.ts";
import { isPromise } from "./promise.ts";
import type { PromiseMessage } from "./promise.ts";

/** See the top of this file. */
export const persistedBeforeSaid: Invariant = {
  name: "persisted-before-said",
  text: "No vote, acknowledgement or claim of leadership leaves a member before its disk has it.",
  watch: (context) => new PersistedBeforeSaid(context),
};

/** What a member has said without having it durable, and what it had durable then. */
interface Debt {
  readonly atUs: number;
  readonly to: MemberId;
  readonly message: PromiseMessage;
  readonly term: number;
  readonly vote: MemberId;
  readonly lastIndex: number;
  /** The durable term at the acknowledged index. */
  readonly held: number | undefined;
}

class PersistedBeforeSaid implements Observer {
  readonly #context: InvariantContext;
  /** Per member. */
  readonly #debts: Debt[][];
  readonly #byId: Map<MemberId, MemberView> = new Map();

  constructor(context: InvariantContext) {
    this.#context = context;
    this.#debts = context.members.map(() => []);
  }

  sent(member: MemberView, to: MemberId, message: PeerMessage): void {
    if (!isPromise(message) || this.#isCovered(member, to, message)) return;
    const debts = this.#debts[member.number]!;
    const { term, vote, log } = member.durable;
    const atUs = this.#context.nowUs();
    if (debts.length > 0 && debts[0]!.atUs !== atUs) violated(member, debts[0]!);
    const { lastIndex } = log;
    const held = "index" in message ? log.termAt(message.index) : undefined;
    debts.push({ atUs, to, message, term, vote: vote?.id ?? "nobody", lastIndex, held });
  }

  persisted(member: MemberView): void {
    const debts = this.#debts[member.number]!;
    if (debts.length === 0) return;
    const nowUs = this.#context.nowUs();
    for (const debt of debts) {
      const { atUs, to, message } = debt;
      if (atUs !== nowUs || !this.#isCovered(member, to, message)) violated(member, debt);
    }
    debts.length = 0;
  }

  output(member: MemberView): void {
    this.#mustBePaid(member);
  }

  died(member: MemberView): void {
    this.#mustBePaid(member);
  }

  ended(): void {
    for (const member of this.#context.members) this.#mustBePaid(member);
  }

  #mustBePaid(member: MemberView): void {
    const debt = this.#debts[member.number]![0];
    if (debt !== undefined) violated(member, debt);
  }

  #isCovered(member: MemberView, to: MemberId, message: PromiseMessage): boolean {
    const { durable } = member;
    if (durable.term !== message.term) return durable.term > message.term;
    if (message.type === "append-entries-response") {
      return this.#isLogCovered(member, to, message);
    }
    // Who asks for votes or speaks as a leader has voted for itself.
    const candidate = message.type === "request-vote-response" ? to : member.id;
    return durable.vote?.id === candidate;
  }

  #isLogCovered(member: MemberView, to: MemberId, message: AppendEntriesResponse): boolean {
    const { index, term } = message;
    const { log } = member.durable;
    if (index <= log.startIndex) return true;
    const held = log.termAt(index);
    if (held === undefined) return false;
    const { core } = member;
    // In this term the log was found equal to the leader's up to there: it cannot have changed,
    // but a snapshot may have taken the place of all of it meanwhile.
    const isKept = core?.term === term && index > core.log.startIndex;
    if (isKept && core.log.termAt(index) !== held) return false;
    const leader = this.#member(to)?.core;
    if (leader === undefined || leader.role !== "leader" || leader.term !== term) return true;
    return index <= leader.log.startIndex || leader.log.termAt(index) === held;
  }

  #member(id: MemberId): MemberView | undefined {
    const known = this.#byId.get(id);
    // A directory that is gone may have a successor of its id.
    if (known !== undefined && known.id === id && known.core !== undefined) return known;
    for (const member of this.#context.members) this.#byId.set(member.id, member);
    return this.#context.members.findLast(
      (member) => member.id === id && member.core !== undefined,
    );
  }
}

function violated(member: MemberView, debt: Debt): never {
  const { to, message, term, vote, lastIndex, held } = debt;
  const isAck = message.type === "append-entries-response";
  const what = isAck
    ? `acknowledged entry ${message.index} in term ${message.term}`
    : `sent ${message.type} of term ${message.term}`;
  const needs = isAck
    ? `that term and the leader's log up to ${message.index}`
    : "that term and the vote in it";
  const log = isAck ? `, a log up to ${lastIndex}, term ${held ?? "none"} at ${message.index}` : "";
  throw new SimViolation(
    persistedBeforeSaid.name,
    `${member.id} (life ${member.life}) ${what} to ${to} at ${debt.atUs} µs; durable had to be ` +
      `${needs}, and was: term ${term}, vote for ${vote}${log}`,
  );
}
