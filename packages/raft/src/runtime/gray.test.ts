/** What callers see of members that cannot do their work: hung and full disks, a blocked loop. */
import { describe, expect, test } from "vitest";
import { SimDisk } from "../disk/sim-disk.ts";
import { add, errorOf, T, total, World } from "./world-harness.ts";
import type { Opened } from "./world-harness.ts";

/** A disk that can hang: what completes meanwhile is kept back. */
class HangingDisk {
  #kept: (() => void)[] | undefined;
  readonly disk: SimDisk = new SimDisk({
    complete: (task) => {
      queueMicrotask(() => {
        if (this.#kept === undefined) task();
        else this.#kept.push(task);
      });
    },
  });

  hang(): void {
    this.#kept ??= [];
  }

  goOn(): void {
    const kept = this.#kept ?? [];
    this.#kept = undefined;
    for (const task of kept) task();
  }
}

/** Three members whose disks can hang. */
async function hanging(): Promise<{
  world: World;
  all: Opened[];
  leader: Opened;
  followers: Opened[];
  diskOf: (opened: Opened) => HangingDisk;
}> {
  const world = new World();
  const disks = new Map(["n1", "n2", "n3"].map((id) => [id, new HangingDisk()]));
  for (const [id, { disk }] of disks) world.disks.set(id, disk);
  const cluster = await world.served(3);
  return { world, ...cluster, diskOf: ({ node }) => disks.get(node.id)! };
}

describe("a leader whose disk hangs", () => {
  test("says so, hands over, and writes go on; it is well again by itself", async () => {
    const { world, all, leader, followers, diskOf } = await hanging();
    diskOf(leader).hang();
    expect(await world.until(followers[0]!.node.write(add(1)))).toBe(1);
    await world.when(() => followers.some(({ node }) => node.isLeader), "another leads", 3 * T);
    expect(leader.node.status()).toMatchObject({
      storage: { state: "stalled", stalls: 1 },
      health: { state: "stalled", yields: 1 },
      log: { state: "ok" },
    });
    expect(leader.node.status().storage.stalledForMs).toBeGreaterThanOrEqual(T);
    expect(leader.events.filter(({ type }) => type === "health")).toMatchObject([
      { health: "stalled", previous: "ok" },
    ]);
    expect(await world.until(followers[0]!.node.write(add(1)))).toBe(2);
    const now = followers.find(({ node }) => node.isLeader)!;
    await world.run(T);
    const seen = now.node.status().followers.find(({ id }) => id === leader.node.id);
    expect(seen?.health).toBe("stalled");
    // What it would have to learn through its log it is not asked for in vain.
    const { node } = leader;
    for (const call of [() => node.write(add(1)), () => node.read(total)]) {
      const { ms, error } = await world.timed<number>(call());
      expect(error).toMatchObject({ code: "STORAGE_STALLED", outcome: "not-done" });
      expect(ms).toBeLessThan(T);
    }
    diskOf(leader).goOn();
    await world.run(T);
    expect(leader.node.status().storage).toMatchObject({ state: "ok", stalledForMs: undefined });
    expect(now.node.isLeader).toBe(true);
    expect(await world.until(leader.node.write(add(1)))).toBe(3);
    await world.close(all);
  });

  test("is no target of a transfer, by the name of its disk", async () => {
    const { world, all, leader, followers, diskOf } = await hanging();
    const [hung] = followers as [Opened];
    diskOf(hung).hang();
    await world.until(leader.node.write(add(1)));
    await world.run(2 * T);
    const error = await world.until(
      errorOf(leader.node.leadership.transfer(hung.node.id, { timeoutMs: T })),
    );
    expect(error).toMatchObject({ code: "TIMEOUT" });
    expect(error.message).toContain("the disk of the target is stalled or full");
    diskOf(hung).goOn();
    await world.run(T);
    expect(await world.until(leader.node.leadership.transfer(hung.node.id))).toBe(hung.node.id);
    await world.close(all);
  });
});

describe("disks without space", () => {
  const text = "x".repeat(4_000);

  function fill(world: World, ...members: readonly Opened[]): void {
    for (const { node } of members) {
      const disk = world.disk(node.id);
      disk.capacityBytes = disk.usedBytes;
    }
  }

  function free(world: World, ...members: readonly Opened[]): void {
    for (const { node } of members) {
      world.disk(node.id).capacityBytes = Number.MAX_SAFE_INTEGER;
    }
  }

  const isFull = ({ node }: Opened): boolean => node.status().storage.state === "full";

  test("of the leader: leadership moves, and no write fails through those with space", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3);
    fill(world, leader);
    for (let i = 0; i < 60; i++) {
      const { node } = followers[i % 2]!;
      await world.until(node.write({ type: "pad", text }, { timeoutMs: 10 * T }));
    }
    expect(isFull(leader)).toBe(true);
    // Its own log does not get what was written since: it says so and keeps nobody waiting.
    const { node } = leader;
    for (const call of [() => node.write(add(1)), () => node.read(total)]) {
      const { ms, error } = await world.timed<number>(call());
      expect(error).toMatchObject({ code: "DISK_FULL", outcome: "not-done" });
      expect(ms).toBeLessThan(T);
    }
    expect(await world.until(leader.node.read(total, { consistency: "local" }))).toBe(0);
    expect(leader.node.status()).toMatchObject({ isLeader: false, health: { state: "full" } });
    expect(followers.some(({ node }) => node.isLeader)).toBe(true);
    free(world, leader);
    await world.when(() => !isFull(leader), "space is back");
    expect(await world.until(leader.node.write(add(1)))).toBe(1);
    expect(await world.until(leader.node.read(total, { consistency: "local" }))).toBe(1);
    await world.close(all);
  });

