/**
 * Receiving a snapshot from the leader: one at a time, in order, as a file.
 *
 * Chunks are taken only where they follow what is here, and written one at a time through the
 * disk's common lane; the sender hears of each that was written. What waits to be written is
 * bounded. When all is here the file is synced, checked from front to back and named, and only then
 * the core is told, in a turn.
 *
 * A part outlives its transfer: the connection, the leader, this process. It is gone on with if the
 * same snapshot is offered again, by whomever, and given up for another one.
 */
import type { MemberId } from "../core/configuration.ts";
import type {
  SnapshotId,
  SnapshotMeta,
  SnapshotPart,
  SnapshotStore,
} from "../snapshot/snapshot.ts";
import type {
  PeerMessage,
  SnapshotChunk,
  SnapshotOffer,
  SnapshotReport,
} from "../transport/peer-message.ts";
import { QuorateError } from "../util/error.ts";
import { LIMITS } from "./limits.ts";
import type { SnapshotTransferStatus } from "./replica.ts";

/** What receiving needs of its group. */
export interface ReceiverHooks {
  readonly store: SnapshotStore;
  readonly progressTimeoutMs: number;
  send(to: MemberId, message: PeerMessage): boolean;
  /** Whom this member follows, in which term, and how far it has committed. */
  followed(): { leader: MemberId | undefined; term: number; commit: number };
  /** Whether the machine is being replaced. */
  isRestoring(): boolean;
  /** It is here, whole and durable. False: it is of another cluster. */
  install(nowMs: number, from: MemberId, meta: SnapshotMeta): boolean;
  failed(error: unknown): void;
  run<T>(
    task: Promise<T>,
    succeeded: (nowMs: number, value: T) => void,
    failed: (nowMs: number, error: unknown) => void,
  ): void;
}

interface Reception {
  readonly id: SnapshotId;
  readonly startedMs: number;
  from: MemberId;
  transfer: number;
  part: SnapshotPart | undefined;
  /** Where the next chunk has to begin; undefined until the part was opened. */
  expected: number | undefined;
  readonly queue: Uint8Array[];
  queuedBytes: number;
  isWriting: boolean;
  isFinishing: boolean;
  /** A gap was reported at this place. */
  gapAt: number | undefined;
  movedMs: number;
}

/** What one member receives. */
export class SnapshotReceiver {
  readonly #hooks: ReceiverHooks;
  #reception: Reception | undefined;

  constructor(hooks: ReceiverHooks) {
    this.#hooks = hooks;
  }

  status(nowMs: number): SnapshotTransferStatus | undefined {
    const reception = this.#reception;
    if (reception === undefined) return undefined;
    const { from, id, part, startedMs } = reception;
    const transferred = part?.offset ?? 0;
    const { index, bytes } = id;
    return { peer: from, index, bytes, transferred, forMs: nowMs - startedMs };
  }

  get nextMs(): number {
    const reception = this.#reception;
    if (reception === undefined || isBusy(reception)) return Number.POSITIVE_INFINITY;
    return reception.movedMs + this.#hooks.progressTimeoutMs;
  }

  /** Lets go of what does not move. The part stays on disk. */
  dispatch(nowMs: number): void {
    if (nowMs >= this.nextMs) this.#leave();
  }

  /** The group has stopped. */
  stop(): void {
    this.#leave();
  }

