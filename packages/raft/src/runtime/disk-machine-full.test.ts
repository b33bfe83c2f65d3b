/** Full disks under machines on disk: a member is read-only before anything is damaged. */
import { describe, expect, test } from "vitest";
import { DiskWorld, writes } from "./disk-world-harness.ts";
import { errorOf, T, total } from "./world-harness.ts";
import type { Opened, World } from "./world-harness.ts";

/** Commits at once, so that a full disk is met at once. */
const LIMITS = { changes: 1, bytes: 1, waitingBytes: 4_096 };
const OPTIONS = { snapshot: { logBytes: 4_096, entries: 5 } };
const PAD = { type: "pad", text: "x".repeat(2_000) } as const;

function fill(world: World, { node }: Opened): void {
  const disk = world.disk(node.id);
  disk.capacityBytes = disk.usedBytes;
}

function free(world: World, { node }: Opened): void {
  world.disk(node.id).capacityBytes = Number.MAX_SAFE_INTEGER;
}

const storageOf = ({ node }: Opened): string => node.status().storage.state;

describe("a machine on a full disk", () => {
  test("hands leadership over, refuses what it cannot store, and goes on by itself", async () => {
    const world = new DiskWorld();
    world.limits = LIMITS;
    const { all, leader, followers } = await world.served(3, OPTIONS);
    expect(await writes(world, leader, 3)).toBe(3);
    fill(world, leader);
    const other = followers[0]!;
    // What is committed is done, whoever leads meanwhile.
    for (let i = 0; i < 40 && storageOf(leader) !== "full"; i++) {
      await world.until(other.node.write(PAD));
    }
    expect(storageOf(leader)).toBe("full");
    await world.when(() => followers.some(({ node }) => node.isLeader), "another one leads");
    const refused = await errorOf(world.until(leader.node.write(PAD)));
    expect(refused.code).toBe("DISK_FULL");
    expect(await writes(world, other, 5)).toBe(8);
    await world.run(5 * T);
    expect(leader.node.status()).toMatchObject({ state: "running", health: { state: "full" } });
    expect(await world.until(leader.node.read(total, { consistency: "local" }))).toBe(3);

    free(world, leader);
    await world.when(() => storageOf(leader) === "ok", "it has space again");
    await world.when(
      () => leader.node.status().applied === other.node.status().applied,
      "it has what the others have",
    );
    expect(await world.until(leader.node.read(total))).toBe(8);
    expect(leader.events.filter(({ type }) => type === "storage")).toEqual([
      { type: "storage", state: "full" },
      { type: "storage", state: "ok" },
    ]);
    await world.until(leader.node.close());
    const again = await world.open(leader.node.id, undefined, OPTIONS);
    expect(await world.until(again.node.read(total))).toBe(8);
    await world.close([...all.filter((one) => one !== leader), again]);
  });

  test("on all members refuses writes, answers reads, and loses nothing to a power cut", async () => {
    const world = new DiskWorld(2);
    world.limits = LIMITS;
    const { all, leader } = await world.served(3, OPTIONS);
    await writes(world, leader, 4);
    for (const one of all) fill(world, one);
    for (let i = 0; i < 40 && !all.every((one) => storageOf(one) === "full"); i++) {
      await Promise.allSettled([world.until(leader.node.write(PAD, { timeoutMs: T }))]);
    }
    await world.when(() => all.every((one) => storageOf(one) === "full"), "all are full");
    await world.run(5 * T);
    expect((await errorOf(world.until(leader.node.write(PAD)))).code).toBe("DISK_FULL");
    expect(all.some(({ node }) => node.isLeader)).toBe(true);
    expect(await world.until(leader.node.read(total))).toBe(4);
    // The process is gone, and what was in memory alone with it.
    for (const { node } of all) {
      world.crashDisk(node.id);
      void node.close({ handOver: false });
    }
    await world.run(5);
    const again: Opened[] = [];
    for (const { node } of all) again.push(await world.open(node.id, undefined, OPTIONS));
    for (const one of again) free(world, one);
    await world.when(() => again.some(({ node }) => node.isLeader), "one leads");
    expect(await writes(world, again[0]!, 1)).toBe(5);
    await world.close(again);
  });

  test("answers from before while a snapshot has no room, and becomes it later", async () => {
    const world = new DiskWorld(3);
    const { all, leader, followers } = await world.served(3, OPTIONS);
    await writes(world, leader, 3);
    await world.run(100);
    const away = followers[0]!;
    await world.until(away.node.close());
    for (let i = 0; i < 60; i++) {
      await world.until(leader.node.write({ type: "pad", text: "x".repeat(500) }));
    }
    await writes(world, leader, 3);
    await world.run(300);
    let isFull = true;
    world.wrap = (machine) => ({
      open: () => machine.open(),
      apply: (batch) => machine.apply(batch),
      query: (query) => machine.query(query),
      sync: () => machine.sync(),
      checkpoint: () => machine.checkpoint(),
      close: () => machine.close(),
      restore: (chunks, records) =>
        isFull
          ? Promise.reject(Object.assign(new Error("no space"), { code: "ENOSPC" }))
          : machine.restore(chunks, records),
    });
    const again = await world.open(away.node.id, undefined, OPTIONS);
    await world.when(() => storageOf(again) === "full", "it has no room");
    await world.run(5 * T);
    expect(again.node.status().snapshot.restoring).toBeDefined();
    expect(await world.until(again.node.read(total, { consistency: "local" }))).toBe(3);
    isFull = false;
    await world.when(() => storageOf(again) === "ok", "it has room");
    expect(await world.until(again.node.read(total))).toBe(6);
    await world.close([...all.filter((one) => one !== away), again]);
  });
});
