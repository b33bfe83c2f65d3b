/** What a replica does when something of its own breaks: it stops loudly and ends every call. */
import { describe, expect, test } from "vitest";
import { GroupStopped } from "./input-trace.ts";
import type { ReplicaEvent } from "./replica.ts";
import type { Node } from "./world-harness.ts";
import { add, Counter, errorOf, T, total, World } from "./world-harness.ts";

describe("a machine that throws in apply", () => {
  test("stops that replica with the cause, on every member alike, and every call settles", async () => {
    const world = new World();
    const { all, leader } = await world.served(3);
    await world.until(leader.node.write(add(5)));
    const before = errorOf(leader.node.write(add(1)));
    const boom = errorOf(leader.node.write({ type: "boom" }));
    const behind = errorOf(leader.node.write(add(1)));
    const [first, failed, unknown] = await world.until(
      Promise.all([before.catch(() => undefined), boom, behind]),
    );
    expect(first).toBeUndefined();
    expect(failed).toMatchObject({ code: "REPLICA_FAILED", outcome: "unknown" });
    expect((failed.cause as Error).message).toBe("boom");
    expect(unknown).toMatchObject({ code: "REPLICA_FAILED", outcome: "unknown" });
    await world.when(() => all.every(({ node }) => node.status().state === "failed"), "all failed");
    for (const { node, machine, events } of all) {
      // Nothing behind the entry was applied, and nothing is answered any more.
      expect(machine.total).toBe(6);
      expect(node.status().failure?.message).toMatch(/threw while applying entry \d+: boom/);
      expect(await node.ended).toBe(node.status().failure);
      expect(await errorOf(node.write(add()))).toMatchObject({
        code: "REPLICA_FAILED",
        outcome: "not-done",
      });
      expect((await errorOf(node.read(total))).code).toBe("REPLICA_FAILED");
      expect((await errorOf(node.read(total, { consistency: "local" }))).code).toBe(
        "REPLICA_FAILED",
      );
      expect((await errorOf(node.leader())).code).toBe("REPLICA_FAILED");
      expect(events.filter((event) => event.type === "failed")).toHaveLength(1);
    }
    await world.close(all);
  });

  test("applies the entry again after a start with corrected code", async () => {
    const world = new World();
    const first = await world.open("n1", { bootstrap: true });
    await world.until(first.node.write(add(5)));
    await world.until(errorOf(first.node.write({ type: "boom" })));
    await world.close([first]);
    const wrong = await world.open("n1", undefined);
    await world.when(() => wrong.node.status().state === "failed", "it fails again");
    await world.close([wrong]);
    const machine = new Counter();
    machine.apply = (command): number => {
      machine.applies++;
      if (command.type === "add") machine.total += command.amount;
      return machine.total;
    };
    const right = await world.open("n1", undefined, { machine });
    expect(await world.until(right.node.read(total))).toBe(5);
    expect(machine.applies).toBe(2);
    await world.close([right]);
  });

  test("an apply that returns a promise is one that failed", async () => {
    const world = new World();
    const opened = await world.open("n1", { bootstrap: true });
    opened.machine.apply = (() => Promise.reject(new Error("async"))) as never;
    const error = await world.until(errorOf(opened.node.write(add())));
    expect(error.message).toMatch(/apply returned a promise/);
    await world.close([opened]);
  });
});

test("a machine that closes its replica from within apply is not called again", async () => {
  const world = new World();
  const { node, machine } = await world.open("n1", { bootstrap: true });
  let closing: Promise<void> | undefined;
  machine.onApply = () => {
    closing ??= node.close({ handOver: false });
  };
  const writes = [1, 2, 3].map(async () => errorOf(node.write(add())));
  const errors = await world.until(Promise.all(writes));
  expect(errors.map(({ outcome }) => outcome)).toEqual(["unknown", "unknown", "unknown"]);
  await world.until(closing!);
  expect(machine.applies).toBe(1);
});

