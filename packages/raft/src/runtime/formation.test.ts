/** Formation: one list becomes one cluster, in any order, through crashes, and never two. */
import { describe, expect, test } from "vitest";
import { votersOnly } from "../core/configuration.ts";
import { encodeConfiguration } from "../core/configuration-codec.ts";
import { NO_CLUSTER } from "../transport/transport.ts";
import { MemoryTransport } from "../transport/memory-transport.ts";
import { crc32 } from "../util/checksum.ts";
import { SeededRandom } from "../util/random.ts";
import { clusterIdOf, digestOfList, Formation } from "./formation.ts";
import { LIMITS } from "./limits.ts";
import { nodeDigest } from "./node-checksum.ts";
import type { StaticMember } from "./replica.ts";
import type { Opened } from "./world-harness.ts";
import { add, errorOf, T, total, World } from "./world-harness.ts";

const THREE = World.members(3);
const PERMUTATIONS = [
  ["n1", "n2", "n3"],
  ["n1", "n3", "n2"],
  ["n2", "n1", "n3"],
  ["n2", "n3", "n1"],
  ["n3", "n1", "n2"],
  ["n3", "n2", "n1"],
] as const;

describe("members with the same list", () => {
  test.each(PERMUTATIONS)(
    "form one cluster when started in the order %s %s %s",
    async (...order) => {
      const world = new World();
      const all: Opened[] = [];
      for (const id of order) {
        for (const opened of all) expect(opened.node.status().state).toBe("forming");
        all.push(await world.open(id, { members: THREE }));
        await world.run(3 * T);
      }
      await world.when(() => all.every(({ node }) => node.status().state === "running"), "formed");
      expect(new Set(all.map(({ node }) => node.status().clusterId)).size).toBe(1);
      expect(
        await world.until(all[0]!.node.write(add(3)).catch(() => all[1]!.node.write(add(3)))),
      ).toBe(3);
      for (const { node } of all) expect(await world.until(node.read(total))).toBe(3);
      const formed = all[0]!.events.find((event) => event.type === "formed");
      expect(formed?.configuration.members.map((member) => member.id)).toEqual(["n1", "n2", "n3"]);
      await world.close(all);
    },
  );

  test("nobody campaigns while one of them has never been up", async () => {
    const world = new World();
    const two = [
      await world.open("n1", { members: THREE }),
      await world.open("n2", { members: THREE }),
    ];
    await world.run(10 * T);
    for (const { node, events } of two) {
      expect(node.status()).toMatchObject({ state: "forming", term: 0, clusterId: NO_CLUSTER });
      expect(events.some((event) => event.type === "role")).toBe(false);
    }
    await world.close(two);
  });

  test("a list of one is a cluster at once, and a list of five forms, too", async () => {
    const world = new World();
    const one = await world.open("n1", { members: World.members(1) });
    expect(await world.until(one.node.leader())).toBe("n1");
    expect(await world.until(one.node.write(add()))).toBe(1);
    await world.close([one]);
    const other = new World();
    const { all, leader } = await other.served(5);
    expect(await other.until(leader.node.write(add(2)))).toBe(2);
    await other.close(all);
  });

  test("a member that was away while the others formed is told, though the decider is gone", async () => {
    const world = new World();
    const all = await world.cluster(3, {});
    // n1 decides; what it says to n3 is lost, and so is what n2 says, until n1 is gone.
    const [n1, n2, n3] = all as [Opened, Opened, Opened];
    n1.transport.dropWhen((to) => to === "n3");
    n2.transport.dropWhen((to) => to === "n3");
    await world.when(() => n2.node.status().state === "running", "n2 has formed");
    expect(n3.node.status().state).toBe("forming");
    await world.close([n1]);
    n2.transport.dropWhen(undefined);
    // The news comes with the next connection.
    world.network.cut(n2.transport.address, n3.transport.address);
    world.network.heal(n2.transport.address, n3.transport.address);
    await world.when(() => n3.node.status().state === "running", "n3 has heard");
    expect(n3.node.status().clusterId).toBe(n2.node.status().clusterId);
    await world.until(n3.node.leader());
    expect(await world.until(n3.node.write(add(4)))).toBe(4);
    await world.close([n2, n3]);
  });
});

