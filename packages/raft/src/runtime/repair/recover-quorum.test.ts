/**
 * Going on after a lost quorum: what is said before, what it leaves at any crash, and that nobody
 * of the time before is ever heard again.
 */
import { describe, expect, test } from "vitest";
import type { MemberId } from "../../core/configuration.ts";
import type { SimDisk } from "../../disk/sim-disk.ts";
import { ManualClock } from "../../transport/manual-clock.ts";
import { crc32 } from "../../util/checksum.ts";
import { openLog } from "../../log/open-log.ts";
import { openSnapshots } from "../../snapshot/snapshot-directory.ts";
import { SeededRandom } from "../../util/random.ts";
import { nodeDigest } from "../node-checksum.ts";
import { IdentityFile } from "../identity.ts";
import type { Identity } from "../identity.ts";
import { add, errorOf, total, World } from "../world-harness.ts";
import type { Opened } from "../world-harness.ts";
import { inspectDirectory } from "./inspect-data-dir.ts";
import type { Inspection } from "./inspection.ts";
import { isQuorumLost, mayHoldAlone, planQuorumRecovery } from "./quorum-loss.ts";
import { recoverDirectory } from "./recover-quorum.ts";
import type { QuorumRecovery, RecoverPorts } from "./recover-quorum.ts";

const SEED = 11;

/** A cluster of three that took writes and was stopped. */
async function stopped(writes = 4, count = 3, seed = SEED): Promise<World> {
  const world = new World(seed);
  const { all, leader } = await world.served(count);
  for (let i = 0; i < writes; i++) await world.until(leader.node.write(add(5)));
  await world.run(300);
  await world.close(all);
  return world;
}

function portsOf(disk: SimDisk): RecoverPorts {
  const clock = new ManualClock();
  return { disk, checksum: crc32, digest: nodeDigest, clock, random: new SeededRandom(SEED + 1) };
}

function inspect(world: World, id: MemberId): Promise<Inspection> {
  return inspectDirectory(portsOf(world.disk(id)), `/data/${id}`);
}

async function recover(world: World, id: MemberId): Promise<QuorumRecovery> {
  const plan = planQuorumRecovery([await inspect(world, id)]);
  return recoverDirectory(portsOf(world.disk(id)), plan, plan.clusterId);
}

async function identityOf(disk: SimDisk, id: MemberId): Promise<Identity> {
  return (await new IdentityFile(disk, `/data/${id}`, crc32).read())!;
}

