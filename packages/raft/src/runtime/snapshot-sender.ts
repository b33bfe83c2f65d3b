/**
 * Sending the newest snapshot to members that need what has left the log.
 *
 * An offer names the snapshot exactly (index, term, length, hash); the receiver answers how much of
 * it is there already, also from an earlier transfer or an earlier life. Then chunks follow, as far
 * ahead of what is written there as a window allows. The window grows while answers come quickly
 * and shrinks when they do not, so that a heartbeat never waits for long behind chunks. One rate
 * bounds all transfers together; they take turns, one chunk in hand each.
 *
 * What is lost is not missed at once: a receiver that sees a gap says so, and where nothing is
 * heard for a while the snapshot is offered again. A transfer that does not move for the progress
 * timeout has ended, and with it what it pinned: its file, and the log behind its snapshot. After
 * one that was installed the log stays for two election timeouts more: the receiver is to go on
 * from there.
 */
import type { MemberId } from "../core/configuration.ts";
import type { SnapshotRequest } from "../core/output.ts";
import type { SnapshotId, SnapshotSource, SnapshotStore } from "../snapshot/snapshot.ts";
import type { PeerMessage, SnapshotReport } from "../transport/peer-message.ts";
import { messageOf, QuorateError } from "../util/error.ts";
import { LIMITS } from "./limits.ts";
import type { SnapshotTransferStatus } from "./replica.ts";

/** What sending needs of its group. */
export interface SenderHooks {
  readonly store: SnapshotStore;
  readonly nonce: number;
  readonly electionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  readonly bytesPerSecond: number;
  readonly progressTimeoutMs: number;
  send(to: MemberId, message: PeerMessage): boolean;
  /** The peer has it, or could not be given it: for the core. */
  ended(nowMs: number, peer: MemberId, installed: number | undefined): void;
  /** A file is read no more. */
  unpinned(): void;
  /** For observers. */
  told(peer: MemberId, id: SnapshotId, end: { elapsedMs: number; failure?: string }): void;
  /** A task between turns, and what is to happen in the turn after it. */
  run<T>(
    task: Promise<T>,
    succeeded: (nowMs: number, value: T) => void,
    failed: (nowMs: number, error: unknown) => void,
  ): void;
}

interface Transfer {
  readonly peer: MemberId;
  readonly term: number;
  readonly number: number;
  readonly id: SnapshotId;
  readonly startedMs: number;
  source: SnapshotSource | undefined;
  /** For every chunk: what is sent is copied. A gigabyte of fresh ones would be the collector's. */
  readonly buffer: Uint8Array;
  /** Written by the receiver, and sent. */
  acked: number;
  sent: number;
  window: number;
  isReading: boolean;
  /** It has answered the newest offer. */
  isAccepted: boolean;
  isOver: boolean;
  offerAtMs: number;
  movedMs: number;
  /** End and time of chunks that were not answered yet, oldest first. */
  readonly flights: { readonly end: number; readonly sentMs: number }[];
}

const CHUNK_BYTES = LIMITS.snapshotChunkBytes;

/** All transfers of one leader. */
export class SnapshotSender {
  readonly #hooks: SenderHooks;
  readonly #transfers: Map<MemberId, Transfer> = new Map();
  /** Until when the log behind a snapshot stays that was installed. */
  readonly #lingering: { readonly index: number; readonly untilMs: number }[] = [];
  #number: number;
  #tokens: number;
  #tokensMs = 0;

  constructor(hooks: SenderHooks) {
    this.#hooks = hooks;
    this.#number = hooks.nonce;
    this.#tokens = LIMITS.snapshotWindowMinBytes;
  }

  /** What stands behind this index is needed; Infinity where nothing is. */
  pinnedIndex(nowMs: number): number {
    let index = Number.POSITIVE_INFINITY;
    for (const { id } of this.#transfers.values()) index = Math.min(index, id.index);
    this.#dropLingering(nowMs);
    for (const lingering of this.#lingering) index = Math.min(index, lingering.index);
    return index;
  }

  status(nowMs: number): SnapshotTransferStatus[] {
    return [...this.#transfers.values()].map(({ peer, id, acked, startedMs }) => ({
      peer,
      index: id.index,
      bytes: id.bytes,
      transferred: acked,
      forMs: nowMs - startedMs,
    }));
  }

