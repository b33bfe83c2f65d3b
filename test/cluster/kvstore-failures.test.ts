/**
 * CKite's integration tests on examples/kvstore, third part: a majority is away, and leaders
 * that do not know that they lead no more. Their numbers are those of the list in CKite's order.
 */
import { expect, test } from "vitest";
import { KvCluster } from "../harness/kvstore.ts";
import { waitUntil } from "../harness/wait.ts";

const WAIT_MS = 20_000;

test("11: with two of three down the last one refuses to write and to read", async (context) => {
  const cluster = await KvCluster.start(context, 3);
  const leader = await cluster.leader();
  await leader.put("key1", "value1");
  await Promise.all(cluster.others(leader).map((member) => member.child.kill()));
  const [write, read, local] = await Promise.all([
    leader.call("POST", "/kv/key1/value2"),
    leader.call("GET", "/kv/key1"),
    leader.local("key1"),
  ]);
  // The write may be done yet, once the others are back; the read is certainly no answer.
  expect(write).toEqual([504, expect.stringContaining("OUTCOME_UNKNOWN")]);
  expect(read).toEqual([503, expect.stringContaining("NO_LEADER")]);
  expect(local).toBe("value1");
});

test("15: what the old leader could not commit is overwritten on it", async (context) => {
  // Long enough that it takes the write before it notices that it is alone.
  const cluster = await KvCluster.start(context, 3, ["--min-election-timeout", "1000"]);
  const old = await cluster.leader();
  const others = cluster.others(old);
  await old.put("key1", "value1");
  await Promise.all(others.map((member) => member.child.kill()));
  // It is in the old leader's log, and nowhere else.
  const { length } = (await old.status()).log;
  const lost = old.call("POST", "/kv/key1/lost");
  await waitUntil("the old leader has appended it", WAIT_MS, async () => {
    return (await old.status()).log.length > length;
  });
  await old.child.kill();
  expect((await lost)[0]).toBe(0);

  for (const member of others) member.start();
  const next = await cluster.leader(others);
  await next.put("key1", "value2");
  old.start();
  await waitUntil("it says that it discards", WAIT_MS, () => /Discarded the/.test(old.output));
  expect(await old.get("key1")).toBe("value2");
  expect(await old.local("key1")).toBe("value2");
});

test("16: an old leader that is cut off fails reads", async (context) => {
  const cluster = await KvCluster.start(context, 3);
  const old = await cluster.leader();
  const others = cluster.others(old);
  await old.put("key1", "value1");
  // Cut off: first the others go on without it ...
  old.freeze();
  const next = await cluster.leader(others);
  await next.put("key1", "value2");
  // ... and then it without them, with the leadership that it remembers.
  for (const member of others) member.freeze();
  old.thaw();
  const [status, text] = await old.call("GET", "/kv/key1");
  expect([status, text]).toEqual([503, expect.stringContaining("NO_LEADER")]);
  for (const member of others) member.thaw();
  await cluster.leader();
  expect(await old.get("key1")).toBe("value2");
});