describe("the plan", () => {
  test("says that acknowledged writes may be lost, and which members are given up", async () => {
    const world = await stopped();
    const inspection = await inspect(world, "n2");
    const plan = planQuorumRecovery([inspection]);
    expect(plan).toMatchObject({
      clusterId: inspection.identity!.clusterId,
      mayLoseAcknowledged: true,
      resumes: false,
    });
    expect(plan.survivors).toMatchObject([{ id: "n2", role: "voter" }]);
    expect(plan.missing.map(({ id }) => id)).toEqual(["n1", "n3"]);
    expect(plan.dropped.map(({ id }) => id)).toEqual(["n1", "n3"]);
    const text = plan.consequences.join("\n");
    expect(text).toMatch(/Writes may be LOST.*n1 and n3 could decide without this member/);
    expect(text).toMatch(/n1 and n3 will be members no longer/);
    expect(text).toMatch(/The old cluster must not run any more/);
  });

  test("prefers the newest log, by term and then by index", async () => {
    const world = await stopped(4, 5);
    const one = await inspect(world, "n1");
    const two = await inspect(world, "n2");
    const longer = { ...one, log: { ...one.log!, lastIndex: one.log!.lastIndex + 3 } };
    expect(planQuorumRecovery([two, longer]).survivors[0]!.id).toBe("n1");
    const later = { ...two, log: { ...two.log!, lastTerm: two.log!.lastTerm + 1 } };
    expect(planQuorumRecovery([longer, later]).survivors[0]!.id).toBe("n2");
  });

  test("of two of four says that nothing acknowledged is lost: the other two could not decide", async () => {
    const world = await stopped(4, 4);
    const plan = planQuorumRecovery([await inspect(world, "n1"), await inspect(world, "n3")]);
    expect(plan.mayLoseAcknowledged).toBe(false);
    expect(plan.consequences.join("\n")).toMatch(/No acknowledged write is lost/);
  });

  test("names the entries that were not known to be committed", async () => {
    const world = await stopped();
    const inspection = await inspect(world, "n1");
    const { lastIndex } = inspection.log!;
    const log = { ...inspection.log!, commit: lastIndex - 2 };
    const plan = planQuorumRecovery([{ ...inspection, log }]);
    expect(plan.uncertain).toEqual({ from: lastIndex - 1, to: lastIndex });
    expect(plan.consequences.join("\n")).toMatch(/may come to life/);
  });

  test("is refused where a majority is at hand, or a cluster of one", async () => {
    const world = await stopped();
    const both = [await inspect(world, "n1"), await inspect(world, "n2")];
    expect(() => planQuorumRecovery(both)).toThrow(/no quorum is lost/);
    const alone = await stopped(1, 1);
    const one = await inspect(alone, "n1");
    expect(() => planQuorumRecovery([one])).toThrow(/no quorum is lost/);
  });

  test("is refused for what is in use, damaged, not of a cluster, copied or foreign", async () => {
    const world = await stopped();
    const one = await inspect(world, "n1");
    expect(() => planQuorumRecovery([{ ...one, inUse: "locked by process 7" }])).toThrow(
      /\[DATA_DIR_LOCKED\].*stop the member first/,
    );
    const foreign = await stopped(1, 3, SEED + 1);
    expect(() => planQuorumRecovery([])).toThrow(/no directory/);
    const other = await inspect(foreign, "n1");
    expect(() => planQuorumRecovery([one, other])).toThrow(/are of different clusters/);
    expect(() => planQuorumRecovery([one, one])).toThrow(/are copies of one directory/);
    await world.disk("n1").remove("/data/n1/identity.json");
    const damaged = await inspect(world, "n1");
    expect(() => planQuorumRecovery([damaged])).toThrow(/cannot be recovered from: There is a log/);
    const empty = await inspectDirectory(portsOf(world.disk("n2")), "/data");
    expect(() => planQuorumRecovery([empty])).toThrow(/nothing to recover/);
  });

  test("tells a directory that was recovered from one of the time before", async () => {
    const world = await stopped();
    await recover(world, "n1");
    const [one, two] = [await inspect(world, "n1"), await inspect(world, "n2")];
    for (const pair of [
      [one, two],
      [two, one],
    ]) {
      expect(() => planQuorumRecovery(pair)).toThrow(/data\/n1 was recovered from a lost quorum/);
    }
  });
});

test.each([
  [["a", "b", "c"], [], ["b", "c"], true, true],
  [["a", "b", "c"], [], ["c"], false, false],
  [["a", "b", "c", "d"], [], ["c", "d"], true, false],
  [["a"], [], [], false, false],
  // Joint: one half is gone, so nothing can be decided; but nothing was without the other half.
  [["a", "b", "c"], ["a", "d", "e"], ["d", "e"], true, false],
  [["a", "b", "c"], ["a", "d", "e"], ["b", "c", "d", "e"], true, true],
])(
  "%j and outgoing %j without %j: lost %s, may hold alone %s",
  (voters, outgoing, gone, lost, hold) => {
    const configuration = { members: [], voters, outgoing, learners: [] };
    expect(isQuorumLost(configuration, new Set(gone))).toBe(lost);
    expect(mayHoldAlone(configuration, new Set(gone))).toBe(hold);
  },
);

