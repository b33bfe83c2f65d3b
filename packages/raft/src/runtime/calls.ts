/**
 * A call of the user that waits for its end: who asked, until when, and how far it has come.
 *
 * Every call ends exactly once, by {@link Call.resolve} or {@link Call.reject}, whichever comes
 * first; later ends are ignored. That keeps the promise "every promise settles" in one place: a
 * call is in the deadline wheel from the moment it exists until it ends, so even one that the
 * engine lost sight of would end by its deadline.
 *
 * How a write stands decides what an early end may claim:
 *
 *   gathered   nothing has left this member: whatever ends it now, it was not done
 *   handed on  appended by this leader, or sent to the leader: its end is unknown, unless the log
 *              says otherwise
 *
 * A write is attempted as often as its deadline allows: its session sees to it that it happens
 * once. An attempt whose fate nobody will tell any more leaves a *doubt*. From then on the write
 * counts as handed on, whatever becomes of later attempts, until the log shows that it was done.
 */
import type { MemberId } from "../core/configuration.ts";
import { EntryKind } from "../core/entry.ts";
import { LIMITS } from "./limits.ts";
import { QuorateError, type ErrorCode } from "../util/error.ts";
import type { MemberCall } from "./member-call.ts";
import { Deadlines, type Timed } from "./deadlines.ts";

/** How a call is made: times are absolute, by the engine's clock. */
export interface CallStart {
  readonly startedMs: number;
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: QuorateError) => void;
}

/** What all calls have in common. */
export abstract class Call implements Timed {
  readonly startedMs: number;
  readonly deadlineMs: number;
  slot = -1;
  before: Timed | undefined = undefined;
  behind: Timed | undefined = undefined;
  settled = false;
  readonly #signal: AbortSignal | undefined;
  readonly #resolve: (value: unknown) => void;
  readonly #reject: (error: QuorateError) => void;
  readonly #calls: Calls;

  constructor(calls: Calls, start: CallStart) {
    this.startedMs = start.startedMs;
    this.deadlineMs = start.deadlineMs;
    this.#signal = start.signal;
    this.#resolve = start.resolve;
    this.#reject = start.reject;
    this.#calls = calls;
    // The call is its own listener object: no closure per call.
    this.#signal?.addEventListener("abort", this);
    calls.opened(this);
  }

