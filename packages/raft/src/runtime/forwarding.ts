/**
 * Writes that this member has sent to the leader and that have no answer yet.
 *
 * One message carries what one turn gathered, and one answer gives the position of all of it; from
 * then on the log decides (write-waiters.ts). A command makes one hop: whoever is asked and does
 * not lead says so and passes nothing on, so commands cannot go in circles.
 *
 * What an end means: an answer `not-leader`, `overloaded` or `expired` says that nothing was
 * appended, so the writes are gathered again while their deadlines allow. No answer says nothing:
 * it is waited for a while, only for a moment once the connection or the leader that was asked is
 * lost, and then the writes are repeated, since their session sees to it that they happen once. An
 * answer that comes after that is not heard any more.
 */
import type { MemberId } from "../core/configuration.ts";
import type { WriteCall } from "./calls.ts";

/** One message on its way. */
export interface ForwardRequest {
  readonly to: MemberId;
  readonly calls: readonly WriteCall[];
  /** Until when an answer is waited for. */
  dueMs: number;
}

/** The forwards of one group that wait for their answer. */
export class Forwarding {
  readonly #requests = new Map<number, ForwardRequest>();
  #lastRequest: number;

  /**
   * Requests are numbered from `nonce` on: an answer to an earlier run of this member fits none.
   */
  constructor(nonce: number) {
    this.#lastRequest = nonce;
  }

  get isEmpty(): boolean {
    return this.#requests.size === 0;
  }

  /** The number for the next request; it is used up by {@link sent}. */
  get nextRequest(): number {
    return this.#lastRequest + 1;
  }

  /** A number for a request whose answer nobody waits for. */
  takeNumber(): number {
    return ++this.#lastRequest;
  }

  sent(to: MemberId, calls: readonly WriteCall[], dueMs: number): void {
    for (const call of calls) call.stage = "sent";
    this.#requests.set(++this.#lastRequest, { to, calls, dueMs });
  }

  /** Takes the request out that `from` answers; undefined for an answer that nobody waits for. */
  answered(from: MemberId, request: number): ForwardRequest | undefined {
    const found = this.#requests.get(request);
    if (found === undefined || found.to !== from) return undefined;
    this.#requests.delete(request);
    return found;
  }

  /** The way to `peer` was lost: an answer is unlikely, and waited for until `dueMs` at most. */
  lost(peer: MemberId, dueMs: number): void {
    for (const request of this.#requests.values()) {
      if (request.to === peer && dueMs < request.dueMs) request.dueMs = dueMs;
    }
  }

  /** The same for everything that was sent to others than `leader`. */
  leaderChanged(leader: MemberId | undefined, dueMs: number): void {
    for (const request of this.#requests.values()) {
      if (request.to !== leader && dueMs < request.dueMs) request.dueMs = dueMs;
    }
  }

  /** Takes out what was waited for long enough, and what nobody waits for any more. */
  takeLost(nowMs: number): WriteCall[] {
    const calls: WriteCall[] = [];
    for (const [number, request] of this.#requests) {
      const isLost = request.dueMs <= nowMs;
      const pending = request.calls.filter((call) => !call.settled);
      if (isLost) calls.push(...pending);
      if (isLost || pending.length === 0) this.#requests.delete(number);
    }
    return calls;
  }

  /**
   * `to` takes nothing any more, and the last request it ever got is `lastRequest`: takes out what
   * never reached it. Where it got none in its present run nothing is known of an earlier one.
   */
  takeUntaken(to: MemberId, lastRequest: number): WriteCall[] {
    const calls: WriteCall[] = [];
    if (lastRequest === 0) return calls;
    for (const [number, request] of this.#requests) {
      if (request.to !== to || number <= lastRequest) continue;
      calls.push(...request.calls);
      this.#requests.delete(number);
    }
    return calls;
  }

  /** Everything that waits and has not ended. */
  *pending(): Generator<WriteCall> {
    for (const request of this.#requests.values()) {
      for (const call of request.calls) if (!call.settled) yield call;
    }
  }
}