describe("recovering", () => {
  test("wants the id of the cluster repeated, and changes nothing without it", async () => {
    const world = await stopped();
    const plan = planQuorumRecovery([await inspect(world, "n1")]);
    const disk = world.disk("n1");
    const before = disk.paths().map((path) => crc32(disk.image(path)));
    const error = await errorOf(recoverDirectory(portsOf(disk), plan, "yes"));
    expect(error.code).toBe("OPTION_INVALID");
    expect(disk.paths().map((path) => crc32(disk.image(path)))).toEqual(before);
  });

  test("is refused where the directory has changed since it was looked at", async () => {
    const world = await stopped();
    const plan = planQuorumRecovery([await inspect(world, "n1")]);
    await recover(world, "n1");
    const error = await errorOf(recoverDirectory(portsOf(world.disk("n1")), plan, plan.clusterId));
    expect(error.code).toBe("DATA_DIR_INVALID");
  });

  test("is refused while a member runs on the directory", async () => {
    const world = await stopped();
    const plan = planQuorumRecovery([await inspect(world, "n1")]);
    const opened = await world.open("n1", undefined);
    const error = await errorOf(recoverDirectory(portsOf(world.disk("n1")), plan, plan.clusterId));
    expect(error.code).toBe("DATA_DIR_LOCKED");
    await world.close([opened]);
  });

  test("leaves a cluster of one with all the data, under new ids, in a new term", async () => {
    const world = await stopped();
    const before = await inspect(world, "n2");
    const done = await recover(world, "n2");
    const after = await inspect(world, "n2");
    expect(after.health).toBe("healthy");
    expect(after.identity).toMatchObject({
      id: "n2",
      state: "formed",
      clusterId: done.clusterId,
      incarnation: done.incarnation,
      formerClusters: [before.identity!.clusterId],
    });
    expect(done.clusterId).not.toBe(before.identity!.clusterId);
    expect(done.incarnation).not.toBe(before.identity!.incarnation);
    expect(done).toMatchObject({ index: before.log!.lastIndex + 1, term: before.log!.term + 1 });
    expect(after.log!.commit, "decided from the first moment on").toBe(done.index);
    expect(after.log!.configurations.at(-1)).toMatchObject({
      index: done.index,
      configuration: { voters: ["n2"], outgoing: [], learners: [] },
    });
    const opened = await world.open("n2", { members: World.members(3) });
    expect(await world.until(opened.node.read(total))).toBe(20);
    expect(await world.until(opened.node.write(add(1)))).toBe(21);
    expect(opened.node.status().configuration.voters).toEqual(["n2"]);
    await world.close([opened]);
  });

  test("can be done again later, and remembers every cluster it was", async () => {
    const world = await stopped();
    const first = await identityOf(world.disk("n1"), "n1");
    const { clusterId } = await recover(world, "n1");
    const again = await inspect(world, "n1");
    expect(() => planQuorumRecovery([again])).toThrow(/no quorum is lost/);
    expect(again.identity!.formerClusters).toEqual([first.clusterId]);
    expect(clusterId).toBe(again.identity!.clusterId);
  });
});

/** The log of n1 starts behind entry 3, and two snapshots of the cluster stand for what is gone. */
async function compacted(): Promise<World> {
  const world = await stopped();
  const disk = world.disk("n1");
  const { log, identity } = await inspect(world, "n1");
  const ports = portsOf(disk);
  const opened = await openLog({ ...ports, directory: "/data/n1/log", segmentBytes: 65_536 });
  await opened.release(1, 3);
  await opened.close();
  const store = await openSnapshots({ ...ports, directory: "/data/n1/snapshot" });
  for (const index of [3, 5]) {
    const [configuration] = log!.configurations;
    const at = { index, term: log!.lastTerm, timeMs: 5, engine: new Uint8Array(3) };
    const { clusterId } = identity!;
    const writer = await store.create({
      ...at,
      configuration: configuration!,
      clusterId: clusterId!,
    });
    for (let i = 0; i < 30; i++) await writer.write(new Uint8Array(5_000).fill(index));
    await writer.finish();
  }
  return world;
}

/** The cluster that each snapshot of n1 says that it is of, and how much of it there is. */
async function snapshotsOf(world: World): Promise<[string, number][]> {
  const options = { ...portsOf(world.disk("n1").clone()), directory: "/data/n1/snapshot" };
  const store = await openSnapshots(options);
  return Promise.all(
    store.list.map(async (id): Promise<[string, number]> => {
      const { clusterId } = await store.verify(id);
      return [clusterId, id.bytes];
    }),
  );
}

