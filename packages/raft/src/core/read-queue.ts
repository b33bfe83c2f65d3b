/**
 * Reads on their way to an index that is safe to read at. Values only; the rules are read-index.ts.
 *
 * A read is a number of the caller. It waits, then goes out with one *attempt* (a round of the
 * leader, or a request to the leader) that it shares with all that waited with it. At most one
 * attempt is outstanding; who comes later waits for the next.
 */
import type { MemberId } from "./configuration.ts";

/** The reads of one member that wait for an index. */
export class ReadQueue {
  /** Not part of an attempt yet: contexts and times of arrival, side by side, oldest first. */
  waiting: number[] = [];
  waitingSinceMs: number[] = [];
  /** Part of the outstanding attempt. */
  sent: number[] = [];
  sentSinceMs: number[] = [];
  /** Those among all of these that a lease may answer. */
  readonly byLease: Set<number> = new Set();
  /** Leader: other members that wait, at most one token of each. */
  readonly remoteWaiting: Map<MemberId, number> = new Map();
  readonly remoteSent: Map<MemberId, number> = new Map();
  /** Whether an attempt is outstanding. */
  outstanding = false;
  /** Leader: the newest round of this term, and the index it will answer with. */
  round = 0;
  roundIndex = 0;
  /**
   * Follower: the tokens of the outstanding attempt (it is repeated), and when it was last sent.
   */
  firstToken = 0;
  lastToken = 0;
  askedMs: number = -Infinity;
  /** Follower: not again before this time, after a refusal. */
  askAfterMs: number = -Infinity;

  /** Reads and remote requests that are held. */
  get size(): number {
    return this.waiting.length + this.sent.length + this.remoteWaiting.size + this.remoteSent.size;
  }

  get hasWaiting(): boolean {
    return this.waiting.length > 0 || this.remoteWaiting.size > 0;
  }

  add(context: number, nowMs: number, byLease: boolean): void {
    this.waiting.push(context);
    this.waitingSinceMs.push(nowMs);
    if (byLease) this.byLease.add(context);
  }

  /** Whether a lease may answer everything in the outstanding attempt. */
  get isAttemptByLease(): boolean {
    return this.byLease.size > 0 && this.sent.every((context) => this.byLease.has(context));
  }

  /** Everybody who waits becomes part of a new attempt. */
  startAttempt(): void {
    this.sent = this.waiting;
    this.sentSinceMs = this.waitingSinceMs;
    this.waiting = [];
    this.waitingSinceMs = [];
    for (const [peer, token] of this.remoteWaiting) this.remoteSent.set(peer, token);
    this.remoteWaiting.clear();
    this.outstanding = true;
  }

  /** The attempt ended well: its reads leave. */
  endAttempt(): void {
    this.sent = [];
    this.sentSinceMs = [];
    this.remoteSent.clear();
    this.outstanding = false;
  }

  /** The attempt came to nothing: its reads wait again, before all others. */
  abandonAttempt(): void {
    if (!this.outstanding) return;
    this.waiting = [...this.sent, ...this.waiting];
    this.waitingSinceMs = [...this.sentSinceMs, ...this.waitingSinceMs];
    this.endAttempt();
  }

  /** Takes the oldest waiting read out. */
  dropOldest(): number {
    this.waitingSinceMs.shift();
    return this.waiting.shift()!;
  }
}
