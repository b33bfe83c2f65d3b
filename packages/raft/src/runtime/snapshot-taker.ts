/**
 * Taking one snapshot: from the machine's pieces into a file, beside everything else.
 *
 * A turn of the loop is never held up: pieces are written through the disk's common lane, one at a
 * time, and a machine that gives many small ones is asked for them in slices. At most one chunk of
 * 64 KiB and one piece of the machine are in memory.
 *
 * The machine may hang in a piece. That holds up nobody where the pieces are `live`; it ends with
 * {@link cancel}. A machine whose pieces are `held` cannot hang without hanging everything.
 */
import type { MachineSnapshot } from "../machine/machine-host.ts";
import { pieceOf } from "../machine/machine-snapshot.ts";
import type {
  SnapshotId,
  SnapshotMeta,
  SnapshotStore,
  SnapshotWriter,
} from "../snapshot/snapshot.ts";
import type { Clock } from "../util/clock.ts";
import { QuorateError, messageOf } from "../util/error.ts";
import { LIMITS } from "./limits.ts";

/** One snapshot that is being taken. */
export class SnapshotTaker {
  readonly meta: SnapshotMeta;
  readonly startedMs: number;
  readonly #store: SnapshotStore;
  readonly #clock: Clock;
  #cancelled: QuorateError | undefined;
  /** Ends the wait that is under way. */
  #interrupt: (error: QuorateError) => void = () => {};
  #writer: SnapshotWriter | undefined;

  constructor(store: SnapshotStore, clock: Clock, meta: SnapshotMeta) {
    this.meta = meta;
    this.startedMs = clock.nowMs();
    this.#store = store;
    this.#clock = clock;
  }

  /** Bytes of the machine so far. */
  get bytes(): number {
    return this.#writer?.bytes ?? 0;
  }

  /** Gives it up; {@link take} rejects. */
  cancel(why: string): void {
    this.#cancelled ??= new QuorateError("SNAPSHOT_FAILED", why);
    this.#interrupt(this.#cancelled);
  }

  /** Resolves when the snapshot is durable. Rejects with SNAPSHOT_FAILED or DISK_FULL. */
  async take(source: MachineSnapshot): Promise<SnapshotId> {
    try {
      const writer = await this.#store.create(this.meta);
      this.#writer = writer;
      if (source.kind === "whole") await writer.write(source.bytes);
      else if (source.kind === "held") await this.#drain(writer, source.pieces);
      else await this.#follow(writer, source);
      return await writer.finish();
    } catch (error) {
      await this.#writer?.abort();
      if (source.kind !== "whole") letGo(source.pieces);
      throw failureOf(error, this.meta.index);
    }
  }

  async #drain(writer: SnapshotWriter, pieces: Iterator<unknown>): Promise<void> {
    let sliceMs = this.#clock.nowMs();
    for (let next = pieces.next(); next.done !== true; next = pieces.next()) {
      const full = writer.write(pieceOf(next.value));
      if (full !== undefined) await this.#unlessCancelled(full);
      else if (this.#clock.nowMs() - sliceMs < LIMITS.applySliceMs) continue;
      else await this.#unlessCancelled(this.#breath());
      sliceMs = this.#clock.nowMs();
    }
  }

  async #follow(
    writer: SnapshotWriter,
    source: Extract<MachineSnapshot, { kind: "live" }>,
  ): Promise<void> {
    let asked = source.first;
    let sliceMs = this.#clock.nowMs();
    for (;;) {
      const next = await this.#unlessCancelled(asked);
      if (next.done === true) return;
      const full = writer.write(pieceOf(next.value));
      // A machine that has its pieces at hand never lets the loop turn by itself.
      const isLong = this.#clock.nowMs() - sliceMs >= LIMITS.applySliceMs;
      if (full !== undefined) await full;
      else if (isLong) await this.#breath();
      if (full !== undefined || isLong) sliceMs = this.#clock.nowMs();
      asked = source.pieces.next();
    }
  }

  /**
   * What the task comes to, or the cancellation if that comes first. No race with one promise for
   * all: that would remember every piece of the machine until the snapshot has ended.
   */
  #unlessCancelled<T>(task: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#interrupt = reject;
      if (this.#cancelled !== undefined) reject(this.#cancelled);
      task.then(resolve, reject);
    });
  }

  #breath(): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.soon(resolve);
    });
  }
}

/** Lets a machine's iterator clean up; whatever it does with that is its own affair. */
function letGo(pieces: Iterator<unknown> | AsyncIterator<unknown>): void {
  try {
    Promise.resolve(pieces.return?.()).catch(() => {});
  } catch {
    // It threw in its own cleaning up.
  }
}

function failureOf(cause: unknown, index: number): QuorateError {
  if (QuorateError.is(cause)) return cause;
  const message = `no snapshot at ${index}: the state machine threw: ${messageOf(cause)}`;
  return new QuorateError("SNAPSHOT_FAILED", message, { cause });
}