describe("snapshots", () => {
  test("are of the new cluster afterwards, byte for byte the same but for that", async () => {
    const world = await compacted();
    const before = await snapshotsOf(world);
    const { clusterId } = await recover(world, "n1");
    const bytes = before.map(([, size]) => size);
    expect(await snapshotsOf(world)).toEqual(bytes.map((size) => [clusterId, size]));
    expect(await inspect(world, "n1")).toMatchObject({ health: "healthy", findings: [] });
  });

  test("that are ahead of the log, from another member, are where it goes on", async () => {
    const world = await compacted();
    const ports = portsOf(world.disk("n1"));
    const { log, identity } = await inspect(world, "n1");
    const store = await openSnapshots({ ...ports, directory: "/data/n1/snapshot" });
    const [configuration] = log!.configurations;
    const { clusterId } = identity!;
    const index = log!.lastIndex + 10;
    const at = { index, term: log!.lastTerm, timeMs: 9, engine: new Uint8Array(3) };
    const meta = { ...at, configuration: configuration!, clusterId: clusterId! };
    const writer = await store.create(meta);
    await writer.write(new Uint8Array(9));
    await writer.finish();
    const plan = planQuorumRecovery([await inspect(world, "n1")]);
    expect(plan.survivors[0]).toMatchObject({ lastIndex: index, commit: index });
    expect(plan.uncertain).toBeUndefined();
    const done = await recover(world, "n1");
    expect(done.index).toBe(index + 1);
    const after = await inspect(world, "n1");
    expect(after.health).toBe("healthy");
    expect(after.log).toMatchObject({ startIndex: index, lastIndex: index + 1, commit: index + 1 });
    expect(after.log!.configurations.at(-1)!.configuration.voters).toEqual(["n1"]);
  });

  test("that are damaged are left as they are, as long as another one will do", async () => {
    const world = await compacted();
    const newest = world
      .disk("n1")
      .paths()
      .findLast((path) => path.endsWith(".snap"))!;
    world.disk("n1").flip(newest, 100_000, 1);
    await recover(world, "n1");
    expect((await inspect(world, "n1")).findings).toMatchObject([
      { code: "SNAPSHOT_DAMAGED", severity: "warning", path: newest },
    ]);
  });

  test("of both clusters are what a crash may leave; repeated, it comes to the same end", async () => {
    const base = (await compacted()).disk("n1");
    let mixed = 0;
    for (let at = 1; ; at += 3) {
      const world = worldOf(base);
      const plan = planQuorumRecovery([await inspect(world, "n1")]);
      const disk = world.disk("n1");
      disk.dieAt(disk.operations + at, new SeededRandom(at));
      const ended = await recoverDirectory(portsOf(disk), plan, plan.clusterId).then(
        () => true,
        () => false,
      );
      world.disks.set("n1", disk.successor ?? disk.crash(new SeededRandom(at)));
      const left = await inspect(world, "n1");
      const { state, formerClusters, clusterId } = left.identity!;
      if (state === "recovering") {
        if (new Set((await snapshotsOf(world)).map(([cluster]) => cluster)).size > 1) mixed++;
        expect(await recover(world, "n1")).toMatchObject({ clusterId });
      }
      const isNew = state === "recovering" || formerClusters.length > 0;
      const clusters = (await snapshotsOf(world)).map(([cluster]) => cluster);
      expect(clusters).toEqual([clusterId, clusterId]);
      expect((await inspect(world, "n1")).health).toBe("healthy");
      if (ended) {
        expect(isNew).toBe(true);
        break;
      }
    }
    expect(mixed).toBeGreaterThan(0);
  });
});

describe("those who come back from the time before", () => {
  test("are refused and told why, and their majority is not mixed with the new cluster", async () => {
    const world = await stopped();
    await recover(world, "n1");
    const one = await world.open("n1", undefined);
    const [two, three] = [await world.open("n2", undefined), await world.open("n3", undefined)];
    // The worst case: they were not lost at all, and are a majority of the old cluster.
    await world.when(() => two.node.isLeader || three.node.isLeader, "the old majority elects");
    expect(await world.until(one.node.write(add(100)))).toBe(120);
    expect(await world.until(two.node.write(add(1)))).toBe(21);
    await world.run(2_000);
    expect(await world.until(one.node.read(total))).toBe(120);
    expect(await world.until(three.node.read(total))).toBe(21);
    const reasons = refusalsOf(one);
    expect(reasons.some((reason) => /n2 comes from the time before cluster/.test(reason))).toBe(
      true,
    );
    expect(refusalsOf(two).some((reason) => /belongs? to cluster|time before/.test(reason))).toBe(
      true,
    );
    expect(one.node.status().term).toBeLessThan(100);
    await world.close([one, two, three]);
  });

  test("are refused where it is a copy of the very directory that went on", async () => {
    const world = await stopped();
    const copy = world.disk("n1").clone();
    await recover(world, "n1");
    const one = await world.open("n1", undefined);
    world.disks.set("n1", copy);
    const old = await world.open("n1", undefined, { listen: "n9:9099", advertise: "n9:9099" });
    await world.run(2_000);
    expect(old.node.isLeader).toBe(false);
    expect(one.node.isLeader).toBe(true);
    expect(await world.until(one.node.write(add(1)))).toBe(21);
    await world.close([one, old]);
  });
});

