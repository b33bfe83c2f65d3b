/**
 * A mixed load of clients on a few keys, recorded as a history for the linearizability check.
 *
 * Each client has one operation open at a time and sends it to a member drawn at random: reads
 * (linearizable), writes, creations, comparisons by revision, deletes with and without condition.
 * Every write has a value of its own, so that a read says which write it saw. Unknown outcomes stay
 * in the history as unknown.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { KeyValueInput, KeyValueOperation } from "../../packages/raft/src/testing/index.ts";
import type { TestContext } from "vitest";
import { SeededRandom } from "../../packages/raft/src/util/random.ts";
import { perform } from "./kv-client.ts";
import type { Answer } from "./kv-client.ts";

/** How much load, on what. */
export interface LoadOptions {
  /** HTTP ports of the members. */
  readonly ports: readonly number[];
  readonly clients: number;
  readonly keys: number;
  readonly seed: number;
  /** A client gives an operation up after this. */
  readonly timeoutMs: number;
  /** Between two operations of a client: keeps the history at a size that is quickly checked. */
  readonly thinkMs: number;
  /** Parameters of reads, as `?consistency=lease`; they have to be linearizable. */
  readonly readQuery?: string;
}

/** What happened, beside the history. */
export interface LoadCounts {
  done: number;
  refused: number;
  unknown: number;
}

/** A load that runs until it is stopped. */
export class Load {
  readonly history: KeyValueOperation[] = [];
  readonly counts: LoadCounts = { done: 0, refused: 0, unknown: 0 };
  /** Why operations were refused or left open, and how often. */
  readonly reasons: Map<string, number> = new Map();
  readonly #options: LoadOptions;
  readonly #clients: Promise<void>[];
  #stopped = false;

  /** Starts at once; ends with the test at the latest. */
  constructor(context: TestContext, options: LoadOptions) {
    context.onTestFinished(() => {
      this.#stopped = true;
    });
    this.#options = options;
    this.#clients = Array.from({ length: options.clients }, (_, i) => this.#run(i));
    for (const client of this.#clients) client.catch(() => {}); // reported by stop()
  }

  /** Ends the load, waits for what is open, and rejects if a client met an answer it must not. */
  async stop(): Promise<readonly KeyValueOperation[]> {
    this.#stopped = true;
    await Promise.all(this.#clients);
    return this.history;
  }

  async #run(number: number): Promise<void> {
    const { ports, keys, seed, timeoutMs, thinkMs, readQuery = "" } = this.#options;
    const random = new SeededRandom(seed * 1_000 + number);
    const revisions = new Map<string, number>();
    const client = `c${number}`;
    for (let sequence = 0; !this.#stopped; sequence++) {
      const key = `k${random.below(keys)}`;
      const input = draw(random, `${client}.${sequence}`, revisions.get(key));
      const port = ports[random.below(ports.length)]!;
      const callAt = performance.now();
      const answer = await perform(port, key, input, { timeoutMs, readQuery });
      this.#record({ client, key, input, callAt }, answer);
      const heard =
        answer.outcome === "done" && "revision" in answer.output ? answer.output : undefined;
      if (heard?.revision !== undefined) revisions.set(key, heard.revision);
      await sleep(thinkMs);
    }
  }

  #record(
    call: { client: string; key: string; input: KeyValueInput; callAt: number },
    answer: Answer,
  ): void {
    if (answer.outcome === "done") {
      this.counts.done++;
      this.history.push({
        ...call,
        outcome: "done",
        output: answer.output,
        returnAt: performance.now(),
      });
      return;
    }
    if (answer.outcome === "unknown") this.counts.unknown++;
    else this.counts.refused++;
    this.history.push({ ...call, outcome: answer.outcome });
    const reason = answer.reason.replaceAll(/\d+/g, "#");
    this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1);
  }
}

function draw(random: SeededRandom, value: string, revision: number | undefined): KeyValueInput {
  const lot = random.below(100);
  if (lot < 40) return { type: "read" };
  if (lot < 60) return { type: "put", value };
  if (lot < 65) return { type: "create", value };
  if (lot < 85) {
    return revision === undefined
      ? { type: "create", value }
      : { type: "cas", value, ifRevision: revision };
  }
  if (lot < 93 || revision === undefined) return { type: "delete" };
  return { type: "delete", ifRevision: revision };
}
