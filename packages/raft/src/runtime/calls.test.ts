/** How calls end when they do not end well: what the error claims must be true. */
import { describe, expect, test } from "vitest";
import { EntryKind, packEntries } from "../core/entry.ts";
import type { PeerMessage } from "../transport/peer-message.ts";
import { LIMITS } from "./limits.ts";
import { add, Counter, errorOf, T, total, World } from "./world-harness.ts";
import type { Opened } from "./world-harness.ts";

describe("a member that is cut off from the majority", () => {
  test("as leader refuses reads within two election timeouts, and gives writes up after five", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3);
    await world.until(leader.node.write(add(7)));
    world.isolate(leader.node.id, all);
    const [write, read] = await Promise.all([
      world.timed(leader.node.write(add())),
      world.timed(leader.node.read(total)),
    ]);
    // What was handed on may yet be done by the next leader, so it waits for that.
    expect(write.error?.code).toBe("OUTCOME_UNKNOWN");
    expect(write.ms).toBeLessThanOrEqual(5 * T);
    expect(read.error?.code).toBe("NO_LEADER");
    expect(read.ms).toBeLessThanOrEqual(2 * T);
    // It knows by now, and what it refuses is certainly not done.
    const later = await world.timed(leader.node.write(add()));
    expect(later.error).toMatchObject({ code: "NO_LEADER", outcome: "not-done", retryable: true });
    expect(later.ms).toBeLessThanOrEqual(2 * T);
    expect(await leader.node.read(total, { consistency: "local" })).toBe(7);
    // The others go on, and afterwards the one that was away has what they wrote.
    expect(await world.until(followers[0]!.node.write(add(1)))).toBe(8);
    world.network.healAll();
    await world.when(() => leader.machine.total === 8, "the deposed leader has caught up");
    await world.close(all);
  });

  test("as follower refuses within two election timeouts, and heals by itself", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3);
    const cut = followers[0]!;
    world.isolate(cut.node.id, all);
    const [write, read] = await Promise.all([
      world.timed(cut.node.write(add())),
      world.timed(cut.node.read(total)),
    ]);
    expect(write.error?.outcome).toBe("not-done");
    expect(read.error?.code).toBe("NO_LEADER");
    expect(Math.max(write.ms, read.ms)).toBeLessThanOrEqual(2 * T);
    expect(await cut.node.read(total, { consistency: "local" })).toBe(0);
    world.network.healAll();
    await world.when(() => cut.node.status().leader !== undefined, "the follower is back");
    expect(await world.until(cut.node.write(add(4)))).toBe(4);
    expect(leader.node.status().term).toBe(cut.node.status().term);
    await world.close(all);
  });

  test("with both others gone silent without a word (stalled) refuses just as well", async () => {
    const world = new World();
    const { all, leader } = await world.served(3);
    await world.until(leader.node.write(add()));
    for (const a of all) {
      for (const b of all)
        if (a !== b) world.network.stall(a.transport.address, b.transport.address);
    }
    const [write, read] = await Promise.all([
      world.timed(leader.node.write(add())),
      world.timed(leader.node.read(total)),
    ]);
    expect(write.error?.outcome).toBe("unknown");
    expect(write.ms).toBeLessThanOrEqual(5 * T);
    expect(read.error?.code).toBe("NO_LEADER");
    expect(read.ms).toBeLessThanOrEqual(2 * T);
    world.network.healAll();
    await world.when(() => all.some(({ node }) => node.isLeader), "a leader again");
    await world.close(all);
  });
});

