/**
 * One host: listener, log, timers, and the one loop that gives all groups their turns.
 *
 * Nothing is decided in a callback. Sockets, the disk, timers and calls of the user only queue and
 * ask for a turn; the turn then goes through everything once:
 *
 *   1. step what arrived       4. take outputs: send or hold, gather writes
 *   2. let time pass           5. start one log write for all groups, flush the sockets
 *   3. propose what gathered   6. apply committed entries, 5 ms at a time; then tell observers
 *
 * At most one log write is in flight; outputs that come meanwhile gather for the next one. Its
 * completion runs a turn in its own callback, since each further hop through the event loop would
 * cost every write some 0.04 ms.
 *
 * A late turn (the process was paused, or somebody blocked the event loop) must not let timers fire
 * on silence that was never there: the turn steps what arrived, then waits one more pass of the
 * event loop, in which the sockets are read, before time passes for the core.
 *
 * Failure: what goes wrong inside a group's turn stops that group (group.ts). A failed log stops
 * all.
 */
import { NO_INCARNATION } from "../core/configuration.ts";
import type { Incarnation, MemberId } from "../core/configuration.ts";
import type { Log } from "../log/log.ts";
import type { PeerMessage } from "../transport/peer-message.ts";
import type { Hello, RefusalReport, Transport, Verdict } from "../transport/transport.ts";
import type { TransportHandler } from "../transport/transport.ts";
import { assertDefined } from "../util/assert.ts";
import type { Clock, Timer } from "../util/clock.ts";
import type { Group } from "./group.ts";
import { Inbox } from "./inbox.ts";
import { LIMITS } from "./limits.ts";
import type { Observers } from "./observers.ts";
import type { Peering } from "./peering.ts";

/** The log is settled after being idle for so long. */
const SETTLE_AFTER_MS = 100;
/** A turn this late is reported and gets the sockets read before time passes. */
const LATE_MS = 50;

/** What a host is made of. */
export interface HostParts {
  readonly clock: Clock;
  readonly transport: PausableTransport;
  readonly log: Log;
  readonly observers: Observers;
  readonly electionTimeoutMs: number;
}

/** A transport that can leave bytes in the sockets; one that cannot relies on its own bounds. */
export type PausableTransport = Transport & { pauseReads?(): void; resumeReads?(): void };

/** The loop of one host, and its side of the transport. */
export class Host implements TransportHandler {
  readonly #parts: HostParts;
  readonly #groups = new Map<number, Group>();
  readonly #inbox = new Inbox();
  /** Groups whose write is in flight, and those whose write has just become durable. */
  #writing: Group[] = [];
  #written: Group[] = [];
  #isWriting = false;
  #peering: Peering | undefined;
  #lost: MemberId[] = [];
  #found: MemberId[] = [];
  #isRunning = false;
  #isClosed = false;
  #isPaused = false;
  #soonAtMs: number | undefined;
  /** When what waits in the inbox began to arrive. */
  #arrivedMs = 0;
  #timer: Timer | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #settleAtMs = Number.POSITIVE_INFINITY;
  /** A late turn has let the sockets be read: now time may pass. */
  #hasWaited = false;
  /** The longest delay of a turn so far. */
  turnDelayMaxMs = 0;
  /** Turns that came later than half an election timeout. */
  stalls = 0;

