/**
 * Wishes of callers that leadership move, from any member.
 *
 * A wish goes to whoever leads: to the own core, or as a message to another member. What comes back
 * says only whether the leader has begun. That it *happened* is seen like any other change of
 * leader: the wished one leads, or, where nobody in particular was wished, somebody else than the
 * leader that was asked. So a lost answer costs nothing, and a wish that was overtaken by another
 * change of leader is fulfilled by it or asked anew of the next leader.
 *
 * A wish that can never come true (no such member, no voter) ends at once and says so. One that
 * cannot be fulfilled now (nobody reachable, another transfer under way) is repeated until its
 * deadline, whose error says what was last in the way.
 */
import type { MemberId } from "../core/configuration.ts";
import type { RaftInputs } from "../core/contract.ts";
import type { PeerMessage, TransferRequest, TransferResponse } from "../transport/peer-message.ts";
import { QuorateError } from "../util/error.ts";
import type { Calls, TransferCall } from "./calls.ts";
import type { LeaderlessLimit } from "./writes.ts";

/** What the transfers need of their group. */
export interface TransfersHooks {
  readonly id: MemberId;
  readonly nonce: number;
  readonly electionTimeoutMs: number;
  /** How long to wait before asking again where asking was of no use. */
  readonly retryMs: number;
  readonly calls: Calls;
  send(to: MemberId, message: PeerMessage): boolean;
}

type Status = TransferResponse["status"];

/** All wishes of one group. */
export class Transfers {
  readonly #hooks: TransfersHooks;
  /** Requests that have no answer yet. */
  readonly #requests = new Map<number, { readonly to: MemberId; readonly call: TransferCall }>();
  #lastRequest: number;

  constructor(hooks: TransfersHooks) {
    this.#hooks = hooks;
    this.#lastRequest = hooks.nonce;
  }

  /** When {@link dispatch} has something to do. */
  nextMs(leader: MemberId | undefined): number {
    let nextMs = Infinity;
    if (leader === undefined) return nextMs;
    for (const call of this.#hooks.calls.transfers) nextMs = Math.min(nextMs, call.askAtMs);
    return nextMs;
  }

  /** Asks whoever leads, and ends what has come true. */
  dispatch(nowMs: number, core: RaftInputs, leader: MemberId | undefined): void {
    if (leader === undefined) return;
    for (const call of [...this.#hooks.calls.transfers]) {
      if (call.isFulfilledBy(leader)) call.resolve(leader);
      else if (nowMs >= call.askAtMs) this.#ask(nowMs, call, core, leader);
    }
  }

  /** Another member asks this one, as the leader. */
  takeRequest(nowMs: number, from: MemberId, message: TransferRequest, core: RaftInputs): void {
    const { request, target } = message;
    const result = core.transferLeadership(nowMs, target === "" ? undefined : target);
    const status = result.ok ? "started" : result.reason;
    this.#hooks.send(from, { type: "transfer-response", request, status });
  }

  /** The asked member has answered. */
  takeResponse(nowMs: number, from: MemberId, message: TransferResponse): void {
    const request = this.#requests.get(message.request);
    if (request === undefined || request.to !== from) return;
    this.#requests.delete(message.request);
    if (!request.call.settled) this.#judge(nowMs, request.call, message.status);
  }

  /** Another member leads, or none is known. */
  leaderChanged(leader: MemberId | undefined): void {
    this.#requests.clear();
    for (const call of [...this.#hooks.calls.transfers]) {
      call.askAtMs = 0;
      if (leader !== undefined && call.isFulfilledBy(leader)) call.resolve(leader);
    }
  }

  /** No leader is known: ends what has waited long enough to be asked for. */
  endLeaderless(nowMs: number, limitOf: LeaderlessLimit): void {
    for (const call of [...this.#hooks.calls.transfers]) {
      if (call.askedOf !== undefined || nowMs < limitOf(call)) continue;
      call.reject(new QuorateError("NO_LEADER", "no leader is known, or no majority reachable"));
    }
  }

  #ask(nowMs: number, call: TransferCall, core: RaftInputs, leader: MemberId): void {
    const { target } = call;
    if (leader === this.#hooks.id) {
      call.askedOf ??= leader;
      const result = core.transferLeadership(nowMs, target);
      this.#judge(nowMs, call, result.ok ? "started" : result.reason);
      return;
    }
    const request = this.#lastRequest + 1;
    const message = { type: "transfer-request", request, target: target ?? "" } as const;
    if (!this.#hooks.send(leader, message)) {
      call.askAtMs = nowMs + this.#hooks.retryMs;
      call.obstacle = `the leader, ${leader}, cannot be reached`;
      return;
    }
    this.#lastRequest = request;
    this.#requests.set(request, { to: leader, call });
    call.askedOf ??= leader;
    call.askAtMs = nowMs + this.#hooks.electionTimeoutMs;
  }

  #judge(nowMs: number, call: TransferCall, status: Status): void {
    switch (status) {
      case "started":
        call.obstacle = "the target did not take over";
        call.askAtMs = nowMs + this.#hooks.electionTimeoutMs;
        return;
      case "unknown-member":
        call.reject(new QuorateError("MEMBER_UNKNOWN", `there is no member ${call.target}`));
        return;
      case "not-voter":
        call.reject(new QuorateError("MEMBER_NOT_VOTER", `${call.target} is no voter`));
        return;
      case "no-other-voter":
        call.reject(new QuorateError("MEMBER_NOT_VOTER", "there is no other voter to take over"));
        return;
      case "not-leader":
      case "unreachable":
      case "busy":
      case "unhealthy":
        call.obstacle = OBSTACLES[status];
        call.askAtMs = nowMs + this.#hooks.retryMs;
    }
  }
}

const OBSTACLES = {
  "not-leader": "the member that was asked does not lead any more",
  unreachable: "the leader does not hear the target",
  busy: "leadership is being handed over to another member",
  unhealthy: "the disk of the target is stalled or full",
} as const;
