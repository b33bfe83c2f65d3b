/**
 * Exactly once over HTTP: of the replies to a client a third is lost and a third is given for a
 * request that was carried out twice, leaders are killed, and counters end exact.
 *
 * Each writer owns a counter and moves it on by compare-and-set from the revision that it knows: an
 * increment that were done twice, or told as done and was not, leaves the next one without its
 * revision. So each single one is judged, and the sum in the end. Connections that break cost the
 * client's platform a millisecond each: the large numbers are in exactly-once.test.ts.
 */
import { connect } from "quorate-server/client";
import type { KvClient } from "quorate-server/client";
import { expect, test } from "vitest";
import { Cluster } from "../harness/cluster.ts";
import { takePort } from "../harness/ports.ts";
import { Fates, HttpProxy } from "../harness/reply-proxies.ts";
import { waitUntil } from "../harness/wait.ts";

const IS_LONG = process.env["QUORATE_LONG"] === "1";
const INCREMENTS = IS_LONG ? 20_000 : 1_000;
const KILLS = IS_LONG ? 10 : 2;
const WRITERS = 32;

test(
  `counters are exact after ${INCREMENTS} increments with lost and doubled replies`,
  { timeout: IS_LONG ? 600_000 : 60_000 },
  async (context) => {
    const cluster = await Cluster.make(context, { members: 3, electionTimeoutMs: 500 });
    await cluster.start();
    const fates = new Fates();
    const endpoints: string[] = [];
    for (const target of cluster.httpPorts) {
      const proxy = await HttpProxy.open(context, fates, { port: await takePort(), target });
      endpoints.push(proxy.url);
    }
    const kv = connect({ endpoints, timeoutMs: 30_000, attemptTimeoutMs: 2_000 });
    const count = { called: 0, done: 0 };
    const writers = Promise.all(
      Array.from({ length: WRITERS }, (_, at) => increment(kv, `counter/${at}`, count)),
    );
    writers.catch(() => {}); // looked at below
    for (let kills = 0; kills < KILLS; kills++) {
      const goal = ((kills + 1) * INCREMENTS) / (KILLS + 1);
      await Promise.race([writers, waitUntil("writes go on", 120_000, () => count.done >= goal)]);
      const leader = await cluster.leader();
      await leader.kill();
      leader.start();
      await cluster.settled(20_000);
    }
    await writers;
    let sum = 0;
    for await (const item of kv.items({ prefix: "counter/" })) sum += item.json(Number);
    expect(sum).toBe(INCREMENTS);
    expect(fates.lost).toBeGreaterThan(INCREMENTS / 4);
    expect(fates.doubled).toBeGreaterThan(INCREMENTS / 4);
    await context.annotate(`${fates.lost} replies lost, ${fates.doubled} doubled, ${KILLS} kills`);
  },
);

/** One writer: moves its own counter on until all together have made their increments. */
async function increment(
  kv: KvClient,
  key: string,
  count: { called: number; done: number },
): Promise<void> {
  let revision = 0;
  for (let value = 1; count.called < INCREMENTS; value++) {
    count.called++;
    const result = await kv.compareAndSet(key, revision, { json: value });
    if (!result.swapped)
      throw new Error(`${key}: ${value} was done twice, or its answer was false`);
    revision = result.revision;
    count.done++;
  }
}
