/**
 * Disks that fill up and are freed again, under members as an operator starts them: a small file
 * system in memory that somebody else fills.
 */
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { Cluster } from "../harness/cluster.ts";
import type { Member } from "../harness/cluster.ts";
import { askForReply, errorOf, jsonOf } from "../harness/http.ts";
import type { Reply } from "../harness/http.ts";
import { SmallDisk } from "../harness/tmpfs.ts";
import { waitUntil } from "../harness/wait.ts";

const T = 1_000;
/** Room for what a member needs to start, and for some segments of 1 MiB. */
const DISK_MIB = 12;
/** Some thirty of these fill a segment; two are there when the disk fills up. */
const VALUE = "v".repeat(30_000);
const WRITES_MAX = 200;

type Answer = Reply & { readonly type: "reply" };

interface Health {
  readonly storage: { readonly state: string };
  readonly health: { readonly state: string };
  readonly members: readonly { readonly id: string; readonly health?: string }[];
}

test("a leader without space hands over, serves nothing wrong, and comes back by itself", async (context) => {
  const disk = await SmallDisk.mount(context, DISK_MIB);
  const cluster = await started(context, [disk]);
  const [n1, n2, n3] = cluster.members as [Member, Member, Member];
  await lead(n1);
  expect((await put(n1, "kept", "before")).status).toBe(200);
  disk.fill();
  // Every write through those with space is done, whoever leads meanwhile.
  await writeUntil(n2, async () => (await healthOf(n1)).storage.state === "full");
  const began = performance.now();
  const leader = await cluster.leader([n2, n3]);
  expect(performance.now() - began).toBeLessThan(3 * T);
  for (let i = 0; i < 10; i++) expect((await put(n2, `after${i}`, VALUE)).status).toBe(200);

  // It refuses what it could not take, and answers what it has.
  const refused = await put(n1, "refused", "x");
  expect(refused.status).toBe(507);
  expect(errorOf(refused)).toMatchObject({ code: "DISK_FULL", outcome: "not-done" });
  expect((await get(n1, "kept", "?local=true")).body).toBe("before");
  expect((await healthOf(n1)).health.state).toBe("full");
  const seen = (await healthOf(leader)).members.find(({ id }) => id === n1.id);
  expect(seen?.health).toBe("full");

  disk.free();
  await waitUntil("n1 has space again", 5 * T, async () => {
    return (await healthOf(n1)).storage.state === "ok";
  });
  await cluster.settled(10 * T);
  expect((await put(n1, "after", "all")).status).toBe(200);
  expect((await get(n1, "after9")).body).toBe(VALUE);
  expect((await get(n1, "refused")).status).toBe(404);
});

/**
 * Members that fill up in step may notice together or one after the other. What was begun between
 * stays half-way, and is never said to be done or not done; a member that was full before the
 * others lacks what they have committed since, and cannot answer for it.
 */
test.for<[which: string, rounds: (leader: number) => readonly number[][]]>([
  ["all disks", () => [[0, 1, 2]]],
  ["all disks, a follower's before the others,", (l) => [[(l + 1) % 3], [l, (l + 2) % 3]]],
  ["the disks of the leader and a follower", (l) => [[l, (l + 1) % 3]]],
  ["the disks of all followers", (l) => [[(l + 1) % 3, (l + 2) % 3]]],
])(
  "with %s full every member refuses writes, and leadership stays",
  async ([, roundsOf], context) => {
    const disks: SmallDisk[] = [];
    for (let i = 0; i < 3; i++) disks.push(await SmallDisk.mount(context, DISK_MIB));
    const cluster = await started(context, disks);
    const { members } = cluster;
    const leader = await cluster.settled(10 * T);
    expect((await put(leader, "kept", "before")).status).toBe(200);
    const rounds = roundsOf(members.indexOf(leader));
    for (const round of rounds) {
      for (const i of round) disks[i]!.fill();
      if (round === rounds.at(-1)) break;
      const first = members[round[0]!]!;
      await writeUntil(leader, async () => (await healthOf(first)).storage.state === "full");
    }
    await writeUntilRefused(cluster);
    // It may have moved once, to one that was full a moment later; with all known it stays.
    const last = await waitUntil("the leader knows", 5 * T, async () => {
      const one = await cluster.settled(5 * T);
      const others = members.filter(({ id }) => id !== one.id);
      const states = await Promise.all(others.map((other) => healthOf(other)));
      const full = others.filter((_, i) => states[i]!.storage.state === "full").map(({ id }) => id);
      const seen = (await healthOf(one)).members.filter(({ health }) => health === "full");
      const seenIds = seen.map(({ id }) => id);
      const isKnown = full.length > 0 && seenIds.toSorted().join() === full.toSorted().join();
      return isKnown ? one : undefined;
    });
    if (!rounds.flat().includes(members.indexOf(leader))) expect(last.id).toBe(leader.id);
    const { term } = await last.status();
    for (const member of members) {
      const refused = await put(member, "refused", "x");
      expect(refused.status, member.id).toBe(507);
      expect(errorOf(refused)).toMatchObject({ code: "DISK_FULL", outcome: "not-done" });
      expect((await get(member, "kept", "?local=true")).body).toBe("before");
      const read = await get(member, "kept");
      if (read.status === 200) expect(read.body).toBe("before");
      else {
        expect(errorOf(read)).toMatchObject({ code: "DISK_FULL", outcome: "not-done" });
        const { applied } = await member.status();
        expect(applied, member.id).toBeLessThan((await last.status()).commit);
      }
    }
    await quiet(3 * T);
    expect(await last.status()).toMatchObject({ isLeader: true, term });

    for (const disk of disks) disk.free();
    await waitUntil("every member takes writes again", 10 * T, async () => {
      const writes = await Promise.all(members.map((m) => put(m, `healed-${m.id}`, "yes")));
      return writes.every(({ status }) => status === 200);
    });
    expect((await get(leader, "refused")).status).toBe(404);
  },
);

