import { describe, expect, expectTypeOf, test } from "vitest";
import type { Replica } from "./replica.ts";
import type { Add, Command, Query, Total } from "./world-harness.ts";
import { add, Counter, total, World } from "./world-harness.ts";

describe("a cluster of one", () => {
  test("is served at once, and keeps everything over a restart", async () => {
    const world = new World();
    const first = await world.open("n1", { bootstrap: true });
    expect(await world.until(first.node.write(add(2)))).toBe(2);
    expect(await world.until(first.node.write(add(3)))).toBe(5);
    expect(await world.until(first.node.read(total))).toBe(5);
    expect(await world.until(first.node.read(total, { consistency: "local" }))).toBe(5);
    expect(first.node.isLeader).toBe(true);
    await world.close([first]);
    const again = await world.open("n1", undefined);
    expect(await world.until(again.node.read(total))).toBe(5);
    expect(await world.until(again.node.write(add()))).toBe(6);
    expect(again.node.status().clusterId).toBe(first.node.status().clusterId);
    await world.close([again]);
  });

  test("survives a power cut with everything that was acknowledged", async () => {
    const world = new World();
    const first = await world.open("n1", { bootstrap: true });
    for (let i = 1; i <= 20; i++) expect(await world.until(first.node.write(add()))).toBe(i);
    world.crashDisk("n1");
    await world.close([first]);
    const again = await world.open("n1", undefined);
    expect(await world.until(again.node.read(total))).toBe(20);
    await world.close([again]);
  });
});

describe("a cluster of three", () => {
  test("takes writes and reads on every member, and each sees its own", async () => {
    const world = new World();
    const { all } = await world.served(3);
    let sum = 0;
    for (const { node } of [...all, ...all]) {
      sum += 1;
      expect(await world.until(node.write(add()))).toBe(sum);
      expect(await node.read(total, { consistency: "local" })).toBe(sum);
      for (const other of all) expect(await world.until(other.node.read(total))).toBe(sum);
    }
    await world.close(all);
    for (const { machine } of all) expect(machine.applies).toBe(6);
  });

  test("many writes at once from all members are each done exactly once", async () => {
    const world = new World();
    const { all } = await world.served(3);
    const writes = all.flatMap(({ node }) => Array.from({ length: 300 }, () => node.write(add())));
    const results = await world.until(Promise.all(writes));
    expect(new Set(results).size).toBe(900);
    expect(Math.max(...results)).toBe(900);
    await world.close(all);
  });

  test("a closed leader is replaced, writes resume, and it catches up when it is back", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3);
    await world.until(leader.node.write(add(10)));
    await world.close([leader]);
    await world.run(5);
    const writes = await world.until(Promise.all(followers.map(({ node }) => node.write(add()))));
    expect(writes.sort((a, b) => a - b)).toEqual([11, 12]);
    const back = await world.open(leader.node.id, { members: World.members(3) });
    expect(await world.until(back.node.read(total))).toBe(12);
    await world.close([...all, back]);
  });

  test("everything acknowledged is there after all members lost power at once", async () => {
    const world = new World(7);
    const { all } = await world.served(3);
    for (let i = 1; i <= 30; i++) {
      expect(await world.until(all[i % 3]!.node.write(add()))).toBe(i);
    }
    for (const { node } of all) world.crashDisk(node.id);
    await world.close(all);
    const again = await world.cluster(3);
    expect(await world.until(again[1]!.node.read(total))).toBe(30);
    await world.close(again);
    for (const { node } of again) expect(await node.ended).toBeUndefined();
  });
});

test("the result type follows the command and the query", () => {
  expectTypeOf<Replica<Command, Query>["write"]>().toBeCallableWith(add());
  const typed = (node: Replica<Command, Query>): [Promise<number>, Promise<number>] => [
    node.write({ type: "add", amount: 1 } satisfies Add),
    node.read({ type: "total" } satisfies Total),
  ];
  expectTypeOf(typed).returns.toEqualTypeOf<[Promise<number>, Promise<number>]>();
  const never = (node: Replica<Command, Query>): Promise<never> => node.write({ type: "boom" });
  expectTypeOf(never).returns.toEqualTypeOf<Promise<never>>();
  expect(new Counter().query(total)).toBe(0);
});
