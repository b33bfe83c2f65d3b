/**
 * The feed of changes: every command that had an effect, once, in the order of the log, on any
 * member, resumable by index.
 *
 * A feed keeps nothing but its place. It reads what is applied here from the core's memory or from
 * the log, one stretch at a time, and waits where there is nothing more: so a slow consumer holds
 * back itself alone, and costs one stretch of memory. Which commands had an effect is asked of the
 * engine's state (machine/history.ts); only what is applied is shown, and that is committed.
 *
 * A feed ends: without an error when its signal is aborted and when the replica closes or is
 * removed; with REPLICA_FAILED when that fails; with LOG_DAMAGED when the log could not be read
 * (where the cause is a DiskError, another feed may succeed); with HISTORY_COMPACTED when the log
 * no longer holds, or it is no longer known of, what comes next. That happens to a consumer that is
 * slower than compaction, and on a member that was so far behind that it got a snapshot.
 */
import type { RaftInputs } from "../core/contract.ts";
import type { EntryBatch } from "../core/entry.ts";
import { EntryCursor, EntryKind } from "../core/entry.ts";
import type { Log } from "../log/log.ts";
import type { EngineState } from "../machine/engine-state.ts";
import type { Codec } from "../machine/state-machine.ts";
import { messageOf, QuorateError } from "../util/error.ts";
import { LIMITS } from "./limits.ts";

/** One command that had an effect. */
export interface Change<Command> {
  /** Its place in the log: to go on behind it, ask from `index + 1`. */
  readonly index: number;
  /** Cluster time, as `apply` saw it. */
  readonly timeMs: number;
  readonly command: Command;
}

/** Options of `changes`. */
export interface ChangesOptions {
  /** The first index that is wanted, 1 = from the beginning. Default: what comes from now on. */
  readonly from?: number;
  /** Ends the feed, without an error. */
  readonly signal?: AbortSignal;
}

/** What a feed reads from: the engine of a group. */
interface Source {
  readonly core: RaftInputs;
  readonly applier: { readonly applied: number; readonly state: EngineState };
}

/** What the feeds need of their group. */
export interface ChangesHooks {
  readonly log: Log;
  readonly group: number;
  /** Undefined while there is no core: before formation, and after the end. */
  engine(): Source | undefined;
  state(): "forming" | "running" | "removed" | "failed" | "closed";
  /** Why it has failed. */
  refusal(): QuorateError;
}

/** Where a feed is. */
interface Feed {
  next: number;
}

interface Waiter {
  readonly index: number;
  readonly wake: () => void;
}

/** All feeds of one group. */
export class Changes {
  readonly #hooks: ChangesHooks;
  readonly #waiters = new Set<Waiter>();
  readonly #feeds = new Set<Feed>();

  constructor(hooks: ChangesHooks) {
    this.#hooks = hooks;
  }

  /** The lowest index that a feed goes on from; Infinity where there is none. */
  get wantedFrom(): number {
    let index = Infinity;
    for (const { next } of this.#feeds) index = Math.min(index, next);
    return index;
  }

  /** Everything up to `applied` is applied. */
  advanced(applied: number): void {
    if (this.#waiters.size === 0) return;
    for (const waiter of this.#waiters) if (waiter.index <= applied) waiter.wake();
  }

  /** The group has ended, in one way or another. */
  ended(): void {
    for (const waiter of this.#waiters) waiter.wake();
  }

  /** A feed; it counts from the first time that something is asked of it. */
  async *feed<Command>(
    codec: Codec<Command>,
    options: ChangesOptions,
  ): AsyncGenerator<Change<Command>, void, undefined> {
    if (this.#feeds.size >= LIMITS.changeFeedsMax) {
      throw new QuorateError("OVERLOADED", "too many feeds of changes are open on this member");
    }
    const { signal } = options;
    const cursor = new EntryCursor();
    const feed: Feed = { next: options.from ?? this.#applied + 1 };
    this.#feeds.add(feed);
    try {
      while (await this.#wait(feed.next, signal)) {
        // What a batch holds behind this may be truncated while the consumer is at work.
        const upTo = this.#applied;
        const batches = await this.#stretch(feed.next, upTo);
        for (const batch of batches) {
          if (batch.lastIndex < feed.next) continue;
          cursor.reset(batch, feed.next);
          while (feed.next <= upTo && cursor.next()) {
            const { index, kind, payload } = cursor.view;
            feed.next = index + 1;
            if (kind !== EntryKind.command || !this.#hasEffect(index)) continue;
            yield { index, timeMs: batch.timeMs, command: codec.decode(payload) };
            if (signal?.aborted === true) return;
          }
        }
      }
    } finally {
      this.#feeds.delete(feed);
    }
  }

  #hasEffect(index: number): boolean {
    const history = this.#hooks.engine()?.applier.state.history;
    if (history === undefined) return false;
    if (index < history.knownFrom) throw compacted(index, history.knownFrom);
    return history.isEffective(index);
  }

  get #applied(): number {
    return this.#hooks.engine()?.applier.applied ?? 0;
  }

  /** Waits until `index` is applied; false where the feed has ended. */
  async #wait(index: number, signal: AbortSignal | undefined): Promise<boolean> {
    for (;;) {
      if (signal?.aborted === true) return false;
      const state = this.#hooks.state();
      if (state === "failed") throw this.#hooks.refusal();
      if (state === "closed" || state === "removed") return false;
      if (this.#applied >= index) return true;
      await new Promise<void>((resolve) => {
        const waiter: Waiter = {
          index,
          wake: () => {
            this.#waiters.delete(waiter);
            signal?.removeEventListener("abort", waiter.wake);
            resolve();
          },
        };
        this.#waiters.add(waiter);
        signal?.addEventListener("abort", waiter.wake);
      });
    }
  }

  /** Batches from `next` on, at most up to `upTo`; none where the group has ended meanwhile. */
  async #stretch(next: number, upTo: number): Promise<readonly EntryBatch[]> {
    const engine = this.#hooks.engine();
    if (engine === undefined) return [];
    const batch = engine.core.batchAt(next);
    if (batch !== undefined) return [batch];
    let batches: EntryBatch[] = [];
    let failure: QuorateError | undefined;
    try {
      const { log, group } = this.#hooks;
      const to = Math.min(upTo, engine.core.memoryIndex - 1);
      batches = await log.read(group, next, to, READ_BYTES);
    } catch (error) {
      failure = failureOf(error);
    }
    if (batches.length > 0 || this.#hooks.state() !== "running") return batches;
    const firstIndex = engine.core.status().startIndex + 1;
    if (next < firstIndex) throw compacted(next, firstIndex);
    if (failure !== undefined) throw failure;
    // It may have left memory and be in the log by now, or the other way round.
    return [];
  }
}

const READ_BYTES = 1_048_576;

function failureOf(error: unknown): QuorateError {
  if (QuorateError.is(error)) return error;
  return new QuorateError("STORAGE_FAILED", `the log cannot be read: ${messageOf(error)}`, {
    outcome: "not-done",
    cause: error,
  });
}

function compacted(index: number, firstIndex: number): QuorateError {
  return new QuorateError(
    "HISTORY_COMPACTED",
    `entry ${index} is no longer in the log, which begins at ${firstIndex} by now: take the state ` +
      `from the machine, and go on from there`,
    { firstIndex },
  );
}
