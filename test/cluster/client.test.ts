/**
 * The typed client while leaders are killed: every write ends as done, and happened once.
 *
 * - Adders count up one key by compare-and-set. If a write happened twice, or was told as failed
 *   although it happened, the count would not be the number of updates that ended.
 * - Putters write keys of their own, unconditionally. A write that is carried out twice says so by
 *   itself: the second one finds the key there.
 * - One process at a time is killed, and now and then one is frozen while requests lie in it: those
 *   are carried out when it goes on, behind their own repetitions.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "quorate-server/client";
import type { KvClient } from "quorate-server/client";
import { expect, test } from "vitest";
import { Cluster } from "../harness/cluster.ts";
import { waitUntil } from "../harness/wait.ts";

const ELECTION_TIMEOUT_MS = 300;
const ROUNDS = process.env["QUORATE_LONG"] === "1" ? 40 : 6;
const CALL_MS = 20_000;
const WRITES_PER_ROUND = 60;

test(
  "a counter and unique writes are exact although leaders are killed and frozen",
  { timeout: 60_000 + ROUNDS * 5_000 },
  async (context) => {
    const cluster = await Cluster.make(context, {
      members: 3,
      electionTimeoutMs: ELECTION_TIMEOUT_MS,
    });
    await cluster.start();
    const kv = connect({
      endpoints: cluster.httpPorts.map((port) => `http://127.0.0.1:${port}`),
      timeoutMs: CALL_MS,
      attemptTimeoutMs: 700,
    });
    const work = new Work(kv);
    context.onTestFinished(() => work.stop());
    for (let i = 0; i < 3; i++) work.add();
    for (let i = 0; i < 3; i++) work.put(i);

    for (let round = 0; round < ROUNDS; round++) {
      const goal = work.puts + WRITES_PER_ROUND;
      await waitUntil("writes go on", 20_000, () => work.puts >= goal);
      const leader = await cluster.leader();
      if (round % 3 === 2) {
        leader.pause();
        await sleep(3 * ELECTION_TIMEOUT_MS);
        leader.resume();
      } else {
        await leader.kill();
        leader.start();
      }
      await cluster.settled(20_000);
    }
    await work.stop();
    await cluster.settled(20_000);

    expect(work.puts).toBeGreaterThanOrEqual(ROUNDS * WRITES_PER_ROUND);
    expect((await kv.get("count"))?.json()).toBe(work.adds);
    let found = 0;
    for await (const item of kv.items({ prefix: "put/" })) {
      expect(item.text()).toBe(`value of ${item.key}`);
      found++;
    }
    expect(found).toBe(work.puts);
    await context.annotate(`${work.adds} additions, ${work.puts} puts, ${ROUNDS} leaders gone`);
  },
);

/** Clients at work; every failure of a call fails the test. */
class Work {
  adds = 0;
  puts = 0;
  readonly #kv: KvClient;
  readonly #workers: Promise<void>[] = [];
  #stopped = false;

  constructor(kv: KvClient) {
    this.#kv = kv;
  }

  add(): void {
    this.#run(async () => {
      await this.#kv.update("count", (item) => ({ json: (item?.json(Number) ?? 0) + 1 }));
      this.adds++;
    });
  }

  put(worker: number): void {
    let number = 0;
    this.#run(async () => {
      const key = `put/${worker}/${++number}`;
      const { created } = await this.#kv.put(key, `value of ${key}`);
      if (!created) throw new Error(`${key} was written twice`);
      this.puts++;
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#workers);
  }

  #run(step: () => Promise<void>): void {
    const loop = async (): Promise<void> => {
      while (!this.#stopped) {
        await step();
        await sleep(2);
      }
    };
    const worker = loop();
    worker.catch(() => {}); // reported by stop()
    this.#workers.push(worker);
  }
}
