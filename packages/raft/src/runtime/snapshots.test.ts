import { describe, expect, test } from "vitest";
import { utf8 } from "../util/bytes.ts";
import type { ReplicaEventType } from "./replica.ts";
import { add, Counter, errorOf, T, total, World } from "./world-harness.ts";
import type { Command, Opened, Query } from "./world-harness.ts";
import type { ReplicaOptions } from "./replica.ts";

const BOOTSTRAP = { bootstrap: true } as const;
const MANUAL = { snapshot: { automatic: false } };
const OFTEN = { snapshot: { logBytes: 2_000, entries: 20, growth: 0 } };

async function alone(
  world: World,
  overrides: Partial<ReplicaOptions<Command, Query>> = MANUAL,
): Promise<Opened> {
  const opened = await world.open("n1", BOOTSTRAP, overrides);
  await world.when(() => opened.node.isLeader, "it leads");
  return opened;
}

async function adds(world: World, { node }: Opened, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await world.until(node.write(add()));
}

function eventsOf({ events }: Opened, type: ReplicaEventType): unknown[] {
  return events.filter((event) => event.type === type);
}

/** The file of the snapshot at this index, on n1's disk. */
function fileOf(world: World, index: number): string {
  const name = String(index).padStart(20, "0");
  return world
    .disk("n1")
    .paths()
    .find((path) => path.includes(`/snapshot/${name}-`) && path.endsWith(".snap"))!;
}