describe("members that do not belong together", () => {
  test("different lists refuse each other with a sentence on both sides", async () => {
    const world = new World();
    const other = [...THREE.slice(0, 2), { id: "n3", address: "n3:7777" }];
    const n1 = await world.open("n1", { members: THREE });
    const n2 = await world.open("n2", { members: other });
    await world.run(2 * T);
    for (const { events } of [n1, n2]) {
      const refusal = events.find((event) => event.type === "peer-refused");
      expect(refusal?.reason).toMatch(
        /different member lists .* ids and addresses must be the same/,
      );
    }
    expect(n1.node.status().state).toBe("forming");
    await world.close([n1, n2]);
  });

  test("a member that comes back empty after forming is refused and told what to do", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3);
    await world.until(leader.node.write(add(6)));
    const gone = followers[0]!;
    await world.close([gone]);
    world.wipe(gone.node.id);
    const back = await world.open(gone.node.id, { members: THREE });
    await world.run(5 * T);
    expect(back.node.status()).toMatchObject({ state: "forming", term: 0 });
    for (const { events } of [back, leader]) {
      const refusal = events.find((event) => event.type === "peer-refused");
      expect(refusal?.reason).toBe(
        `member ${gone.node.id} has come back with an empty directory; it must be replaced ` +
          `(members replace ${gone.node.id}), since its old vote is gone`,
      );
    }
    // Two of three go on.
    expect(await world.until(leader.node.write(add(1)))).toBe(7);
    await world.close([leader, followers[1]!, back]);
    expect(all).toHaveLength(3);
  });

  test("the decider that comes back empty cannot decide anew", async () => {
    const world = new World();
    const { all } = await world.served(3);
    const [n1, ...rest] = all as [Opened, Opened, Opened];
    await world.close([n1]);
    world.wipe("n1");
    const back = await world.open("n1", { members: THREE });
    await world.when(() => rest.some(({ node }) => node.isLeader), "the others lead");
    await world.run(5 * T);
    expect(back.node.status()).toMatchObject({ state: "forming", clusterId: NO_CLUSTER });
    await world.close([...rest, back]);
  });

  test("what comes over a connection that was greeted as by nobody is not heard", async () => {
    const world = new World();
    const { all } = await world.served(3);
    const [n1, , n3] = all as [Opened, Opened, Opened];
    const { incarnation } = n3.node.status();
    await world.close([n3]);
    // It looks like n3 before formation, so it is let in, to be told; and then speaks like a
    // leader.
    const address = "n3:9093";
    const transport = new MemoryTransport({
      network: world.network,
      listen: address,
      random: new SeededRandom(5),
      checksum: crc32,
      limits: LIMITS,
    });
    const told: string[] = [];
    const hello = {
      protocolMin: 4,
      protocolMax: 4,
      clusterId: NO_CLUSTER,
      id: "n3",
      incarnation,
      address,
      formation: digestOfList(THREE, nodeDigest),
      mode: "member",
      configurationIndex: 0,
      machineVersion: 1,
    } as const;
    await transport.listen({
      hello: () => hello,
      judge: () => ({ accept: true }),
      contacted: () => {},
      contactFailed: () => {},
      connected: () => {},
      disconnected: () => {},
      refused: () => {},
      problem: () => {},
      message: (from, _group, message) => told.push(`${from} ${message.type}`),
    });
    transport.setPeers([{ id: "n1", address: "n1:9091" }]);
    await world.when(() => told.includes("n1 formation"), "n1 tells what was formed");
    const { term } = n1.node.status();
    await world.when(
      () => transport.send("n1", 1, { type: "heartbeat", term: term + 9, commit: 0, round: 0 }),
      "connected",
    );
    transport.flush();
    await world.run(20);
    expect(n1.node.status().term).toBe(term);
    await transport.close();
    await world.close(all);
  });

  test("a bootstrapped member and a member of a list are no cluster", async () => {
    const world = new World();
    const n1 = await world.open("n1", { bootstrap: true });
    const n2 = await world.open("n2", { members: World.members(2) });
    await world.run(3 * T);
    expect(n1.node.isLeader).toBe(true);
    expect(n2.node.status().state).toBe("forming");
    const refusal = n2.events.find((event) => event.type === "peer-refused");
    expect(refusal?.reason).toMatch(/n2 is not a member of cluster [0-9a-f]{32}/);
    await world.close([n1, n2]);
  });

  test("members of two clusters with the same ids refuse each other by cluster", async () => {
    const world = new World();
    const { all } = await world.served(2);
    await world.close(all);
    const twin = new World(99);
    const { all: twins } = await twin.served(2);
    await twin.close(twins);
    world.disks.set("n2", twin.disk("n2"));
    const n1 = await world.open("n1", undefined);
    const n2 = await world.open("n2", undefined);
    await world.run(4 * T);
    for (const { events, node } of [n1, n2]) {
      const refusal = events.find((event) => event.type === "peer-refused");
      expect(refusal?.reason).toMatch(/n\d belongs to cluster .* wrong data directory/);
      expect(node.status().leader).toBeUndefined();
    }
    await world.close([n1, n2]);
  });

  test("an address that leads to somebody else, or back to oneself, is told by name", async () => {
    const world = new World();
    const { all } = await world.served(3);
    await world.close(all);
    const hints: StaticMember[] = [
      { id: "n1", address: "n1:9091" },
      { id: "n2", address: "n3:9093" },
      { id: "n3", address: "n2:9092" },
    ];
    const n1 = await world.open("n1", { members: hints });
    const n3 = await world.open("n3", { members: THREE });
    await world.run(2 * T);
    const reasons = n1.events.flatMap((event) =>
      event.type === "peer-refused" ? [event.reason] : [],
    );
    expect(reasons.join()).toMatch(/n2.*n3/);
    await world.close([n1, n3]);
  });
});

