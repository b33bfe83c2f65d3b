/**
 * What the leader knows of one peer, and how fast it may send to it.
 *
 *            success              A peer starts in *probe*: one message at a time, until the place
 *   probe ────────▶ replicate       where the logs agree is found. In *replicate* `next` runs ahead
 *     ▲ │              │            of what is acknowledged, as far as the window (messages and
 *     └─┼──────────────┘            bytes in flight) allows.
 *       │  refusal, connection lost
 *       ▼                           What it needs next has left the log: *snapshot*. It is sent
 *    snapshot                       heartbeats alone, until it acknowledges something from which
 *                                   the log goes on, or the snapshot was sent.
 *
 * Only this class changes state, match, next and window. Invariants: `next-after-match`,
 * `match-within-log` (checked by the caller, who has the log), `inflight-balanced`.
 */
import type { Incarnation, MemberId } from "./configuration.ts";
import type { PeerStatus } from "./contract.ts";
import type { Health } from "./health-watch.ts";
import { violated } from "./invariants.ts";
import type { LoadRequest } from "./output.ts";

/** One peer, as its leader knows it. */
export class Progress {
  readonly id: MemberId;
  /** The directory that all of this is about. */
  readonly incarnation: Incarnation;
  role: "voter" | "learner";
  /** The highest index known to be durable there and equal to ours. */
  match = 0;
  /** The first index to send next. */
  next: number;
  state: "probe" | "replicate" | "snapshot" = "probe";
  /** When it was last heard in this term. */
  lastHeardMs: number | undefined = undefined;
  /** The connection was lost and nothing was heard since. */
  isLost = false;
  /** As it said last in this term. */
  health: Health = "ok";
  /** When an append was last sent. */
  lastAppendMs: number = -Infinity;
  /** The newest read round it has answered in this term. */
  ackedRound = 0;
  /** The highest commit index it was told that it can make use of. */
  commitSent = 0;
  /** Probe: the one message is on its way. */
  probeSent = false;
  /** Probe: entries went out from this `next` already; what is sent again is empty. */
  probeTried = false;
  /** It has refused what it had acknowledged in this term, and that was reported. */
  isDenied = false;
  /** Replicate: send an empty append, to find out whether the tail was lost. */
  nudge = false;
  /** Snapshot: it was asked for, and how that ended was not said yet. */
  snapshotAsked = false;
  /** Snapshot: not asked for again before this time. */
  snapshotAfterMs: number = -Infinity;
  /** Entries that were asked of the log and have not come yet. */
  loading: LoadRequest | undefined = undefined;
  /** After a failed load: not again before this time. */
  loadAfterMs: number = -Infinity;
  readonly #inflight: InflightWindow = new InflightWindow();

  constructor(peer: Pick<Progress, "id" | "incarnation" | "role">, next: number) {
    this.id = peer.id;
    this.incarnation = peer.incarnation;
    this.role = peer.role;
    this.next = next;
  }

  get inflightMessages(): number {
    return this.#inflight.messages;
  }

  get inflightBytes(): number {
    return this.#inflight.bytes;
  }

  /** The peer acknowledged everything up to `index`; true where that is news. */
  acknowledge(index: number): boolean {
    this.#inflight.freeUpTo(index);
    const advanced = index > this.match;
    if (advanced) this.match = index;
    if (this.next <= this.match) this.#moveNext(this.match + 1);
    if (this.state === "probe") this.probeSent = false;
    return advanced;
  }

  /** The logs agree: send ahead from behind `match`. */
  becomeReplicate(): void {
    this.state = "replicate";
    this.#inflight.clear();
    this.#moveNext(this.match + 1);
    this.#reset();
  }

  /** What it needs has left the log. */
  becomeSnapshot(): void {
    this.becomeProbe(this.next);
    this.state = "snapshot";
  }

  /** What was sent ahead is void: find the place of agreement again, from `next`. */
  becomeProbe(next: number): void {
    this.state = "probe";
    this.#inflight.clear();
    this.commitSent = Math.min(this.commitSent, this.match);
    this.#moveNext(Math.max(next, this.match + 1));
    this.#reset();
  }

  /** Entries up to `lastIndex` were sent. */
  sent(lastIndex: number, bytes: number): void {
    if (this.state === "probe") {
      this.probeSent = true;
      this.probeTried = true;
      return;
    }
    this.#inflight.add(lastIndex, bytes);
    this.#moveNext(lastIndex + 1);
  }

  /** Whether the window has no room for another message. */
  isFull(messagesMax: number, bytesMax: number): boolean {
    return this.#inflight.messages >= messagesMax || this.#inflight.bytes >= bytesMax;
  }

  /** Gives up on the oldest message in flight: its acknowledgement may have been lost. */
  freeOldest(): void {
    this.#inflight.freeOldest();
  }

  status(): PeerStatus {
    return {
      id: this.id,
      role: this.role,
      matchIndex: this.match,
      nextIndex: this.next,
      state: this.state,
      lastHeardMs: this.lastHeardMs,
      inflightMessages: this.#inflight.messages,
      inflightBytes: this.#inflight.bytes,
      health: this.health,
    };
  }

  #moveNext(next: number): void {
    if (next <= this.match) {
      violated("next-after-match", `${this.id}: next ${next}, match ${this.match}.`);
    }
    this.next = next;
  }

  #reset(): void {
    this.probeSent = false;
    this.probeTried = false;
    this.nudge = false;
    this.snapshotAsked = false;
    this.snapshotAfterMs = -Infinity;
    this.loading = undefined;
    this.loadAfterMs = -Infinity;
  }
}

/** Messages on their way to a peer, oldest first: last index and bytes of each, side by side. */
class InflightWindow {
  #lastIndexes: number[] = [];
  #sizes: number[] = [];
  #head = 0;
  bytes = 0;

  get messages(): number {
    return this.#lastIndexes.length - this.#head;
  }

  add(lastIndex: number, bytes: number): void {
    this.#lastIndexes.push(lastIndex);
    this.#sizes.push(bytes);
    this.bytes += bytes;
  }

  /** Everything up to `index` has arrived, whichever acknowledgements were lost. */
  freeUpTo(index: number): void {
    while (this.messages > 0 && this.#lastIndexes[this.#head]! <= index) this.freeOldest();
  }

  freeOldest(): void {
    if (this.messages === 0) return;
    this.bytes -= this.#sizes[this.#head++]!;
    if (this.bytes < 0) violated("inflight-balanced", `${this.bytes} bytes in flight.`);
    if (this.#head === this.#lastIndexes.length) this.clear();
    else if (this.#head > 512) this.#compact();
  }

  clear(): void {
    this.#lastIndexes.length = 0;
    this.#sizes.length = 0;
    this.#head = 0;
    this.bytes = 0;
  }

  #compact(): void {
    this.#lastIndexes = this.#lastIndexes.slice(this.#head);
    this.#sizes = this.#sizes.slice(this.#head);
    this.#head = 0;
  }
}
