/**
 * What callers wish of the leader besides writes and reads: that leadership move (transfers.ts) and
 * that the members change (memberships.ts). Put together, so that a group has one thing to turn.
 */
import type { IndexedConfiguration, MemberId } from "../core/configuration.ts";
import type { RaftInputs } from "../core/contract.ts";
import type {
  MembershipRequest,
  MembershipResponse,
  PeerMessage,
  TransferRequest,
  TransferResponse,
} from "../transport/peer-message.ts";
import type { QuorateError } from "../util/error.ts";
import type { Calls } from "./calls.ts";
import { Memberships } from "./memberships.ts";
import { Transfers } from "./transfers.ts";
import type { LeaderlessLimit } from "./writes.ts";

/** What the wishes need of their group. */
export interface WishesHooks {
  readonly id: MemberId;
  readonly nonce: number;
  readonly electionTimeoutMs: number;
  /** How long to wait before asking again where asking was of no use. */
  readonly retryMs: number;
  readonly calls: Calls;
  send(to: MemberId, message: PeerMessage): boolean;
}

/** Requests and answers of either kind. */
export type WishMessage =
  | TransferRequest
  | TransferResponse
  | MembershipRequest
  | MembershipResponse;

/** All wishes of one group. */
export class Wishes {
  readonly #id: MemberId;
  readonly #calls: Calls;
  readonly #transfers: Transfers;
  readonly #memberships: Memberships;

  constructor(hooks: WishesHooks) {
    this.#id = hooks.id;
    this.#calls = hooks.calls;
    this.#transfers = new Transfers(hooks);
    this.#memberships = new Memberships(hooks);
  }

  /** How many have not ended. */
  get size(): number {
    return this.#calls.transfers.size + this.#calls.members.size;
  }

  /** When {@link dispatch} has something to do. */
  nextMs(leader: MemberId | undefined): number {
    return Math.min(this.#transfers.nextMs(leader), this.#memberships.nextMs(leader));
  }

  /** Asks whoever leads. */
  dispatch(nowMs: number, core: RaftInputs, leader: MemberId | undefined): void {
    this.#transfers.dispatch(nowMs, core, leader);
    this.#memberships.dispatch(nowMs, core, leader);
  }

  take(nowMs: number, from: MemberId, message: WishMessage, core: RaftInputs): void {
    switch (message.type) {
      case "transfer-request":
        return this.#transfers.takeRequest(nowMs, from, message, core);
      case "transfer-response":
        return this.#transfers.takeResponse(nowMs, from, message);
      case "membership-request":
        return this.#memberships.takeRequest(nowMs, from, message, core);
      case "membership-response":
        return this.#memberships.takeResponse(nowMs, from, message);
    }
  }

  /** Another member leads, or none is known. */
  leaderChanged(leader: MemberId | undefined): void {
    this.#transfers.leaderChanged(leader);
    this.#memberships.leaderChanged();
  }

  /** What is committed has grown; `configuration` is the newest one in it, where that is new. */
  committedUpTo(commit: number, configuration: IndexedConfiguration | undefined): void {
    this.#memberships.committedUpTo(commit, configuration);
  }

  /** No leader is known: ends what has waited long enough to be asked for. */
  endLeaderless(nowMs: number, limitOf: LeaderlessLimit): void {
    this.#transfers.endLeaderless(nowMs, limitOf);
    this.#memberships.endLeaderless(nowMs, limitOf);
  }

  /** The group has come to its end: a change that was asked for may go on without it. */
  endAll(error: () => QuorateError): void {
    for (const call of [...this.#calls.members]) call.endedBy(error(), this.#id);
  }
}
