/**
 * What became of named requests: replicated, so that whoever repeats a request hears its first
 * outcome from any member, after any failover, and the request is carried out once.
 *
 * What is kept is bounded in age and in bytes:
 *  - an outcome is dropped when it is `keptMsMax` old, in cluster time;
 *  - beyond `bytesMax` the oldest are dropped earlier, but none that is younger than `keptMsMin`. A
 *    new name for which that leaves no room is refused and certainly not done. Forgetting a name
 *    that its client still repeats would do the request twice without a word.
 * Cluster time is never ahead of real time, so the two ages are at least that long by any clock.
 *
 * All of it follows from the commands and their times alone, so every member drops the same. The
 * bounds are therefore no options: another number on one member would be another state.
 *
 * Outcomes leave in the order in which they came. They stand in blocks that only grow at the end,
 * so a snapshot takes the list of blocks and reads it out while others come and go.
 */
import { BTree } from "quorate/store";
import type { Conflict, DeleteDone, PutDone, RequestName } from "./command.ts";

/** Bounds of what is kept. */
export interface OutcomeLimits {
  /** So long an outcome is kept at most … */
  readonly keptMsMax: number;
  /** … and at least; clients must not repeat a request later than that. */
  readonly keptMsMin: number;
  readonly bytesMax: number;
  /** What keeping one costs beside its key. */
  readonly bytesEach: number;
}

/** The bounds of every store; a change of them is a change of the machine's version. */
export const OUTCOME_LIMITS: OutcomeLimits = {
  keptMsMax: 3_600_000,
  keptMsMin: 60_000,
  bytesMax: 100_663_296, // 96 MiB: some 7,000 named requests per second for a minute
  bytesEach: 200, // measured: 185 of objects, beside the text of the key
};

/** How named requests end. */
export type KeptResult = PutDone | DeleteDone | Conflict;

/** A named request that was carried out. */
export interface KeptOutcome extends RequestName {
  readonly result: KeptResult;
  /** Cluster time at which it was. */
  readonly timeMs: number;
}

const BLOCK = 1_024;

/** The outcomes of named requests; see the top of the file. */
export class Outcomes {
  readonly #limits: OutcomeLimits;
  readonly #byKey = new BTree<KeptOutcome>();
  /** Oldest first; every block but the last is full. */
  #blocks: KeptOutcome[][] = [];
  /** How many of the first block are dropped already. */
  #dropped = 0;
  #bytes = 0;

  /** Others than the usual bounds are for tests. */
  constructor(limits: OutcomeLimits = OUTCOME_LIMITS) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#byKey.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** What is kept under a name, once what is too old at this time is dropped. */
  get(key: string, nowMs: number): KeptOutcome | undefined {
    const { keptMsMax } = this.#limits;
    this.#dropWhile((oldest) => nowMs - oldest.timeMs >= keptMsMax);
    return this.#byKey.get(key);
  }

  /** Makes room for one more name; false where there is none. */
  makeRoom(key: string, nowMs: number): boolean {
    const { bytesMax, keptMsMin } = this.#limits;
    const most = bytesMax - this.#bytesOf(key);
    this.#dropWhile((oldest) => this.#bytes > most && nowMs - oldest.timeMs >= keptMsMin);
    return this.#bytes <= most;
  }

  /** Keeps an outcome under a name that has none. Times never go back. */
  add(outcome: KeptOutcome): void {
    this.#byKey.set(outcome.key, outcome);
    this.#bytes += this.#bytesOf(outcome.key);
    const last = this.#blocks.at(-1);
    if (last === undefined || last.length === BLOCK) this.#blocks.push([outcome]);
    else last.push(outcome);
  }

  /** Everything as it is now, oldest first, to be read out while others come and go. */
  freeze(): FrozenOutcomes {
    const blocks = this.#blocks.slice();
    const from = this.#dropped;
    const lastLength = blocks.at(-1)?.length ?? 0;
    return { size: this.size, read: () => readBlocks(blocks, from, lastLength) };
  }

  #bytesOf(key: string): number {
    return this.#limits.bytesEach + key.length;
  }

  #dropWhile(isDue: (oldest: KeptOutcome) => boolean): void {
    for (;;) {
      const oldest = this.#blocks[0]?.[this.#dropped];
      if (oldest === undefined || !isDue(oldest)) return;
      this.#byKey.delete(oldest.key);
      this.#bytes -= this.#bytesOf(oldest.key);
      this.#dropped++;
      if (this.#dropped < this.#blocks[0]!.length) continue;
      this.#blocks.shift();
      this.#dropped = 0;
    }
  }
}

/** Outcomes as they were at one moment. */
export interface FrozenOutcomes {
  readonly size: number;
  read(): Iterable<KeptOutcome>;
}

function* readBlocks(
  blocks: readonly (readonly KeptOutcome[])[],
  from: number,
  lastLength: number,
): Generator<KeptOutcome, void, void> {
  for (const [i, block] of blocks.entries()) {
    const end = i === blocks.length - 1 ? lastLength : block.length;
    for (let at = i === 0 ? from : 0; at < end; at++) yield block[at]!;
  }
}