describe("taking", () => {
  test("on demand: it stands for what was applied, and is there after a restart", async () => {
    const world = new World();
    const opened = await alone(world);
    await adds(world, opened, 5);
    const { applied } = opened.node.status();
    const taken = await world.until(opened.node.snapshot());
    expect(taken).toMatchObject({ index: applied });
    expect(opened.node.status().snapshot).toEqual({
      ...taken,
      taking: undefined,
      restoring: undefined,
      receiving: undefined,
      sending: [],
      damaged: [],
    });
    // Nothing new: the same one.
    expect(await world.until(opened.node.snapshot())).toEqual(taken);
    expect(eventsOf(opened, "snapshot-taken")).toMatchObject([{ ...taken }]);
    await adds(world, opened, 3);
    await world.close([opened]);
    const again = await alone(world);
    expect(eventsOf(again, "snapshot-restored")).toMatchObject([{ index: applied }]);
    expect(await world.until(again.node.read(total))).toBe(8);
    // Only what came behind it was applied.
    expect(again.machine.applies).toBe(3);
    await world.close([again]);
  });

  test("by itself, and the log is let go of up to the older of two", async () => {
    const world = new World();
    const opened = await alone(world, OFTEN);
    await adds(world, opened, 130);
    await world.run(200);
    const taken = eventsOf(opened, "snapshot-taken") as { index: number }[];
    expect(taken.length).toBeGreaterThan(2);
    const { startIndex, snapshot, lastIndex } = opened.node.status();
    expect(snapshot.index).toBe(taken.at(-1)!.index);
    expect(startIndex).toBe(taken.at(-2)!.index);
    expect(eventsOf(opened, "compacted").length).toBe(taken.length - 1);
    const files = world
      .disk("n1")
      .paths()
      .filter((path) => path.endsWith(".snap"));
    expect(files).toHaveLength(2);
    await world.close([opened]);
    const again = await alone(world, OFTEN);
    expect(again.node.status()).toMatchObject({ startIndex });
    expect(again.node.status().lastIndex).toBeGreaterThanOrEqual(lastIndex);
    expect(await world.until(again.node.read(total))).toBe(130);
    await world.close([again]);
  });

  test("waits for as much log as the last one was large", async () => {
    const world = new World();
    const opened = await alone(world, { snapshot: { logBytes: 1_024, entries: 1, growth: 1 } });
    opened.machine.onSnapshot = () => new Uint8Array(10_000);
    await adds(world, opened, 60);
    await world.run(50);
    const taken = eventsOf(opened, "snapshot-taken") as { index: number }[];
    const log = 10_000 / 90;
    expect(taken.length).toBe(1);
    await adds(world, opened, Math.ceil(log));
    await world.run(50);
    expect(eventsOf(opened, "snapshot-taken").length).toBe(2);
    await world.close([opened]);
  });

  test("pieces that are held are read before the next command is applied", async () => {
    const world = new World();
    const opened = await alone(world);
    const { machine, node } = opened;
    await adds(world, opened, 2);
    const seen: number[] = [];
    machine.onSnapshot = function* () {
      for (let i = 0; i < 4; i++) {
        seen.push(machine.total);
        yield utf8(i === 3 ? String(machine.total) : " ".repeat(70_000));
      }
    };
    const taking = node.snapshot();
    const writing = [node.write(add(5)), node.write(add(5))];
    const { index } = await world.until(taking);
    expect(seen).toEqual([2, 2, 2, 2]);
    await world.until(Promise.all(writing));
    await world.close([opened]);
    const again = await alone(world);
    expect(again.node.status().snapshot.index).toBe(index);
    expect(await world.until(again.node.read(total))).toBe(12);
    expect(again.machine.applies).toBe(2);
    await world.close([again]);
  });

  test("pieces of a point in time are read while commands are applied", async () => {
    const world = new World();
    const opened = await alone(world);
    const { machine, node } = opened;
    await adds(world, opened, 2);
    let goOn = (): void => {};
    machine.onSnapshot = async function* () {
      const then = machine.total;
      await new Promise<void>((resolve) => (goOn = resolve));
      yield utf8(String(then));
    };
    const taking = node.snapshot({ timeoutMs: 60_000 });
    await world.until(node.write(add(40)));
    expect(machine.total).toBe(42);
    expect(node.status().snapshot.taking).toMatchObject({ bytes: 0 });
    goOn();
    await world.until(taking);
    await world.close([opened]);
    const again = await alone(world);
    expect(await world.until(again.node.read(total))).toBe(42);
    expect(again.machine.applies).toBe(1);
    await world.close([again]);
  });

  test("a machine that throws, or gives no bytes, has no snapshot, and goes on", async () => {
    const world = new World();
    const opened = await alone(world);
    const { machine, node } = opened;
    await adds(world, opened, 1);
    const bad: (() => unknown)[] = [
      () => {
        throw new Error("no");
      },
      () => ["text"].values(),
      async function* () {
        yield utf8("a");
        throw new Error("no");
      },
      () => undefined,
    ];
    for (const onSnapshot of bad) {
      machine.onSnapshot = onSnapshot;
      expect((await errorOf(world.until(node.snapshot()))).code).toBe("SNAPSHOT_FAILED");
    }
    machine.onSnapshot = undefined;
    expect(node.status().snapshot).toMatchObject({ index: 0, taking: undefined });
    expect(
      world
        .disk("n1")
        .paths()
        .filter((path) => path.endsWith(".new")),
    ).toEqual([]);
    await world.until(node.write(add()));
    expect((await world.until(node.snapshot())).index).toBeGreaterThan(0);
    await world.close([opened]);
  });

  test("a full disk or a failing one ends the snapshot alone", async () => {
    const world = new World();
    const opened = await alone(world);
    await adds(world, opened, 1);
    for (const [reason, code] of [
      ["full", "DISK_FULL"],
      ["io", "SNAPSHOT_FAILED"],
    ] as const) {
      world.disk("n1").beforeOperation = ({ path }) =>
        path.endsWith(".new") ? { reason } : undefined;
      expect((await errorOf(world.until(opened.node.snapshot()))).code).toBe(code);
      world.disk("n1").beforeOperation = undefined;
    }
    await world.until(opened.node.write(add()));
    await world.until(opened.node.snapshot());
    await world.close([opened]);
  });

  test("a call ends by its deadline, and closing does not wait for a machine that hangs", async () => {
    const world = new World();
    const opened = await alone(world);
    await adds(world, opened, 1);
    opened.machine.onSnapshot = () => ({
      [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
    });
    const error = await errorOf(world.until(opened.node.snapshot({ timeoutMs: 50 })));
    expect(error).toMatchObject({ code: "TIMEOUT", outcome: "unknown" });
    const waiting = errorOf(opened.node.snapshot({ timeoutMs: 50_000 }));
    const { ms } = await world.timed(opened.node.close());
    expect((await waiting).code).toBe("CLOSED");
    expect(ms).toBeLessThan(T + 10);
    expect((await errorOf(opened.node.snapshot())).code).toBe("CLOSED");
  });
});

describe("restoring at the start", () => {
  test("the engine's own state comes back with the machine's", async () => {
    const world = new World();
    const opened = await alone(world);
    await adds(world, opened, 2);
    await world.run(1_000);
    await adds(world, opened, 1);
    const times: number[] = [];
    await world.until(opened.node.snapshot());
    await world.close([opened]);
    const machine = new Counter();
    const apply = machine.apply.bind(machine);
    machine.apply = (command, at?: { timeMs: number }) => {
      times.push(at!.timeMs);
      return apply(command);
    };
    const again = await alone(world, { ...MANUAL, machine });
    await adds(world, again, 1);
    expect(times[0]).toBeGreaterThanOrEqual(1_000);
    await world.close([again]);
  });

  test("a damaged newest one gives way to the one before it and the log behind that", async () => {
    const world = new World();
    const opened = await alone(world);
    await adds(world, opened, 3);
    const older = await world.until(opened.node.snapshot());
    await adds(world, opened, 4);
    const newest = await world.until(opened.node.snapshot());
    await adds(world, opened, 5);
    await world.run(200);
    expect(opened.node.status().startIndex).toBe(older.index);
    await world.close([opened]);
    world.disk("n1").flip(fileOf(world, newest.index), 150, 1);
    const again = await alone(world);
    expect(eventsOf(again, "snapshot-damaged")).toMatchObject([
      { path: fileOf(world, newest.index) },
    ]);
    expect(eventsOf(again, "snapshot-restored")).toMatchObject([{ index: older.index }]);
    expect(await world.until(again.node.read(total))).toBe(12);
    expect(again.machine.applies).toBe(9);
    expect(again.node.status().snapshot.damaged).toMatchObject([
      { path: fileOf(world, newest.index) },
    ]);
    await world.close([again]);
  });

  test("nothing whole and a log that starts later: refused, with file and remedy", async () => {
    const world = new World();
    const opened = await alone(world);
    const taken = [];
    for (let i = 0; i < 2; i++) {
      await adds(world, opened, 3);
      taken.push(await world.until(opened.node.snapshot()));
    }
    await world.run(200);
    await world.close([opened]);
    for (const { index } of taken) world.disk("n1").flip(fileOf(world, index), 150, 1);
    const error = await errorOf(world.open("n1", BOOTSTRAP, MANUAL));
    expect(error.code).toBe("SNAPSHOT_DAMAGED");
    expect(error.message).toContain(fileOf(world, taken[0]!.index));
    expect(error.message).toContain("replace this member");
    // Nothing was changed: with one of them back it goes on.
    world.disk("n1").flip(fileOf(world, taken[1]!.index), 150, 1);
    const again = await alone(world);
    expect(await world.until(again.node.read(total))).toBe(6);
    await world.close([again]);
  });

  test("a machine that does not take it stops the replica", async () => {
    const world = new World();
    const opened = await alone(world);
    await adds(world, opened, 3);
    await world.until(opened.node.snapshot());
    await world.close([opened]);
    const machine = new Counter();
    machine.onRestore = () => Promise.reject(new Error("not mine"));
    const again = await world.open("n1", BOOTSTRAP, { ...MANUAL, machine });
    await world.when(() => again.node.status().state === "failed", "it failed");
    expect(again.node.status().failure).toMatchObject({ code: "REPLICA_FAILED" });
    expect(again.node.status().failure?.message).toContain("not mine");
    await world.close([again]);
  });

  test("local queries wait until it is over, or for their deadline", async () => {
    const world = new World();
    const opened = await alone(world);
    await adds(world, opened, 3);
    await world.until(opened.node.snapshot());
    await world.close([opened]);
    const machine = new Counter();
    let goOn = (): void => {};
    machine.onRestore = () => new Promise((resolve) => (goOn = resolve));
    const again = await world.open("n1", BOOTSTRAP, { ...MANUAL, machine });
    await world.when(() => again.node.isLeader, "it leads meanwhile");
    expect(again.node.status().snapshot.restoring).toMatchObject({ index: expect.any(Number) });
    const local = again.node.read(total, { consistency: "local" });
    const late = errorOf(again.node.read(total, { consistency: "local", timeoutMs: 20 }));
    const write = again.node.write(add(), { timeoutMs: 60_000 });
    await world.run(100);
    expect((await late).code).toBe("TIMEOUT");
    expect(machine.applies).toBe(0);
    goOn();
    // What is committed by then may be applied first.
    expect([3, 4]).toContain(await world.until(local));
    expect(await world.until(write)).toBe(4);
    await world.close([again]);
  });
});