  constructor(parts: HostParts) {
    this.#parts = parts;
    parts.log.onStateChange((state) => {
      for (const group of this.#groups.values()) group.logStateChanged(state);
      parts.observers.emit({ type: "storage", state });
      // It may have failed where no write of ours was waiting: ask, to be told why.
      if (state === "failed") parts.log.settle().catch(this.#onSettleFailed);
      this.wake();
    });
  }

  /** Ties the host to its identity; called once, before the transport listens. */
  use(peering: Peering): void {
    this.#peering = peering;
  }

  addGroup(group: Group): void {
    this.#groups.set(group.number, group);
    group.logStateChanged(this.#parts.log.status().state);
  }

  /** Asks for a turn after the inputs that are already waiting. */
  wake(): void {
    if (this.#soonAtMs !== undefined || this.#isClosed) return;
    this.#soonAtMs = this.#parts.clock.nowMs();
    this.#parts.clock.soon(this.#soon);
  }

  /** Ends the loop: no turn runs afterwards. */
  stop(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Something that concerns every group: they all stop. */
  failAll(error: unknown): void {
    for (const group of this.#groups.values()) group.failWith(error);
    this.wake();
  }

  // ---- the transport's callbacks: they only queue

  hello(): Hello {
    return this.#who().hello();
  }

  judge(remote: Hello, dialed: MemberId | undefined, target?: MemberId): Verdict {
    return this.#who().judge(remote, dialed, target);
  }

  contacted(address: string, remote: Hello): void {
    this.#who().contacted(address, remote);
    this.wake();
  }

  contactFailed(address: string, reason: string): void {
    this.#who().contactFailed(address, reason);
    this.wake();
  }

  connected(peer: MemberId, remote: Hello): void {
    this.#parts.observers.emit({ type: "peer-connected", peer, address: remote.address });
    this.#who().connected(peer, remote);
    // At once, and in the order in which it happened: it is only remembered.
    for (const group of this.#groups.values()) group.versions.knows(peer, remote.machineVersion);
    this.#found.push(peer);
    this.wake();
  }

  disconnected(peer: MemberId, reason: string): void {
    this.#parts.observers.emit({ type: "peer-disconnected", peer, reason });
    this.#who().disconnected(peer);
    for (const group of this.#groups.values()) group.versions.knows(peer, undefined);
    this.#lost.push(peer);
    this.wake();
  }

  refused(report: RefusalReport): void {
    this.#parts.observers.emit({ type: "peer-refused", ...report });
    this.#who().refused(report);
    this.wake();
  }

  problem(address: string, reason: string): void {
    this.#parts.observers.emit({ type: "peer-problem", address, reason });
    this.wake();
  }

  message(from: MemberId, group: number, message: PeerMessage): void {
    if (this.#isClosed) return;
    const peering = this.#who();
    switch (message.type) {
      case "formation":
      case "invitation":
      case "join-response":
        peering.received(from, message);
        return;
      case "join-request":
        // It is no member, and speaks for nobody.
        if (peering.mayAsk(from)) this.#enqueue(from, group, message, NO_INCARNATION);
        return;
      default: {
        const incarnation = peering.incarnationOf(from);
        if (incarnation !== undefined) this.#enqueue(from, group, message, incarnation);
      }
    }
  }

  // ---- the loop

  readonly #soon = (): void => {
    const sinceMs = this.#soonAtMs;
    this.#soonAtMs = undefined;
    if (sinceMs !== undefined) this.#measure(sinceMs);
    this.#turn();
  };

  readonly #onTimer = (): void => {
    const dueMs = this.#timerAtMs;
    this.#timer = undefined;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    this.#measure(dueMs);
    this.#turn();
  };

  readonly #onWritten = (): void => {
    this.#isWriting = false;
    this.#written = this.#writing;
    this.#settleAtMs = this.#parts.clock.nowMs() + SETTLE_AFTER_MS;
    this.#turn();
  };

  readonly #onWriteFailed = (error: unknown): void => {
    this.#isWriting = false;
    this.failAll(error);
  };

  #turn(): void {
    if (this.#isRunning || this.#isClosed) return;
    this.#isRunning = true;
    let more = false;
    try {
      const nowMs = this.#parts.clock.nowMs();
      this.#takeInputs(nowMs);
      this.#passTime(nowMs);
      for (const group of this.#groups.values()) this.#giveTurn(group, nowMs);
      this.#startWrite();
      this.#parts.transport.flush();
      more = this.#apply();
      if (nowMs >= this.#settleAtMs) this.#settle();
    } catch (error) {
      // A defect outside any group: nothing can be trusted to go on.
      this.failAll(error);
    } finally {
      this.#isRunning = false;
    }
    this.#parts.observers.deliver();
    if (more || !this.#inbox.isEmpty) this.wake();
    this.#arm();
  }

  // The guards of what happens in every turn are written out: no closure per turn.

  #giveTurn(group: Group, nowMs: number): void {
    try {
      group.dispatch(nowMs);
      group.collect(nowMs);
    } catch (error) {
      group.failWith(error);
    }
  }

  #takeInputs(nowMs: number): void {
    if (this.#written.length > 0) {
      const written = this.#written;
      this.#written = [];
      for (const group of written) this.#guard(group, () => group.written(nowMs));
    }
    if (!this.#inbox.isEmpty) this.#readInbox(nowMs);
    if (this.#lost.length > 0) {
      for (const peer of this.#lost.splice(0)) {
        for (const group of this.#groups.values()) {
          this.#guard(group, () => group.disconnected(nowMs, peer));
        }
      }
    }
    if (this.#found.length > 0) {
      for (const peer of this.#found.splice(0)) {
        for (const group of this.#groups.values()) {
          this.#guard(group, () => group.connected(nowMs, peer));
        }
      }
    }
    if (this.#isPaused) {
      this.#isPaused = false;
      this.#parts.transport.resumeReads?.();
    }
  }

  #readInbox(nowMs: number): void {
    const arrival = { atMs: this.#arrivedMs, incarnation: NO_INCARNATION };
    this.#inbox.drain((from, number, message, incarnation) => {
      const group = this.#groups.get(number);
      if (group === undefined) return;
      try {
        arrival.incarnation = incarnation;
        group.receive(nowMs, from, message, arrival);
      } catch (error) {
        group.failWith(error);
      }
    });
  }

  /** Ticks the groups that are due, unless what arrived meanwhile has to be read first. */
  #passTime(nowMs: number): void {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const group of this.#groups.values()) dueMs = Math.min(dueMs, group.coreDeadlineMs);
    if (nowMs < dueMs) return;
    const lateMs = Math.min(LATE_MS, this.#parts.electionTimeoutMs / 2);
    if (nowMs - dueMs > lateMs && !this.#hasWaited) {
      this.#hasWaited = true;
      this.#parts.observers.emit({ type: "late-turn", delayMs: nowMs - dueMs });
      this.wake();
      return;
    }
    this.#hasWaited = false;
    for (const group of this.#groups.values()) {
      if (nowMs >= group.coreDeadlineMs) this.#guard(group, () => group.tick(nowMs));
    }
  }

  #startWrite(): void {
    if (this.#isWriting) return;
    const groups: Group[] = [];
    const writes = [];
    for (const group of this.#groups.values()) {
      const write = group.takeWrite();
      if (write === undefined) continue;
      groups.push(group);
      writes.push(write);
    }
    if (writes.length === 0) return;
    this.#isWriting = true;
    this.#writing = groups;
    this.#settleAtMs = Number.POSITIVE_INFINITY;
    this.#parts.log.append(writes).then(this.#onWritten, this.#onWriteFailed);
  }

  #apply(): boolean {
    const untilMs = this.#parts.clock.nowMs() + LIMITS.applySliceMs;
    let more = false;
    for (const group of this.#groups.values()) if (this.#applyOf(group, untilMs)) more = true;
    return more;
  }

  #applyOf(group: Group, untilMs: number): boolean {
    try {
      return group.apply(untilMs);
    } catch (error) {
      group.failWith(error);
      return false;
    }
  }

  #settle(): void {
    this.#settleAtMs = Number.POSITIVE_INFINITY;
    if (this.#isWriting) return;
    this.#parts.log.settle().catch(this.#onSettleFailed);
  }

  readonly #onSettleFailed = (error: unknown): void => {
    this.failAll(error);
  };

  /** Sets the timer for what is due next; one that fires a little early does no harm and stays. */
  #arm(): void {
    if (this.#isClosed) return;
    let dueMs = this.#settleAtMs;
    for (const group of this.#groups.values()) dueMs = Math.min(dueMs, group.nextDeadlineMs);
    if (dueMs >= this.#timerAtMs || dueMs === Number.POSITIVE_INFINITY) return;
    this.#timer?.cancel();
    const nowMs = this.#parts.clock.nowMs();
    // What became due before this moment is no delay of the loop.
    this.#timerAtMs = Math.max(dueMs, nowMs);
    // Never zero: what is still due after a turn must not become a loop without time passing.
    const delayMs = Math.max(1, dueMs - nowMs);
    this.#timer = this.#parts.clock.setTimer(delayMs, this.#onTimer);
  }

  // eslint-disable-next-line max-params -- as it is read
  #enqueue(from: MemberId, group: number, message: PeerMessage, incarnation: Incarnation): void {
    if (this.#inbox.isEmpty) this.#arrivedMs = this.#parts.clock.nowMs();
    this.#inbox.push(from, group, message, incarnation);
    if (this.#inbox.bytes > LIMITS.inboxBytesMax && !this.#isPaused) {
      this.#isPaused = true;
      this.#parts.transport.pauseReads?.();
    }
    this.wake();
  }

  #guard(group: Group, act: () => void): void {
    try {
      act();
    } catch (error) {
      group.failWith(error);
    }
  }

  #measure(dueMs: number): void {
    const delayMs = this.#parts.clock.nowMs() - dueMs;
    if (delayMs > this.turnDelayMaxMs) this.turnDelayMaxMs = delayMs;
    if (delayMs <= this.#parts.electionTimeoutMs / 2) return;
    this.stalls++;
    this.#parts.observers.emit({ type: "loop-stalled", delayMs, stalls: this.stalls });
  }

  #who(): Peering {
    return assertDefined(this.#peering, "the host listens before it knows who it is");
  }
}
