import { describe, expect, test } from "vitest";
import type { SimDisk } from "../disk/sim-disk.ts";
import { onStore } from "../store/store-machine.ts";
import { crc32 } from "../util/checksum.ts";
import { SeededRandom } from "../util/random.ts";
import { ManualClock } from "../transport/manual-clock.ts";
import { nodeDigest } from "./node-checksum.ts";
import { inspectDirectory } from "./repair/inspect-data-dir.ts";
import { planQuorumRecovery } from "./repair/quorum-loss.ts";
import { recoverDirectory } from "./repair/recover-quorum.ts";
import { backend, BOOTSTRAP, DiskWorld, Sum, writes } from "./disk-world-harness.ts";
import { add, errorOf, T, total } from "./world-harness.ts";
import type { Opened, World } from "./world-harness.ts";

describe("a machine on disk", () => {
  test("goes on where it was, without being asked again", async () => {
    const world = new DiskWorld();
    let n1 = await world.open("n1", BOOTSTRAP);
    expect(await writes(world, n1, 20)).toBe(20);
    await world.until(n1.node.close());
    n1 = await world.open("n1", undefined);
    expect(n1.node.status().applied).toBeGreaterThanOrEqual(20);
    expect(await world.until(n1.node.read(total))).toBe(20);
    expect(world.sums.get("n1")!.applies).toBe(0);
    expect(await writes(world, n1, 1)).toBe(21);
    await world.close([n1]);
  });

  test("after a power cut at any moment every write is there once, those that were answered surely", async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const world = new DiskWorld(seed);
      const random = new SeededRandom(seed);
      const options = { snapshot: { logBytes: 1_024, entries: 3 } };
      let n1 = await world.open("n1", BOOTSTRAP, options);
      let answered = 0;
      let asked = 0;
      for (let life = 0; life < 4; life++) {
        for (let i = 0; i < 3 + random.below(30); i++) {
          asked++;
          const write = n1.node.write(add(1)).then(
            () => answered++,
            () => {},
          );
          if (random.below(3) > 0) await world.until(write);
        }
        await world.run(random.below(4));
        // The process is gone, whatever it was at.
        const node = n1.node;
        world.crashDisk("n1");
        void node.close({ handOver: false });
        await world.run(5);
        n1 = await world.open("n1", undefined, options);
        const sum = await world.until(n1.node.read(total));
        expect(sum).toBeGreaterThanOrEqual(answered);
        expect(sum).toBeLessThanOrEqual(asked);
        answered = sum;
        asked = sum;
      }
      await world.close([n1]);
    }
  });

  test("lets the log go by its syncs, and a member that needs more gets a snapshot taken for it", async () => {
    const world = new DiskWorld();
    const options = { snapshot: { logBytes: 4_096, entries: 5 } };
    const { all, leader, followers } = await world.served(3, options);
    const away = followers[0]!;
    await world.until(away.node.close());
    for (let i = 0; i < 90; i++) {
      await world.until(leader.node.write({ type: "pad", text: "x".repeat(500) }));
    }
    await writes(world, leader, 7);
    await world.when(() => leader.node.status().startIndex > 20, "the log is let go of");
    expect(leader.node.status().snapshot.index).toBe(0);
    const again = await world.open(away.node.id, undefined, options);
    await world.when(() => again.node.status().applied >= 97, "it has caught up");
    expect(again.events.some(({ type }) => type === "snapshot-restored")).toBe(true);
    expect(world.sums.get(again.node.id)!.applies).toBeLessThan(20);
    expect(await world.until(again.node.read(total))).toBe(7);
    expect(await world.until(again.node.read(total, { consistency: "local" }))).toBe(7);
    // It stays only as long as the log behind it.
    for (let i = 0; i < 60; i++) {
      await world.until(leader.node.write({ type: "pad", text: "y".repeat(500) }));
    }
    await world.when(() => leader.node.status().snapshot.index === 0, "the snapshot has gone");
    await world.close([...all.filter((one) => one !== away), again]);
  });

  test("gives a member the snapshot that was taken for it, however much was written meanwhile", async () => {
    const world = new DiskWorld();
    const options = { snapshot: { logBytes: 4_096, entries: 5 } };
    let taken = 0;
    let go: () => void = () => {};
    const gate = new Promise<void>((resolve) => (go = resolve));
    world.wrap = (machine) => ({
      open: () => machine.open(),
      apply: (batch) => machine.apply(batch),
      query: (query) => machine.query(query),
      sync: () => machine.sync(),
      checkpoint: () => {
        taken++;
        const checkpoint = machine.checkpoint();
        const stream = async function* (): AsyncGenerator<Uint8Array> {
          await gate;
          yield* checkpoint.stream();
        };
        return { stream, release: () => checkpoint.release() };
      },
      close: () => machine.close(),
      restore: (chunks, records) => machine.restore(chunks, records),
    });
    const { all, leader, followers } = await world.served(3, options);
    const away = followers[0]!;
    const pad = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        await world.until(leader.node.write({ type: "pad", text: "x".repeat(500) }));
      }
    };
    await world.until(away.node.close());
    await pad(90);
    await world.when(() => leader.node.status().startIndex > 20, "the log is let go of");
    const again = await world.open(away.node.id, undefined, options);
    await world.when(() => leader.node.status().snapshot.taking !== undefined, "one is taken");
    // The machine is synced several times before the snapshot is whole: the log could go, and must
    // not, since the member goes on from there.
    await pad(120);
    go();
    await world.when(() => again.node.status().applied >= 210, "it has caught up");
    expect(taken).toBe(1);
    await world.close([...all.filter((one) => one !== away), again]);
  });

  test("answers queries while it is restored, from before", async () => {
    const world = new DiskWorld();
    const options = { snapshot: { logBytes: 4_096, entries: 5 } };
    const { all, leader, followers } = await world.served(3, options);
    await writes(world, leader, 3);
    await world.run(100);
    const away = followers[0]!;
    await world.until(away.node.close());
    for (let i = 0; i < 60; i++) {
      await world.until(leader.node.write({ type: "pad", text: "x".repeat(500) }));
    }
    await writes(world, leader, 3);
    await world.run(300);
    let go: () => void = () => {};
    const gate = new Promise<void>((resolve) => (go = resolve));
    world.wrap = (machine) => ({
      open: () => machine.open(),
      apply: (batch) => machine.apply(batch),
      query: (query) => machine.query(query),
      sync: () => machine.sync(),
      checkpoint: () => machine.checkpoint(),
      close: () => machine.close(),
      restore: async (chunks, records) => {
        await gate;
        await machine.restore(chunks, records);
      },
    });
    const again = await world.open(away.node.id, undefined, options);
    await world.when(() => again.node.status().snapshot.restoring !== undefined, "it is restored");
    expect(await world.until(again.node.read(total, { consistency: "local" }))).toBe(3);
    go();
    expect(await world.until(again.node.read(total))).toBe(6);
    await world.close([...all.filter((one) => one !== away), again]);
  });

  test("that does not belong to the log is refused, with what to do", async () => {
    const world = new DiskWorld();
    let n1 = await world.open("n1", BOOTSTRAP, { snapshot: { logBytes: 1_024, entries: 3 } });
    for (let i = 0; i < 60; i++) {
      await world.until(n1.node.write({ type: "pad", text: "x".repeat(500) }));
    }
    await world.when(() => n1.node.status().startIndex > 10, "the log is let go of");
    await world.until(n1.node.close());
    const machines = world.machines!;
    // An empty one.
    world.machines = (disk) => onStore(new Sum(), backend(disk, "n9"));
    await world.disk("n1").makeDirectory("/data/n9");
    const empty = await errorOf(world.until(world.opening("n1", undefined)));
    expect(empty.code).toBe("SNAPSHOT_DAMAGED");
    // One that is ahead, of another cluster.
    const other = new DiskWorld(7);
    other.disks.set("n1", world.disk("n1"));
    world.machines = machines;
    n1 = await world.open("n1", undefined);
    expect(await world.until(n1.node.read(total))).toBe(0);
    await world.until(n1.node.close());
    world.machines = (disk) => machines(disk, "n1");
    const n2 = await errorOf(world.until(swapped(world)));
    expect(n2.code).toBe("DATA_DIR_INVALID");
    expect(n2.message).toContain("do not belong together");
  });

  test("goes on after a lost quorum, and is no damage to who looks at its directory", async () => {
    const world = new DiskWorld(3);
    const options = { snapshot: { logBytes: 2_048, entries: 3 } };
    const { all, leader } = await world.served(3, options);
    await writes(world, leader, 4);
    for (let i = 0; i < 60; i++) {
      await world.until(leader.node.write({ type: "pad", text: "x".repeat(300) }));
    }
    await world.when(
      () => all.every(({ node }) => node.status().startIndex > 20),
      "logs are let go",
    );
    await world.run(300);
    await world.close(all);
    const clock = new ManualClock();
    const disk = world.disk("n1");
    const ports = { disk, checksum: crc32, digest: nodeDigest, clock, random: new SeededRandom(5) };
    const inspection = await inspectDirectory(ports, "/data/n1");
    expect(inspection.findings.map(({ code }) => code)).toEqual([]);
    const plan = planQuorumRecovery([inspection]);
    await recoverDirectory(ports, plan, plan.clusterId);
    const alone = await world.open("n1", undefined, options);
    expect(await world.until(alone.node.read(total))).toBe(4);
    expect(await writes(world, alone, 2)).toBe(6);
    expect(world.sums.get("n1")!.applies).toBeLessThan(15);
    await world.close([alone]);
    // Its records are of the new cluster now; and it starts on them.
    const again = await world.open("n1", undefined, options);
    expect(await world.until(again.node.read(total))).toBe(6);
    await world.close([again]);
  });

  test("that throws stops its replica, and what it was at is not there", async () => {
    const world = new DiskWorld();
    const n1 = await world.open("n1", BOOTSTRAP);
    await writes(world, n1, 3);
    const error = await errorOf(world.until(n1.node.write({ type: "boom" })));
    expect(error.code).toBe("REPLICA_FAILED");
    await world.until(n1.node.close());
    // Corrected code, or not: it is applied again.
    const again = await world.open("n1", undefined);
    await world.run(3 * T);
    expect(again.node.status().failure?.code).toBe("REPLICA_FAILED");
    await world.close([again]);
  });
});

/** A new cluster on the disk of n1, beside its old machine. */
async function swapped(world: World): Promise<Opened> {
  const disk = world.disk("n1");
  for (const place of ["/data/n1/log", "/data/n1/snapshot", "/data/n1"]) {
    for (const name of await disk.list(place)) {
      if (name !== "machine" && (await isFile(disk, `${place}/${name}`))) {
        await disk.remove(`${place}/${name}`);
      }
    }
  }
  return world.opening("n1", BOOTSTRAP);
}

async function isFile(disk: SimDisk, path: string): Promise<boolean> {
  return disk.list(path).then(
    () => false,
    () => true,
  );
}
