/**
 * `kill -9` of the leader, again and again, then of all members at once, under a steady load.
 *
 * Shown: every acknowledged write is there afterwards, on every member; no write that was refused
 * as certainly not done appears; writes resume within three election timeouts each time, counted
 * from the kill, or from when a majority is up again; and what the clients saw meanwhile is
 * linearizable, with unknown outcomes kept as unknown.
 *
 * `kill -9` leaves the page cache to the kernel. That what is acknowledged is on the disk itself is
 * the subject of the power-cut tests.
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
/** The whole proof, or what is enough for every day. */
const LONG = process.env["QUORATE_LONG"] === "1";
/** Every third of them finds one of the others behind: ten do not. */
const KILLS = LONG ? 100 : 14;
const CLIENT_TIMEOUT_MS = 2_000;
/**
 * Before every kill so many operations of the load have ended: the count does not depend on speed.
 */
const OPERATIONS_PER_PHASE = 650;
const WRITES_PER_PHASE = 50;
const OPERATIONS_MIN = 10_000;
const TEST_TIMEOUT_MS = LONG ? 1_500_000 : 150_000;

test(
  "kill -9 of leader after leader and then of all members loses nothing that was acknowledged",
  { timeout: TEST_TIMEOUT_MS },
  async (context) => {
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
      // A survivor that lacks what was acknowledged last must not lead.
      const behind = i % 3 === 2 ? cluster.others(leader)[i % 2]! : undefined;
      if (behind !== undefined) await leaveBehind(behind, ledger);
      let since = performance.now();
      await leader.kill();
      if (behind !== undefined) since = await startAgain(behind);
      resumedMs.push(await resumed(ledger, cluster.others(leader), since));
      leader.start();
      await cluster.settled(20_000);
    }

    await progress(ledger, load);
    await Promise.all(cluster.members.map((member) => member.kill()));
    const upAt = await startAgain(...cluster.members);
    resumedMs.push(await resumed(ledger, cluster.members, upAt));

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
  },
);

async function progress(ledger: Ledger, load: Load): Promise<void> {
  const writes = ledger.acknowledged + WRITES_PER_PHASE;
  const operations = load.counts.done + OPERATIONS_PER_PHASE;
  await waitUntil(
    `${WRITES_PER_PHASE} writes and ${OPERATIONS_PER_PHASE} operations are done`,
    30_000,
    () => ledger.acknowledged >= writes && load.counts.done >= operations,
  );
}

async function leaveBehind(member: Member, ledger: Ledger): Promise<void> {
  await member.kill();
  const goal = ledger.acknowledged + WRITES_PER_PHASE;
  await waitUntil("the others acknowledge", 30_000, () => ledger.acknowledged >= goal);
}

/** Starts killed members; returns the time at which the last of them was up. */
async function startAgain(...members: readonly Member[]): Promise<number> {
  for (const member of members) member.start();
  const answers = (member: Member): Promise<boolean> =>
    waitUntil(`${member.id} is up again`, 20_000, () => member.answers());
  await Promise.all(members.map(answers));
  return performance.now();
}

function resumed(ledger: Ledger, members: readonly Member[], since: number): Promise<number> {
  const ports = members.map((member) => member.httpPort);
  return ledger.firstAcknowledgement(ports, since, 10 * RESUME_MS);
}
