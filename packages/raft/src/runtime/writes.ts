/**
 * The life of the writes of one group, from the call to its end.
 *
 *   gathered ──propose (this member leads)────────────▶ appended ──applied──▶ done
 *    ▲ ▲ └───forward (another leads)──▶ sent ──answer──────▲   │
 *    │ └─────────not appended────────────┘                     │
 *    └─────────certainly not done: another term was applied────┘
 *
 * What ends a write otherwise says the truth about it: while gathered it is `not-done`; once it was
 * handed on it is `unknown`, unless the log or the answer of the asked member proves that it was
 * not appended, or never will be committed. Then it is gathered again and proposed anew while its
 * deadline allows. That is no blind repetition, which would do some writes twice: it happens only
 * after proof.
 */
import type { MemberId } from "../core/configuration.ts";
import type { RaftInputs } from "../core/contract.ts";
import { EntryKind, ENTRY_HEAD_BYTES } from "../core/entry.ts";
import { readU32 } from "../util/bytes.ts";
import type { Forward, ForwardResponse, Leaving, PeerMessage } from "../transport/peer-message.ts";
import { QuorateError } from "../util/error.ts";
import { unknownOutcome } from "./calls.ts";
import type { WriteCall } from "./calls.ts";
import { Forwarding } from "./forwarding.ts";
import { Gathered } from "./gathered.ts";
import { WriteWaiters } from "./write-waiters.ts";

const U32_MAX = 0xffff_ffff;

/** What the writes need of their group. */
export interface WritesHooks {
  readonly id: MemberId;
  readonly nonce: number;
  readonly electionTimeoutMs: number;
  readonly batchBytesMax: number;
  /** Another member's batch beyond this does not fit into our segments. */
  readonly forwardBytesMax: number;
  /** How long to wait before asking again where asking was of no use. */
  readonly retryMs: number;
  send(to: MemberId, message: PeerMessage): boolean;
}

/** When a wait for a leader ends, by when the call began. */
export type LeaderlessLimit = (call: { readonly startedMs: number }) => number;

/** All writes of one group. */
export class Writes {
  readonly #hooks: WritesHooks;
  readonly #gathered: Gathered;
  readonly #waiters = new WriteWaiters();
  readonly #forwarding: Forwarding;
  /** The newest request of each member that asked this one in its present run. */
  readonly #lastRequests = new Map<MemberId, number>();
  #leader: MemberId | undefined;
  #retryAtMs = 0;
  /** This member leaves: it takes nothing from others any more. */
  #hasLeft = false;

  constructor(hooks: WritesHooks) {
    this.#hooks = hooks;
    this.#gathered = new Gathered(hooks.batchBytesMax);
    this.#forwarding = new Forwarding(hooks.nonce);
  }

  add(call: WriteCall): void {
    this.#gathered.add(call);
  }

  get hasGathered(): boolean {
    return this.#gathered.length > 0;
  }

  /** Whether writes wait to be gathered again. */
  get hasRuledOut(): boolean {
    return this.#waiters.hasRuledOut;
  }

  get hasForwards(): boolean {
    return !this.#forwarding.isEmpty;
  }

