/**
 * The life of the writes of one group, from the call to its end.
 *
 *   gathered ──propose (this member leads)────────────▶ appended ──applied──▶ done
 *    ▲ ▲ └───forward (another leads)──▶ sent ──answer──────▲   │
 *    │ └─────────not appended────────────┘                     │
 *    └─────────certainly not done: another term was applied────┘
 *
 *         └──lost: no answer, or too late──▶ gathered, with a doubt
 *
 * Every attempt of a write carries the same sequence of the same session (own-session.ts), so it
 * happens once however often it is attempted, and whichever attempt comes through: what this member
 * applies of its own session settles the write that has the sequence. Before the first write the
 * session has to be opened: one more round trip, once, for all writes that wait.
 *
 * What ends a write otherwise says the truth about it: it is `not-done` where it was never handed
 * on, or where the log or the answer of the asked member proves of every attempt that it was not
 * appended, or never will be committed. Else it is `unknown`. A session that has expired (its kept
 * state is gone, on every member alike) is followed by a new one; a write moves there only where it
 * is certain that it was not done under the old one.
 *
 * Messages between members may be lost and doubled. A forward that comes twice is taken once: the
 * newest requests of each member are remembered. So an answer `not-leader` speaks of the whole
 * request, and of an attempt there is one entry at most.
 */
import type { MemberId } from "../core/configuration.ts";
import type { RaftInputs } from "../core/contract.ts";
import type { Health } from "../core/health-watch.ts";
import { EntryKind, ENTRY_HEAD_BYTES, packEntries } from "../core/entry.ts";
import { encodeSessionEntry } from "../machine/session-entry.ts";
import { readU32 } from "../util/bytes.ts";
import type { Sessions } from "../machine/sessions.ts";
import type { Forward, ForwardResponse, Leaving, PeerMessage } from "../transport/peer-message.ts";
import { assert } from "../util/assert.ts";
import { QuorateError } from "../util/error.ts";
import type { AppliedEntry } from "./applier.ts";
import { BatchPace } from "./batch-pace.ts";
import { unknownOutcome, WriteCall } from "./calls.ts";
import type { Calls } from "./calls.ts";
import { Forwarding } from "./forwarding.ts";
import { Gathered } from "./gathered.ts";
import type { Arrival } from "./inbox.ts";
import type { Batch } from "./gathered.ts";
import { OwnSession } from "./own-session.ts";
import { RecentRequests } from "./recent-requests.ts";
import { WriteWaiters } from "./write-waiters.ts";

const U32_MAX = 0xffff_ffff;
/** Sessions that expired and that writes still belong to; more end those of the oldest. */
const FORMER_MAX = 4;

/** What the writes need of their group. */
export interface WritesHooks {
  readonly id: MemberId;
  readonly nonce: number;
  readonly electionTimeoutMs: number;
  readonly calls: Calls;
  /** A session of this handle expires after so long without a write. */
  readonly sessionTimeoutMs: number;
  readonly batchBytesMax: number;
  /** Another member's batch beyond this does not fit into our segments. */
  readonly forwardBytesMax: number;
  /** How long to wait before asking again where asking was of no use. */
  readonly retryMs: number;
  send(to: MemberId, message: PeerMessage): boolean;
}

/** When a wait for a leader ends, by when the call began. */
export type LeaderlessLimit = (call: { readonly startedMs: number }) => number;

/**
 * A write that was handed on waits longer for the next leader, by so many election timeouts: it is
 * repeated then and done, while ending it now would leave its caller in doubt.
 */
const HANDED_ON_WAITS = 3;

/** All writes of one group. */
export class Writes {
  readonly #hooks: WritesHooks;
  readonly #gathered: Gathered;
  readonly #waiters = new WriteWaiters();
  readonly #pace = new BatchPace();
  readonly #forwarding: Forwarding;
  /** The newest requests of the members that asked this one. */
  readonly #recent = new RecentRequests();
  #session: OwnSession | undefined;
  /** On its way to becoming the session; its entries have the mark by which they are known. */
  #opening: WriteCall | undefined;
  #mark: number;
  /** Expired, and not everybody in them has heard of it. */
  #former: OwnSession[] = [];
  #hasMoved = false;
  #leader: MemberId | undefined;
  #retryAtMs = 0;
  /** This member leaves: it takes nothing from others any more. */
  #hasLeft = false;
  /** Whether entries come into this log: else this member never sees applied what it hands on. */
  health: Health = "ok";