describe("storage", () => {
  test("a failed write poisons: the replica stops and acknowledges nothing again", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3);
    await world.until(leader.node.write(add(1)));
    world.disk(leader.node.id).beforeOperation = (operation) =>
      operation.kind === "write" ? { reason: "io" } : undefined;
    const error = await world.until(errorOf(leader.node.write(add(1))));
    expect(["STORAGE_FAILED", "OUTCOME_UNKNOWN"]).toContain(error.code);
    expect(error.outcome).toBe("unknown");
    await world.when(() => leader.node.status().state === "failed", "it has stopped");
    expect(leader.node.status().failure?.code).toBe("STORAGE_FAILED");
    expect(await errorOf(leader.node.write(add()))).toMatchObject({
      code: "STORAGE_FAILED",
      outcome: "not-done",
    });
    await world.run(1);
    expect(leader.events).toContainEqual({ type: "storage", state: "failed" });
    // It speaks no more, so the others replace it.
    await world.when(() => followers.some(({ node }) => node.isLeader), "another leads");
    const value = await world.until(followers[0]!.node.read(total));
    expect(await world.until(followers[0]!.node.write(add(10)))).toBe(value + 10);
    await world.close(all);
  });

  // Found by the simulator: writes were refused as on a full disk, for ever, and nothing stopped.
  test("a log that fails while it has no space stops the replica, too", async () => {
    const world = new World();
    const disk = world.disk("n1");
    // The first segment and what else there is; not the second one.
    disk.capacityBytes = 100_000;
    const { node } = await world.open("n1", { bootstrap: true });
    const isStuck = (): boolean => node.isLeader && node.status().log.state === "full";
    await world.when(isStuck, "it leads, and there is no space");
    expect((await world.until(errorOf(node.write(add(1))))).code).toBe("DISK_FULL");
    disk.beforeOperation = ({ path }) => (path.endsWith(".new") ? { reason: "io" } : undefined);
    await world.when(() => node.status().state === "failed", "it has stopped");
    expect(node.status().failure?.code).toBe("STORAGE_FAILED");
    expect(await errorOf(node.write(add(1)))).toMatchObject({ code: "STORAGE_FAILED" });
    await world.until(node.close());
  });

  test("a log damaged below the proven mark refuses to open and changes nothing", async () => {
    const world = new World();
    const first = await world.open("n1", { bootstrap: true });
    for (let i = 0; i < 5; i++) await world.until(first.node.write(add()));
    await world.close([first]);
    const disk = world.disk("n1");
    const path = disk.paths().find((name) => name.endsWith(".log"))!;
    const image = disk.image(path);
    const needle = new TextEncoder().encode('{"type":"add"');
    const at = image.findIndex((_, i) => needle.every((byte, k) => image[i + k] === byte));
    disk.flip(path, at, 0xff);
    const error = await errorOf(world.open("n1", undefined));
    expect(error).toMatchObject({ code: "LOG_DAMAGED", outcome: "not-done" });
    disk.flip(path, at, 0xff);
    const again = await world.open("n1", undefined);
    expect(await world.until(again.node.read(total))).toBe(5);
    await world.close([again]);
  });
});

describe("a violated invariant", () => {
  test("stops the group, keeps the last inputs for the report, and leaves the process alone", async () => {
    const world = new World();
    const { all, followers } = await world.served(3);
    const victim = followers[0]!;
    const term = victim.node.status().term;
    // A second leader of the same term: no member of a sound cluster says this.
    const liar = followers[1]!;
    const heartbeat = { type: "heartbeat", term, commit: 0, round: 0 } as const;
    liar.transport.send(victim.node.id, 1, heartbeat);
    liar.transport.flush();
    await world.when(() => victim.node.status().state === "failed", "it has stopped");
    const failure = victim.node.status().failure!;
    expect(failure.code).toBe("REPLICA_FAILED");
    expect(failure.message).toMatch(/one-leader-per-term/);
    expect(failure.cause).toBeInstanceOf(GroupStopped);
    const { lastInputs } = failure.cause as GroupStopped;
    expect(lastInputs.length).toBeGreaterThan(2);
    expect(lastInputs.at(-1)).toMatch(new RegExp(`heartbeat from ${liar.node.id} term ${term}`));
    expect(victim.node.status().term).toBe(term);
    await world.close(all);
  });
});