describe("the truth about a write", () => {
  test("that a deposed leader appended and nobody else has is proposed again, and done once", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3, { callTimeoutMs: 60_000 });
    // Only appends are lost: the leader goes on believing that it leads until its term is over.
    leader.transport.dropWhen((_to, _group, message) => message.type === "append-entries");
    const write = leader.node.write(add(5));
    let early = false;
    write.then(
      () => (early = true),
      () => (early = true),
    );
    await world.run(T / 4);
    expect(early).toBe(false);
    leader.transport.dropWhen((_to, _group, message) => message.type !== "forward");
    await world.when(() => followers.some(({ node }) => node.isLeader), "a new leader");
    expect(early).toBe(false);
    leader.transport.dropWhen(undefined);
    expect(await world.until(write)).toBe(5);
    expect(leader.machine.total).toBe(5);
    await world.run(T);
    for (const { machine } of all) expect(machine.applies).toBe(1);
    await world.close(all);
  });

  test("that was handed on is unknown when its deadline passes, and was done all the same", async () => {
    const world = new World();
    const { all, leader } = await world.served(3);
    await world.until(leader.node.write(add(0)));
    leader.transport.dropWhen((_to, _group, message) => message.type === "append-entries");
    const ended = await world.timed(leader.node.write(add(5), { timeoutMs: 20 }));
    expect(ended.error).toMatchObject({ code: "OUTCOME_UNKNOWN", outcome: "unknown" });
    expect(ended.ms).toBeLessThan(40);
    leader.transport.dropWhen(undefined);
    await world.when(() => leader.machine.total === 5, "the write is done late");
    await world.close(all);
  });

  test("that no leader took is certainly not done when its deadline passes", async () => {
    const world = new World();
    const alone = await world.open("n1", { members: World.members(3) });
    const ended = await world.timed(alone.node.write(add(), { timeoutMs: 30 }));
    expect(ended.error).toMatchObject({ code: "TIMEOUT", outcome: "not-done", retryable: true });
    expect((await world.timed(alone.node.read(total, { timeoutMs: 30 }))).error?.code).toBe(
      "TIMEOUT",
    );
    expect((await world.timed(alone.node.leader({ timeoutMs: 30 }))).error?.code).toBe("NO_LEADER");
    expect((await world.timed(alone.node.write(add()))).error?.code).toBe("NO_LEADER");
    await world.close([alone]);
  });

  test("forwarded to a leader that dies with it is done by the next one, once", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3);
    const [asker] = followers;
    await world.until(asker!.node.write(add(0)));
    // The forward arrives, the answer does not, and nobody else hears of the entry.
    leader.transport.dropWhen(() => true);
    const write = world.timed(asker!.node.write(add(9)));
    await world.run(3);
    await leader.node.close({ handOver: false });
    const ended = await write;
    expect(ended.value).toBe(9);
    expect(ended.ms).toBeLessThanOrEqual(3 * T);
    expect(asker!.machine.applies).toBe(2);
    await world.close(all);
  });

  test("is done once, however often forwards and answers are lost and come twice", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3, { callTimeoutMs: 60_000 });
    let lost = 0;
    for (const { transport } of all) {
      transport.dropWhen((_to, _group, { type }) => type.startsWith("forward") && lost++ % 2 === 0);
    }
    const asker = followers[0]!;
    const writes = Array.from({ length: 30 }, (_, i) => asker.node.write(add(2 ** i)));
    await world.until(Promise.all(writes));
    expect(lost).toBeGreaterThan(3);
    expect(asker.machine).toMatchObject({ total: 2 ** 30 - 1, applies: 30 });
    await world.when(() => leader.machine.applies === 30, "the leader has applied them");
    await world.close(all);
  });

  test("whose session expired meanwhile is done in a new one, where it was attempted once", async () => {
    const world = new World();
    const { all, leader } = await world.served(3, { sessionTimeoutMs: 1_000 });
    expect(await world.until(leader.node.write(add(1)))).toBe(1);
    await world.run(1_100);
    expect(await world.until(leader.node.write(add(2)))).toBe(3);
    expect(leader.machine.applies).toBe(2);
    await world.close(all);
  });

  test("of a session that a member knows from a snapshot is done there, once", async () => {
    const world = new World();
    const manual = { snapshot: { automatic: false } };
    const { all, leader, followers } = await world.served(3, manual);
    const one = followers[0]!;
    await world.until(leader.node.write(add(1)));
    await world.when(() => one.machine.applies === 1, "it has applied the write");
    await world.until(one.node.snapshot());
    await world.until(one.node.close());
    const again = await world.open(one.node.id, undefined, manual);
    // The session was opened below the snapshot, where this member never looks again.
    expect(await world.until(leader.node.write(add(2)))).toBe(3);
    await world.when(() => again.machine.total === 3, "it has applied the next write");
    expect(again.machine.applies).toBe(1);
    await world.close([...all.filter((other) => other !== one), again]);
  });

  test("forwarded over a connection that is lost is done soon, though its answer is", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3, { callTimeoutMs: 60_000 });
    const asker = followers[0]!;
    await world.until(asker.node.write(add(0)));
    leader.transport.dropWhen((_to, _group, message) => message.type === "forward-response");
    const write = world.timed(asker.node.write(add(9)));
    await world.run(3);
    world.network.cut(asker.transport.address, leader.transport.address);
    world.network.heal(asker.transport.address, leader.transport.address);
    const ended = await write;
    expect(ended.value).toBe(9);
    expect(ended.ms).toBeLessThanOrEqual(T);
    expect(asker.node.status().leader).toBe(leader.node.id);
    expect(leader.machine.total).toBe(9);
    await world.close(all);
  });

  test("with no time left is not even proposed", async () => {
    const world = new World();
    const { all, leader } = await world.served(3);
    const error = await world.until(errorOf(leader.node.write(add(), { timeoutMs: 0 })));
    expect(error).toMatchObject({ code: "TIMEOUT", outcome: "not-done" });
    await world.run(20);
    expect(leader.machine.applies).toBe(0);
    await world.close(all);
  });

  test("sent to a member that does not lead is answered so, and passed on to nobody", async () => {
    const world = new World();
    const { all, followers } = await world.served(3);
    const [asker, other] = followers as [Opened, Opened];
    const answers: PeerMessage[] = [];
    other.transport.dropWhen((_to, _group, message) => {
      if (message.type.startsWith("forward")) answers.push(message);
      return false;
    });
    const payload = new TextEncoder().encode(JSON.stringify(add()));
    const { bytes, count } = packEntries([{ kind: EntryKind.command, payload }]);
    const forward = {
      type: "forward",
      request: 77,
      deadlineMs: 900,
      entries: bytes,
      count,
    } as const;
    asker.transport.send(other.node.id, 1, forward);
    asker.transport.flush();
    await world.run(10);
    expect(answers).toMatchObject([
      { type: "forward-response", request: 77, status: "not-leader" },
    ]);
    expect(all.map(({ machine }) => machine.applies)).toEqual([0, 0, 0]);
    await world.close(all);
  });
});