  resolve(value: unknown): void {
    if (this.#end()) this.#resolve(value);
  }

  reject(error: QuorateError): void {
    if (this.#end()) this.#reject(error);
  }

  /** Called by the signal. */
  handleEvent(): void {
    this.reject(this.abortError(this.#signal?.reason));
  }

  /** What the end of waiting means now. */
  abstract timeoutError(): QuorateError;
  abstract abortError(cause: unknown): QuorateError;
  /** Takes the call off the counters; called once. */
  abstract leave(calls: Calls): void;

  #end(): boolean {
    if (this.settled) return false;
    this.settled = true;
    this.#signal?.removeEventListener("abort", this);
    this.#calls.ended(this);
    return true;
  }
}

/** How far a write has come. `sent`: forwarded, the answer is not here yet. */
export type WriteStage = "gathered" | "sent" | "appended";

/**
 * A write, or the opening of the session that writes need (`kind`). `payload` is kept until the
 * end: a write is repeated until its fate is known.
 */
export class WriteCall extends Call {
  readonly payload: Uint8Array;
  readonly kind: EntryKind;
  /** The session that it has a place in, and its sequence there; 0 = none yet. */
  session = 0;
  sequence = 0;
  /** Attempts of which nobody knows what became of them. */
  doubts = 0;
  /** The attempt on its way was found in the log, and its session was not there any more. */
  hasExpired = false;
  #stage: WriteStage = "gathered";
  readonly #calls: Calls;

  // eslint-disable-next-line max-params -- what all calls take, and what makes this a write
  constructor(
    calls: Calls,
    start: CallStart,
    payload: Uint8Array,
    kind: EntryKind = EntryKind.command,
  ) {
    super(calls, start);
    this.#calls = calls;
    this.payload = payload;
    this.kind = kind;
    if (kind === EntryKind.command) calls.writes++;
    calls.gatheredBytes += payload.length;
  }

  /** Whether this write may happen, or may have happened, without a further act of ours. */
  get handedOn(): boolean {
    return this.#stage !== "gathered" || this.doubts > 0;
  }

  get stage(): WriteStage {
    return this.#stage;
  }

  /** What was appended is bounded by the leader; what was not, counts as gathered. */
  set stage(stage: WriteStage) {
    const counted = this.#stage === "appended" ? 0 : this.payload.length;
    const counts = stage === "appended" ? 0 : this.payload.length;
    this.#stage = stage;
    if (!this.settled) this.#calls.gatheredBytes += counts - counted;
  }

  timeoutError(): QuorateError {
    return this.handedOn
      ? unknownOutcome("the deadline passed while the write was being replicated")
      : new QuorateError("TIMEOUT", "the deadline passed before the write was taken by a leader");
  }

  abortError(cause: unknown): QuorateError {
    return this.handedOn
      ? unknownOutcome("the caller's signal came while the write was being replicated", cause)
      : new QuorateError("ABORTED", "the caller's signal ended the write", { cause });
  }

  /** The error for a write that ends for a reason of ours, with the certainty that it has. */
  endedBy(code: ErrorCode, message: string, cause?: unknown): QuorateError {
    const outcome = this.handedOn ? "unknown" : "not-done";
    return new QuorateError(code, message, { outcome, cause });
  }

  leave(calls: Calls): void {
    if (this.kind === EntryKind.command) calls.writes--;
    if (this.#stage !== "appended") calls.gatheredBytes -= this.payload.length;
  }
}

/** A read that waits for an index that is safe to read at. */
export class ReadCall extends Call {
  readonly query: unknown;
  /** The leader's lease will do. */
  readonly byLease: boolean;

  constructor(calls: Calls, start: CallStart, query: unknown, byLease = false) {
    super(calls, start);
    this.query = query;
    this.byLease = byLease;
    calls.reads++;
  }

  timeoutError(): QuorateError {
    return new QuorateError("TIMEOUT", "the deadline passed before the read was confirmed");
  }

  abortError(cause: unknown): QuorateError {
    return new QuorateError("ABORTED", "the caller's signal ended the read", { cause });
  }

  leave(calls: Calls): void {
    calls.reads--;
  }
}

/** Somebody who waits for a leader to be known. */
export class LeaderCall extends Call {
  constructor(calls: Calls, start: CallStart) {
    super(calls, start);
    calls.leaders.add(this);
  }

  timeoutError(): QuorateError {
    return new QuorateError("NO_LEADER", "no leader was known before the deadline");
  }

  abortError(cause: unknown): QuorateError {
    return new QuorateError("ABORTED", "the caller's signal ended the wait for a leader", {
      cause,
    });
  }

  leave(calls: Calls): void {
    calls.leaders.delete(this);
  }
}

/** Somebody who wants leadership to move. */
export class TransferCall extends Call {
  /** Who is to lead; undefined = anybody else. */
  readonly target: MemberId | undefined;
  /** The leader that was asked first. */
  askedOf: MemberId | undefined = undefined;
  /** Not asked again before this. */
  askAtMs = 0;
  /** What was last in the way. */
  obstacle = "no leader was known";

  constructor(calls: Calls, start: CallStart, target: MemberId | undefined) {
    super(calls, start);
    this.target = target;
    calls.transfers.add(this);
  }

  /** Whether this is what was wished, now that `leader` leads. */
  isFulfilledBy(leader: MemberId): boolean {
    if (this.target !== undefined) return leader === this.target;
    return this.askedOf !== undefined && leader !== this.askedOf;
  }

  timeoutError(): QuorateError {
    if (this.askedOf === undefined) {
      return new QuorateError("NO_LEADER", "no leader was known before the deadline");
    }
    const whom = this.target === undefined ? "" : ` to ${this.target}`;
    const message = `leadership did not move${whom} before the deadline: ${this.obstacle}`;
    return new QuorateError("TIMEOUT", message, { outcome: "unknown" });
  }

  abortError(cause: unknown): QuorateError {
    const outcome = this.askedOf === undefined ? "not-done" : "unknown";
    const message = "the caller's signal ended the wait for the transfer";
    return new QuorateError("ABORTED", message, { cause, outcome });
  }

  leave(calls: Calls): void {
    calls.transfers.delete(this);
  }
}

/** Somebody who wants a snapshot to be taken. */
export class SnapshotCall extends Call {
  /** What was applied when it was asked for: an older one will not do. */
  readonly index: number;

  constructor(calls: Calls, start: CallStart, index: number) {
    super(calls, start);
    this.index = index;
    calls.snapshots.add(this);
  }

  timeoutError(): QuorateError {
    const message = "the snapshot was not finished before the deadline; it goes on being taken";
    return new QuorateError("TIMEOUT", message, { outcome: "unknown" });
  }

  abortError(cause: unknown): QuorateError {
    const message = "the caller's signal ended the wait for the snapshot";
    return new QuorateError("ABORTED", message, { cause, outcome: "unknown" });
  }

  leave(calls: Calls): void {
    calls.snapshots.delete(this);
  }
}

/** All calls of one group that wait, their numbers and their deadlines. */
export class Calls {
  readonly deadlines: Deadlines = new Deadlines();
  readonly leaders: Set<LeaderCall> = new Set();
  readonly transfers: Set<TransferCall> = new Set();
  readonly snapshots: Set<SnapshotCall> = new Set();
  readonly members: Set<MemberCall> = new Set();
  writes = 0;
  reads = 0;
  /** Payloads of the writes that are not appended anywhere yet, as far as this member knows. */
  gatheredBytes = 0;

  /** Writes and reads that have not ended. */
  get waiting(): number {
    return this.writes + this.reads;
  }

  opened(call: Call): void {
    this.deadlines.add(call);
  }

  ended(call: Call): void {
    this.deadlines.remove(call);
    call.leave(this);
  }

  /** Whether one more write of that size is within the bounds. */
  hasRoomForWrite(bytes: number): boolean {
    return (
      this.writes < LIMITS.pendingWritesMax && this.gatheredBytes + bytes <= LIMITS.gatheredBytesMax
    );
  }

  hasRoomForRead(): boolean {
    const others =
      this.leaders.size + this.transfers.size + this.snapshots.size + this.members.size;
    return this.reads + others < LIMITS.pendingReadsMax;
  }

  /** Ends every call whose deadline has passed. */
  expire(nowMs: number): void {
    if (nowMs < this.deadlines.nextMs) return;
    this.deadlines.sweep(nowMs, (timed) => {
      const call = timed as Call;
      call.reject(call.timeoutError());
    });
  }

  /** Ends every call that is neither a write, a read nor a change of the members. */
  endOthers(errorOf: () => QuorateError): void {
    for (const calls of [this.leaders, this.transfers, this.snapshots]) {
      for (const call of [...calls]) call.reject(errorOf());
    }
  }

  leaderIs(leader: MemberId): void {
    for (const call of [...this.leaders]) call.resolve(leader);
  }
}

/** The error of a write whose fate is not known. */
export function unknownOutcome(why: string, cause?: unknown): QuorateError {
  return new QuorateError(
    "OUTCOME_UNKNOWN",
    `${why}: it may have happened or may yet happen`,
    cause === undefined ? {} : { cause },
  );
}
