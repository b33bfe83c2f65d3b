/**
 * A leader whose disk hangs: no write of it ends and none fails, while its process and its network
 * are well. The disk is an ext4 file system that is frozen (FIFREEZE), as a storage that answers no
 * more looks to a process.
 */
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Cluster } from "../harness/cluster.ts";
import type { Member } from "../harness/cluster.ts";
import { askForReply, jsonOf } from "../harness/http.ts";
import { Load } from "../harness/load.ts";
import { skipLoudly } from "../harness/skip-loudly.ts";
import { expectLinearizable } from "../harness/verdict.ts";
import { waitUntil } from "../harness/wait.ts";
import { Ext4Volume, powerCutSupport } from "../power-cut/ext4-volume.ts";

const T = 1_000;
const HANGS_MS = 4 * T;

test("a leader whose disk hangs is replaced within three election timeouts; writes go on, and it comes back", async (context) => {
  const support = await powerCutSupport();
  const tool = support.ok
    ? support.tool
    : skipLoudly(context, `no disk can be made to hang here: ${support.reason}`);
  const volume = await Ext4Volume.create(tool, 160);
  context.onTestFinished(() => volume.destroy());
  const cluster = await Cluster.make(context, { members: 3, electionTimeoutMs: T });
  const [n1, n2, n3] = cluster.members as [Member, Member, Member];
  const directory = join(volume.mountPoint, "data");
  mkdirSync(directory);
  symlinkSync(directory, n1.directory);
  // Registered last, so that it ends first: what is frozen cannot be killed.
  context.onTestFinished(() => volume.thaw());
  await cluster.start();
  await lead(n1);
  const load = new Load(context, {
    ports: cluster.httpPorts,
    clients: 4,
    keys: 4,
    seed: 5,
    timeoutMs: 3 * T,
    thinkMs: 10,
  });
  await waitUntil("clients are served", 5 * T, () => load.counts.done > 20);

  await volume.freeze();
  const began = performance.now();
  const leader = await cluster.leader([n2, n3]);
  const tookMs = performance.now() - began;
  expect(tookMs).toBeLessThan(3 * T);
  const done = load.counts.done;
  await waitUntil("writes go on", T, () => load.counts.done > done + 20);
  const { storage, health, leader: known } = await pageOf(n1);
  expect(storage.state).toBe("stalled");
  expect(storage.stalledForMs).toBeGreaterThanOrEqual(T);
  expect(health.state).toBe("stalled");
  expect(known?.id).toBe(leader.id);
  const { term } = await leader.status();
  await waitUntil("it hangs for a while", 2 * HANGS_MS, () => performance.now() - began > HANGS_MS);
  expect(await leader.status()).toMatchObject({ isLeader: true, term });

  await volume.thaw();
  await waitUntil("the disk of n1 answers", 5 * T, async () => {
    return (await pageOf(n1)).storage.state === "ok";
  });
  await cluster.settled(10 * T);
  expect(await leader.status()).toMatchObject({ isLeader: true, term });
  await lead(n1);
  const history = await load.stop();
  await context.annotate(
    `another led after ${Math.round(tookMs)} ms; ${load.counts.done} operations done, ` +
      `${load.counts.refused} refused, ${load.counts.unknown} unknown`,
  );
  expectLinearizable(history, cluster.directory);
});

interface Page {
  readonly storage: { readonly state: string; readonly stalledForMs: number | null };
  readonly health: { readonly state: string };
  readonly leader: { readonly id: string } | null;
}

async function pageOf(member: Member): Promise<Page> {
  const reply = await askForReply({ port: member.httpPort, method: "GET", path: "/status" });
  return jsonOf(reply) as unknown as Page;
}

async function lead(member: Member): Promise<void> {
  const path = `/leader/transfer?to=${member.id}`;
  const reply = await askForReply({ port: member.httpPort, method: "POST", path });
  expect(reply.status, reply.body).toBe(200);
}