  /** When {@link dispatch} has something to do. */
  get nextMs(): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const transfer of this.#transfers.values()) {
      const endMs = transfer.movedMs + this.#hooks.progressTimeoutMs;
      nextMs = Math.min(nextMs, transfer.offerAtMs, endMs);
      // Waits for the rate alone.
      if (this.#mayRead(transfer) && this.#tokens <= 0) {
        const waitMs = (1_000 * (1 - this.#tokens)) / this.#hooks.bytesPerSecond;
        nextMs = Math.min(nextMs, this.#tokensMs + Math.max(1, waitMs));
      }
    }
    for (const { untilMs } of this.#lingering) nextMs = Math.min(nextMs, untilMs);
    return nextMs;
  }

  /** The core wants a peer to be given a snapshot. */
  request(nowMs: number, { peer, term }: SnapshotRequest): void {
    const before = this.#transfers.get(peer);
    if (before !== undefined) this.#end(before);
    const [id] = this.#hooks.store.list;
    if (id === undefined) {
      this.#hooks.ended(nowMs, peer, undefined);
      return;
    }
    const transfer: Transfer = {
      peer,
      term,
      number: ++this.#number,
      id,
      startedMs: nowMs,
      source: undefined,
      buffer: new Uint8Array(Math.min(CHUNK_BYTES, id.bytes)),
      acked: 0,
      sent: 0,
      window: LIMITS.snapshotWindowMinBytes,
      isReading: false,
      isAccepted: false,
      isOver: false,
      offerAtMs: Number.POSITIVE_INFINITY,
      movedMs: nowMs,
      flights: [],
    };
    this.#transfers.set(peer, transfer);
    this.#hooks.run(
      this.#open(transfer),
      () => {
        transfer.offerAtMs = 0;
      },
      (laterMs, error) => this.#fail(laterMs, transfer, messageOf(error)),
    );
  }

  /** The receiver has spoken. */
  report(nowMs: number, from: MemberId, message: SnapshotReport): void {
    const transfer = this.#transfers.get(from);
    if (transfer === undefined || transfer.number !== message.transfer) return;
    const { offset } = message;
    switch (message.status) {
      case "ready":
      case "again":
        if (offset > transfer.id.bytes) return;
        this.#heard(nowMs, transfer, offset, message.status === "again");
        return;
      case "finishing":
        transfer.movedMs = nowMs;
        transfer.offerAtMs = nowMs + this.#hooks.electionTimeoutMs;
        return;
      case "installed":
        this.#installed(nowMs, transfer);
        return;
      case "busy":
        transfer.offerAtMs = nowMs + this.#hooks.electionTimeoutMs;
        return;
      case "damaged":
        this.#suspect(transfer.id);
        this.#fail(nowMs, transfer, "what arrived was damaged");
        return;
      case "refused":
      case "failed":
        this.#fail(nowMs, transfer, `the receiver says ${message.status}`);
    }
  }

  /** Sends what may be sent, offers again where nothing was heard, ends what does not move. */
  dispatch(nowMs: number): void {
    // What is over here must not be due for ever: the loop would be called each millisecond.
    this.#dropLingering(nowMs);
    if (this.#transfers.size === 0) return;
    this.#refill(nowMs);
    for (const transfer of [...this.#transfers.values()]) {
      if (nowMs - transfer.movedMs >= this.#hooks.progressTimeoutMs) {
        this.#fail(nowMs, transfer, "it did not move for the progress timeout");
      } else if (nowMs >= transfer.offerAtMs) this.#offer(nowMs, transfer);
      else this.#read(transfer);
    }
  }

  /** This member leads no more, or stops: nobody needs to be told. */
  stop(): void {
    for (const transfer of [...this.#transfers.values()]) this.#end(transfer);
    this.#lingering.length = 0;
  }

  /** Outside of a turn: the transfer may be over by then, and the group as well. */
  async #open(transfer: Transfer): Promise<void> {
    const source = await this.#hooks.store.source(transfer.id);
    if (transfer.isOver) await source.close();
    else transfer.source = source;
  }

  #offer(nowMs: number, transfer: Transfer): void {
    const { term, number, id, peer } = transfer;
    const { index, term: snapshotTerm, bytes, hash } = id;
    transfer.isAccepted = false;
    transfer.offerAtMs = nowMs + this.#hooks.electionTimeoutMs;
    const type = "snapshot-offer";
    this.#hooks.send(peer, { type, term, transfer: number, index, snapshotTerm, bytes, hash });
  }

  #heard(nowMs: number, transfer: Transfer, offset: number, isGap: boolean): void {
    transfer.offerAtMs = nowMs + this.#hooks.electionTimeoutMs;
    if (offset > transfer.acked || !transfer.isAccepted) transfer.movedMs = nowMs;
    this.#adapt(nowMs, transfer, offset);
    if (!transfer.isAccepted || isGap) {
      // Its word on where to go on, which may be behind what an earlier life of it had.
      transfer.isAccepted = true;
      transfer.acked = offset;
      transfer.sent = offset;
      transfer.flights.length = 0;
    } else transfer.acked = Math.max(transfer.acked, offset);
  }

  /** The window follows how long answers take. */
  #adapt(nowMs: number, transfer: Transfer, offset: number): void {
    const { flights } = transfer;
    const { heartbeatIntervalMs } = this.#hooks;
    while (flights.length > 0 && flights[0]!.end <= offset) {
      const delayMs = nowMs - flights.shift()!.sentMs;
      if (delayMs < heartbeatIntervalMs / 2) {
        transfer.window = Math.min(transfer.window + CHUNK_BYTES, LIMITS.snapshotWindowMaxBytes);
      } else if (delayMs > 2 * heartbeatIntervalMs) {
        transfer.window = Math.max(transfer.window / 2, LIMITS.snapshotWindowMinBytes);
      }
    }
  }

  #mayRead(transfer: Transfer): boolean {
    const { source, isAccepted, isReading, sent, acked, window, id } = transfer;
    return (
      source !== undefined && isAccepted && !isReading && sent < id.bytes && sent - acked < window
    );
  }

