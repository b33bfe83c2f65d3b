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
 * Members that fill up in step may notice together or one after the other: what was begun between
 * stays half-way, is never said to be done or not done, and what follows is refused.
 */
test.for([
  ["all disks", "nobody"],
  ["the disks of all followers", "the leader"],
])(
  "with %s full every member refuses writes and answers reads; leadership stays",
  async ([, spared], context) => {
    const disks: SmallDisk[] = [];
    for (let i = 0; i < 3; i++) disks.push(await SmallDisk.mount(context, DISK_MIB));
    const cluster = await started(context, disks);
    const leader = await cluster.settled(10 * T);
    expect((await put(leader, "kept", "before")).status).toBe(200);
    const hasSpace = spared === "the leader" ? cluster.members.indexOf(leader) : -1;
    disks.forEach((disk, i) => i !== hasSpace && disk.fill());
    await writeUntilRefused(cluster, leader);
    // It may have moved once, to one that was full a moment later; then it stays.
    const last = await cluster.settled(5 * T);
    if (hasSpace >= 0) expect(last.id).toBe(leader.id);
    await waitUntil("the leader knows", 5 * T, async () => {
      const { members } = await healthOf(last);
      return members.filter(({ health }) => health === "full").length === 2;
    });
    const { term } = await last.status();
    for (const member of cluster.members) {
      const refused = await put(member, "refused", "x");
      expect(refused.status, member.id).toBe(507);
      expect(errorOf(refused)).toMatchObject({ code: "DISK_FULL", outcome: "not-done" });
      expect((await get(member, "kept")).body).toBe("before");
    }
    await quiet(3 * T);
    expect(await last.status()).toMatchObject({ isLeader: true, term });

    for (const disk of disks) disk.free();
    await waitUntil("every member takes writes again", 10 * T, async () => {
      const writes = await Promise.all(cluster.members.map((m) => put(m, `healed-${m.id}`, "yes")));
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

/** Writes through a member until a quorum has no space; until then a write is done or in doubt. */
async function writeUntilRefused(cluster: Cluster, member: Member): Promise<void> {
  for (let i = 0; ; i++) {
    expect(i, "the disks fill up").toBeLessThan(WRITES_MAX);
    const reply = await put(member, `k${i % 4}`, VALUE, `?timeoutMs=${T}`);
    if (reply.status === 507) break;
    if (reply.status !== 200) expect(errorOf(reply)).toMatchObject({ outcome: "unknown" });
  }
  await waitUntil("a quorum waits for space", 5 * T, async () => {
    const all = await Promise.all(cluster.members.map((one) => healthOf(one)));
    return all.filter(({ storage }) => storage.state === "full").length >= 2;
  });
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
