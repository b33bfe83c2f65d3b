/** Members go: they learn it, stop, say why, and never come back to disturb anybody. */
import { describe, expect, test } from "vitest";
import { NO_INCARNATION } from "../core/configuration.ts";
import { RefusalCode } from "../transport/transport.ts";
import { alone, change, grown, leaderOf, settled } from "./join-harness.ts";
import type { Opened } from "./world-harness.ts";
import { add, errorOf, T, total, World } from "./world-harness.ts";

/** Waits until a member has learned that it was removed, and its directory is marked. */
async function left(world: World, opened: Opened): Promise<void> {
  await world.when(
    () => opened.events.some(({ type }) => type === "removed"),
    `${opened.node.id} has left`,
  );
}

async function without(world: World, id: string, all: readonly Opened[]): Promise<void> {
  await world.when(
    () =>
      all.every(({ node }) => {
        const { members, outgoing } = node.status().configuration;
        return outgoing.length === 0 && members.every((member) => member.id !== id);
      }),
    `nobody knows ${id} any more`,
  );
}

describe("a removed member", () => {
  test("learns it, ends what waits, marks its directory and is refused later", async () => {
    const world = new World();
    const all = await grown(world, 3);
    const leader = leaderOf(all);
    const gone = all.find((opened) => opened !== leader)!;
    const rest = all.filter((opened) => opened !== gone);
    let ended = false;
    void gone.node.leadership.whileLeader(async () => {}).then(() => (ended = true));
    expect(await world.until(leader.node.write(add(3)))).toBe(3);
    change(leader, { type: "remove", id: gone.node.id });
    await left(world, gone);
    expect(ended).toBe(true);
    const { state, failure } = gone.node.status();
    expect({ state, code: failure?.code }).toEqual({ state: "removed", code: "REMOVED" });
    const { node } = gone;
    expect(await node.ended).toMatchObject({ code: "REMOVED", message: failure?.message });
    for (const call of [() => node.write(add(1)), () => node.read(total), () => node.leader()]) {
      const error = await world.until(errorOf(call()));
      expect(error).toMatchObject({ code: "REMOVED", outcome: "not-done" });
    }
    await world.close([gone]);
    const error = await world.until(errorOf(world.opening(gone.node.id, undefined)));
    expect(error.code).toBe("REMOVED");
    expect(error.message).toContain(`${gone.node.id} was removed from cluster`);
    await without(world, gone.node.id, rest);
    expect(await world.until(rest[1]!.node.write(add(1)))).toBe(4);
    await world.close(rest);
  });

  test("that leads hands over and leaves; nothing that was acknowledged is lost", async () => {
    const world = new World();
    const all = await grown(world, 3);
    const leader = leaderOf(all);
    const rest = all.filter((opened) => opened !== leader);
    expect(await world.until(leader.node.write(add(3)))).toBe(3);
    change(leader, { type: "remove", id: leader.node.id });
    await left(world, leader);
    await world.when(() => rest.some(({ node }) => node.isLeader), "another leads");
    expect(await world.until(rest[0]!.node.write(add(1)))).toBe(4);
    await world.close(all);
  });

  test("that was cut off learns it when it comes back, and disturbs nobody", async () => {
    const world = new World();
    const all = await grown(world, 3);
    const leader = leaderOf(all);
    const gone = all.find((opened) => opened !== leader)!;
    const rest = all.filter((opened) => opened !== gone);
    world.isolate(gone.node.id, all);
    await world.run(3 * T);
    change(leader, { type: "remove", id: gone.node.id });
    await without(world, gone.node.id, rest);
    const { term } = leader.node.status();
    await world.run(20 * T);
    expect(gone.node.status().state).toBe("running");
    world.network.healAll();
    await left(world, gone);
    expect(gone.node.status().failure?.message).toMatch(/n\d says: n\d was removed from cluster/);
    expect(leader.node.status()).toMatchObject({ term, role: "leader" });
    expect(await world.until(rest[0]!.node.write(add(1)))).toBe(1);
    await world.close(all);
  });

  test("that was down learns it when it is started again", async () => {
    const world = new World();
    const all = await grown(world, 3);
    const leader = leaderOf(all);
    const gone = all.find((opened) => opened !== leader)!;
    const rest = all.filter((opened) => opened !== gone);
    await world.close([gone]);
    change(leader, { type: "remove", id: gone.node.id });
    await without(world, gone.node.id, rest);
    const back = await world.open(gone.node.id, undefined);
    await left(world, back);
    expect(leader.node.status().role).toBe("leader");
    await world.close([...rest, back]);
  });

  test("that holds no entry yet, since it was away from the moment it was invited, learns it, too", async () => {
    const world = new World();
    const n1 = await alone(world);
    const n2 = await world.open("n2", { wait: true });
    const member = { id: "n2", address: "n2:9092", incarnation: NO_INCARNATION };
    change(n1, { type: "add", member, role: "learner", timeoutMs: 60_000 });
    await world.when(() => n2.node.status().state === "running", "n2 is invited");
    expect(n2.node.status().lastIndex).toBe(0);
    await world.close([n2]);
    change(n1, { type: "remove", id: "n2" });
    await without(world, "n2", [n1]);
    const back = await world.open("n2", { wait: true });
    await left(world, back);
    await world.close([n1, back]);
  });

  test("that is replaced: the old directory leaves, the empty one is bound and votes", async () => {
    const world = new World();
    const all = await grown(world, 3);
    const leader = leaderOf(all);
    const gone = all.find((opened) => opened !== leader)!;
    const { id } = gone.node;
    const rest = all.filter((opened) => opened !== gone);
    expect(await world.until(leader.node.write(add(3)))).toBe(3);
    const old = gone.node.status().incarnation;
    await world.close([gone]);
    const kept = world.disk(id);
    change(leader, { type: "replace", id, timeoutMs: 60_000 });
    world.wipe(id);
    const fresh = await world.open(id, { wait: true });
    await world.when(() => fresh.node.status().configuration.voters.includes(id), "it votes");
    await settled(world, [...rest, fresh]);
    expect(fresh.node.status().incarnation).not.toBe(old);
    expect(await world.until(fresh.node.write(add(1)))).toBe(4);
    await world.close([fresh]);
    world.disks.set(id, kept);
    const back = await world.open(id, undefined);
    await left(world, back);
    expect(back.node.status().failure?.message).toContain("another directory has its place");
    await world.close([...rest, back]);
  });

  test("believes only a newer configuration, and only of its own directory", async () => {
    const world = new World();
    const all = await grown(world, 3);
    const [n1, n2] = all as [Opened, Opened];
    // Until everybody knows that the last configuration is committed.
    await world.run(T);
    const { incarnation, configurationIndex } = n2.node.status();
    const turnAway = async (of: string, index: number): Promise<void> => {
      const removal = { incarnation: of, configurationIndex: index };
      n1.transport.turnAway("n2", { code: RefusalCode.removed, reason: "for a test", removal });
      const toN1 = (): boolean =>
        n2.transport.status().some(({ id, connected }) => id === "n1" && connected);
      await world.when(() => !toN1(), "n2 is turned away");
      await world.when(() => toN1() || n2.node.status().state === "removed", "n2 is back");
    };
    await turnAway(incarnation, configurationIndex);
    await turnAway("e".repeat(32), configurationIndex + 1);
    expect(n2.node.status().state).toBe("running");
    await turnAway(incarnation, configurationIndex + 1);
    await left(world, n2);
    await world.close(all);
  });
});

