/**
 * Whom this member knows beside those that its configuration names, and where everybody is.
 *
 * A *visitor* is somebody who said hello, is no member as far as we know, and may talk to us all
 * the same: one that wants to join, or one whose configuration is newer than ours (we were away,
 * or have just joined and hold nothing yet). It is dialed back, for answers go over the connection
 * that we dial. Their number is bounded, and one that cannot be reached is forgotten after a while.
 *
 * Where a member is: first where the operator says (the addresses of the options that answered as
 * this member), then where it said itself that it is, then what the configuration says. They are
 * tried in turn, so a wrong one costs a dial.
 */
import type { Configuration, Incarnation, MemberId } from "../core/configuration.ts";
import { memberOf } from "../core/configuration.ts";
import type { Hello, PeerAddress } from "../transport/transport.ts";
import { LIMITS } from "./limits.ts";

/** Somebody who is no member as far as we know. */
interface Visitor {
  readonly hello: Hello;
  /** Forgotten then, unless there is a connection. */
  untilMs: number;
}

/** Visitors, and addresses that were learned. */
export class Acquaintances {
  readonly #self: MemberId;
  readonly #visitors = new Map<MemberId, Visitor>();
  /** What members said of their own addresses. */
  readonly #said = new Map<MemberId, { readonly incarnation: Incarnation; address: string }>();
  /** Addresses of the options, by the member that was found there. */
  readonly #hints = new Map<MemberId, string>();

  constructor(self: MemberId) {
    this.#self = self;
  }

  get visitors(): readonly Hello[] {
    return [...this.#visitors.values()].map(({ hello }) => hello);
  }

  isVisitor(id: MemberId, incarnation: Incarnation): boolean {
    return this.#visitors.get(id)?.hello.incarnation === incarnation;
  }

  /** Whether one more may come. */
  hasRoomFor(id: MemberId): boolean {
    return this.#visitors.has(id) || this.#visitors.size < LIMITS.visitorsMax;
  }

  /** Somebody came who is no member; true where it was not known yet under this address. */
  welcome(nowMs: number, hello: Hello): boolean {
    const known = this.#visitors.get(hello.id)?.hello;
    this.#visitors.set(hello.id, { hello, untilMs: nowMs + LIMITS.visitorMs });
    return known?.address !== hello.address || known.incarnation !== hello.incarnation;
  }

  forget(id: MemberId): void {
    this.#visitors.delete(id);
  }

  /** A member said where it is; true where that is news. */
  said(hello: Hello): boolean {
    const { id, incarnation, address } = hello;
    const known = this.#said.get(id);
    if (known?.address === address && known.incarnation === incarnation) return false;
    this.#said.set(id, { incarnation, address });
    return true;
  }

  /** An address of the options leads to this member; true where that is news. */
  found(id: MemberId, address: string): boolean {
    if (this.#hints.get(id) === address) return false;
    this.#hints.set(id, address);
    return true;
  }

  /**
   * Forgets visitors that are members now, that `isWelcome` does not name any more, and those that
   * could not be reached for long.
   */
  prune(nowMs: number, which: (hello: Hello) => "member" | "gone" | "connected" | "away"): void {
    for (const [id, visitor] of this.#visitors) {
      const kind = which(visitor.hello);
      if (kind === "connected") visitor.untilMs = nowMs + LIMITS.visitorMs;
      if (kind === "member" || kind === "gone" || nowMs >= visitor.untilMs) {
        this.#visitors.delete(id);
      }
    }
  }

  /** Whom to dial, and where: the members and the visitors. */
  peers(members: readonly PeerAddress[], configuration: Configuration | undefined): PeerAddress[] {
    const out: PeerAddress[] = [];
    const seen = new Set<MemberId>([this.#self]);
    for (const { id, address, others = [] } of members) {
      if (seen.has(id)) continue;
      seen.add(id);
      const incarnation = configuration && memberOf(configuration, id)?.incarnation;
      out.push(this.#peer(id, incarnation, [...others, address]));
    }
    for (const { hello } of this.#visitors.values()) {
      if (seen.has(hello.id)) continue;
      seen.add(hello.id);
      out.push(this.#peer(hello.id, undefined, [hello.address]));
    }
    return out;
  }

  #peer(id: MemberId, incarnation: Incarnation | undefined, recorded: string[]): PeerAddress {
    const said = this.#said.get(id);
    const isOfIt = said !== undefined && (incarnation ?? said.incarnation) === said.incarnation;
    const hint = this.#hints.get(id);
    const all = [...(hint === undefined ? [] : [hint]), ...(isOfIt ? [said.address] : [])];
    const [address = "", ...others] = new Set([...all, ...recorded]);
    return others.length === 0 ? { id, address } : { id, address, others };
  }
}
