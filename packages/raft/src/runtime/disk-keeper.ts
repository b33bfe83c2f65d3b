/**
 * When a machine on disk is synced, and what the log may let go of for it.
 *
 * What a machine has applied survives the process, but a power cut only as far as it was synced.
 * What comes behind is applied again from the log, so nothing behind the last finished sync may
 * leave it. It is let go of up to the sync *before* that: then who is a little behind gets entries
 * and not a snapshot. A sync is due by bytes of applied log, as a snapshot of a machine in memory
 * is.
 *
 * A machine without space (machine/no-space.ts) is asked again after a while, and so is one that
 * says of itself that it is full. What it could not sync counts as not durable, so the log grows.
 *
 * Where a machine was found at opening says nothing: it may be in the page cache alone.
 */
import type { EngineJournal } from "../machine/engine-journal.ts";
import type { DiskHost } from "../machine/machine-host.ts";
import { isNoSpace } from "../machine/no-space.ts";
import { QuorateError, messageOf } from "../util/error.ts";
import type { Applier } from "./applier.ts";
import type { EngineOptions } from "./options.ts";

/** What the keeper needs of its group. */
export interface DiskKeeperHooks {
  readonly machine: DiskHost<unknown>;
  readonly journal: EngineJournal;
  readonly options: EngineOptions["snapshot"];
  /** After so long a machine that had no space is asked again. */
  readonly retryMs: number;
  /** A task between turns, and what is to happen in the turn after it. */
  run<T>(
    task: Promise<T>,
    succeeded: (nowMs: number, value: T) => void,
    failed: (nowMs: number, error: unknown) => void,
  ): void;
  failed(error: unknown): void;
}

/** See the top of this file. */
export class DiskKeeper {
  readonly #hooks: DiskKeeperHooks;
  /** The last finished sync covers this index, and the one before it that. */
  #durable = 0;
  #before = 0;
  /** Bytes and index that were applied when the last sync began. */
  #bytes = 0;
  #index = 0;
  #isSyncing = false;
  /** The last sync has found no space. */
  #hasNoSpace = false;
  #retryAtMs = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(hooks: DiskKeeperHooks) {
    this.#hooks = hooks;
    this.#index = hooks.journal.opened.index;
  }

  /** The log may let go of entries up to here. */
  get releasable(): number {
    return this.#before;
  }

  /** Whether the machine has no space for what it was given. */
  get isFull(): boolean {
    return this.#hasNoSpace || this.#hooks.machine.isFull;
  }

  /** When {@link isDue} has to be asked at the latest. */
  get nextMs(): number {
    return this.isFull && !this.#isSyncing ? this.#retryAtMs : Number.POSITIVE_INFINITY;
  }

  isDue(applier: Applier, nowMs: number): boolean {
    const { automatic, logBytes, entries } = this.#hooks.options;
    if (this.#isSyncing || applier.isRestoring) return false;
    if (this.isFull) return nowMs >= this.#retryAtMs;
    if (!automatic) return false;
    const isMuch = applier.bytes - this.#bytes >= logBytes;
    return isMuch && applier.applied - this.#index >= entries;
  }

  /** Makes what is applied now survive a power cut. */
  sync(applier: Applier): void {
    const { machine, journal } = this.#hooks;
    const { index } = journal.confirmed;
    this.#isSyncing = true;
    this.#bytes = applier.bytes;
    this.#index = applier.applied;
    this.#running = synced(machine);
    this.#hooks.run(
      this.#running,
      () => {
        this.#isSyncing = false;
        this.#hasNoSpace = false;
        this.#before = Math.max(this.#before, this.#durable);
        this.#durable = Math.max(this.#durable, index);
      },
      (nowMs, cause) => {
        if (isNoSpace(cause)) {
          this.#isSyncing = false;
          this.#hasNoSpace = true;
          this.#retryAtMs = nowMs + this.#hooks.retryMs;
          return;
        }
        if (QuorateError.is(cause)) return this.#hooks.failed(cause);
        const message = `the state machine could not be synced: ${messageOf(cause)}`;
        this.#hooks.failed(new QuorateError("REPLICA_FAILED", message, { cause }));
      },
    );
  }

  /** Resolves when no sync is under way. */
  async idle(): Promise<void> {
    await Promise.allSettled([this.#running]);
  }

  /** The machine became what a snapshot says, and that survives a power cut. */
  restored(index: number, bytes: number): void {
    this.#hasNoSpace = false;
    this.#durable = Math.max(this.#durable, index);
    this.#before = this.#durable;
    this.#bytes = bytes;
    this.#index = index;
  }
}

/** A promise, also where the machine throws. */
async function synced(machine: DiskHost<unknown>): Promise<void> {
  await machine.sync();
}
