/**
 * `kill -9` of the leader, ten times in a row, then of all members at once, under a steady load.
 *
 * Shown: every acknowledged write is there afterwards, on every member; no write that was refused as
 * certainly not done appears; writes resume within three election timeouts each time; and what the
 * clients saw meanwhile is linearizable, with unknown outcomes kept as unknown.
 *
 * `kill -9` leaves the page cache to the kernel. That what is acknowledged is on the disk itself is the
 * subject of the power-cut tests.
 */
import { expect, test } from "vitest";
import { Cluster } from "../harness/cluster.ts";
import type { Member } from "../harness/cluster.ts";
import { Ledger } from "../harness/ledger.ts";
import { Load } from "../harness/load.ts";
import { expectLinearizable } from "../harness/verdict.ts";
import { waitUntil } from "../harness/wait.ts";

const ELECTION_TIMEOUT_MS = 500;
const RESUME_MS = 3 * ELECTION_TIMEOUT_MS;
const KILLS = 10;
const CLIENT_TIMEOUT_MS = 2_000;
/** Before every kill so many operations of the load have ended: the count does not depend on speed. */
const OPERATIONS_PER_PHASE = 900;
const WRITES_PER_PHASE = 50;
const OPERATIONS_MIN = 10_000;

test("kill -9 of ten leaders and then of all members loses nothing that was acknowledged", async (context) => {
  const cluster = await Cluster.make(context, {
    members: 3,
    electionTimeoutMs: ELECTION_TIMEOUT_MS,
  });
  await cluster.start();
  const ports = cluster.httpPorts;
  const ledger = new Ledger(context);
  for (const _ of cluster.members) ledger.startWriter(ports, CLIENT_TIMEOUT_MS);
  const load = new Load(context, {
    ports,
    clients: 10,
    keys: 5,
    seed: 1,
    timeoutMs: CLIENT_TIMEOUT_MS,
    thinkMs: 1,
  });

  const resumedMs: number[] = [];
  for (let i = 0; i < KILLS; i++) {
    await progress(ledger, load);
    const leader = await cluster.leader();
    const since = performance.now();
    await leader.kill();
    resumedMs.push(await resumed(ledger, cluster.others(leader), since));
    leader.start();
    await cluster.settled(20_000);
  }

  await progress(ledger, load);
  await Promise.all(cluster.members.map((member) => member.kill()));
  for (const member of cluster.members) member.start();
  await Promise.all(cluster.members.map((member) => isUp(member)));
  resumedMs.push(await resumed(ledger, cluster.members, performance.now()));

  await progress(ledger, load);
  await ledger.stop();
  const history = await load.stop();
  await cluster.settled(20_000);
  const rounded = resumedMs.map((ms) => Math.round(ms)).join(", ");
  const { done, refused, unknown } = load.counts;
  await context.annotate(
    `writes resumed after ${rounded} ms; history: ${done} done, ` +
      `${refused} refused, ${unknown} unknown; ledger: ${ledger.acknowledged} acknowledged`,
  );

  for (const member of cluster.members) {
    const audit = await ledger.audit(member.httpPort);
    expect(audit, member.id).toMatchObject({ lost: [], appeared: [], invented: [] });
  }
  expect(Math.max(...resumedMs), `resumed after ${rounded} ms`).toBeLessThanOrEqual(RESUME_MS);
  expectLinearizable(history, cluster.directory);
  expect(done).toBeGreaterThanOrEqual(OPERATIONS_MIN);
});

async function progress(ledger: Ledger, load: Load): Promise<void> {
  const writes = ledger.acknowledged + WRITES_PER_PHASE;
  const operations = load.counts.done + OPERATIONS_PER_PHASE;
  await waitUntil(
    `${WRITES_PER_PHASE} writes and ${OPERATIONS_PER_PHASE} operations are done`,
    30_000,
    () => ledger.acknowledged >= writes && load.counts.done >= operations,
  );
}

function resumed(ledger: Ledger, members: readonly Member[], since: number): Promise<number> {
  return ledger.firstAcknowledgement(
    members.map((m) => m.httpPort),
    since,
    10 * RESUME_MS,
  );
}

function isUp(member: Member): Promise<boolean> {
  return waitUntil(`${member.id} is up again`, 20_000, () => member.answers());
}