  constructor(hooks: WritesHooks) {
    this.#hooks = hooks;
    this.#gathered = new Gathered(hooks.batchBytesMax);
    this.#forwarding = new Forwarding(hooks.nonce);
    this.#mark = hooks.nonce;
  }

  add(call: WriteCall): void {
    this.#gathered.add(call);
  }

  get hasGathered(): boolean {
    return this.#gathered.length > 0;
  }

  /** Whether something that was just applied lets {@link dispatch} do more. */
  get needsTurn(): boolean {
    if (this.#waiters.hasRuledOut || this.#hasMoved) return true;
    // Without a session nothing is held, and nothing could be handed on.
    if (this.#session === undefined || !this.hasGathered) return false;
    return this.#pace.hasRelease(this.#gathered.length);
  }

  get hasForwards(): boolean {
    return !this.#forwarding.isEmpty;
  }

  /** When {@link dispatch} can do more than now; Infinity where only an input changes anything. */
  nextMs(leader: MemberId | undefined): number {
    if (!this.hasGathered || leader === undefined) return Infinity;
    if (leader === this.#hooks.id) {
      return this.#session === undefined ? Infinity : this.#pace.dueMs;
    }
    // What waits for the session goes on when that is there.
    if (this.#session === undefined && (this.#opening?.stage ?? "gathered") !== "gathered") {
      return Infinity;
    }
    return this.#retryAtMs;
  }

  /** Proposes or forwards what was gathered. */
  dispatch(nowMs: number, core: RaftInputs, leader: MemberId | undefined): void {
    this.#leader = leader;
    for (const call of this.#waiters.takeRuledOut()) this.#gatherAgain(call);
    this.#hasMoved = false;
    if (!this.hasGathered || leader === undefined) return;
    if (leader === this.#hooks.id) this.#propose(nowMs, core);
    else if (isCutOff(this.health)) this.#refuseCutOff();
    else if (nowMs >= this.#retryAtMs) this.#forward(nowMs, leader);
  }

  /** Another member asks this one, as the leader, to append. */
  takeForward(
    from: MemberId,
    message: Forward,
    context: { nowMs: number; core: RaftInputs; arrival: Pick<Arrival, "atMs"> },
  ): void {
    const { request } = message;
    // A copy: the first one was answered, and its entries may be in the log.
    if (!this.#recent.isNew(from, request)) return;
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
    if (context.nowMs - context.arrival.atMs >= message.deadlineMs) return answer("expired");
    if (!mayBeForwarded(message.entries)) return answer("expired");
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
      for (const call of request.calls) {
        // This attempt was none; what is said of others stays open.
        if (!call.settled) call.stage = "gathered";
        call.reject(fullError(call));
        if (call.kind === EntryKind.session) this.#refuseFull();
      }
      return;
    }
    if (message.status !== "appended") {
      for (const call of request.calls) this.#gatherAgain(call);
      // An answer of who led before is no reason to keep the present leader waiting.
      if (from === this.#leader) this.#retryAtMs = nowMs + this.#hooks.retryMs;
      return;
    }
    const { firstIndex, term } = message;
    // What was applied before the answer came has been settled by its session. Where it was not,
    // another entry stood there.
    const late = Math.min(Math.max(applied - firstIndex + 1, 0), request.calls.length);
    for (const call of request.calls.slice(0, late)) this.#lost(call);
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

  /**
   * This member leaves: from now on it takes nothing, and says so; its session is of no use any
   * more. True where anybody heard it.
   */
  leave(peers: readonly MemberId[]): boolean {
    this.#hasLeft = true;
    this.#closeSession();
    let isHeard = false;
    for (const peer of peers) {
      const lastRequest = this.#recent.largestOf(peer);
      if (this.#hooks.send(peer, { type: "leaving", lastRequest })) isHeard = true;
    }
    return isHeard;
  }

  termApplied(term: number): void {
    this.#pace.forget();
    if (!this.#waiters.isEmpty) this.#waiters.termApplied(term);
  }

  /** An entry was applied: first the session says what that means, then its place in the log. */
  applied(entry: AppliedEntry): void {
    this.#pace.applied(entry.index);
    if (entry.session !== 0 && entry.kind === EntryKind.command) {
      const session = this.#ownSession(entry.session);
      const call = session?.find(entry.sequence);
      if (call !== undefined) this.#judged(session!, call, entry);
    } else if (entry.kind === EntryKind.session && entry.sequence === this.#mark) {
      if (entry.value !== undefined) this.#opening?.resolve(entry.value);
    }
    if (this.#waiters.isEmpty) return;
    this.#waiters.applied(entry, entry.verdict === "new" || entry.verdict === "duplicate");
  }

  /**
   * Everything up to the entry (index, term) came as a snapshot. Nobody will say what became of the
   * entries up to there, but the sessions in it know what was done.
   */
  restored(index: number, term: number, sessions: Sessions): void {
    this.#pace.applied(index);
    for (const session of this.#allSessions()) {
      for (const call of session.pending()) {
        const state = sessions.lookUp(session.id, call.sequence);
        if (state === "done") call.resolve(sessions.result);
        else if (state === "lost") call.reject(resultLost());
      }
    }
    for (const call of this.#waiters.skipTo(index)) this.#lost(call);
    this.termApplied(term);
    this.#hasMoved = true;
  }

  leaderChanged(leader: MemberId | undefined, nowMs: number): void {
    this.#leader = leader;
    this.#retryAtMs = 0;
    this.#pace.forget();
    this.#forwarding.leaderChanged(leader, this.#soon(nowMs));
  }

  connected(): void {
    this.#retryAtMs = 0;
  }

  disconnected(peer: MemberId, nowMs: number): void {
    this.#forwarding.lost(peer, this.#soon(nowMs));
  }

  /** Repeats what was forwarded and has waited for its answer long enough. */
  repeatLost(nowMs: number): void {
    for (const call of this.#forwarding.takeLost(nowMs)) this.#lost(call);
  }

  /** No leader is known: ends what has waited long enough. */
  endLeaderless(nowMs: number, limitOf: LeaderlessLimit): void {
    const moreMs = HANDED_ON_WAITS * this.#hooks.electionTimeoutMs;
    for (const call of this.#gathered.pending()) {
      if (nowMs < limitOf(call) + (call.handedOn ? moreMs : 0)) continue;
      const error = new QuorateError("NO_LEADER", "no leader is known, or no majority reachable");
      call.reject(call.handedOn ? leaderLost() : error);
    }
    for (const call of this.#handedOn()) {
      if (nowMs >= limitOf(call) + moreMs) call.reject(leaderLost());
    }
  }

  /** Ends everything. */
  endAll(errorOf: (call: WriteCall) => QuorateError): void {
    for (const call of [...this.#gathered.pending(), ...this.#handedOn()]) {
      call.reject(errorOf(call));
    }
    this.#opening?.reject(errorOf(this.#opening));
  }

  *#handedOn(): Generator<WriteCall> {
    yield* this.#forwarding.pending();
    yield* this.#waiters.pending();
  }

  // ---- the session

  /** What the session of a write said to one of its entries. */
  #judged(session: OwnSession, call: WriteCall, { verdict, value }: AppliedEntry): void {
    switch (verdict) {
      case "new":
      case "duplicate":
        call.resolve(value);
        return;
      case "lost":
        call.reject(resultLost());
        return;
      case "expired":
        this.#expired(session, call);
        return;
      case "dropped":
        // Only what has ended is below the lowest unanswered, and nobody else writes in our name.
        assert(
          false,
          () => `write ${call.sequence} of session ${session.id} waits and was dropped`,
        );
    }
  }

  #expired(session: OwnSession, call: WriteCall): void {
    if (session === this.#session) {
      this.#session = undefined;
      this.#pace.letGo();
      this.#former = [...this.#former, session].slice(-FORMER_MAX);
    }
    if (call.doubts > 0) {
      call.reject(unknownOutcome("the session expired while the write was being repeated"));
    } else if (call.stage === "appended") this.#move(call);
    // Its answer is still on its way: until that is here, the request speaks for this attempt.
    else call.hasExpired = true;
  }

  /** Of a write with one attempt, which was not applied and never will be: anew, elsewhere. */
  #move(call: WriteCall): void {
    call.hasExpired = false;
    call.session = 0;
    call.sequence = 0;
    this.#gatherAgain(call);
  }

  #ownSession(id: number): OwnSession | undefined {
    if (this.#session?.id === id) return this.#session;
    if (this.#former.length === 0) return undefined;
    return this.#former.find((session) => session.id === id);
  }

  *#allSessions(): Generator<OwnSession> {
    if (this.#session !== undefined) yield this.#session;
    yield* this.#former;
  }

  /** The entry that opens a session, where it is not on its way already. */
  #openingBatch(nowMs: number): Batch | undefined {
    if ((this.#opening?.stage ?? "gathered") !== "gathered") return undefined;
    // For nobody no session is opened: one that is refused at once would be asked for without end.
    if (!this.#gathered.hasPending(nowMs)) return undefined;
    this.#opening ??= this.#newOpening(nowMs);
    const { kind, payload } = this.#opening;
    const entry = { kind, payload, sequence: this.#mark };
    return { entries: packEntries([entry]), calls: [this.#opening] };
  }

  #newOpening(nowMs: number): WriteCall {
    const { calls, sessionTimeoutMs, electionTimeoutMs } = this.#hooks;
    this.#mark++;
    const start = {
      startedMs: nowMs,
      // Should it get lost in some way that is not thought of here: the next turn makes another.
      deadlineMs: nowMs + 10 * electionTimeoutMs,
      signal: undefined,
      resolve: (id: unknown): void => this.#opened(id as number),
      reject: (): void => {
        this.#opening = undefined;
      },
    };
    const payload = encodeSessionEntry({ type: "open", timeoutMs: sessionTimeoutMs });
    return new WriteCall(calls, start, payload, EntryKind.session);
  }

  #opened(id: number): void {
    this.#opening = undefined;
    this.#session = new OwnSession(id);
    this.#former = this.#former.filter((session) => !session.isEmpty);
    this.#hasMoved = true;
  }

  /** Says that the session is not needed any more; where that does not arrive, it expires. */
  #closeSession(): void {
    const session = this.#session;
    const leader = this.#leader;
    if (session === undefined || !session.isEmpty) return;
    if (leader === undefined || leader === this.#hooks.id) return;
    const payload = encodeSessionEntry({ type: "close" });
    const entries = packEntries([{ kind: EntryKind.session, payload, session: session.id }]);
    this.#send(leader, this.#forwarding.takeNumber(), { entries, calls: [] }, U32_MAX);
    this.#session = undefined;
  }

  // ---- attempts

  #propose(nowMs: number, core: RaftInputs): void {
    if (this.#session !== undefined && this.#pace.holds(nowMs, this.#gathered.length)) return;
    for (;;) {
      const batch = this.#nextBatch(nowMs);
      if (batch === undefined) return;
      const result = core.propose(nowMs, batch.entries);
      if (!result.ok && result.reason === "full") this.#refuseFull();
      // Overloaded: the queue waits for commits; transferring: for the next leader, or for this one
      // to go on. It is bounded by the calls themselves.
      if (!result.ok) return;
      if (this.#session !== undefined) this.#gathered.taken(batch);
      this.#waiters.add(result.firstIndex, result.term, batch.calls);
      const count = batch.calls.length;
      this.#pace.proposed(result.firstIndex + count - 1, count);
    }
  }

  /** What it hands on it would never see applied. */
  #refuseCutOff(): void {
    const isFull = this.health === "full";
    const code = isFull ? "DISK_FULL" : "STORAGE_STALLED";
    const text = isFull ? CUT_OFF.full : CUT_OFF.stalled;
    for (const call of this.#gathered.pending()) call.reject(call.endedBy(code, text));
  }

  #refuseFull(): void {
    for (const call of this.#gathered.pending()) call.reject(fullError(call));
  }

  #forward(nowMs: number, leader: MemberId): void {
    for (;;) {
      const batch = this.#nextBatch(nowMs);
      if (batch === undefined) return;
      let deadlineMs = 0;
      for (const call of batch.calls) deadlineMs = Math.max(deadlineMs, call.deadlineMs - nowMs);
      if (!this.#send(leader, this.#forwarding.nextRequest, batch, deadlineMs)) {
        this.#retryAtMs = nowMs + this.#hooks.retryMs;
        return;
      }
      if (this.#session !== undefined) this.#gathered.taken(batch);
      this.#forwarding.sent(leader, batch.calls, nowMs + this.#patienceMs(batch));
    }
  }

  /** What is to be handed on next: without a session, the entry that opens one. */
  #nextBatch(nowMs: number): Batch | undefined {
    if (this.#session === undefined) return this.#openingBatch(nowMs);
    return this.#gathered.nextBatch(nowMs, this.#session);
  }

  // eslint-disable-next-line max-params -- what a forward is made of
  #send(to: MemberId, request: number, batch: Batch, deadlineMs: number): boolean {
    return this.#hooks.send(to, {
      type: "forward",
      request,
      deadlineMs: Math.min(Math.ceil(deadlineMs), U32_MAX),
      entries: batch.entries.bytes,
      count: batch.entries.count,
    });
  }

  /**
   * How long an answer is waited for before the writes are sent again. Longer each time: a leader
   * that is slow because it has much to do must not get more and more of it.
   */
  #patienceMs(batch: Batch): number {
    const attempts = Math.min(batch.calls[0]?.doubts ?? 0, 4);
    return (this.#hooks.electionTimeoutMs / 2) * 2 ** attempts;
  }

  /** An answer that is on its way over another connection has this long. */
  #soon(nowMs: number): number {
    return nowMs + this.#hooks.electionTimeoutMs / 16;
  }

  /** Nobody will say what became of this attempt. */
  #lost(call: WriteCall): void {
    // It may have been settled, or have moved, by what was applied meanwhile.
    if (call.settled || call.stage === "gathered") return;
    if (call.hasExpired) {
      this.#move(call);
      return;
    }
    call.doubts++;
    this.#gatherAgain(call);
  }

  /** An attempt was certainly of no effect, or is in doubt: the write is attempted again. */
  #gatherAgain(call: WriteCall): void {
    if (call.settled) return;
    call.stage = "gathered";
    if (call.hasExpired) this.#move(call);
    else if (call === this.#opening) this.#hasMoved = true;
    else {
      this.#hasMoved = true;
      this.#gathered.add(call);
    }
  }
}

/** Whether a member of that health, while it does not lead, gets no entries any more. */
export function isCutOff(health: Health): boolean {
  return health === "full" || health === "stalled";
}

/** For a call that needs entries which do not come before that is over. */
export function cutOffError(health: Health): QuorateError {
  return health === "full"
    ? new QuorateError("DISK_FULL", CUT_OFF.full)
    : new QuorateError("STORAGE_STALLED", CUT_OFF.stalled);
}

const CUT_OFF = {
  full: "this member has no space on its disk: it is read-only",
  stalled: "the disk of this member does not answer",
} as const;

function fullError(call: WriteCall): QuorateError {
  return call.endedBy(
    "DISK_FULL",
    "the leader, or too many of the other voters, have no space on their disks: it is read-only",
  );
}

function leaderLost(): QuorateError {
  return unknownOutcome("the leader was lost while the write was being replicated");
}

function resultLost(): QuorateError {
  return new QuorateError(
    "OUTCOME_UNKNOWN",
    "the write was done, but its result was not kept: read the state to see what it came to",
  );
}

/** The codec checks this, too; a transport in memory may have none. */
function mayBeForwarded(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += ENTRY_HEAD_BYTES + readU32(bytes, at + 4)) {
    if (bytes[at] !== EntryKind.command && bytes[at] !== EntryKind.session) return false;
  }
  return true;
}