test("a machine on disk without space makes its member read-only, until there is some", async (context) => {
  const disk = await SmallDisk.mount(context, 48);
  const args = ["--store", "disk", "--snapshot-log-bytes", "300000", "--snapshot-entries", "5"];
  const cluster = await Cluster.make(context, { members: 3, electionTimeoutMs: T, args });
  const [n1, n2, n3] = cluster.members as [Member, Member, Member];
  // Its log has all the space of the world.
  const directory = join(disk.mountPoint, "machine");
  mkdirSync(directory);
  mkdirSync(n1.directory, { recursive: true });
  symlinkSync(directory, join(n1.directory, "machine"));
  await cluster.start();
  await cluster.settled(10 * T);
  await lead(n1);
  expect((await put(n1, "kept", "before")).status).toBe(200);
  disk.fill();
  await writeUntil(n2, async () => (await healthOf(n1)).storage.state === "full");
  await cluster.leader([n2, n3]);
  for (let i = 0; i < 10; i++) expect((await put(n2, `after${i}`, VALUE)).status).toBe(200);
  const refused = await put(n1, "refused", "x");
  expect(refused.status).toBe(507);
  expect(errorOf(refused)).toMatchObject({ code: "DISK_FULL", outcome: "not-done" });
  expect((await get(n1, "kept", "?local=true")).body).toBe("before");

  disk.free();
  await waitUntil("n1 has space again", 5 * T, async () => {
    return (await healthOf(n1)).storage.state === "ok";
  });
  await cluster.settled(10 * T);
  expect((await put(n1, "after", "all")).status).toBe(200);
  expect((await get(n1, "after9")).body).toBe(VALUE);
  expect((await get(n1, "refused")).status).toBe(404);
});

/** So long nothing may happen. */
async function quiet(ms: number): Promise<void> {
  const began = performance.now();
  await waitUntil("time passes", 2 * ms, () => performance.now() - began > ms);
}

async function started(context: TestContext, disks: readonly SmallDisk[]): Promise<Cluster> {
  const args = ["--segment-bytes", "1048576", "--value-bytes-max", "65536"];
  const cluster = await Cluster.make(context, { members: 3, electionTimeoutMs: T, args });
  disks.forEach(({ mountPoint }, i) => {
    const directory = join(mountPoint, "data");
    mkdirSync(directory);
    symlinkSync(directory, cluster.members[i]!.directory);
  });
  await cluster.start();
  return cluster;
}

async function lead(member: Member): Promise<void> {
  const path = `/leader/transfer?to=${member.id}`;
  const reply = await askForReply({ port: member.httpPort, method: "POST", path });
  expect(reply.status, reply.body).toBe(200);
}

/** Writes through a member; all of them have to be done. */
async function writeUntil(member: Member, isSo: () => Promise<boolean>): Promise<void> {
  for (let i = 0; !(await isSo()); i++) {
    expect(i, "the disk fills up").toBeLessThan(WRITES_MAX);
    const reply = await put(member, `k${i % 4}`, VALUE);
    expect(reply.status, reply.body).toBe(200);
  }
}

/** Writes through all in turn until each refuses; until then a write is done or in doubt. */
async function writeUntilRefused({ members }: Cluster): Promise<void> {
  for (let i = 0, refusals = 0; refusals < members.length; i++) {
    expect(i, "the disks fill up").toBeLessThan(WRITES_MAX);
    const reply = await put(members[i % members.length]!, `k${i % 4}`, VALUE, `?timeoutMs=${T}`);
    refusals = reply.status === 507 ? refusals + 1 : 0;
    if (reply.status === 200 || reply.status === 507) continue;
    expect(errorOf(reply)).toMatchObject({ outcome: "unknown" });
  }
}

async function healthOf(member: Member): Promise<Health> {
  const reply = await askForReply({ port: member.httpPort, method: "GET", path: "/status" });
  return jsonOf(reply) as unknown as Health;
}

// eslint-disable-next-line max-params -- what a PUT is made of
function put(member: Member, key: string, body: string, query = ""): Promise<Answer> {
  return askForReply({ port: member.httpPort, method: "PUT", path: `/kv/${key}${query}`, body });
}

function get(member: Member, key: string, query = ""): Promise<Answer> {
  return askForReply({ port: member.httpPort, method: "GET", path: `/kv/${key}${query}` });
}
