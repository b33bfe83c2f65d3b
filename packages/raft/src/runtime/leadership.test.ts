/** Leadership that moves on purpose: transfers, orderly closing, work that only the leader does. */
import { describe, expect, test } from "vitest";
import type { PeerMessage } from "../transport/peer-message.ts";
import type { LeadershipState, LeaderTerm } from "./replica.ts";
import { add, errorOf, T, total, World } from "./world-harness.ts";
import type { Node, Opened } from "./world-harness.ts";

const MEMBERS = World.members(3);

/** Calls `act` again and again until told to stop; returns how the calls ended. */
function writing(world: World, nodes: () => readonly Node[]): () => Promise<Load> {
  const load: Load = { done: 0, errors: [], longestMs: 0 };
  const end = { isOver: false };
  const one = async (turn: number): Promise<void> => {
    for (let at = turn; !end.isOver; at++) {
      const all = nodes();
      const node = all[at % all.length]!;
      const startedMs = world.clock.nowMs();
      try {
        await node.write(add());
        load.done++;
      } catch (error) {
        load.errors.push(error);
      }
      load.longestMs = Math.max(load.longestMs, world.clock.nowMs() - startedMs);
    }
  };
  const all = [0, 1, 2].map((turn) => one(turn));
  return async () => {
    end.isOver = true;
    await world.until(Promise.all(all));
    return load;
  };
}

interface Load {
  done: number;
  errors: unknown[];
  longestMs: number;
}

describe("transfer", () => {
  test("moves leadership to the named member, asked of the leader", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3);
    const { id } = followers[1]!.node;
    const moved = await world.timed(leader.node.leadership.transfer(id));
    expect(moved.value).toBe(id);
    expect(moved.ms).toBeLessThan(50);
    await world.when(() => followers[1]!.node.isLeader, "it leads");
    const phases = leader.events.flatMap((event) => (event.type === "transfer" ? event.phase : []));
    expect(phases).toEqual(["started", "handed-over", "ended"]);
    await world.close(all);
  });

  test("works from any member, and to the best where nobody is named", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3);
    const [asker, other] = followers as [Opened, Opened];
    const first = await world.until(asker.node.leadership.transfer(other.node.id));
    expect(first).toBe(other.node.id);
    await world.when(() => other.node.isLeader, "it leads");
    const second = await world.until(leader.node.leadership.transfer());
    expect(second).not.toBe(other.node.id);
    // Who is wished and leads already has nothing to do.
    expect(await world.until(asker.node.leadership.transfer(second))).toBe(second);
    await world.close(all);
  });

  test("fails nothing and does nothing twice under load", async () => {
    const world = new World();
    const { all, followers } = await world.served(3);
    const stop = writing(world, () => all.map(({ node }) => node));
    for (let i = 0; i < 12; i++) {
      await world.run(40);
      const target = i % 3 === 2 ? undefined : MEMBERS[i % 2]!.id;
      await world.until(followers[0]!.node.leadership.transfer(target));
    }
    const load = await stop();
    expect(load.errors).toEqual([]);
    expect(load.longestMs).toBeLessThan(100);
    expect(await world.until(followers[0]!.node.read(total))).toBe(load.done);
    await world.close(all);
  });

  test("holds writes back meanwhile and shows in the status", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3);
    const target = followers[0]!;
    target.clock.stop();
    const moving = errorOf(leader.node.leadership.transfer(target.node.id, { timeoutMs: 3 * T }));
    await world.run(20);
    expect(leader.node.status().transfer).toMatchObject({
      target: target.node.id,
      phase: "handed-over",
    });
    const { ms, value } = await world.timed(leader.node.write(add()));
    expect(value).toBe(1);
    // Given up after T, and then served by the same leader.
    expect(ms).toBeGreaterThan(T / 2);
    expect(ms).toBeLessThan(1.5 * T);
    expect(leader.node.isLeader).toBe(true);
    expect(await world.until(moving)).toMatchObject({ code: "TIMEOUT", outcome: "unknown" });
    target.clock.resume();
    await world.run(5 * T);
    expect(await world.until(followers[1]!.node.write(add()))).toBe(2);
    await world.close(all);
  });

  test("says what is wrong with the wish", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3);
    for (const { node } of [leader, followers[0]!]) {
      const unknown = await world.until(errorOf(node.leadership.transfer("n9")));
      expect(unknown).toMatchObject({ code: "MEMBER_UNKNOWN", outcome: "not-done" });
      expect(unknown.message).toContain("n9");
    }
    expect(await errorOf(leader.node.leadership.transfer("a b"))).toMatchObject({
      code: "OPTION_INVALID",
    });
    await world.close(all);
    expect((await errorOf(leader.node.leadership.transfer())).code).toBe("CLOSED");
    const alone = await world.open("n4", { bootstrap: true });
    await world.when(() => alone.node.isLeader, "it leads");
    const sole = await world.until(errorOf(alone.node.leadership.transfer()));
    expect(sole.code).toBe("MEMBER_NOT_VOTER");
    await world.until(alone.node.close());
  });

  test("without a leader ends as NO_LEADER, and by its signal as ABORTED", async () => {
    const world = new World();
    const { all, leader } = await world.served(3);
    world.isolate(leader.node.id, all);
    await world.run(3 * T);
    const { error, ms } = await world.timed(leader.node.leadership.transfer());
    expect(error?.code).toBe("NO_LEADER");
    expect(ms).toBeLessThanOrEqual(2 * T);
    const controller = new AbortController();
    const wish = errorOf(leader.node.leadership.transfer("n2", { signal: controller.signal }));
    controller.abort();
    expect(await wish).toMatchObject({ code: "ABORTED", outcome: "not-done" });
    world.network.healAll();
    await world.close(all);
  });

  test("asks again where the request or its answer was lost", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3);
    let lost = 0;
    followers[0]!.transport.dropWhen(
      (_to, _group, message) => message.type === "transfer-request" && lost++ === 0,
    );
    const { value, ms } = await world.timed(followers[0]!.node.leadership.transfer());
    expect(value).not.toBe(leader.node.id);
    expect(lost).toBeGreaterThan(1);
    expect(ms).toBeLessThan(2 * T);
    await world.close(all);
  });
});