function refusalsOf({ events }: Opened): string[] {
  return events.flatMap((event) =>
    "reason" in event && typeof event.reason === "string" ? [event.reason] : [],
  );
}

describe("a crash", () => {
  test.each(["crash", "kill"] as const)(
    "(%s) at any operation leaves the old member, or one that starts only once this is repeated",
    async (how) => {
      const states: string[] = [];
      const base = (await stopped(2)).disk("n1");
      const old = await identityOf(base, "n1");
      for (let at = 1; ; at++) {
        const world = worldOf(base);
        const plan = planQuorumRecovery([await inspect(world, "n1")]);
        const disk = world.disk("n1");
        disk.dieAt(disk.operations + at, new SeededRandom(at), how);
        const ended = await recoverDirectory(portsOf(disk), plan, plan.clusterId).then(
          () => true,
          () => false,
        );
        world.disks.set("n1", disk.successor ?? disk.crash(new SeededRandom(at)));
        const found = await identityOf(world.disk("n1"), "n1");
        states.push(found.state === "formed" ? (found.formerClusters ? "3" : "1") : "2");
        await expectSoundAfter(world, old, found);
        if (ended) break;
      }
      // The old one, then the one that must go on, then the new one. Where a name is not synced
      // yet, either may be found.
      expect(states.join("")).toMatch(/^1+[12]*2[23]*3+$/);
    },
    60_000,
  );

  test("or an error of the disk at any operation leaves something that can be repeated", async () => {
    const base = (await stopped(2)).disk("n1");
    const old = await identityOf(base, "n1");
    for (let at = 1; ; at++) {
      const world = worldOf(base);
      const plan = planQuorumRecovery([await inspect(world, "n1")]);
      const disk = world.disk("n1");
      const first = disk.operations;
      let failed = false;
      disk.beforeOperation = ({ n }) => {
        if (n !== first + at) return undefined;
        failed = true;
        return { reason: "io" };
      };
      await recoverDirectory(portsOf(disk), plan, plan.clusterId).catch(() => {});
      disk.beforeOperation = undefined;
      // What an error left in the page cache may never reach the medium.
      world.crashDisk("n1");
      await expectSoundAfter(world, old, await identityOf(world.disk("n1"), "n1"));
      if (!failed) break;
    }
  }, 60_000);
});

/** A world with nobody in it but a stopped n1. */
function worldOf(disk: SimDisk): World {
  const world = new World(SEED);
  world.disks.set("n1", disk.clone());
  return world;
}

/** Whatever was left: it is the old member, or comes to the end that was decided. */
async function expectSoundAfter(world: World, old: Identity, found: Identity): Promise<void> {
  if (found.state === "formed" && found.formerClusters === undefined) {
    expect(found).toEqual(old);
    const opened = await world.open("n1", undefined);
    await world.run(1_000);
    expect(opened.node.isLeader, "the old member decides nothing alone").toBe(false);
    await world.close([opened]);
    return;
  }
  expect(found.formerClusters).toEqual([old.clusterId]);
  expect(found.incarnation).not.toBe(old.incarnation);
  if (found.state === "recovering") {
    const refused = await errorOf(world.open("n1", undefined));
    expect(refused.message).toMatch(/begun and not finished/);
    const done = await recover(world, "n1");
    expect(done).toMatchObject({ clusterId: found.clusterId, incarnation: found.incarnation });
  }
  const opened = await world.open("n1", undefined);
  expect(await world.until(opened.node.read(total))).toBeGreaterThanOrEqual(10);
  expect(opened.node.status().configuration.voters).toEqual(["n1"]);
  await world.close([opened]);
}
