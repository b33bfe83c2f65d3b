/**
 * CKite's integration tests on examples/kvstore, first part: what a restart brings back, and
 * members that come. Their numbers are those of the list in CKite's order.
 */
import { expect, test } from "vitest";
import { KvCluster } from "../harness/kvstore.ts";
import type { KvMember } from "../harness/kvstore.ts";
import { waitUntil } from "../harness/wait.ts";

const WAIT_MS = 20_000;
const VALUE = "x".repeat(200);
const COMPACTION = ["--compaction-threshold", "10"];

test("3: compacts its log and reloads", async (context) => {
  const { members } = await KvCluster.start(context, 1, COMPACTION);
  const [only] = members as [KvMember];
  for (let i = 0; i < 40; i++) await only.put(`key${i}`, VALUE);
  await waitUntil("its log is compacted", WAIT_MS, async () => {
    const { length, commitIndex } = (await only.status()).log;
    return length < commitIndex;
  });
  await only.child.kill();
  only.start();
  await waitUntil("it leads", WAIT_MS, () => only.leads());
  expect([await only.get("key0"), await only.get("key39")]).toEqual([VALUE, VALUE]);
  const { length, commitIndex } = (await only.status()).log;
  expect(length).toBeLessThan(commitIndex);
});

test("4: the configuration comes back from the log", async (context) => {
  const cluster = await KvCluster.start(context, 3);
  await cluster.members[0]!.put("key1", "value1");
  await cluster.killAll();
  // Without a word about who the others are; and who began a cluster does not begin another.
  for (const [i, member] of cluster.members.entries()) {
    if (i === 0) member.start("--bootstrap");
    else member.start();
  }
  await cluster.leader();
  for (const member of cluster.members) expect(await member.get("key1")).toBe("value1");
});

test("5: the configuration comes back from a snapshot", async (context) => {
  const cluster = await KvCluster.start(context, 2, COMPACTION);
  const [first, second] = cluster.members as [KvMember, KvMember];
  const { commitIndex: configured } = (await first.status()).log;
  for (let i = 0; i < 40; i++) await first.put(`key${i}`, VALUE);
  await waitUntil("no log has the configurations any more", WAIT_MS, async () => {
    const pages = await Promise.all([first.status(), second.status()]);
    return pages.every(({ log }) => log.commitIndex - log.length > configured);
  });
  await cluster.killAll();
  for (const member of cluster.members) member.start();
  await cluster.leader();
  expect(await second.get("key39")).toBe(VALUE);
  // Either needs the other: so both know that they are two.
  await first.child.kill();
  expect((await second.call("GET", "/kv/key39"))[0]).not.toBe(200);
});

test("12: a restarted member passes a join on to the leader", async (context) => {
  const cluster = await KvCluster.start(context, 2);
  const leader = await cluster.leader();
  await leader.put("key1", "value1");
  const [follower] = cluster.others(leader) as [KvMember];
  await follower.child.kill();
  follower.start();
  const [contact] = cluster.others(await cluster.leader()) as [KvMember];
  const third = await cluster.place();
  third.start("--members", contact.address);
  await waitUntil("it has joined", WAIT_MS, () => /Join successful/.test(third.output));
  expect(await third.get("key1")).toBe("value1");
});

test("13: a member that was away catches up, and reads locally", async (context) => {
  const cluster = await KvCluster.start(context, 3);
  const leader = await cluster.leader();
  const [away] = cluster.others(leader) as [KvMember];
  await leader.put("key1", "value1");
  await away.child.kill();
  await leader.put("key1", "value2");
  away.start();
  await waitUntil("it has what it missed", WAIT_MS, async () => {
    return (await away.local("key1")) === "value2";
  });
});

test("14: a member is added, before it is started", async (context) => {
  const cluster = await KvCluster.start(context, 1);
  const [only] = cluster.members as [KvMember];
  await only.put("key1", "value1");
  const second = await cluster.place();
  expect(await only.call("POST", `/members/${second.address}`)).toEqual([200, "true"]);
  second.start("--members", only.address);
  await cluster.agree(cluster.members);
  expect(await second.local("key1")).toBe("value1");
});