describe("closing", () => {
  test("hands leadership over: nobody waits for an election timeout", async () => {
    const world = new World();
    const { leader, followers } = await world.served(3);
    const closing = await world.timed(leader.node.close());
    expect(closing.ms).toBeLessThan(50);
    const next = followers.find(({ node }) => node.isLeader);
    expect(next).toBeDefined();
    const types = leader.events.map(({ type }) => type);
    expect(types.indexOf("closing")).toBeLessThan(types.indexOf("closed"));
    await world.close(followers);
  });

  test("does not where it is told not to", async () => {
    const world = new World();
    const { leader, followers } = await world.served(3);
    await world.until(leader.node.close({ handOver: false }));
    await world.run(50);
    expect(followers.some(({ node }) => node.isLeader)).toBe(false);
    expect(leader.events.some(({ type }) => type === "transfer")).toBe(false);
    await world.close(followers);
  });

  test("brings what waits to its end, and takes nothing new", async () => {
    const world = new World();
    const { leader, followers } = await world.served(3);
    const writes = [1, 2, 3].map(() => leader.node.write(add()));
    const read = leader.node.read(total);
    const closing = leader.node.close();
    expect((await errorOf(leader.node.write(add()))).code).toBe("CLOSED");
    await world.until(closing);
    expect(await Promise.all(writes)).toEqual([1, 2, 3]);
    expect(await read).toBeGreaterThanOrEqual(0);
    await world.close(followers);
  });

  test("is bounded where nobody can take over", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3);
    await world.until(leader.node.write(add()));
    world.isolate(leader.node.id, all);
    const write = errorOf(leader.node.write(add()));
    const closing = await world.timed(leader.node.close());
    expect(closing.ms).toBeLessThan(1.5 * T);
    expect((await write).code).toBe("OUTCOME_UNKNOWN");
    await world.close(followers);
  });

  test("of a whole cluster at once takes no timeout per member", async () => {
    const world = new World();
    const { all } = await world.served(3);
    const { ms } = await world.timed(Promise.all(all.map(({ node }) => node.close())));
    expect(ms).toBeLessThan(T);
    expect(world.clock.pending).toBe(0);
  });

  test("can be hurried", async () => {
    const world = new World();
    const { leader, followers } = await world.served(3);
    await world.until(leader.node.write(add()));
    leader.transport.dropWhen(() => true);
    const write = errorOf(leader.node.write(add()));
    const closing = leader.node.close();
    await world.run(5);
    expect(leader.node.close({ handOver: false })).toBe(closing);
    const { ms } = await world.timed(closing);
    expect(ms).toBeLessThan(10);
    expect((await write).code).toBe("OUTCOME_UNKNOWN");
    await world.close(followers);
  });

  test("a rolling restart under load fails nothing and keeps nobody waiting", async () => {
    const world = new World();
    const { all } = await world.served(3);
    const up = new Map(all.map((opened) => [opened.node.id, opened]));
    const stop = writing(world, () => [...up.values()].map(({ node }) => node));
    for (const { id } of MEMBERS) {
      const { node } = up.get(id)!;
      up.delete(id);
      await world.run(10);
      await world.until(node.close());
      await world.run(T);
      const back = await world.open(id, undefined);
      await world.when(() => back.node.status().leader !== undefined, "it is back");
      up.set(id, back);
      await world.run(20);
    }
    const load = await stop();
    expect(load.errors).toEqual([]);
    expect(load.longestMs).toBeLessThan(100);
    const [first] = up.values();
    expect(await world.until(first!.node.read(total))).toBe(load.done);
    await world.close([...up.values()]);
  });

  test("what crosses the farewell was not taken, and is known not to have been", async () => {
    const world = new World();
    const { leader, followers } = await world.served(3);
    const [asker] = followers as [Opened, Opened];
    await world.until(asker.node.write(add()));
    const seen: PeerMessage[] = [];
    // The leader never hears the forward; its farewell says so.
    asker.transport.dropWhen((_to, _group, message) => {
      if (message.type !== "forward" || seen.length > 0) return false;
      seen.push(message);
      return true;
    });
    const write = world.timed(asker.node.write(add()));
    await world.run(1);
    expect(seen).toHaveLength(1);
    await world.until(leader.node.close());
    const { value, ms } = await write;
    expect(value).toBe(2);
    expect(ms).toBeLessThan(T);
    await world.close(followers);
  });
});