describe("forming that is cut short", () => {
  test("closing in the middle of it leaves a closed replica, and the next start goes on", async () => {
    const world = new World();
    const all = await world.cluster(3);
    const n2 = all[1]!;
    const disk = world.disk("n2");
    await world.when(() => all[0]!.node.status().state === "running", "n1 has decided");
    disk.stall();
    await world.run(10);
    expect(n2.node.status().state).toBe("forming");
    const closing = n2.node.close();
    disk.resume();
    await world.until(closing);
    expect(n2.node.status().state).toBe("closed");
    expect((await errorOf(n2.node.write(add()))).code).toBe("CLOSED");
    const back = await world.open("n2", { members: THREE });
    await world.when(() => back.node.status().state === "running", "formed");
    await world.close([all[0]!, all[2]!, back]);
  });

  test("a disk that fails meanwhile fails the replica with its cause", async () => {
    const world = new World();
    const all = await world.cluster(3);
    const n2 = all[1]!;
    world.disk("n2").beforeOperation = ({ kind }) =>
      kind === "rename" ? { reason: "io" } : undefined;
    await world.when(() => n2.node.status().state === "failed", "n2 has failed");
    expect(n2.node.status().failure?.code).toBe("STORAGE_FAILED");
    await world.close(all);
  });

  test.each([
    ["full", "DISK_FULL"],
    ["access", "DATA_DIR_INVALID"],
    ["io", "STORAGE_FAILED"],
  ] as const)("opening on a disk that says %s rejects with %s", async (reason, code) => {
    const world = new World();
    world.disk("n1").beforeOperation = ({ kind }) =>
      kind === "sync" || kind === "write" ? { reason } : undefined;
    const error = await errorOf(world.open("n1", { bootstrap: true }));
    expect(error).toMatchObject({ code, outcome: "not-done" });
    world.disk("n1").beforeOperation = undefined;
    const again = await world.open("n1", { bootstrap: true });
    expect(await world.until(again.node.write(add(1)))).toBe(1);
    await world.close([again]);
  });
});

describe("crashes while forming", () => {
  test("bootstrapping: power loss at every disk operation, then started again", async () => {
    for (let at = 1; ; at++) {
      const world = new World(at);
      const disk = world.disk("n1");
      disk.dieAt(at, new SeededRandom(at));
      const first = await opening(world, "n1", { bootstrap: true });
      const died = disk.successor !== undefined;
      let acknowledged = 0;
      if (first !== undefined && !died) {
        acknowledged = await world.until(first.node.write(add(1))).catch(() => 0);
      }
      if (first !== undefined) await world.close([first]);
      if (disk.successor !== undefined) world.disks.set("n1", disk.successor);
      const again = await world.open("n1", { bootstrap: true });
      const value = await world.until(again.node.read(total));
      expect(value).toBeGreaterThanOrEqual(acknowledged);
      await world.close([again]);
      if (!died) break;
      expect(at).toBeLessThan(400);
    }
  });

  test.each(["n1", "n2", "n3"])("%s: power loss at every disk operation of its own", async (id) => {
    // Every operation of the member that decides, a sample of those of the others.
    const offset = Number(id.slice(1));
    for (let at = offset; ; at += id === "n1" ? 1 : 3) {
      const world = new World(at);
      const disk = world.disk(id);
      disk.dieAt(at, new SeededRandom(at));
      const opened = await Promise.all(
        THREE.map((member) => opening(world, member.id, { members: THREE })),
      );
      // Formed or dead: a little more, and nothing new happens on that disk.
      const isSettled = (): boolean =>
        disk.successor !== undefined ||
        opened.every((one) => one?.node.status().state === "running");
      await world.when(isSettled, "formed, or dead");
      await world.run(30);
      const rest = opened.flatMap((one, i) => (THREE[i]!.id !== id && one ? [one] : []));
      const victim = opened[offset - 1];
      if (victim !== undefined) await world.close([victim]);
      if (disk.successor === undefined) {
        await world.close(rest);
        expect(at).toBeGreaterThan(40);
        break;
      }
      world.disks.set(id, disk.successor);
      const back = await opening(world, id, { members: THREE });
      expect(back).toBeDefined();
      const all = [...rest, back!];
      await world.when(() => all.every(({ node }) => node.status().state === "running"), `${at}`);
      expect(new Set(all.map(({ node }) => node.status().clusterId)).size).toBe(1);
      if (at % 8 === 0) {
        await world.until(back!.node.leader());
        expect(await world.until(back!.node.write(add(at)))).toBe(at);
      }
      await world.close(all);
    }
  });

  test("random starts, stops, crashes and one lost directory never make two working clusters", async () => {
    let formed = 0;
    for (let seed = 1; seed <= 30; seed++) {
      const world = new World(seed);
      const random = new SeededRandom(seed * 7919);
      const up = new Map<string, Opened>();
      const clusters = new Map<string, Set<string>>();
      let wipes = 1;
      for (let step = 0; step < 14; step++) {
        const { id } = THREE[random.below(3)]!;
        const opened = up.get(id);
        if (opened === undefined) {
          if (random.below(3) === 0) world.disk(id).dieAt(5 + random.below(60), random);
          const fresh = await opening(world, id, { members: THREE });
          if (fresh !== undefined) up.set(id, fresh);
        } else if (random.below(2) === 0) {
          up.delete(id);
          if (random.below(2) === 0) world.crashDisk(id);
          await world.close([opened]);
          if (wipes > 0 && random.below(4) === 0) {
            wipes--;
            world.wipe(id);
          }
        }
        await world.run(random.below(60));
        note(up, clusters);
        for (const [member, disk] of world.disks) {
          if (disk.successor === undefined) continue;
          const dead = up.get(member);
          up.delete(member);
          if (dead !== undefined) await world.close([dead]);
          world.disks.set(member, disk.successor);
        }
      }
      await world.run(T);
      note(up, clusters);
      // Two working clusters would be two ids with a majority each of those who ever belonged.
      const working = [...clusters].filter(([, members]) => members.size >= 2);
      expect(working.length, `seed ${seed}`).toBeLessThanOrEqual(1);
      if (working.length === 1) formed++;
      await world.close([...up.values()]);
    }
    expect(formed).toBeGreaterThan(15);
  }, 60_000);
});

