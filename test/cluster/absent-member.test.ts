/**
 * A member that is away until its place in the log is gone: it is brought back by a snapshot, while
 * writes go on. What the logs hold is asked of the doctor, beside the running members.
 */
import type { InspectedLog, Inspection } from "quorate";
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { Cluster } from "../harness/cluster.ts";
import type { Member } from "../harness/cluster.ts";
import { runCommand } from "../harness/command.ts";
import { askForReply } from "../harness/http.ts";
import { Ledger } from "../harness/ledger.ts";
import { waitUntil } from "../harness/wait.ts";

const CLIENT_TIMEOUT_MS = 2_000;

test(
  "a member that was away until its place in the log was gone comes back through a snapshot",
  { timeout: 300_000 },
  async (context) => {
    const cluster = await Cluster.make(context, {
      members: 3,
      electionTimeoutMs: 500,
      // The smallest segments there are, so that the log lets go of what a snapshot stands for.
      args: ["--segment-bytes", "1048576", "--value-bytes-max", "65536"],
    });
    await cluster.start();
    const [n1, n2, n3] = cluster.members as [Member, Member, Member];
    const here = [n1, n2].map(({ httpPort }) => httpPort);
    const ledger = new Ledger(context);
    for (const _ of here) ledger.startWriter(here, CLIENT_TIMEOUT_MS);
    await waitUntil("something was written", 30_000, () => ledger.acknowledged > 50);
    await cluster.settled(20_000);
    await n3.kill();
    const away = (await logOf(context, n3)).lastIndex;

    // Two snapshots are kept, and the log from the older one on.
    for (let i = 0; i < 3; i++) {
      await fill(n1, 40 * i, 40);
      for (const member of [n1, n2]) await takeSnapshot(member);
    }
    for (const member of [n1, n2]) {
      await waitUntil(`${member.id} lets go of its log`, 30_000, async () => {
        return (await logOf(context, member)).startIndex > away;
      });
    }
    const before = ledger.acknowledged;
    n3.start();
    await waitUntil("n3 follows again", 60_000, async () => {
      const [its, ours] = await Promise.all([n3.status(), n1.status()]);
      return its.leader !== undefined && ours.commit - its.applied < 500;
    });
    expect(ledger.acknowledged, "writes went on meanwhile").toBeGreaterThan(before);
    await ledger.stop();
    await cluster.settled(20_000);
    for (const { httpPort } of cluster.members) {
      const audit = await ledger.audit(httpPort);
      expect(audit).toMatchObject({ lost: [], appeared: [], invented: [] });
    }
    expect(
      (await logOf(context, n3)).startIndex,
      "what n3 has begins with a snapshot",
    ).toBeGreaterThan(away);
    await context.annotate(`${ledger.acknowledged} writes; n3 had ${away} entries when it went`);
  },
);

/** Values of 32 KiB, so that a few of them fill a segment. */
async function fill(member: Member, from: number, count: number): Promise<void> {
  const body = "x".repeat(32_768);
  for (let i = from; i < from + count; i++) {
    const reply = await askForReply({
      port: member.httpPort,
      method: "PUT",
      path: `/kv/filler-${i % 20}`,
      body,
    });
    expect(reply.status).toBeLessThan(300);
  }
}

async function takeSnapshot(member: Member): Promise<void> {
  const request = { port: member.httpPort, method: "POST", path: "/snapshot" } as const;
  const reply = await askForReply({ ...request, timeoutMs: 30_000 });
  expect(reply.status, reply.body).toBe(200);
}

/** What the doctor says of the log, whether the member runs or not. */
async function logOf(context: TestContext, member: Member): Promise<InspectedLog> {
  const { output } = await runCommand(context, ["doctor", member.directory, "--json"]);
  const { log } = JSON.parse(output) as Inspection;
  return log!;
}