describe("whileLeader", () => {
  test("runs on the leader alone, under a fence that grows, until leadership is lost", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3);
    const runs: { id: string; fence: number }[] = [];
    let working = 0;
    const work =
      (id: string) =>
      async ({ signal, fence }: LeaderTerm): Promise<void> => {
        runs.push({ id, fence });
        working++;
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        working--;
      };
    const ends = all.map(({ node }) => node.leadership.whileLeader(work(node.id)));
    await world.run(1);
    expect(runs.map(({ id }) => id)).toEqual([leader.node.id]);
    for (const { node } of [...followers, leader]) {
      await world.until(node.leadership.transfer(node.id));
      await world.when(() => node.isLeader, "it leads");
      await world.run(2);
      expect(runs.at(-1)?.id).toBe(node.id);
      expect(working).toBe(1);
    }
    const fences = runs.map(({ fence }) => fence);
    expect(fences).toEqual([...new Set(fences)].sort((a, b) => a - b));
    await world.close(all);
    await Promise.all(ends);
    expect(working).toBe(0);
  });

  test("never runs twice at a time, and not again in a term whose work is done", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3);
    const begun: number[] = [];
    let release = (): void => {};
    const done = leader.node.leadership.whileLeader(async ({ fence }) => {
      begun.push(fence);
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    });
    await world.until(leader.node.leadership.transfer());
    await world.when(() => followers.some(({ node }) => node.isLeader), "another leads");
    await world.until(leader.node.leadership.transfer(leader.node.id));
    await world.when(() => leader.node.isLeader, "it leads again");
    expect(begun).toHaveLength(1);
    release();
    await world.run(2);
    expect(begun).toHaveLength(2);
    release();
    await world.run(2);
    expect(begun).toHaveLength(2);
    await world.close(all);
    await done;
  });

  test("ends with what the work throws, unless it was told to stop", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3);
    const boom = leader.node.leadership.whileLeader(() => Promise.reject(new Error("boom")));
    await expect(boom).rejects.toThrow("boom");
    const controller = new AbortController();
    const quiet = leader.node.leadership.whileLeader(
      async ({ signal }) => {
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        signal.throwIfAborted();
      },
      { signal: controller.signal },
    );
    controller.abort();
    await quiet;
    const never = followers[0]!.node.leadership.whileLeader(() => Promise.reject(new Error("no")));
    await world.close(all);
    await never;
    await leader.node.leadership.whileLeader(() => Promise.reject(new Error("closed")));
  });
});

test("watch tells the newest state, and many changes of a moment as one", async () => {
  const world = new World();
  const { all, leader, followers } = await world.served(3);
  const states: LeadershipState[] = [];
  const stop = leader.node.leadership.watch((state) => {
    states.push(state);
    throw new Error("nobody minds");
  });
  await world.run(1);
  expect(states).toMatchObject([{ leader: leader.node.id, isLeader: true }]);
  const next = await world.until(leader.node.leadership.transfer());
  await world.run(5);
  expect(states.at(-1)).toEqual({ leader: next, isLeader: false, fence: undefined });
  expect(states.length).toBeLessThan(5);
  stop();
  const { length } = states;
  await world.close([leader, ...followers]);
  expect(states).toHaveLength(length);
  expect(all).toHaveLength(3);
});