describe("observers", () => {
  test("see every transition in order, after the turn, and can harm nobody", async () => {
    const world = new World();
    const opened = await world.open("n1", { bootstrap: true });
    const { node } = opened;
    node.onAny(() => {
      throw new Error("listener");
    });
    node.on("commit", () => {
      const late = Promise.reject(new Error("async listener"));
      return late as never;
    });
    const commits: number[] = [];
    const stop = node.on("commit", ({ index }) => commits.push(index));
    await world.until(node.write(add()));
    await world.until(node.write(add()));
    stop();
    await world.until(node.write(add()));
    expect(commits).toEqual([...commits].sort((a, b) => a - b));
    expect(commits.length).toBeGreaterThanOrEqual(2);
    expect(node.status().commit).toBeGreaterThan(commits.at(-1)!);
    const roles = opened.events.flatMap((e) => (e.type === "role" ? [e] : []));
    expect(roles.at(-1)).toMatchObject({ role: "leader" });
    expect(roles.every(({ reason }) => reason.length > 5)).toBe(true);
    await world.close([opened]);
  });

  test("a listener may call anything, closing included", async () => {
    const world = new World();
    const { node } = await world.open("n1", { bootstrap: true });
    const seen: ReplicaEvent["type"][] = [];
    node.onAny(({ type }) => seen.push(type));
    let inner: Promise<unknown> | undefined;
    node.on("commit", () => {
      inner ??= closeAfter(node, node.write(add(2)));
    });
    await world.until(node.write(add(1)));
    expect(await world.until(inner!)).toBe(3);
    await world.until(node.close());
    expect(seen.at(-1)).toBe("closed");
  });
});

describe("a late turn", () => {
  test("steps what arrived before time passes: a paused follower starts no election", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3);
    const { term } = leader.node.status();
    const paused = followers[0]!;
    // The process stands still for 5 T while what the others say piles up in its sockets.
    const own = paused.transport.address;
    for (const { transport } of all) {
      if (transport !== paused.transport) world.network.stall(transport.address, own);
    }
    paused.clock.stop();
    await world.run(5 * T);
    world.network.healAll();
    paused.clock.resume();
    await world.run(T);
    expect(paused.node.status().role).toBe("follower");
    expect(leader.node.status()).toMatchObject({ term, isLeader: true });
    expect(paused.events.some((event) => event.type === "late-turn")).toBe(true);
    expect(paused.node.status().turnDelayMaxMs).toBeGreaterThan(4 * T);
    expect(await world.until(paused.node.write(add(3)))).toBe(3);
    await world.close(all);
  });

  test("an idle log is settled once, after 100 ms, and then left alone", async () => {
    const world = new World();
    const opened = await world.open("n1", { bootstrap: true });
    await world.until(opened.node.write(add()));
    await world.run(20);
    const disk = world.disk("n1");
    const before = disk.operations;
    await world.run(60);
    expect(disk.operations).toBe(before);
    await world.run(60);
    const settled = disk.operations;
    expect(settled).toBeGreaterThan(before);
    await world.run(500);
    expect(disk.operations).toBe(settled);
    await world.close([opened]);
  });

  test("slow applies are reported with their index", async () => {
    const world = new World();
    const opened = await world.open("n1", { bootstrap: true });
    opened.machine.onApply = () => opened.clock.skip(80);
    await world.until(opened.node.write(add()));
    const slow = opened.events.find((event) => event.type === "slow-apply");
    // Behind the configuration, the entry of the term, and the session.
    expect(slow).toMatchObject({ index: 4 });
    expect(slow!.elapsedMs).toBeGreaterThanOrEqual(80);
    await world.close([opened]);
  });
});

async function closeAfter<R>(node: Node, work: Promise<R>): Promise<R> {
  const value = await work;
  await node.close();
  return value;
}