describe("a member that was away while the cluster changed", () => {
  test("is reached by members that it has never heard of, and follows them", async () => {
    const world = new World();
    const all = await grown(world, 3);
    const away = all[2]!;
    world.isolate("n3", all);
    await world.run(2 * T);
    const [n1, n2] = all as [Opened, Opened];
    const n4 = await world.open("n4", { join: ["n1:9091"] });
    const n5 = await world.open("n5", { join: ["n2:9092"] });
    await world.when(
      () => [n1, n2, n4, n5].every(({ node }) => node.status().configuration.voters.length === 5),
      "five vote",
    );
    // Only those lead now that n3 does not know.
    await world.until(n1.node.leadership.transfer("n4"));
    await world.close([n1]);
    world.network.healAll();
    world.network.cut(away.transport.address, n2.transport.address);
    world.network.cut(n2.transport.address, away.transport.address);
    await world.when(
      () => away.node.status().configuration.voters.length === 5,
      "n3 has caught up",
    );
    expect(await world.until(n5.node.write(add(1)))).toBe(1);
    await world.close([n2, away, n4, n5]);
  });
});

test("a member whose directory was put back from an older copy is told, stops, and is refused later", async () => {
  const world = new World();
  const all = await grown(world, 3);
  const leader = leaderOf(all);
  const other = all.find((opened) => opened !== leader)!;
  const { id } = other.node;
  const rest = all.filter((opened) => opened !== other);
  await world.close([other]);
  const copy = world.disk(id).clone();
  const again = await world.open(id, undefined);
  await world.until(leader.node.write(add(1)));
  await world.when(
    () => again.node.status().lastIndex === leader.node.status().lastIndex,
    "it has acknowledged more than the copy holds",
  );
  const { term } = leader.node.status();
  await world.close([again]);
  world.disks.set(id, copy);
  const old = await world.open(id, undefined);
  await world.when(() => old.node.status().state === "failed", "it stops");
  expect(leader.node.status().term).toBe(term);
  expect(old.node.status().failure?.message).toMatch(
    /acknowledged entry \d+ in term \d+, and its log ends at \d+: the directory was put back/,
  );
  await world.close([old]);
  const error = await world.until(errorOf(world.opening(id, undefined)));
  expect(error.code).toBe("REMOVED");
  expect(await world.until(rest[0]!.node.write(add(1)))).toBe(2);
  await world.close(rest);
});
