/**
 * What the cluster does for members that come, inside a turn of the group.
 *
 * - Requests. A member that wants to join asks any member. The one that leads adds it as it asks to
 *   be added; any other names the leader. Nothing is kept of a request: the asker repeats it.
 * - First contact. A member that was added before it was started has no incarnation in the
 *   configuration. The leader, which dials it like all others, learns it from its hello and
 *   proposes to bind it. Only a directory that belongs to no cluster, and was never named before,
 *   is bound: so one that was removed never comes back. What it said of itself may be of the time
 *   before it was named; so both have to be asked.
 * - Addresses. A member that answers, with the right incarnation, and says that it is to be dialed
 *   elsewhere than the configuration says: the leader proposes the new address. So it stands in
 *   the log once it is known to be true, and not because somebody claimed it.
 *
 * The last two are looked for when something changed (`look`), and again a little later where the
 * core refused for now: one configuration at a time.
 */
import { memberOf, NO_INCARNATION } from "../core/configuration.ts";
import type { Incarnation, Member, MemberId } from "../core/configuration.ts";
import type { RaftInputs } from "../core/contract.ts";
import type { MembershipChange, MembershipResult } from "../core/membership-change.ts";
import type { JoinRequest, JoinResponse, PeerMessage } from "../transport/peer-message.ts";
import { NO_CLUSTER } from "../transport/transport.ts";
import type { Hello } from "../transport/transport.ts";

/** How long a member that joins as a voter has for catching up, in ms of cluster time. */
const CATCH_UP_MS = 300_000;

/** Who is known beside the core; the identity of each is proven. */
export interface Newcomers {
  /** What a peer, to which there is a connection, said of itself. */
  helloOf(peer: MemberId): Hello | undefined;
  /** All of them. */
  hellos(): Iterable<Hello>;
  /** Where this member is to be dialed. */
  readonly address: string;
  /** Whether some configuration has named that directory, now or earlier. */
  wasNamed(incarnation: Incarnation): boolean;
  /** Invites a peer, if a committed configuration names it. */
  invite(peer: MemberId): void;
}

/** What this needs of its group. */
export interface JoinsHooks {
  readonly id: MemberId;
  readonly retryMs: number;
  newcomers(): Newcomers;
  send(to: MemberId, message: PeerMessage): boolean;
}

/** Comings of one group. */
export class Joins {
  readonly #hooks: JoinsHooks;
  #lookAtMs = Infinity;

  constructor(hooks: JoinsHooks) {
    this.#hooks = hooks;
  }

  /** When {@link dispatch} has something to do. */
  nextMs(leader: MemberId | undefined): number {
    return leader === this.#hooks.id ? this.#lookAtMs : Infinity;
  }

  /** Somebody connected, or the configuration or the leader changed. */
  look(nowMs: number): void {
    this.#lookAtMs = nowMs;
  }

  /** Proposes what is due, as the leader. */
  dispatch(nowMs: number, core: RaftInputs, leader: MemberId | undefined): void {
    if (nowMs < this.#lookAtMs || leader !== this.#hooks.id) return;
    this.#lookAtMs = Infinity;
    const change = this.#due(core.status().configuration.members);
    if (change === undefined) return;
    core.changeMembership(nowMs, change);
    // Accepted or not, there may be more, or the same once more.
    this.#lookAtMs = nowMs + this.#hooks.retryMs;
  }

  /** Somebody wants to become a member. */
  takeRequest(nowMs: number, from: MemberId, message: JoinRequest, core: RaftInputs): void {
    const hello = this.#hooks.newcomers().helloOf(from);
    // It asks again once we have reached it: an address that does not work is no address.
    if (hello === undefined) return;
    const answer = this.#answer(nowMs, hello, message, core);
    this.#hooks.send(from, { type: "join-response", request: message.request, ...answer });
    if (answer.status === "accepted") this.#hooks.newcomers().invite(from);
  }

  #answer(nowMs: number, hello: Hello, { role }: JoinRequest, core: RaftInputs): Answer {
    const { configuration, leader } = core.status();
    const { id, incarnation, address } = hello;
    const known = memberOf(configuration, id);
    if (known?.incarnation === incarnation) {
      return answer(
        "accepted",
        `${id} is named by the configuration, and is invited once it holds`,
      );
    }
    if (leader !== this.#hooks.id) return this.#elsewhere(leader, configuration.members);
    if (!isNew(hello, this.#hooks.newcomers())) {
      return answer("refused", `this directory of ${id} was a member already, and was removed`);
    }
    const change: MembershipChange =
      known?.incarnation === NO_INCARNATION
        ? { type: "bind", id, incarnation, address }
        : {
            type: "add",
            member: { id, address, incarnation },
            role,
            timeoutMs: CATCH_UP_MS,
          };
    return answerTo(id, core.changeMembership(nowMs, change));
  }

  #elsewhere(leader: MemberId | undefined, members: readonly Member[]): Answer {
    if (leader === undefined) return answer("later", `${this.#hooks.id} knows no leader`);
    const address = members.find((member) => member.id === leader)?.address ?? "";
    const reason = `${this.#hooks.id} does not lead, ${leader} does`;
    return { status: "not-leader", leader, leaderAddress: address, reason };
  }

  /** The first thing that the configuration does not say, and should. */
  #due(members: readonly Member[]): MembershipChange | undefined {
    const own = members.find((member) => member.id === this.#hooks.id);
    const { id } = this.#hooks;
    const newcomers = this.#hooks.newcomers();
    if (own !== undefined && own.address !== newcomers.address) {
      return { type: "address", id, address: newcomers.address };
    }
    for (const hello of newcomers.hellos()) {
      const known = members.find((member) => member.id === hello.id);
      const { incarnation, address } = hello;
      if (known?.incarnation === NO_INCARNATION && isNew(hello, newcomers)) {
        return { type: "bind", id: hello.id, incarnation, address };
      }
      if (known?.incarnation === incarnation && known.address !== address) {
        return { type: "address", id: hello.id, address };
      }
    }
    return undefined;
  }
}

/** Whether a directory has never been a member. */
function isNew({ clusterId, incarnation }: Hello, newcomers: Newcomers): boolean {
  return clusterId === NO_CLUSTER && !newcomers.wasNamed(incarnation);
}

type Answer = Pick<JoinResponse, "status" | "leader" | "leaderAddress" | "reason">;

function answer(status: JoinResponse["status"], reason: string): Answer {
  return { status, leader: "", leaderAddress: "", reason };
}

function answerTo(id: MemberId, result: MembershipResult): Answer {
  if (result.ok) return answer("accepted", `${id} is being added`);
  switch (result.reason) {
    case "member-exists":
    case "member-unknown":
      return answer("refused", result.detail);
    default:
      return answer("later", result.detail);
  }
}