describe("bounds", () => {
  test("too many waiting writes are refused as OVERLOADED, and none of those is done", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3, {
      callTimeoutMs: 60_000,
      segmentBytes: 1_048_576,
    });
    for (const { node } of followers) world.isolate(node.id, all);
    await world.run(3 * T);
    const text = "x".repeat(200_000);
    const ends: Promise<string>[] = [];
    const fits = Math.floor(LIMITS.gatheredBytesMax / 200_030);
    for (let i = 0; i < fits + 5; i++) {
      const write = leader.node.write({ type: "pad", text });
      ends.push(errorOf(write).then((error) => `${error.code} ${error.outcome}`));
    }
    expect(leader.node.status().pendingWrites).toBe(fits);
    const codes = await world.until(Promise.all(ends));
    expect(codes.slice(0, fits).every((code) => code === "NO_LEADER not-done")).toBe(true);
    expect(codes.slice(fits).every((code) => code === "OVERLOADED not-done")).toBe(true);
    expect(leader.node.status().pendingWrites).toBe(0);
    await world.close(all);
  });

  test("a command above commandBytesMax, and one that cannot be encoded, are refused", async () => {
    const world = new World();
    const { node } = await world.open("n1", { bootstrap: true }, { commandBytesMax: 100 });
    const big = { type: "pad", text: "x".repeat(100) } as const;
    expect((await errorOf(node.write(big))).code).toBe("COMMAND_TOO_LARGE");
    const cyclic: { type: "add"; amount: number; self?: unknown } = add();
    cyclic.self = cyclic;
    expect((await errorOf(node.write(cyclic))).code).toBe("COMMAND_INVALID");
    expect((await errorOf(node.write(undefined as never))).code).toBe("COMMAND_INVALID");
    expect((await errorOf(node.write(add(), { timeoutMs: -1 }))).code).toBe("OPTION_INVALID");
    expect((await errorOf(node.read(total, { consistency: "odd" as never }))).code).toBe(
      "OPTION_INVALID",
    );
    await world.until(node.close());
  });

  test("a leader whose disk is full refuses writes as not done, and goes on when there is room", async () => {
    const world = new World();
    const { node } = await world.open("n1", { bootstrap: true });
    const disk = world.disk("n1");
    disk.capacityBytes = disk.usedBytes;
    const text = "x".repeat(10_000);
    const codes: string[] = [];
    const handedOn: Promise<unknown>[] = [];
    for (let i = 0; i < 60 && codes.length === 0; i++) {
      const write = node.write({ type: "pad", text }, { timeoutMs: 60_000 });
      handedOn.push(write.catch((error: { code: string }) => codes.push(error.code)));
      await world.run(3);
    }
    expect(codes).toEqual(["DISK_FULL"]);
    expect(node.status().log.state).toBe("full");
    expect(await world.until(node.read(total))).toBe(0);
    disk.capacityBytes = Number.MAX_SAFE_INTEGER;
    await world.when(() => node.status().log.state === "ok", "space is back");
    await world.until(Promise.all(handedOn));
    expect(await world.until(node.write(add(1)))).toBe(1);
    await world.until(node.close());
  });
});

