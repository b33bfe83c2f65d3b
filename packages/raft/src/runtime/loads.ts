/**
 * Entries that have left memory and are wanted again, for the applier or for a peer. The log reads
 * them beside everything else; what it found enters the group inside its next turn, since nothing
 * else may touch the core.
 *
 * A damaged entry stops the group, whoever wanted it. What could not be read otherwise is asked for
 * again by the core, and is the end where the applier needs it.
 */
import type { RaftInputs } from "../core/contract.ts";
import type { EntryBatch } from "../core/entry.ts";
import type { LoadRequest } from "../core/output.ts";
import type { Log } from "../log/log.ts";
import { assert } from "../util/assert.ts";
import { QuorateError } from "../util/error.ts";
import type { Applier } from "./applier.ts";

/** What loading needs of its group. */
export interface LoadsHooks {
  readonly log: Log;
  readonly group: number;
  /** Undefined once the group has stopped. */
  engine(): { readonly core: RaftInputs; readonly applier: Applier } | undefined;
  failed(error: unknown): void;
  /** Asks for a turn. */
  wake(): void;
}

/** Reads of one group that are on their way, or wait for a turn. */
export class Loads {
  readonly #hooks: LoadsHooks;
  readonly #ready: ((nowMs: number) => void)[] = [];

  constructor(hooks: LoadsHooks) {
    this.#hooks = hooks;
  }

  /** Hands over what was read since the last turn. */
  dispatch(nowMs: number): void {
    if (this.#ready.length > 0) for (const hand of this.#ready.splice(0)) hand(nowMs);
  }

  /** The group has stopped. */
  clear(): void {
    this.#ready.length = 0;
  }

  forApplier(from: number, to: number, bytesMax: number): void {
    this.#read(from, to, bytesMax).then(
      (batches) =>
        this.#inTurn(() => {
          const applier = this.#hooks.engine()?.applier;
          // A snapshot may have taken the place of what was asked for.
          const isMeant = applier?.applied === from - 1 && !applier.isRestoring;
          assert(batches.length > 0 || !isMeant, () => `the log does not hold entry ${from}`);
          applier?.loaded(batches);
        }),
      (error: unknown) => this.#failed(error),
    );
  }

  forPeer(request: LoadRequest): void {
    this.#read(request.from, request.to, request.bytesMax).then(
      (batches) =>
        this.#inTurn((nowMs) => this.#hooks.engine()?.core.loaded(nowMs, request, batches)),
      (error: unknown) => {
        this.#inTurn((nowMs) => this.#hooks.engine()?.core.loadFailed(nowMs, request));
        if (QuorateError.is(error) && error.code === "LOG_DAMAGED") this.#failed(error);
      },
    );
  }

  #read(from: number, to: number, bytesMax: number): Promise<EntryBatch[]> {
    return this.#hooks.log.read(this.#hooks.group, from, to, bytesMax);
  }

  #inTurn(hand: (nowMs: number) => void): void {
    this.#ready.push(hand);
    this.#hooks.wake();
  }

  #failed(error: unknown): void {
    this.#hooks.failed(error);
    this.#hooks.wake();
  }
}
