/**
 * A member that wants to become one, while it asks: `start: { join: […] }`.
 *
 *   contacts ──who are you?──▶ members of a cluster ──join-request──▶ answers ──▶ invitation
 *
 * The addresses lead to members, perhaps, and perhaps not yet. Each is asked who it is, again and
 * again. Who belongs to a cluster is asked to take us; who does not lead it names the leader, who
 * is asked then. Nothing is remembered of a request: it is repeated until the invitation comes
 * (invitation.ts), and who is a member already is invited again. The first cluster that answers is
 * the one that is meant: a contact of another one ends the joining, since one of the addresses is
 * wrong and only the operator knows which.
 *
 * At the deadline it fails with JOIN_FAILED, and with what each contact said last: that is what the
 * operator has to know. Nothing of it is durable, so the next start asks again.
 *
 * `start: { wait: true }` asks nobody: it has no contacts and no deadline, and the same invitation.
 */
import type { MemberId } from "../core/configuration.ts";
import type { JoinResponse } from "../transport/peer-message.ts";
import { NO_CLUSTER } from "../transport/transport.ts";
import type { ClusterId, Hello, PeerAddress, RefusalReport } from "../transport/transport.ts";
import type { Clock, Timer } from "../util/clock.ts";
import { QuorateError } from "../util/error.ts";
import type { JoinStart } from "./replica.ts";

/** A request that brought no invitation is repeated so often. */
const REPEAT_MS = 500;
/** How long a member asks to be taken where the options do not say. */
export const JOIN_TIMEOUT_MS = 60_000;

/** What joining needs of its member. */
export interface JoiningHooks {
  readonly id: MemberId;
  readonly clock: Clock;
  readonly start: JoinStart | undefined;
  /** Sends a request to a member; false where that was not possible. */
  ask(member: MemberId, request: number, role: "voter" | "learner"): boolean;
  /** There are other members to dial. */
  targetsChanged(): void;
  /** Somebody said something new. */
  progress(peer: string, reason: string): void;
  /** It will not come about. */
  failed(error: QuorateError): void;
}

/** The asking of one member. */
export class Joining {
  readonly #hooks: JoiningHooks;
  /** Members of the cluster that is asked, and where they are. */
  readonly #targets = new Map<MemberId, PeerAddress>();
  /** What each address, or member that was named by another, said last. */
  readonly #said = new Map<string, string>();
  #clusterId: ClusterId | undefined;
  #request = 0;
  #repeat: Timer | undefined;
  #deadline: Timer | undefined;
  #isOver = false;

  constructor(hooks: JoiningHooks) {
    this.#hooks = hooks;
    for (const address of this.contacts) this.#said.set(address, "has not answered yet");
  }

  /** The addresses to ask. */
  get contacts(): readonly string[] {
    return this.#hooks.start?.join ?? [];
  }

  /** The cluster that is asked; undefined while none has answered. */
  get clusterId(): ClusterId | undefined {
    return this.#clusterId;
  }

  /** Whom to dial. */
  get targets(): readonly PeerAddress[] {
    return [...this.#targets.values()];
  }

  begin(): void {
    const { start, clock } = this.#hooks;
    if (start === undefined) return;
    const timeoutMs = start.timeoutMs ?? JOIN_TIMEOUT_MS;
    this.#deadline = clock.setTimer(timeoutMs, () => {
      this.#fail(`no cluster has taken ${this.#hooks.id} within ${timeoutMs} ms`);
    });
    this.#repeat = clock.setTimer(REPEAT_MS, () => this.#askAgain());
  }

  /** It is invited, or closes. */
  end(): void {
    this.#isOver = true;
    this.#repeat?.cancel();
    this.#deadline?.cancel();
  }

  /** A contact has said who it is. */
  contacted(address: string, hello: Hello): void {
    if (this.#isOver) return;
    const { id, clusterId } = hello;
    if (id === this.#hooks.id) return this.#note(address, `is ${id} itself, or has its id`);
    if (clusterId === NO_CLUSTER) {
      return this.#note(address, `is ${id}, which is not part of a cluster yet`);
    }
    if (this.#clusterId !== undefined && this.#clusterId !== clusterId) {
      this.#note(address, `is ${id} of cluster ${clusterId}`);
      this.#fail("the contacts belong to different clusters");
      return;
    }
    this.#clusterId = clusterId;
    if (this.#targets.has(id)) return;
    this.#note(address, `is ${id} of cluster ${clusterId}`);
    this.#aim(id, [address, hello.address]);
  }

  contactFailed(address: string, reason: string): void {
    if (!this.#isOver && this.#said.has(address)) this.#note(address, `does not answer: ${reason}`);
  }

  /** There is a connection to a member. */
  connected(peer: MemberId): void {
    if (this.#targets.has(peer)) this.#ask(peer);
  }

  /** A member has answered. */
  answered(from: MemberId, message: JoinResponse): void {
    if (this.#isOver || message.request > this.#request) return;
    const { status, leader, leaderAddress, reason } = message;
    this.#note(this.#nameOf(from), `says: ${reason}`);
    if (status === "refused") this.#fail(`${from} refuses: ${reason}`);
    if (status !== "not-leader" || leader === "" || leaderAddress === "") return;
    if (leader === this.#hooks.id || this.#targets.has(leader)) return;
    this.#said.set(`${leader} at ${leaderAddress}`, "was named as the leader");
    this.#aim(leader, [leaderAddress]);
  }

  /** A member does not talk to us, or we not to it. */
  refused({ peer, by, reason }: RefusalReport): void {
    if (this.#isOver || !this.#targets.has(peer)) return;
    this.#note(this.#nameOf(peer), by === "them" ? `refuses: ${reason}` : `was refused: ${reason}`);
  }

  #aim(id: MemberId, addresses: readonly string[]): void {
    const [address = "", ...others] = new Set(addresses.filter((one) => one !== ""));
    this.#targets.set(id, { id, address, others });
    this.#hooks.targetsChanged();
  }

  #askAgain(): void {
    if (this.#isOver) return;
    for (const id of this.#targets.keys()) this.#ask(id);
    this.#repeat = this.#hooks.clock.setTimer(REPEAT_MS, () => this.#askAgain());
  }

  #ask(id: MemberId): void {
    if (this.#isOver) return;
    const { start } = this.#hooks;
    if (start !== undefined) this.#hooks.ask(id, ++this.#request, start.as ?? "voter");
  }

  /** The address under which a member was asked. */
  #nameOf(id: MemberId): string {
    const address = this.#targets.get(id)?.address ?? "";
    return this.#said.has(address) ? address : `${id} at ${address}`;
  }

  #note(who: string, what: string): void {
    if (this.#said.get(who) === what) return;
    this.#said.set(who, what);
    this.#hooks.progress(who, what);
  }

  #fail(why: string): void {
    if (this.#isOver) return;
    this.end();
    const all = [...this.#said].map(([who, what]) => `${who} ${what}`).join("; ");
    this.#hooks.failed(new QuorateError("JOIN_FAILED", `${why}: ${all}`));
  }
}