describe("signals", () => {
  test("abort before the write is handed on ends it as not done, and it never is", async () => {
    const world = new World();
    const { all, leader } = await world.served(3);
    const controller = new AbortController();
    const write = errorOf(leader.node.write(add(), { signal: controller.signal }));
    controller.abort(new Error("changed my mind"));
    const error = await write;
    expect(error).toMatchObject({ code: "ABORTED", outcome: "not-done" });
    expect((error.cause as Error).message).toBe("changed my mind");
    const gone = errorOf(leader.node.write(add(), { signal: controller.signal }));
    expect((await gone).code).toBe("ABORTED");
    expect(await world.until(leader.node.read(total))).toBe(0);
    await world.close(all);
  });

  test("abort after the write was handed on leaves its outcome unknown", async () => {
    const world = new World();
    const { all, leader } = await world.served(3);
    await world.until(leader.node.write(add()));
    leader.transport.dropWhen(() => true);
    const controller = new AbortController();
    const write = errorOf(leader.node.write(add(), { signal: controller.signal }));
    await world.run(2);
    controller.abort();
    expect(await write).toMatchObject({ code: "OUTCOME_UNKNOWN", outcome: "unknown" });
    await world.close(all);
  });

  test("a call that has ended leaves no listener on its signal", async () => {
    const world = new World();
    const { node } = await world.open("n1", { bootstrap: true });
    const { signal } = new AbortController();
    let listeners = 0;
    const [on, off] = [
      signal.addEventListener.bind(signal),
      signal.removeEventListener.bind(signal),
    ];
    signal.addEventListener = (...args: Parameters<typeof on>) => {
      listeners++;
      on(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof off>) => {
      listeners--;
      off(...args);
    };
    await world.until(node.write(add(), { signal }));
    await world.until(node.read(total, { signal }));
    await world.until(node.leader({ signal }));
    expect(listeners).toBe(0);
    await world.until(node.close());
  });
});

describe("closing", () => {
  test("settles everything: what was handed on as unknown, the rest as CLOSED", async () => {
    const world = new World();
    const { leader, followers } = await world.served(3);
    for (const { node } of [leader, followers[0]!]) await world.until(node.write(add()));
    leader.transport.dropWhen(() => true);
    const handedOn = errorOf(leader.node.write(add()));
    const read = errorOf(leader.node.read(total));
    const forwarded = followers[0]!.node.write(add());
    await world.run(2);
    const gathered = errorOf(leader.node.write(add()));
    const later = errorOf(leader.node.read({ type: "later", of: new Promise(() => {}) }));
    const closing = world.until(leader.node.close({ handOver: false }));
    expect(await handedOn).toMatchObject({ code: "OUTCOME_UNKNOWN", outcome: "unknown" });
    expect(await gathered).toMatchObject({ code: "CLOSED", outcome: "not-done" });
    expect((await read).code).toBe("CLOSED");
    expect((await later).code).toBe("CLOSED");
    await closing;
    expect((await errorOf(leader.node.write(add()))).code).toBe("CLOSED");
    expect((await errorOf(leader.node.read(total, { consistency: "local" }))).code).toBe("CLOSED");
    expect((await errorOf(leader.node.leader())).code).toBe("CLOSED");
    expect(leader.node.status().state).toBe("closed");
    expect(leader.node.close()).toBe(leader.node.close());
    expect(leader.events.filter((event) => event.type === "closed")).toHaveLength(1);
    // What was forwarded goes to the next leader.
    expect(await world.until(forwarded)).toBe(3);
    await world.close(followers);
    await world.run(10);
    expect(world.clock.pending).toBe(0);
  });
});

describe("reads", () => {
  test("what a query throws or rejects with comes back as QUERY_FAILED", async () => {
    const world = new World();
    const { node } = await world.open("n1", { bootstrap: true });
    const thrown = await world.until(errorOf(node.read({ type: "throw" })));
    expect(thrown).toMatchObject({ code: "QUERY_FAILED", outcome: "not-done" });
    expect((thrown.cause as Error).message).toBe("no answer");
    const of = Promise.reject(new Error("later, no"));
    of.catch(() => {});
    const rejected = await world.until(errorOf(node.read({ type: "later", of })));
    expect(rejected.code).toBe("QUERY_FAILED");
    expect(await world.until(node.read({ type: "later", of: Promise.resolve(3) }))).toBe(3);
    const never = { type: "later", of: new Promise<number>(() => {}) } as const;
    const late = await world.timed(node.read(never, { timeoutMs: 50, consistency: "local" }));
    expect(late.error?.code).toBe("TIMEOUT");
    expect(node.status().pendingReads).toBe(0);
    await world.until(node.close());
  });

  test("local reads are answered while forming, before there is any leader", async () => {
    const world = new World();
    const machine = new Counter();
    const alone = await world.open("n2", { members: World.members(3) }, { machine });
    expect(await alone.node.read(total, { consistency: "local" })).toBe(0);
    expect(alone.node.status().state).toBe("forming");
    await world.close([alone]);
  });
});

test("a forwarded batch that holds anything but commands is not appended", async () => {
  const world = new World();
  const { all, leader, followers } = await world.served(3);
  const before = leader.node.status().lastIndex;
  const entries = new Uint8Array(40);
  entries[0] = EntryKind.configuration;
  followers[0]!.transport.send(leader.node.id, 1, {
    type: "forward",
    request: 1,
    deadlineMs: 1_000,
    entries,
    count: 1,
  });
  followers[0]!.transport.flush();
  await world.run(5);
  expect(leader.node.status().lastIndex).toBe(before);
  await world.close(all);
});
