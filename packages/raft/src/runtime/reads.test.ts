/** Reads that ask nobody, and those that ask only the leader: when they may, and when no more. */
import { describe, expect, test } from "vitest";
import { add, errorOf, T, total, World } from "./world-harness.ts";
import type { Opened } from "./world-harness.ts";

const LEASE = { consistency: "lease" } as const;

interface Served {
  readonly world: World;
  readonly all: Opened[];
  readonly leader: Opened;
  readonly follower: Opened;
}

/** A cluster that holds 7 everywhere, with a lease that was renewed. */
async function served(leaseReads = true): Promise<Served> {
  const world = new World();
  const { all, leader, followers } = await world.served(3, { leaseReads });
  await world.until(leader.node.write(add(7)));
  await world.when(() => all.every(({ machine }) => machine.total === 7), "all have it");
  await world.run(T / 5);
  return { world, all, leader, follower: followers[0]! };
}

describe("reads by lease", () => {
  test("are answered while nobody else can be heard, and no longer than the lease", async () => {
    const { world, all, leader } = await served();
    expect(leader.node.status().leaseForMs).toBeGreaterThan(T / 2);
    world.isolate(leader.node.id, all);
    const byLease = await world.timed(leader.node.read(total, LEASE));
    expect(byLease).toMatchObject({ value: 7 });
    expect(byLease.ms).toBeLessThanOrEqual(2);
    const byRound = leader.node.read(total).catch((error: unknown) => error);
    await world.run(T);
    expect(leader.node.status().leaseForMs).toBeUndefined();
    expect((await world.timed(leader.node.read(total, LEASE))).error?.code).toBe("NO_LEADER");
    expect(await world.until(byRound)).toMatchObject({ code: "NO_LEADER" });
    await world.close(all);
  });

  test("on a follower ask the leader for an index, and see what was written before", async () => {
    const { world, all, leader, follower } = await served();
    await world.until(leader.node.write(add(1)));
    expect(await world.until(follower.node.read(total, LEASE))).toBe(8);
    expect(follower.node.status().leaseForMs).toBeUndefined();
    await world.close(all);
  });

  test("where no leases are kept are reads like all others", async () => {
    const { world, all, leader, follower } = await served(false);
    expect(leader.node.status().leaseForMs).toBeUndefined();
    expect(await world.until(leader.node.read(total, LEASE))).toBe(7);
    expect(await world.until(follower.node.read(total, LEASE))).toBe(7);
    world.isolate(leader.node.id, all);
    expect((await world.timed(leader.node.read(total, LEASE))).error?.code).toBe("NO_LEADER");
    await world.close(all);
  });

  test("end with a blocked event loop, which is counted", async () => {
    const { world, all, leader } = await served();
    expect(leader.node.status()).toMatchObject({ stalls: 0 });
    world.isolate(leader.node.id, all);
    // Less than the lease has left; later by more than half an election timeout than any timer.
    leader.clock.skip(T / 2 + 30);
    expect(leader.node.status().leaseForMs).toBeGreaterThan(10);
    const read = leader.node.read(total, LEASE).catch((error: unknown) => error);
    await world.run(T / 10);
    expect(leader.node.status()).toMatchObject({ stalls: 1, leaseForMs: undefined });
    expect(await world.until(read)).toMatchObject({ code: "NO_LEADER" });
    await world.close(all);
  });
});

describe("reads that may be so old", () => {
  test("are answered by a member that asked for an index so recently, and by no other", async () => {
    const { world, all, leader, follower } = await served(false);
    // Nothing is known at first.
    expect(await world.until(follower.node.read(total, { maxStalenessMs: 500 }))).toBe(7);
    const { node } = follower;
    world.isolate(node.id, all);
    await world.until(leader.node.write(add(1)));
    const fresh = await world.timed(node.read(total, { maxStalenessMs: 100 }));
    expect(fresh).toMatchObject({ ms: 0, value: 7 });
    await world.run(110);
    const tooOld = await world.timed(node.read(total, { maxStalenessMs: 100 }));
    expect(tooOld.error?.code).toBe("NO_LEADER");
    const older = { maxStalenessMs: 1_000 + 10 * T };
    expect(await node.read(total, older)).toBe(7);
    world.network.healAll();
    expect(await world.until(node.read(total, { maxStalenessMs: 100 }))).toBe(8);
    await world.close(all);
  });

  test("count from when the index was asked for, by a clock that may be slow", async () => {
    const { world, all, follower } = await served(false);
    const { node } = follower;
    expect(await world.until(node.read(total))).toBe(7);
    const asked = world.clock.nowMs();
    world.isolate(node.id, all);
    await world.run(99);
    // The drift bound is one per cent: 100 ms by this clock may be 101 ms.
    const passed = world.clock.nowMs() - asked;
    expect(await node.read(total, { maxStalenessMs: passed * 1.1 })).toBe(7);
    const late = errorOf(node.read(total, { maxStalenessMs: passed, timeoutMs: 20 }));
    expect((await world.until(late)).code).toBe("TIMEOUT");
    await world.close(all);
  });

  test("of no age at all are linearizable reads", async () => {
    const { world, all, leader, follower } = await served();
    await world.until(follower.node.read(total));
    await world.until(leader.node.write(add(1)));
    expect(await world.until(follower.node.read(total, { maxStalenessMs: 0 }))).toBe(8);
    const byLease = { ...LEASE, maxStalenessMs: 0 };
    expect(await world.until(follower.node.read(total, byLease))).toBe(8);
    await world.close(all);
  });

  test("name one measure only", async () => {
    const { world, all, leader } = await served();
    const both = { consistency: "local", maxStalenessMs: 5 } as const;
    expect((await errorOf(leader.node.read(total, both))).code).toBe("OPTION_INVALID");
    await world.close(all);
  });
});
