/**
 * Members with their keys on disk, on real processes: killed under load, started again without a
 * word about it, rebuilt from another's snapshot; clients see one linearizable history.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { lmdbBackend } from "quorate/lmdb";
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { Cluster } from "../harness/cluster.ts";
import type { Member } from "../harness/cluster.ts";
import { askForReply, jsonOf } from "../harness/http.ts";
import { Load } from "../harness/load.ts";
import { expectLinearizable } from "../harness/verdict.ts";
import { SmallDisk } from "../harness/tmpfs.ts";
import { waitUntil } from "../harness/wait.ts";

/** Small, so that a few seconds see syncs and a log that is let go of. */
const SNAPSHOTS = ["--snapshot-log-bytes", "200000", "--snapshot-entries", "20"];

test("keys on disk survive kill -9 under load, and a member whose place has left the log is rebuilt", async (context) => {
  const args = ["--store", "disk", ...SNAPSHOTS];
  const cluster = await Cluster.make(context, { members: 3, electionTimeoutMs: 1_000, args });
  await cluster.start();
  const load = startLoad(context, cluster);
  const leader = await cluster.settled(10_000);
  const [first, second] = cluster.others(leader) as [Member, Member];
  for (const [i, pauseMs] of [50, 400, 900].entries()) {
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    await first.kill();
    await put(second, `round-${i}`, "x".repeat(2_000));
    first.start();
    await cluster.settled(15_000);
  }
  await second.kill();
  const { commit } = await leader.status();
  for (let i = 0; i < 40; i++) await put(leader, `large-${i}`, "y".repeat(50_000));
  await waitUntil("the log starts later than the absent member needs", 10_000, async () => {
    return (await startOf(leader)) > commit && (await startOf(first)) > commit;
  });
  const since = performance.now();
  second.start();
  await waitUntil("its log begins behind a snapshot", 20_000, async () => {
    return (await startOf(second).catch(() => 0)) > commit;
  });
  await cluster.settled(10_000);
  await context.annotate(`rebuilt after ${Math.round(performance.now() - since)} ms`);
  const read = await ask(second, "/kv/large-39");
  expect([read.status, read.body.length]).toEqual([200, 50_000]);
  const history = await load.stop();
  expectLinearizable(history, cluster.directory);
}, 30_000);

test("a start goes on where the store is; what does not belong together is refused", async (context) => {
  const cluster = await Cluster.make(context, { members: 1, electionTimeoutMs: 500 });
  const [only] = cluster.members as [Member];
  only.variables = { QUORATE_STORE: "disk" };
  await cluster.start();
  for (let i = 0; i < 30; i++) await put(only, `key-${i}`, "z".repeat(1_000));
  expect(await only.end()).toEqual({ code: 0, signal: null });
  // Nothing is said: it is what the directory has.
  only.variables = {};
  only.start();
  await cluster.settled(10_000);
  expect((await ask(only, "/kv/key-29")).body).toBe("z".repeat(1_000));
  const { store } = jsonOf(await ask(only, "/status")) as { store: { keys: number } };
  expect(store.keys).toBe(30);
  await only.kill();
  only.variables = { QUORATE_STORE: "memory" };
  expect((await only.start().ended).code).toBe(2);
  expect(only.child.output).toContain("are on disk");
  only.variables = {};
  await rm(join(only.directory, "machine"), { recursive: true });
  // The log is whole, so a new machine can live through all of it.
  only.variables = { QUORATE_STORE: "disk" };
  only.start();
  await cluster.settled(10_000);
  expect((await ask(only, "/kv/key-7")).body).toBe("z".repeat(1_000));
}, 30_000);

test("a store without space says so before it writes, and goes on when there is some", async (context) => {
  const disk = await SmallDisk.mount(context, 32);
  const path = join(disk.mountPoint, "store");
  const store = lmdbBackend({ path });
  await store.open();
  let commits = 0;
  const commit = async (to = store): Promise<void> => {
    const one = (i: number) => [`u${commits}/${i}`, new Uint8Array(100)] as const;
    await to.commit(Array.from({ length: 2_000 }, (_, i) => one(i)));
    commits++;
  };
  await commit();
  await commit();
  disk.fill();
  for (const _ of [1, 2]) {
    await expect(commit()).rejects.toMatchObject({ code: "DISK_FULL" });
    await expect(store.replace()).rejects.toMatchObject({ code: "DISK_FULL" });
    expect(store.get("u1/1999")).toHaveLength(100);
  }
  await store.close();
  const again = lmdbBackend({ path });
  await again.open();
  await expect(commit(again)).rejects.toMatchObject({ code: "DISK_FULL" });
  disk.free();
  await commit(again);
  const view = again.view();
  let items = 0;
  const found = view.items("");
  while (found.next().done !== true) items++;
  view.release();
  await again.close();
  expect([commits, items]).toEqual([3, 6_000]);
});

function startLoad(context: TestContext, cluster: Cluster): Load {
  const { httpPorts: ports } = cluster;
  return new Load(context, { ports, clients: 4, keys: 4, seed: 5, timeoutMs: 3_000, thinkMs: 10 });
}

function ask(member: Member, path: string): ReturnType<typeof askForReply> {
  return askForReply({ port: member.httpPort, method: "GET", path, timeoutMs: 5_000 });
}

async function put(member: Member, key: string, value: string): Promise<void> {
  const reply = await askForReply({
    port: member.httpPort,
    method: "PUT",
    path: `/kv/${key}`,
    body: value,
    timeoutMs: 10_000,
  });
  expect(reply.status, reply.body).toBe(200);
}

/** Where the log of a member begins. */
async function startOf(member: Member): Promise<number> {
  const { log } = jsonOf(await ask(member, "/status")) as {
    log: { length: number; lastEntry: { index: number } };
  };
  return log.lastEntry.index - log.length;
}
