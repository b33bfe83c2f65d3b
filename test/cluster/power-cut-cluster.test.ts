/**
 * Power cuts of a whole cluster: three members as an operator starts them, each on a volume of its
 * own, under load from clients that remember every acknowledged write. The power goes for one, two
 * or all of them at once.
 *
 * `kill -9` and the cut come together, as in reality; that a member acknowledges nothing after its
 * disk has failed is shown by power-cut.test.ts, where the disk goes first.
 */
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { SeededRandom } from "../../packages/raft/src/util/random.ts";
import { Cluster } from "../harness/cluster.ts";
import type { Member } from "../harness/cluster.ts";
import { Ledger } from "../harness/ledger.ts";
import { Load } from "../harness/load.ts";
import { Progress } from "../harness/progress.ts";
import { skipLoudly } from "../harness/skip-loudly.ts";
import { expectLinearizable } from "../harness/verdict.ts";
import { waitUntil } from "../harness/wait.ts";
import { Ext4Volume, powerCutSupport } from "../power-cut/ext4-volume.ts";

const LONG = process.env["QUORATE_LONG"] === "1";
/** On disk the logs are let go of all the time, and members come back through snapshots. */
const ON_DISK = ["--store", "disk", "--snapshot-log-bytes", "60000", "--snapshot-entries", "10"];
const ELECTION_TIMEOUT_MS = 500;
const CLIENT_TIMEOUT_MS = 2_000;

interface Site {
  readonly member: Member;
  readonly volume: Ext4Volume;
}

test.for([
  { where: "in memory", rounds: LONG ? 300 : 10, args: [] },
  { where: "on disk", rounds: LONG ? 200 : 4, args: ON_DISK },
])(
  "a cluster with its keys $where loses nothing acknowledged through $rounds power cuts",
  { timeout: 60_000 + (LONG ? 300 : 10) * 20_000 },
  async ({ rounds, args }, context) => {
    const support = await powerCutSupport();
    const tool = support.ok
      ? support.tool
      : skipLoudly(context, `no power can be cut here: ${support.reason}`);
    const random = new SeededRandom(3);
    // Volumes first: what is registered last ends first, and the members must end before them.
    const volumes: Ext4Volume[] = [];
    for (let i = 0; i < 3; i++) volumes.push(await makeVolume(context, tool));
    const cluster = await Cluster.make(context, {
      members: 3,
      electionTimeoutMs: ELECTION_TIMEOUT_MS,
      args,
    });
    const sites = cluster.members.map((member, i) => place(member, volumes[i]!));
    await cluster.start();
    const ports = cluster.httpPorts;
    const ledger = new Ledger(context);
    for (const _ of sites) ledger.startWriter(ports, CLIENT_TIMEOUT_MS);
    const load = new Load(context, {
      ports,
      clients: 5,
      keys: 5,
      seed: 2,
      timeoutMs: CLIENT_TIMEOUT_MS,
      thinkMs: 5,
    });

    const progress = new Progress(context, "power cuts", rounds);
    let cut = 0;
    for (let round = 0; round < rounds; round++) {
      progress.show(round, `${ledger.acknowledged} writes acknowledged`);
      const goal = ledger.acknowledged + 20 + random.below(60);
      await waitUntil("writes are acknowledged", 20_000, () => ledger.acknowledged >= goal);
      const first = random.below(3);
      const count = round % 3 === 0 ? 3 : 1 + random.below(3);
      const hit = [0, 1, 2].slice(0, count).map((i) => sites[(first + i) % 3]!);
      await cutPower(hit, random);
      cut += count;
      for (const { member } of hit) member.start();
      await cluster.settled(20_000);
    }

    progress.show(rounds);
    await ledger.stop();
    const history = await load.stop();
    await cluster.settled(20_000);
    for (const member of cluster.members) {
      const audit = await ledger.audit(member.httpPort);
      expect(audit, member.id).toMatchObject({ lost: [], appeared: [], invented: [] });
    }
    expectLinearizable(history, cluster.directory);
    const done = `${rounds} power cuts, of ${cut} volumes in all`;
    const found = `nothing of ${ledger.acknowledged} acknowledged writes was lost`;
    const text = `${done}: ${found}; ${history.length} operations are linearizable`;
    await context.annotate(text);
    if (LONG) process.stderr.write(`${text}\n`);
  },
);

async function makeVolume(context: TestContext, tool: string): Promise<Ext4Volume> {
  const volume = await Ext4Volume.create(tool, 160);
  context.onTestFinished(() => volume.destroy());
  return volume;
}

/** Has the member keep its data on the volume; what it prints stays where it is. */
function place(member: Member, volume: Ext4Volume): Site {
  const directory = join(volume.mountPoint, "data");
  mkdirSync(directory);
  symlinkSync(directory, member.directory);
  return { member, volume };
}

/** All of them at the same moment, as near as processes can. */
async function cutPower(sites: readonly Site[], random: SeededRandom): Promise<void> {
  for (const { member } of sites) member.child.signal("SIGKILL");
  await Promise.all(
    sites.map(async ({ member, volume }) => {
      await volume.cut(random.below(4) === 0 ? "logflush" : "nologflush");
      await member.kill();
      await volume.restore();
    }),
  );
}
