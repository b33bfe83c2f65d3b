/**
 * CKite's integration tests on examples/kvstore, second part: who leads, and that every member
 * writes and reads. Their numbers are those of the list in CKite's order.
 */
import { expect, test } from "vitest";
import { KvCluster } from "../harness/kvstore.ts";
import type { KvMember } from "../harness/kvstore.ts";
import { waitUntil } from "../harness/wait.ts";

test("1: a single member elects itself", async (context) => {
  const { members } = await KvCluster.start(context, 1);
  const [only] = members as [KvMember];
  expect(await only.leads()).toBe(true);
});

test("2: a member reads its own write", async (context) => {
  const { members } = await KvCluster.start(context, 1);
  const [only] = members as [KvMember];
  expect(await only.get("key1")).toBe("null");
  await only.put("key1", "value1");
  expect(await only.get("key1")).toBe("value1");
  expect(await only.local("key1")).toBe("value1");
});

test("6: three members elect one leader, and the others follow it", async (context) => {
  const cluster = await KvCluster.start(context, 3);
  const leader = await cluster.leader();
  for (const member of cluster.members) expect(await member.leads()).toBe(member === leader);
});

test("7: another one leads when the leader dies", async (context) => {
  const cluster = await KvCluster.start(context, 3);
  const leader = await cluster.leader();
  const { term } = (await leader.status()).cluster;
  await leader.child.kill();
  const next = await cluster.leader(cluster.others(leader));
  expect((await next.status()).cluster.term).toBeGreaterThan(term);
});

test("8: what was written is read on all members", async (context) => {
  const cluster = await KvCluster.start(context, 3);
  const leader = await cluster.leader();
  await leader.put("key1", "value1");
  for (const member of cluster.members) expect(await member.get("key1")).toBe("value1");
});

test("9: a member that does not lead passes writes on", async (context) => {
  const cluster = await KvCluster.start(context, 3);
  const leader = await cluster.leader();
  for (const follower of cluster.others(leader)) {
    await follower.put("key1", follower.address);
    expect(await leader.get("key1")).toBe(follower.address);
  }
});

test("10: with one of three down the others write and read", async (context) => {
  const cluster = await KvCluster.start(context, 3);
  const leader = await cluster.leader();
  const [down, other] = cluster.others(leader) as [KvMember, KvMember];
  await down.child.kill();
  await other.put("key1", "value1");
  expect([await leader.get("key1"), await other.get("key1")]).toEqual(["value1", "value1"]);
});

test("a follower takes who comes and who goes; what is not there is a 404", async (context) => {
  const cluster = await KvCluster.start(context, 2);
  const leader = await cluster.leader();
  const [follower] = cluster.others(leader) as [KvMember];
  const third = await cluster.place();
  expect(await follower.call("POST", `/members/${third.address}`)).toEqual([200, "true"]);
  // By the names of CKite's properties.
  third.start(`-Dckite.members.0=${follower.address}`, "-Dckite.append-entries.period=50");
  await cluster.agree(cluster.members);
  expect(await follower.call("DELETE", `/members/${third.address}`)).toEqual([200, "true"]);
  expect(await third.child.ended).toEqual({ code: 0, signal: null });
  expect(await follower.call("DELETE", `/members/${third.address}`)).toEqual([
    404,
    expect.stringContaining("MEMBER_UNKNOWN"),
  ]);
  for (const path of ["/", "/kv", "/kv/", "/kv/a/b/c", "/put/a", "/members"]) {
    expect([path, (await follower.call("GET", path))[0]]).toEqual([path, 404]);
  }
  expect((await follower.call("GET", "/kv/%ff"))[0]).toBe(400);
  expect((await follower.call("GET", "/status?format=d"))[0]).toBe(400);
});

test("the early service: one request takes a member out and one in that is not started", async (context) => {
  const cluster = await KvCluster.start(context, 2);
  const leader = await cluster.leader();
  const [out] = cluster.others(leader) as [KvMember];
  expect(await out.call("GET", "/put/key1/value1")).toEqual([200, "value1"]);
  const next = await cluster.place();
  const list = [leader.address, next.address].join(",");
  const changed = await out.call("GET", `/changecluster/${list}`);
  expect(changed).toEqual([200, "ClusterMembershipChange ok"]);
  next.start("--members", leader.address);
  await cluster.agree([leader, next]);
  expect(await next.call("GET", "/get/key1")).toEqual([200, "value1"]);
  await waitUntil("who was taken out ends", 10_000, () => !out.child.running);
  expect(await out.child.ended).toEqual({ code: 0, signal: null });
});
