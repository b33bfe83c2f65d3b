/**
 * A member that is away until its place has left the log of the others: it comes back through a
 * snapshot while writes go on, and what clients saw stays linearizable.
 */
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { Cluster } from "../harness/cluster.ts";
import type { Member } from "../harness/cluster.ts";
import { askForReply, jsonOf } from "../harness/http.ts";
import { Load } from "../harness/load.ts";
import { expectLinearizable } from "../harness/verdict.ts";
import { waitUntil } from "../harness/wait.ts";

/** Enough that the snapshot is made of many chunks. */
const VALUE = "x".repeat(200_000);
const VALUES = 40;

test("a member whose place has left the log comes back through a snapshot, under load", async (context) => {
  const cluster = await Cluster.make(context, { members: 3, electionTimeoutMs: 1_000 });
  await cluster.start();
  const load = startLoad(context, cluster);
  const leader = await cluster.settled(10_000);
  const [absent, other] = cluster.others(leader) as [Member, Member];
  await absent.kill();
  const { commit } = await leader.status();

  for (let i = 0; i < VALUES; i++) await put(leader, `large-${i}`, VALUE);
  // Of two snapshots the log is kept from the older one on.
  for (const round of ["first", "second"]) {
    await put(leader, "round", round);
    for (const member of [leader, other]) expect((await snapshot(member)).status).toBe(200);
  }
  await waitUntil("the log starts later than the absent member needs", 10_000, async () => {
    const starts = await Promise.all([leader, other].map((member) => startOf(member)));
    return starts.every((start) => start > commit);
  });

  const since = performance.now();
  absent.start();
  await waitUntil("it has caught up", 30_000, async () => {
    const theirs = await leader.status();
    const own = await absent.status().catch(() => undefined);
    return own !== undefined && own.applied >= theirs.commit - 100 && own.applied > commit;
  });
  const elapsedMs = Math.round(performance.now() - since);
  expect(await startOf(absent), "its own log begins behind the snapshot").toBeGreaterThan(commit);
  const reply = await askForReply({
    port: absent.httpPort,
    method: "GET",
    path: `/kv/large-${VALUES - 1}?local=true`,
  });
  expect(reply).toMatchObject({ status: 200, body: VALUE });

  // It carries its share again: with another member gone, writes go on.
  await other.kill();
  await put(leader, "afterwards", "written");
  other.start();
  await cluster.settled(20_000);
  const history = await load.stop();
  await context.annotate(`back after ${elapsedMs} ms; ${load.counts.done} operations done`);
  expectLinearizable(history, cluster.directory);
});

function startLoad(context: TestContext, cluster: Cluster): Load {
  return new Load(context, {
    ports: cluster.httpPorts,
    clients: 4,
    keys: 4,
    seed: 5,
    timeoutMs: 3_000,
    thinkMs: 20,
  });
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

function snapshot(member: Member): ReturnType<typeof askForReply> {
  const port = member.httpPort;
  return askForReply({ port, method: "POST", path: "/snapshot", timeoutMs: 10_000 });
}

/** Where the log of a member begins. */
async function startOf(member: Member): Promise<number> {
  const reply = await askForReply({ port: member.httpPort, method: "GET", path: "/status" });
  const { log } = jsonOf(reply) as { log: { length: number; lastEntry: { index: number } } };
  return log.lastEntry.index - log.length;
}