  test("of all: every member refuses writes as not done, and answers reads", async () => {
    const world = new World();
    const { all, leader } = await world.served(3);
    fill(world, ...all);
    for (let i = 0; i < 60 && !all.every(isFull); i++) {
      await world.until(leader.node.write({ type: "pad", text }).catch(() => {}));
    }
    expect(all.every(isFull)).toBe(true);
    await world.run(T);
    const { term } = leader.node.status();
    for (const { node } of all) {
      const { ms, error } = await world.timed(node.write(add(1)));
      expect(error, node.id).toMatchObject({ code: "DISK_FULL", outcome: "not-done" });
      expect(ms).toBeLessThan(T);
      expect(await world.until(node.read(total))).toBe(0);
    }
    await world.run(20 * T);
    expect(leader.node.status()).toMatchObject({ isLeader: true, term });
    free(world, ...all);
    await world.when(() => !all.some(isFull), "space is back");
    await world.run(T);
    for (const [i, { node }] of all.entries()) {
      expect(await world.until(node.write(add(1)))).toBe(i + 1);
    }
    await world.close(all);
  });

  test("of too many followers: the leader refuses at once what nobody could store", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3);
    fill(world, ...followers);
    for (let i = 0; i < 60 && !followers.every(isFull); i++) {
      await world.until(leader.node.write({ type: "pad", text }).catch(() => {}));
    }
    await world.run(T);
    expect(leader.node.status().followers.map(({ health }) => health)).toEqual(["full", "full"]);
    for (const { node } of all) {
      const error = await world.until(errorOf(node.write(add(1))));
      expect(error).toMatchObject({ code: "DISK_FULL", outcome: "not-done" });
    }
    free(world, followers[0]!);
    await world.when(() => !isFull(followers[0]!), "space is back");
    await world.run(T);
    expect(await world.until(leader.node.write(add(1)))).toBe(1);
    const error = await world.until(errorOf(followers[1]!.node.write(add(1))));
    expect(error).toMatchObject({ code: "DISK_FULL", outcome: "not-done" });
    free(world, followers[1]!);
    await world.close(all);
  });
});

test("a blocked event loop is told, counted, and at the fourth time leadership moves", async () => {
  const world = new World();
  const { all, leader, followers } = await world.served(3, { leaseReads: true });
  await world.run(T);
  expect(leader.node.status().leaseForMs).toBeDefined();
  for (let i = 1; i <= 4; i++) {
    leader.clock.stop();
    await world.run(0.6 * T);
    expect(leader.node.status().leaseForMs ?? 0).toBeLessThan(T / 2);
    leader.clock.resume();
    await world.run(2);
    const stalls = leader.events.filter(({ type }) => type === "loop-stalled");
    expect(stalls.length).toBeGreaterThanOrEqual(i);
    expect(leader.node.status().stalls).toBeGreaterThanOrEqual(i);
    await world.run(T / 2);
  }
  await world.when(() => followers.some(({ node }) => node.isLeader), "another leads", T);
  expect(leader.node.status().health).toMatchObject({ state: "late" });
  await world.close(all);
});