  /** When {@link dispatch} can do more than now; Infinity where only an input changes anything. */
  nextMs(leader: MemberId | undefined): number {
    if (!this.hasGathered || leader === undefined || leader === this.#hooks.id) return Infinity;
    return this.#retryAtMs;
  }

  /** Proposes or forwards what was gathered. */
  dispatch(nowMs: number, core: RaftInputs, leader: MemberId | undefined): void {
    this.#leader = leader;
    for (const call of this.#waiters.takeRuledOut()) this.#gatherAgain(call);
    if (!this.hasGathered || leader === undefined) return;
    if (leader === this.#hooks.id) this.#propose(nowMs, core);
    else if (nowMs >= this.#retryAtMs) this.#forward(nowMs, leader);
  }

  /** Another member asks this one, as the leader, to append. */
  takeForward(
    from: MemberId,
    message: Forward,
    context: { nowMs: number; core: RaftInputs; arrivedMs: number },
  ): void {
    const { request } = message;
    this.#lastRequests.set(from, Math.max(request, this.#lastRequests.get(from) ?? 0));
    const answer = (status: ForwardResponse["status"], at: Partial<ForwardResponse> = {}): void => {
      this.#hooks.send(from, {
        type: "forward-response",
        request,
        status,
        firstIndex: at.firstIndex ?? 0,
        term: at.term ?? 0,
        leader: at.leader ?? "",
      });
    };
    if (this.#hasLeft) return answer("not-leader");
    if (context.nowMs - context.arrivedMs >= message.deadlineMs) return answer("expired");
    if (!holdsCommandsOnly(message.entries)) return answer("expired");
    if (message.entries.length > this.#hooks.forwardBytesMax) return answer("overloaded");
    const entries = { bytes: message.entries, count: message.count };
    const result = context.core.propose(context.nowMs, entries);
    if (result.ok) return answer("appended", result);
    answer(result.reason, result.leader === undefined ? {} : { leader: result.leader });
  }

  /** The asked member has answered. `applied`: how far this member has applied. */
  takeForwardResponse(
    from: MemberId,
    message: ForwardResponse,
    nowMs: number,
    applied: number,
  ): void {
    const request = this.#forwarding.answered(from, message.request);
    if (request === undefined) return;
    if (message.status === "full") {
      for (const call of request.calls) call.reject(fullError());
      return;
    }
    if (message.status !== "appended") {
      for (const call of request.calls) this.#gatherAgain(call);
      // An answer of who led before is no reason to keep the present leader waiting.
      if (from === this.#leader) this.#retryAtMs = nowMs + this.#hooks.retryMs;
      return;
    }
    const { firstIndex, term } = message;
    // The answer precedes the commit on its connection; should it come late all the same, the
    // results are gone.
    const late = Math.min(Math.max(applied - firstIndex + 1, 0), request.calls.length);
    for (const call of request.calls.slice(0, late)) {
      call.reject(unknownOutcome("the leader's answer came after its entries were applied"));
    }
    if (late < request.calls.length) {
      this.#waiters.add(firstIndex + late, term, request.calls.slice(late));
    }
  }

  /** `from` leaves: what it never took is gathered again. */
  takeLeaving(from: MemberId, message: Leaving, nowMs: number): void {
    const calls = this.#forwarding.takeUntaken(from, message.lastRequest);
    for (const call of calls) this.#gatherAgain(call);
    if (calls.length > 0 && from === this.#leader) this.#retryAtMs = nowMs + this.#hooks.retryMs;
  }

  /** This member leaves: from now on it takes nothing, and says so. True where anybody heard it. */
  leave(peers: readonly MemberId[]): boolean {
    this.#hasLeft = true;
    let isHeard = false;
    for (const peer of peers) {
      const lastRequest = this.#lastRequests.get(peer) ?? 0;
      if (this.#hooks.send(peer, { type: "leaving", lastRequest })) isHeard = true;
    }
    return isHeard;
  }

  termApplied(term: number): void {
    if (!this.#waiters.isEmpty) this.#waiters.termApplied(term);
  }

  applied(index: number, term: number, value: unknown): void {
    if (!this.#waiters.isEmpty) this.#waiters.applied(index, term, value);
  }

  /** Everything up to the entry (index, term) came as a snapshot. */
  skipped(index: number, term: number): void {
    for (const call of this.#waiters.skipTo(index)) {
      call.reject(unknownOutcome("a snapshot brought this member past the write"));
    }
    this.termApplied(term);
  }

  leaderChanged(leader: MemberId | undefined, nowMs: number): void {
    this.#leader = leader;
    this.#retryAtMs = 0;
    this.#forwarding.leaderChanged(leader, nowMs);
  }

  connected(): void {
    this.#retryAtMs = 0;
  }

  disconnected(peer: MemberId, nowMs: number): void {
    this.#forwarding.lost(peer, nowMs);
  }

  /** Ends forwards whose answer has been unlikely for T / 2. */
  endLostForwards(nowMs: number): void {
    for (const call of this.#forwarding.takeLost(nowMs - this.#hooks.electionTimeoutMs / 2)) {
      call.reject(unknownOutcome("the leader that the write was sent to was lost"));
    }
  }

  /** No leader is known: ends what has waited long enough. */
  endLeaderless(nowMs: number, limitOf: LeaderlessLimit): void {
    for (const call of this.#gathered.pending()) {
      if (nowMs < limitOf(call)) continue;
      call.reject(new QuorateError("NO_LEADER", "no leader is known, or no majority reachable"));
    }
    for (const call of this.#handedOn()) {
      if (nowMs < limitOf(call)) continue;
      call.reject(unknownOutcome("the leader was lost while the write was being replicated"));
    }
  }

  /** Ends everything. */
  endAll(errorOf: (call: WriteCall) => QuorateError): void {
    for (const call of [...this.#gathered.pending(), ...this.#handedOn()]) {
      call.reject(errorOf(call));
    }
  }

  *#handedOn(): Generator<WriteCall> {
    yield* this.#forwarding.pending();
    yield* this.#waiters.pending();
  }

  #propose(nowMs: number, core: RaftInputs): void {
    for (;;) {
      const batch = this.#gathered.nextBatch(nowMs);
      if (batch === undefined) return;
      const result = core.propose(nowMs, batch.entries);
      if (!result.ok && result.reason === "full") this.#refuseFull();
      // Overloaded: the queue waits for commits; transferring: for the next leader, or for this one
      // to go on. It is bounded by the calls themselves.
      if (!result.ok) return;
      this.#gathered.taken(batch);
      this.#waiters.add(result.firstIndex, result.term, batch.calls);
    }
  }

  #refuseFull(): void {
    for (const call of this.#gathered.pending()) call.reject(fullError());
  }

  #forward(nowMs: number, leader: MemberId): void {
    for (;;) {
      const batch = this.#gathered.nextBatch(nowMs);
      if (batch === undefined) return;
      let deadlineMs = 0;
      for (const call of batch.calls) deadlineMs = Math.max(deadlineMs, call.deadlineMs - nowMs);
      const sent = this.#hooks.send(leader, {
        type: "forward",
        request: this.#forwarding.nextRequest,
        deadlineMs: Math.min(Math.ceil(deadlineMs), U32_MAX),
        entries: batch.entries.bytes,
        count: batch.entries.count,
      });
      if (!sent) {
        this.#retryAtMs = nowMs + this.#hooks.retryMs;
        return;
      }
      this.#gathered.taken(batch);
      this.#forwarding.sent(leader, batch.calls);
    }
  }

  #gatherAgain(call: WriteCall): void {
    if (call.settled) return;
    call.stage = "gathered";
    this.#gathered.add(call);
  }
}

function fullError(): QuorateError {
  return new QuorateError(
    "DISK_FULL",
    "the leader, or too many of the other voters, have no space for the log: it is read-only",
  );
}

/** The codec checks this, too; a transport in memory may have none. */
function holdsCommandsOnly(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += ENTRY_HEAD_BYTES + readU32(bytes, at + 4)) {
    if (bytes[at] !== EntryKind.command) return false;
  }
  return true;
}
