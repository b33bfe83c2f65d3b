/**
 * Writes that this member has sent to the leader and that have no answer yet.
 *
 * One message carries what one turn gathered, and one answer gives the position of all of it; from
 * then on the log decides (write-waiters.ts). A command makes one hop: whoever is asked and does
 * not lead says so and passes nothing on, so commands cannot go in circles.
 *
 * What an end means: an answer `not-leader`, `overloaded` or `expired` says that nothing was
 * appended, so the writes are gathered again while their deadlines allow. No answer says nothing:
 * once the connection or the leader that was asked is lost, the answer gets a little more time (it
 * travels over another connection and may be on its way), and then the outcome is unknown.
 */
import type { MemberId } from "../core/configuration.ts";
import type { WriteCall } from "./calls.ts";

/** One message on its way. */
export interface ForwardRequest {
  readonly to: MemberId;
  readonly calls: readonly WriteCall[];
  /** Since when an answer is unlikely; undefined while it may well come. */
  lostAtMs: number | undefined;
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

  sent(to: MemberId, calls: readonly WriteCall[]): void {
    for (const call of calls) call.stage = "sent";
    this.#requests.set(++this.#lastRequest, { to, calls, lostAtMs: undefined });
  }

  /** Takes the request out that `from` answers; undefined for an answer that nobody waits for. */
  answered(from: MemberId, request: number): ForwardRequest | undefined {
    const found = this.#requests.get(request);
    if (found === undefined || found.to !== from) return undefined;
    this.#requests.delete(request);
    return found;
  }

  /** The way to `peer` was lost, or it no longer leads. */
  lost(peer: MemberId, nowMs: number): void {
    for (const request of this.#requests.values()) {
      if (request.to === peer) request.lostAtMs ??= nowMs;
    }
  }

  /** Everything sent to others than `leader` is unlikely to be answered. */
  leaderChanged(leader: MemberId | undefined, nowMs: number): void {
    for (const request of this.#requests.values()) {
      if (request.to !== leader) request.lostAtMs ??= nowMs;
    }
  }

  /** Takes out what was lost before `beforeMs`, and what nobody waits for any more. */
  takeLost(beforeMs: number): WriteCall[] {
    const calls: WriteCall[] = [];
    for (const [number, request] of this.#requests) {
      const isLost = request.lostAtMs !== undefined && request.lostAtMs <= beforeMs;
      const pending = request.calls.filter((call) => !call.settled);
      if (isLost) calls.push(...pending);
      if (isLost || pending.length === 0) this.#requests.delete(number);
    }
    return calls;
  }

  /** When the oldest loss happened; undefined where nothing is lost. */
  get oldestLossMs(): number | undefined {
    let oldest: number | undefined;
    for (const { lostAtMs } of this.#requests.values()) {
      if (lostAtMs !== undefined && (oldest === undefined || lostAtMs < oldest)) oldest = lostAtMs;
    }
    return oldest;
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
