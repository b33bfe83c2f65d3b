import { describe, expect, test } from "vitest";
import { utf8 } from "../util/bytes.ts";
import { LIMITS } from "./limits.ts";
import type { ReplicaEventOf, ReplicaEventType, ReplicaOptions } from "./replica.ts";
import { add, Counter, T, total, World } from "./world-harness.ts";
import type { Command, Opened, Query } from "./world-harness.ts";

/** Of this size are the snapshots of a {@link Large} machine. */
const BYTES = 700_000;

/** A counter whose snapshot takes a while to send. */
class Large extends Counter {
  override onSnapshot = (): unknown => {
    const then = String(this.total);
    return utf8(then.padStart(BYTES));
  };
}

type Overrides = Partial<ReplicaOptions<Command, Query>>;

const OFTEN: Overrides = { snapshot: { logBytes: 1_024, entries: 10, growth: 0 } };

function eventsOf<E extends ReplicaEventType>({ events }: Opened, type: E): ReplicaEventOf<E>[] {
  return events.filter((event): event is ReplicaEventOf<E> => event.type === type);
}

/** Three members, one of which is away until its place has left the log. */
async function away(
  world: World,
  overrides: Overrides = OFTEN,
  makeMachine = (): Counter => new Large(),
): Promise<{ leader: Opened; other: Opened; id: string; written: number }> {
  const members = World.members(3);
  const all = await world.until(
    Promise.all(
      members.map(({ id }) =>
        world.opening(id, { members }, { ...overrides, machine: makeMachine() }),
      ),
    ),
  );
  await world.when(() => all.some(({ node }) => node.isLeader), "a leader");
  const leader = all.find(({ node }) => node.isLeader)!;
  const [absent, other] = all.filter((opened) => opened !== leader) as [Opened, Opened];
  await world.until(absent.node.close({ handOver: false }));
  let written = 0;
  const { lastIndex } = leader.node.status();
  while (leader.node.status().startIndex <= lastIndex + 5) {
    await world.until(leader.node.write(add()));
    written++;
  }
  await world.run(50);
  return { leader, other, id: absent.node.id, written };
}

async function back(world: World, id: string, overrides: Overrides = OFTEN): Promise<Opened> {
  const members = World.members(3);
  return world.open(id, { members }, { ...overrides, machine: new Large() });
}