  offer(nowMs: number, from: MemberId, offer: SnapshotOffer): void {
    const { transfer } = offer;
    const answer = (status: SnapshotReport["status"], offset = 0): void =>
      void this.#hooks.send(from, { type: "snapshot-report", transfer, status, offset });
    const { leader, term, commit } = this.#hooks.followed();
    if (offer.term < term) return answer("refused");
    // Its word as leader has not come yet, or it is not the one that is followed.
    if (offer.term > term || leader !== from) return answer("busy");
    if (offer.index <= commit) return answer("installed");
    const { index, snapshotTerm, bytes, hash } = offer;
    const id = { index, term: snapshotTerm, bytes, hash };
    const known = this.#reception;
    if (known !== undefined && isSame(known.id, id)) {
      known.from = from;
      known.transfer = transfer;
      known.gapAt = undefined;
      known.movedMs = nowMs;
      if (known.isFinishing) answer("finishing", known.expected);
      else if (known.expected !== undefined) answer("ready", known.expected);
      return;
    }
    if (this.#hooks.isRestoring() || (known !== undefined && isBusy(known))) return answer("busy");
    this.#begin(nowMs, from, { id, transfer });
  }

  chunk(nowMs: number, from: MemberId, chunk: SnapshotChunk): void {
    const reception = this.#reception;
    if (reception?.expected === undefined || reception.isFinishing) return;
    if (reception.from !== from || reception.transfer !== chunk.transfer) return;
    const { offset, data } = chunk;
    const { expected, id } = reception;
    if (offset > expected) {
      if (reception.gapAt !== expected) this.#report(reception, "again", expected);
      reception.gapAt = expected;
      return;
    }
    const isTooMuch =
      expected + data.length > id.bytes ||
      reception.queuedBytes + data.length > 2 * LIMITS.snapshotWindowMaxBytes;
    if (offset < expected || isTooMuch) return;
    reception.movedMs = nowMs;
    reception.expected = expected + data.length;
    reception.queue.push(data);
    reception.queuedBytes += data.length;
    this.#write(reception);
  }

  #begin(
    nowMs: number,
    from: MemberId,
    offer: { readonly id: SnapshotId; readonly transfer: number },
  ): void {
    this.#leave();
    const reception: Reception = {
      ...offer,
      from,
      startedMs: nowMs,
      part: undefined,
      expected: undefined,
      queue: [],
      queuedBytes: 0,
      isWriting: false,
      isFinishing: false,
      gapAt: undefined,
      movedMs: nowMs,
    };
    this.#reception = reception;
    this.#hooks.run(
      this.#open(reception),
      () => {
        const { part } = reception;
        if (this.#reception !== reception || part === undefined) return;
        reception.expected = part.offset;
        if (part.offset === offer.id.bytes) this.#finish(reception);
        else this.#report(reception, "ready", part.offset);
      },
      (_laterMs, error) => this.#fail(reception, error),
    );
  }

  /** Outside of a turn: the reception may be over by then, and the group as well. */
  async #open(reception: Reception): Promise<void> {
    const part = await this.#hooks.store.receive(reception.id);
    if (this.#reception === reception) reception.part = part;
    else await part.leave();
  }

  #write(reception: Reception): void {
    const data = reception.queue[0];
    if (data === undefined || reception.isWriting) return;
    reception.isWriting = true;
    this.#hooks.run(
      reception.part!.append(data),
      (_nowMs) => {
        reception.isWriting = false;
        reception.queue.shift();
        reception.queuedBytes -= data.length;
        if (this.#reception !== reception) return;
        const { offset } = reception.part!;
        if (offset === reception.id.bytes) {
          this.#finish(reception);
          return;
        }
        this.#report(reception, "ready", offset);
        this.#write(reception);
      },
      (_nowMs, error) => this.#fail(reception, error),
    );
  }

  #finish(reception: Reception): void {
    reception.isFinishing = true;
    this.#report(reception, "finishing", reception.id.bytes);
    this.#hooks.run(
      reception.part!.finish(),
      (nowMs, meta) => {
        if (this.#reception === reception) this.#reception = undefined;
        const fits = this.#hooks.install(nowMs, reception.from, meta);
        this.#report(reception, fits ? "installed" : "failed", reception.id.bytes);
      },
      (_nowMs, error) => this.#fail(reception, error),
    );
  }

  #fail(reception: Reception, error: unknown): void {
    if (this.#reception !== reception) return;
    const isDamaged = QuorateError.is(error) && error.code === "SNAPSHOT_DAMAGED";
    this.#report(reception, isDamaged ? "damaged" : "failed", 0);
    reception.isFinishing = false;
    reception.isWriting = false;
    this.#leave();
    this.#hooks.failed(error);
  }

  #leave(): void {
    const reception = this.#reception;
    if (reception === undefined) return;
    this.#reception = undefined;
    const { part } = reception;
    if (part === undefined || reception.isFinishing) return;
    this.#hooks.run(
      part.leave(),
      () => {},
      () => {},
    );
  }

  #report(reception: Reception, status: SnapshotReport["status"], offset: number): void {
    const { from, transfer } = reception;
    this.#hooks.send(from, { type: "snapshot-report", transfer, status, offset });
  }
}

/** Whether its file is being worked on. */
function isBusy(reception: Reception): boolean {
  return reception.expected === undefined || reception.isWriting || reception.isFinishing;
}

function isSame(a: SnapshotId, b: SnapshotId): boolean {
  return a.index === b.index && a.term === b.term && a.bytes === b.bytes && a.hash === b.hash;
}
