import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Applied, ResultOf } from "../index.ts";
import { simulate } from "../sim/simulate.ts";
import { testCluster } from "../sim/test-cluster.ts";
import type { TestCluster } from "../sim/test-cluster.ts";
import { QuorateError } from "../util/error.ts";
import { LockMachine } from "./lock-machine.ts";
import type { LockCommand, LockGranted, LockQuery } from "./lock-machine.ts";
import { at, bytesOf, ClusterClock, inPieces } from "./recipe-harness.ts";
import { ReplicatedLock } from "./replicated-lock.ts";

type Cluster = TestCluster<LockCommand, LockQuery>;

interface World {
  readonly cluster: Cluster;
  readonly clock: ClusterClock;
  readonly lock: (member: string) => ReplicatedLock;
}

async function world(): Promise<World> {
  const cluster: Cluster = await testCluster<LockCommand, LockQuery>({
    machine: () => new LockMachine(),
  });
  const clock = new ClusterClock(cluster);
  const lock = (owner: string): ReplicatedLock =>
    new ReplicatedLock(cluster.member(owner).replica, { owner, clock });
  return { cluster, clock, lock };
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (QuorateError.is(error)) return error.code;
    throw error;
  }
  return "none";
}

describe("a replicated lock", () => {
  test("has one owner at a time, with a fence that grows", async () => {
    const { cluster, lock } = await world();
    const first = await lock("n1").acquire("l");
    expect(await lock("n2").tryAcquire("l")).toBeUndefined();
    expect(await lock("n3").owner("l")).toMatchObject({
      owner: expect.stringMatching(/^n1#[0-9a-f]{16}$/) as string,
      fence: first.fence,
    });
    const other = await lock("n2").acquire("m");
    expect(other.fence).toBeGreaterThan(first.fence);
    expect(first.signal.aborted).toBe(false);
    expect(await first.release()).toBe(true);
    expect([first.signal.aborted, first.leftMs]).toEqual([true, 0]);
    expect(await lock("n3").owner("l")).toBeUndefined();
    const second = await lock("n2").tryAcquire("l");
    expect(second?.fence).toBeGreaterThan(other.fence);
    expect(await first.release()).toBe(false);
    expect(await codeOf(first.renew())).toBe("LOCK_LOST");
    await cluster.close();
  });

  test("is waited for until it is released", async () => {
    const { cluster, clock, lock } = await world();
    const first = await lock("n1").acquire("l", { ttlMs: 60_000 });
    let got = false;
    const waiting = lock("n2")
      .acquire("l", { ttlMs: 1_000 })
      .then((held) => {
        got = true;
        return held;
      });
    await clock.advance(3_000);
    expect(got).toBe(false);
    await first.release();
    await clock.advance(200);
    const second = await waiting;
    expect(second.fence).toBeGreaterThan(first.fence);
    await cluster.close();
  });

  test("ends by itself for others only after it has ended for its owner", async () => {
    const { cluster, clock, lock } = await world();
    const first = await lock("n1").acquire("l", { ttlMs: 1_000 });
    let lostMs = 0;
    first.signal.addEventListener("abort", () => (lostMs = clock.nowMs()));
    const startMs = clock.nowMs();
    const waiting = lock("n2").acquire("l", { ttlMs: 1_000 });
    await clock.advance(1_300);
    const gotMs = clock.nowMs();
    const second = await waiting;
    expect(second.fence).toBeGreaterThan(first.fence);
    expect(lostMs - startMs).toBeLessThanOrEqual(905);
    expect(lostMs).toBeGreaterThan(0);
    expect(gotMs - startMs).toBeGreaterThanOrEqual(1_000);
    expect((first.signal.reason as QuorateError).code).toBe("LOCK_LOST");
    expect(await first.release()).toBe(false);
    expect(second.signal.aborted).toBe(false);
    await cluster.close();
  });

  test("is kept by renewing it, under the same fence, and by itself if that is wished", async () => {
    const { cluster, clock, lock } = await world();
    const byHand = await lock("n1").acquire("a", { ttlMs: 1_000 });
    const itself = await lock("n1").acquire("b", { ttlMs: 1_000, autoRenew: true });
    for (let i = 0; i < 5; i++) {
      await clock.advance(600);
      await byHand.renew();
    }
    expect([byHand.signal.aborted, itself.signal.aborted]).toEqual([false, false]);
    expect(await lock("n2").owner("a")).toMatchObject({ fence: byHand.fence });
    expect(await lock("n2").owner("b")).toMatchObject({ fence: itself.fence });
    await byHand.release();
    await itself.release();
    expect(clock.waiting).toBe(0);
    await cluster.close();
  });

  test("is lost by an owner that is cut off, before somebody else has it", async () => {
    const { cluster, clock, lock } = await world();
    const old = (await cluster.leader()).id;
    const held = await lock(old).acquire("l", { ttlMs: 2_000, autoRenew: true });
    const [other] = cluster.followers();
    cluster.partition([old]);
    const waiting = lock(other!.id).acquire("l", { ttlMs: 2_000 });
    let lostFirst: boolean | undefined;
    const next = waiting.then((got) => {
      lostFirst = held.signal.aborted;
      return got;
    });
    await clock.advance(6_000);
    expect((await next).fence).toBeGreaterThan(held.fence);
    expect(lostFirst).toBe(true);
    await cluster.close();
  });

  test("work under it has the fence, and leaves it free whatever happens", async () => {
    const { cluster, clock, lock } = await world();
    const locks = lock("n1");
    const fence = await locks.withLock("l", async (held) => {
      expect(await lock("n2").tryAcquire("l")).toBeUndefined();
      return held.fence;
    });
    const failing = locks.withLock("l", async (held) => {
      expect(held.fence).toBeGreaterThan(fence);
      throw new RangeError("no");
    });
    await expect(failing).rejects.toThrow(RangeError);
    expect(await locks.owner("l")).toBeUndefined();
    expect(clock.waiting).toBe(0);
    await cluster.close();
  });

  test("waiting ends by signal and by time, and leaves nothing behind", async () => {
    const { cluster, clock, lock } = await world();
    const held = await lock("n1").acquire("l", { ttlMs: 60_000 });
    const controller = new AbortController();
    const waiting = codeOf(lock("n2").acquire("l", { signal: controller.signal }));
    const timed = codeOf(lock("n3").acquire("l", { timeoutMs: 300 }));
    await clock.advance(400);
    expect(await timed).toBe("TIMEOUT");
    controller.abort();
    await clock.advance(10);
    expect(await waiting).toBe("ABORTED");
    await held.release();
    expect(await lock("n3").owner("l")).toBeUndefined();
    expect(await codeOf(lock("n1").acquire("l", { ttlMs: 5 }))).toBe("OPTION_INVALID");
    expect(await codeOf(lock("n1").acquire("l", { timeoutMs: -1 }))).toBe("OPTION_INVALID");
    await cluster.close();
  });

  test("survives its leader, and a wish whose outcome was unknown is granted once", async () => {
    const { cluster, clock, lock } = await world();
    const leader = await cluster.leader();
    const [follower] = cluster.followers();
    const held = await lock(follower!.id).acquire("l", { ttlMs: 30_000 });
    leader.crash();
    const wish = lock(follower!.id).acquire("m", { ttlMs: 30_000 });
    await clock.advance(3_000);
    const other = await wish;
    expect(await lock(follower!.id).owner("l")).toMatchObject({ fence: held.fence });
    expect(await lock(follower!.id).owner("m")).toMatchObject({ fence: other.fence });
    await cluster.close();
  });
});

/** Throws where a lock has two owners at a time, or a fence does not grow. */
class WatchedLocks extends LockMachine {
  readonly #shadow = new Map<string, { owner: string; untilMs: number; fence: number }>();
  #lastFence = 0;

  override apply(command: LockCommand, applied: Applied): ResultOf<LockCommand> {
    const result = super.apply(command, applied);
    const { name, owner } = command;
    const known = this.#shadow.get(name);
    const valid = known !== undefined && applied.timeMs < known.untilMs ? known : undefined;
    if (result.type === "granted") {
      if (valid !== undefined && valid.owner !== owner) throw new Error(`${name} has two owners`);
      const { fence } = result;
      if (valid === undefined && fence <= this.#lastFence) throw new Error("the fence fell");
      if (valid !== undefined && fence !== valid.fence) throw new Error("the fence moved");
      this.#lastFence = Math.max(this.#lastFence, fence);
      const ttlMs = command.type === "release" ? 0 : command.ttlMs;
      this.#shadow.set(name, { owner, untilMs: applied.timeMs + ttlMs, fence });
    } else if (result.type === "held") {
      if (result.owner !== valid?.owner) throw new Error("held by nobody");
    } else if (result.type === "released") {
      if (valid?.owner !== owner) throw new Error("released what was not held");
      this.#shadow.delete(name);
    } else if (valid?.owner === owner) throw new Error("lost what was held");
    return result;
  }

  override async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    await super.restore(chunks);
    this.#shadow.clear();
  }
}

describe("its machine", () => {
  const owner = fc.constantFrom("a", "b", "c");
  const name = fc.constantFrom("l", "m", "__proto__");
  const ttlMs = fc.integer({ min: 1, max: 50 });
  const command: fc.Arbitrary<LockCommand> = fc.oneof(
    fc.record({ type: fc.constant("acquire" as const), name, owner, ttlMs }),
    fc.record({ type: fc.constant("renew" as const), name, owner, ttlMs }),
    fc.record({ type: fc.constant("release" as const), name, owner }),
  );

  test("never has two owners, whatever is asked, and comes back from its snapshot", async () => {
    const steps = fc.array(fc.tuple(command, fc.nat(20)), { maxLength: 80 });
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const machine = new WatchedLocks();
        let nowMs = 0;
        list.forEach(([one, passedMs], i) => {
          nowMs += passedMs;
          machine.apply(one, at(i + 1, nowMs));
        });
        const bytes = await bytesOf(machine.snapshot());
        const other = new LockMachine();
        await other.restore(inPieces(bytes, 7));
        expect(await bytesOf(other.snapshot())).toEqual(bytes);
        for (const one of ["l", "m", "__proto__"]) {
          const query = { type: "owner", name: one } as const;
          expect(other.query(query)).toEqual(machine.query(query));
        }
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  test("what has passed its time takes no room for long", async () => {
    const machine = new LockMachine();
    for (let i = 1; i <= 3_000; i++) {
      machine.apply({ type: "acquire", name: `l${i}`, owner: "a", ttlMs: 100 }, at(i, i));
    }
    const text = new TextDecoder().decode(await bytesOf(machine.snapshot()));
    expect(text.split("\n").length).toBeLessThan(250);
  });

  test("is a state machine in simulated clusters in trouble", async () => {
    let grants = 0;
    const summary = await simulate<LockCommand, LockQuery>({
      machine: () => new WatchedLocks(),
      members: 3,
      seeds: 5,
      override: { faultyMs: 1_500 },
      workload: (random, { name: client, calls }) => {
        const lock = `l${random.below(2)}`;
        const lot = random.below(10);
        if (lot < 2) return { kind: "read", query: { type: "owner", name: lock } };
        const word = `${client}.${Math.floor(calls / 4)}`;
        const one = { name: lock, owner: word };
        if (lot < 4) return { kind: "write", command: { type: "release", ...one } };
        const type = lot < 6 ? "renew" : "acquire";
        return { kind: "write", command: { type, ...one, ttlMs: 20 + random.below(400) } };
      },
      check: ({ machines, history }) => {
        const owners = machines.map((machine) =>
          ["l0", "l1"]
            .map((one) => machine.query({ type: "owner", name: one }))
            .map((held) => JSON.stringify(held))
            .join(),
        );
        expect(new Set(owners).size).toBe(1);
        const granted = history.filter(({ result }) => (result as LockGranted)?.type === "granted");
        grants += granted.length;
      },
    });
    // Not in each of them: how much of so short a run is left to clients differs.
    expect(grants).toBeGreaterThan(0);
    expect(summary.answered).toBeGreaterThan(100);
  });
});