describe("a member that needs what has left the log", () => {
  test("is given a snapshot and goes on from there, while writes go on", async () => {
    const world = new World();
    const { leader, other, id, written } = await away(world);
    const absent = await back(world, id);
    let more = 0;
    while (eventsOf(absent, "snapshot-restored").length === 0) {
      await world.until(leader.node.write(add()));
      expect(++more).toBeLessThan(500);
    }
    expect(await world.until(absent.node.read(total))).toBe(written + more);
    expect(absent.machine.applies).toBeLessThan(written + more);
    expect(eventsOf(leader, "snapshot-sent")).toMatchObject([{ peer: id, failure: undefined }]);
    expect(eventsOf(absent, "reset")).toHaveLength(1);
    expect(absent.node.status().snapshot).toMatchObject({ receiving: undefined });
    expect(leader.node.status().snapshot.sending).toEqual([]);
    // It counts again.
    await world.until(other.node.close());
    await world.until(leader.node.write(add(), { timeoutMs: 10_000 }));
    await world.close([absent]);
    const again = await back(world, id);
    expect(await world.until(again.node.read(total, { timeoutMs: 10_000 }))).toBe(
      written + more + 1,
    );
    await world.close([leader, again]);
  });

  test("is given it by a leader whose clock goes on within a turn", async () => {
    const world = new World();
    const { leader, other, id, written } = await away(world);
    for (const { clock } of [leader, other]) clock.perLookMs = 0.001;
    const absent = await back(world, id);
    await world.when(() => eventsOf(leader, "snapshot-sent").length > 0, "it was sent");
    await world.run(50);
    expect(leader.node.status()).toMatchObject({ state: "running", failure: undefined });
    expect(await world.until(absent.node.read(total))).toBe(written);
    await world.close([leader, other, absent]);
  });

  test("does so with its own earlier state thrown away", async () => {
    const world = new World();
    const { leader, other, id, written } = await away(world);
    const absent = await back(world, id);
    await world.when(() => eventsOf(absent, "snapshot-restored").length > 0, "restored");
    // What it had applied before it was away is not applied twice.
    expect(await world.until(absent.node.read(total))).toBe(written);
    await world.close([leader, other, absent]);
  });

  test("goes on with the part that it has, after a restart as well", async () => {
    const world = new World();
    const slow: Overrides = { snapshot: { ...OFTEN.snapshot, sendBytesPerSecond: 1_000_000 } };
    const { leader, other, id, written } = await away(world, slow);
    const first = await back(world, id, slow);
    const progress = (): number => first.node.status().snapshot.receiving?.transferred ?? 0;
    await world.when(() => progress() > BYTES / 2, "half of it is there");
    await world.until(first.node.close());
    const again = await back(world, id, slow);
    const known = (): number => again.node.status().snapshot.receiving?.transferred ?? 0;
    await world.when(() => known() > 0, "it goes on");
    expect(known()).toBeGreaterThan(BYTES / 3);
    await world.when(() => eventsOf(again, "snapshot-restored").length > 0, "restored");
    expect(await world.until(again.node.read(total))).toBe(written);
    await world.close([leader, other, again]);
  });

  test("goes on with it under whoever leads when the leader is gone, if that one has the same", async () => {
    const world = new World();
    const slow: Overrides = { snapshot: { ...OFTEN.snapshot, sendBytesPerSecond: 1_000_000 } };
    const { leader, other, id, written } = await away(world, slow);
    const absent = await back(world, id, slow);
    const progress = (): number => absent.node.status().snapshot.receiving?.transferred ?? 0;
    await world.when(() => progress() > BYTES / 2, "half of it is there");
    const sender = absent.node.status().snapshot.receiving?.peer;
    expect(sender).toBe(leader.node.id);
    await world.until(leader.node.close({ handOver: false }));
    const again = await back(world, leader.node.id, slow);
    let least = Number.POSITIVE_INFINITY;
    await world.when(() => {
      // From when the new leader was answered on.
      const { receiving } = absent.node.status().snapshot;
      if ((receiving?.transferred ?? 0) > 0) least = Math.min(least, receiving!.transferred);
      return eventsOf(absent, "snapshot-restored").length > 0;
    }, "restored");
    // The same commands have led to the same snapshot on both: nothing was sent twice.
    expect(least).toBeLessThanOrEqual(BYTES + 10_000);
    expect(least).toBeGreaterThan(BYTES / 3);
    expect(await world.until(absent.node.read(total, { timeoutMs: 10_000 }))).toBe(written);
    await world.close([other, absent, again]);
  });

  test("begins anew where another one is offered, and mixes nothing", async () => {
    const world = new World();
    const slow: Overrides = { snapshot: { ...OFTEN.snapshot, sendBytesPerSecond: 1_000_000 } };
    const { leader, other, id, written } = await away(world, slow);
    const absent = await back(world, id, slow);
    const progress = (): number => absent.node.status().snapshot.receiving?.transferred ?? 0;
    await world.when(() => progress() > BYTES / 2, "half of it is there");
    const first = absent.node.status().snapshot.receiving!.index;
    // While it is away, snapshots are taken that stand for more.
    world.isolate(id, [leader, other, absent]);
    await world.run(12_000);
    let more = 0;
    while (leader.node.status().startIndex <= first) {
      await world.until(leader.node.write(add()));
      expect(++more).toBeLessThan(500);
    }
    world.network.healAll();
    const second = (): boolean =>
      (absent.node.status().snapshot.receiving?.index ?? first) > first && progress() > 0;
    await world.when(second, "the other one comes");
    expect(progress()).toBeLessThan(BYTES / 2);
    await world.when(() => eventsOf(absent, "snapshot-restored").length > 0, "restored");
    expect(eventsOf(absent, "snapshot-failed")).toEqual([]);
    expect(await world.until(absent.node.read(total, { timeoutMs: 10_000 }))).toBe(written + more);
    await world.close([leader, other, absent]);
  });

  test("a lost connection costs what was on its way, not the transfer", async () => {
    const world = new World();
    const slow: Overrides = { snapshot: { ...OFTEN.snapshot, sendBytesPerSecond: 2_000_000 } };
    const { leader, other, id, written } = await away(world, slow);
    const absent = await back(world, id, slow);
    const progress = (): number => absent.node.status().snapshot.receiving?.transferred ?? 0;
    await world.when(() => progress() > BYTES / 3, "a third of it is there");
    world.isolate(id, [leader, other, absent]);
    await world.run(2 * T);
    expect(progress()).toBeGreaterThan(0);
    world.network.healAll();
    await world.when(() => eventsOf(absent, "snapshot-restored").length > 0, "restored");
    expect(await world.until(absent.node.read(total))).toBe(written);
    await world.close([leader, other, absent]);
  });

  test("that vanishes holds log and file no longer than the progress timeout", async () => {
    const world = new World();
    const slow: Overrides = {
      snapshot: { ...OFTEN.snapshot, sendBytesPerSecond: 300_000, progressTimeoutMs: 1_000 },
    };
    const { leader, other, id } = await away(world, slow);
    const absent = await back(world, id, slow);
    await world.when(() => leader.node.status().snapshot.sending.length > 0, "it is being sent");
    const pinned = leader.node.status().snapshot.sending[0]!.index;
    await world.when(
      () => (leader.node.status().snapshot.sending[0]?.transferred ?? 0) > 0,
      "something was sent",
    );
    await world.until(absent.node.close());
    for (let i = 0; i < 60; i++) await world.until(leader.node.write(add()));
    expect(leader.node.status().startIndex).toBeLessThanOrEqual(pinned);
    await world.run(1_500);
    expect(leader.node.status().snapshot.sending).toEqual([]);
    expect(eventsOf(leader, "snapshot-sent").at(-1)).toMatchObject({
      failure: expect.stringContaining("progress timeout"),
    });
    await world.until(leader.node.write(add()));
    await world.run(10);
    expect(leader.node.status().startIndex).toBeGreaterThan(pinned);
    const snaps = world
      .disk(leader.node.id)
      .paths()
      .filter((path) => path.endsWith(".snap"));
    expect(snaps).toHaveLength(2);
    await world.close([leader, other]);
  });

  test("does not keep the leader's heartbeats from anybody", async () => {
    const world = new World();
    const { leader, other, id } = await away(world);
    const absent = await back(world, id);
    await world.when(() => eventsOf(absent, "snapshot-restored").length > 0, "restored");
    const roles = [...eventsOf(leader, "role"), ...eventsOf(other, "role")];
    expect(roles.filter((event) => event.role === "pre-candidate").length).toBeLessThan(2);
    expect(leader.node.isLeader).toBe(true);
    await world.close([leader, other, absent]);
  });

  test("rejects what arrives damaged; the leader stops to send a damaged copy", async () => {
    const world = new World();
    const { leader, other, id, written } = await away(world);
    const disk = world.disk(leader.node.id);
    const newest = disk
      .paths()
      .filter((path) => path.endsWith(".snap"))
      .at(-1)!;
    disk.flip(newest, 200_000, 4);
    const absent = await back(world, id);
    await world.when(() => eventsOf(absent, "snapshot-restored").length > 0, "restored");
    expect(eventsOf(absent, "snapshot-failed")[0]?.error.code).toBe("SNAPSHOT_DAMAGED");
    expect(leader.node.status().snapshot.damaged).toMatchObject([{ path: newest }]);
    expect(await world.until(absent.node.read(total))).toBe(written);
    await world.close([leader, other, absent]);
  });
});

test("what is in flight to one peer is bounded", () => {
  expect(LIMITS.snapshotWindowMaxBytes).toBeLessThan(LIMITS.sendQueueBytesMax / 4);
  expect(LIMITS.snapshotChunkBytes).toBeLessThan(LIMITS.frameBytesMax);
});
