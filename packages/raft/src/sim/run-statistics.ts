/**
 * What was done in a run, in numbers: so that a run without trouble, or a client that never got
 * anything done, is seen as such.
 */
import type { PeerMessage } from "../transport/peer-message.ts";
import type { ReplicaEvent } from "../runtime/replica.ts";
import type { DeathKind, MemberView, Observer, SimOperation } from "./observer.ts";
import type { NemesisOptions } from "./options.ts";
import type { MemberId } from "../core/configuration.ts";

/** Counts. */
export class RunStatistics implements Observer {
  readonly #numbers: Map<string, number> = new Map();
  #sent = 0;
  #delivered = 0;
  #applied = 0;
  #termMax = 0;
  #lastIndex = 0;

  /** `nemeses`: who is there to do harm. One that does none is shown with a zero. */
  constructor(nemeses: readonly NemesisOptions[]) {
    for (const { kind } of nemeses) this.#numbers.set(`nemesis ${kind}`, 0);
  }

  started(): void {
    this.#add("starts");
  }

  died(_member: MemberView, how: DeathKind): void {
    this.#add(`ended by ${how}`);
  }

  sent(_member: MemberView, _to: MemberId, _message: PeerMessage): void {
    this.#sent++;
  }

  delivered(): void {
    this.#delivered++;
  }

  applied(): void {
    this.#applied++;
  }

  event(member: MemberView, event: ReplicaEvent): void {
    if (event.type === "role" && event.role === "leader") this.#add("elections");
    if (event.type === "truncated") this.#add("truncations");
    if (event.type === "term") this.#termMax = Math.max(this.#termMax, event.term);
    if (event.type === "commit") this.#lastIndex = Math.max(this.#lastIndex, event.index);
    if (event.type === "formed") this.#add("formed");
    if (event.type === "peer-connected") this.#add("connections");
    if (event.type === "late-turn") this.#add("late turns");
    if (event.type === "failed") this.#add(`${event.error.code} of ${member.id}`);
  }

  settled(operation: SimOperation): void {
    const kind = operation.kind === "write" ? "writes" : "reads";
    this.#add(`${kind} ${operation.outcome}`);
    this.#add("operations");
  }

  fault(kind: string, _text: string, by: string | undefined): void {
    this.#add(`fault ${kind}`);
    // What follows from harm, or belongs to every run, was not asked for.
    if (by === undefined) return;
    this.#add("faults");
    this.#add(`nemesis ${by}`);
  }

  /** All of them by name. */
  numbers(): Record<string, number> {
    const numbers = Object.fromEntries([...this.#numbers].sort(([a], [b]) => (a < b ? -1 : 1)));
    return {
      ...numbers,
      "messages sent": this.#sent,
      "messages delivered": this.#delivered,
      "commands applied": this.#applied,
      "highest term": this.#termMax,
      "highest commit": this.#lastIndex,
    };
  }

  #add(name: string): void {
    this.#numbers.set(name, (this.#numbers.get(name) ?? 0) + 1);
  }
}
