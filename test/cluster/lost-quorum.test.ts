/**
 * Two of three directories are lost for good: what the commands say, how the third goes on alone
 * with all that it has, and that a member of the time before is refused when it comes back.
 */
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Cluster, Member, endWithTest } from "../harness/cluster.ts";
import { runCommand } from "../harness/command.ts";
import { votersOf } from "../harness/grown-cluster.ts";
import { askForReply } from "../harness/http.ts";
import { Ledger } from "../harness/ledger.ts";
import { waitUntil } from "../harness/wait.ts";

const ELECTION_TIMEOUT_MS = 300;
const WRITES = 200;
const CLIENT_TIMEOUT_MS = 2_000;
const SOON_MS = 10_000;

test("two of three directories are lost: the third goes on with all its data, and the past is fenced off", async (context) => {
  const cluster = await Cluster.make(context, {
    members: 3,
    electionTimeoutMs: ELECTION_TIMEOUT_MS,
    args: ["--segment-bytes", "1048576", "--value-bytes-max", "65536"],
  });
  await cluster.start();
  const [n1, n2, n3] = cluster.members as [Member, Member, Member];
  const ledger = new Ledger(context);
  for (const _ of cluster.members) ledger.startWriter(cluster.httpPorts, CLIENT_TIMEOUT_MS);
  await waitUntil("enough was written", 30_000, () => ledger.acknowledged >= WRITES);
  await ledger.stop();
  await cluster.settled(SOON_MS);
  const before = (await n1.status()).term;
  const running = await runCommand(context, ["doctor", n1.directory]);
  expect(running).toMatchObject({ code: 0, output: expect.stringContaining("in use") });

  await Promise.all(cluster.members.map((member) => member.kill()));
  // Everything that is acknowledged has reached n1: what may be lost is not lost here.
  const old = join(cluster.directory, "old-n3");
  renameSync(n3.directory, old);
  rmSync(n2.directory, { recursive: true });

  // With a majority gone the third refuses everything, and stays as it is.
  n1.start();
  await waitUntil("n1 answers", SOON_MS, () => n1.answers());
  expect((await get(n1, "x")).status).toBe(503);
  const inUse = await runCommand(context, ["recover", n1.directory]);
  expect(inUse).toMatchObject({ code: 6, output: expect.stringContaining("stop the member") });
  expect((await n1.end()).code).toBe(0);

  const lost = await runCommand(context, ["doctor", n2.directory]);
  expect(lost).toMatchObject({ code: 6, output: expect.stringContaining("ABSENT") });
  const asked = await runCommand(context, ["recover", n1.directory]);
  expect(asked.code).toBe(2);
  expect(asked.output).toContain("LOST");
  const cluster1 = /--confirm ([0-9a-f]{32})/.exec(asked.output)![1]!;
  const done = await runCommand(context, ["recover", n1.directory, "--confirm", cluster1]);
  expect(done).toMatchObject({ code: 0, output: expect.stringContaining("n1 is the only member") });

  // A plain start, with the options of before: they name members that are none any more.
  n1.start();
  await waitUntil("n1 leads alone", SOON_MS, async () => (await n1.status()).isLeader);
  expect((await n1.status()).term).toBeGreaterThan(before);
  const audit = await ledger.audit(n1.httpPort);
  expect(audit).toMatchObject({ lost: [], appeared: [], invented: [] });
  expect(audit.acknowledged).toBeGreaterThanOrEqual(WRITES);
  expect((await put(n1, "new", "life")).status).toBe(200);

  // One of the old members comes back, with all that it had.
  renameSync(old, n3.directory);
  n3.start();
  await waitUntil("n1 says why n3 is refused", SOON_MS, () =>
    n1.child.output.includes(`n3 comes from the time before cluster ${cluster1} lost its quorum`),
  );
  await waitUntil("n3 hears it", SOON_MS, () => /cluster|PEER_REFUSED/.test(n3.child.output));
  expect((await get(n3, "new")).status).not.toBe(200);
  expect((await put(n1, "still", "alone")).status).toBe(200);
  expect((await get(n1, "new")).body).toBe("life");
  expect((await n1.status()).isLeader).toBe(true);
  await n3.kill();

  // The others come anew, each on an empty directory; n3's old one is out of the way.
  rmSync(n3.directory, { recursive: true });
  const joins = ["--join", n1.address, "--election-timeout", `${ELECTION_TIMEOUT_MS}`];
  const [m2, m3] = [n2, n3].map(({ id, port }) => new Member(id, port, cluster.directory, joins));
  endWithTest(context, [m2!, m3!]);
  m2!.start();
  m3!.start();
  for (const member of [m2!, m3!]) {
    await waitUntil(`${member.id} has it all`, SOON_MS, async () => {
      return (await get(member, "new")).body === "life";
    });
    expect(await ledger.audit(member.httpPort)).toMatchObject({ lost: [], appeared: [] });
  }
  await waitUntil("all three vote", SOON_MS, async () => {
    const voters = await Promise.all([n1, m2!, m3!].map(votersOf));
    return voters.every((ids) => ids.join() === "n1,n2,n3");
  });
  // A majority without n1 now.
  await n1.kill();
  await waitUntil(
    "the new ones serve",
    SOON_MS,
    async () => (await put(m2!, "and", "on")).status === 200,
  );
});

function put(member: Member, key: string, value: string) {
  return askForReply({ port: member.httpPort, method: "PUT", path: `/kv/${key}`, body: value });
}

function get(member: Member, key: string) {
  return askForReply({ port: member.httpPort, method: "GET", path: `/kv/${key}` });
}