test("digest and cluster id do not depend on the order of a list, and differ in every detail", () => {
  const list = THREE.map(({ id, address }) => ({ id, address }));
  const digest = digestOfList(list, nodeDigest);
  expect(digestOfList([...list].reverse(), nodeDigest)).toBe(digest);
  expect(digestOfList(list.slice(1), nodeDigest)).not.toBe(digest);
  const members = list.map((member, i) => ({ ...member, incarnation: `${i}`.repeat(32) }));
  const id = clusterIdOf(votersOnly(members), nodeDigest);
  expect(clusterIdOf(votersOnly([...members].reverse()), nodeDigest)).toBe(id);
  const [first, ...rest] = members;
  const changed = votersOnly([{ ...first!, incarnation: "f".repeat(32) }, ...rest]);
  expect(clusterIdOf(changed, nodeDigest)).not.toBe(id);
});

/** Opens, or gives up where the disk dies meanwhile. */
async function opening(
  world: World,
  id: string,
  start: Parameters<World["open"]>[1],
): Promise<Opened | undefined> {
  try {
    return await world.open(id, start);
  } catch {
    const next = world.disk(id).successor;
    if (next === undefined) throw new Error("opening failed on a disk that is alive");
    world.disks.set(id, next);
    return undefined;
  }
}

function note(up: ReadonlyMap<string, Opened>, clusters: Map<string, Set<string>>): void {
  for (const [id, { node }] of up) {
    const { clusterId, state } = node.status();
    if (state !== "running") continue;
    const members = clusters.get(clusterId) ?? new Set();
    clusters.set(clusterId, members.add(id));
  }
}

test("a write to a member that waits for formation is refused as not done", async () => {
  const world = new World();
  const alone = await world.open("n3", { members: THREE });
  expect(await world.until(errorOf(alone.node.write(add())))).toMatchObject({
    code: "NO_LEADER",
    outcome: "not-done",
  });
  await world.close([alone]);
});

test("a member adopts only a configuration of its own list that names this very directory", () => {
  const [own, other] = ["a".repeat(32), "b".repeat(32)];
  const self = { id: "n1", incarnation: own, members: THREE };
  const formation = new Formation(self, nodeDigest);
  const payload = (incarnation: string, members: readonly StaticMember[] = THREE): Uint8Array =>
    encodeConfiguration(
      votersOnly(
        members.map((member) => ({
          ...member,
          incarnation: member.id === "n1" ? incarnation : other,
        })),
      ),
    );
  expect(formation.accept("n2", payload(own)).voters).toEqual(["n1", "n2", "n3"]);
  expect(() => formation.accept("n2", payload(other))).toThrow("another data directory of n1");
  expect(() => formation.accept("n2", payload(own, THREE.slice(0, 2)))).toThrow(
    "another member list",
  );
  expect(() => formation.accept("n2", new Uint8Array([1, 2]))).toThrow("cannot be read");
});