  #read(transfer: Transfer): void {
    if (!this.#mayRead(transfer) || this.#tokens <= 0) return;
    const offset = transfer.sent;
    const data = transfer.buffer.subarray(0, transfer.id.bytes - offset);
    this.#tokens -= data.length;
    transfer.isReading = true;
    // The others first, next time: where the rate is what is short, one would get all of it.
    this.#transfers.delete(transfer.peer);
    this.#transfers.set(transfer.peer, transfer);
    this.#hooks.run(
      transfer.source!.read(data, offset),
      (nowMs, length) => {
        transfer.isReading = false;
        if (transfer.isOver) return;
        if (length === data.length) this.#sendChunk(nowMs, transfer, { offset, data });
        else this.#fail(nowMs, transfer, "the file is shorter than it was");
      },
      (nowMs, error) => {
        this.#suspect(transfer.id);
        this.#fail(nowMs, transfer, messageOf(error));
      },
    );
  }

  #sendChunk(
    nowMs: number,
    transfer: Transfer,
    chunk: { readonly offset: number; readonly data: Uint8Array },
  ): void {
    const { offset, data } = chunk;
    // Meanwhile the receiver may have asked for another place.
    if (transfer.sent !== offset || !transfer.isAccepted) return;
    const message = { type: "snapshot-chunk", transfer: transfer.number, offset, data } as const;
    // A full queue or a lost connection: it is offered again before long.
    if (!this.#hooks.send(transfer.peer, message)) return this.#pause(nowMs, transfer);
    transfer.sent = offset + data.length;
    transfer.flights.push({ end: transfer.sent, sentMs: nowMs });
  }

  #pause(nowMs: number, transfer: Transfer): void {
    transfer.isAccepted = false;
    transfer.offerAtMs = nowMs + this.#hooks.heartbeatIntervalMs;
  }

  #installed(nowMs: number, transfer: Transfer): void {
    const { peer, id, startedMs } = transfer;
    this.#end(transfer);
    const untilMs = nowMs + 2 * this.#hooks.electionTimeoutMs;
    this.#lingering.push({ index: id.index, untilMs });
    this.#hooks.told(peer, id, { elapsedMs: nowMs - startedMs });
    this.#hooks.ended(nowMs, peer, id.index);
  }

  #fail(nowMs: number, transfer: Transfer, failure: string): void {
    if (transfer.isOver) return;
    const { peer, id, startedMs } = transfer;
    this.#end(transfer);
    this.#hooks.told(peer, id, { elapsedMs: nowMs - startedMs, failure });
    this.#hooks.ended(nowMs, peer, undefined);
  }

  #end(transfer: Transfer): void {
    transfer.isOver = true;
    if (this.#transfers.get(transfer.peer) === transfer) this.#transfers.delete(transfer.peer);
    if (transfer.source !== undefined) this.#close(transfer.source);
  }

  #close(source: SnapshotSource): void {
    this.#hooks.run(
      source.close(),
      () => this.#hooks.unpinned(),
      () => {},
    );
  }

  /** Our own copy may be the damaged one: then another is sent from now on. */
  #suspect(id: SnapshotId): void {
    const { store } = this.#hooks;
    this.#hooks.run(
      store.verify(id),
      () => {},
      (_nowMs, error) => {
        const isDamaged = QuorateError.is(error) && error.code === "SNAPSHOT_DAMAGED";
        if (isDamaged) store.discredit(id, messageOf(error));
      },
    );
  }

  #dropLingering(nowMs: number): void {
    for (let i = this.#lingering.length - 1; i >= 0; i--) {
      if (nowMs >= this.#lingering[i]!.untilMs) this.#lingering.splice(i, 1);
    }
  }

  #refill(nowMs: number): void {
    const { bytesPerSecond } = this.#hooks;
    const burst = Math.max(LIMITS.snapshotWindowMinBytes, bytesPerSecond / 20);
    const since = Math.max(0, nowMs - this.#tokensMs);
    this.#tokens = Math.min(burst, this.#tokens + (since * bytesPerSecond) / 1_000);
    this.#tokensMs = nowMs;
  }
}
