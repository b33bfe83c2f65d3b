import { describe, expect, test } from "vitest";
import type { Applied } from "../machine/state-machine.ts";
import { add, Counter, errorOf, World } from "./world-harness.ts";
import type { Command, Opened } from "./world-harness.ts";

/** From version 2 on every amount counts twice. */
class Doubling extends Counter {
  readonly version: number;
  readonly versions: number[] = [];

  constructor(version: number) {
    super();
    this.version = version;
  }

  override apply(command: Command, at?: Applied): number {
    this.versions.push(at!.version);
    const isDoubled = at!.version >= 2 && command.type === "add";
    return super.apply(isDoubled ? add(2 * command.amount) : command);
  }
}

const MEMBERS = World.members(3);

/** Starts a member with the code of that version. */
function start(world: World, id: string, version: number): Promise<Opened> {
  return world.opening(id, { members: MEMBERS }, { machine: new Doubling(version) });
}

function inForce(all: readonly Opened[]): number[] {
  return all.map(({ node }) => node.status().machineVersion);
}

describe("a version of the machine", () => {
  test("comes into force when the last member of a rolling upgrade knows it, everywhere at once", async () => {
    const world = new World();
    const all = await world.until(Promise.all(MEMBERS.map(({ id }) => start(world, id, 1))));
    await world.when(() => all.some(({ node }) => node.isLeader), "a leader");
    await world.until(all[0]!.node.write(add(1)));
    for (const [i, { id }] of MEMBERS.entries()) {
      await world.until(all[i]!.node.close());
      all[i] = await world.until(start(world, id, 2));
      await world.when(() => all.some(({ node }) => node.isLeader), "a leader");
      await world.until(all[(i + 1) % 3]!.node.write(add(10)));
      if (i < 2) expect(Math.max(...inForce(all))).toBe(1);
      expect(all[i].node.status().machineVersionKnown).toBe(2);
    }
    await world.when(() => Math.min(...inForce(all)) === 2, "version 2 is in force");
    const total = await world.until(all[0]!.node.write(add(100)));
    // The third write of 10 may have come before it or after it.
    expect([231, 241]).toContain(total);
    await world.run(300);
    for (const { machine } of all) expect(machine.total).toBe(total);
    const [first] = all.map(({ machine }) => (machine as Doubling).versions);
    for (const { machine } of all) expect((machine as Doubling).versions).toEqual(first);
    await world.close(all);
  });

  test("stays as it is while a member is away that may not know it", async () => {
    const world = new World();
    const all = await world.until(
      Promise.all(MEMBERS.map(({ id }, i) => start(world, id, i === 2 ? 1 : 3))),
    );
    await world.when(() => all.some(({ node }) => node.isLeader), "a leader");
    await world.until(all[2]!.node.close());
    await world.when(() => all.slice(0, 2).some(({ node }) => node.isLeader), "a leader");
    await world.until(all[0]!.node.write(add(1)));
    await world.run(1_000);
    expect(inForce(all.slice(0, 2))).toEqual([1, 1]);
    // It comes back with code that knows a little more: that much comes into force.
    all[2] = await world.until(start(world, "n3", 2));
    await world.when(() => Math.min(...inForce(all)) === 2, "version 2 is in force");
    await world.close(all);
  });

  test("stops a member that goes back to older code, before it applies anything under it", async () => {
    const world = new World();
    const all = await world.until(Promise.all(MEMBERS.map(({ id }) => start(world, id, 2))));
    await world.when(() => Math.min(...inForce(all)) === 2, "version 2 is in force");
    await world.until(all[0]!.node.write(add(5)));
    await world.until(all[2]!.node.close());
    const old = await world.until(start(world, "n3", 1));
    await world.when(() => old.node.status().state === "failed", "it stops");
    const { failure } = old.node.status();
    expect(failure).toMatchObject({ code: "VERSION_UNSUPPORTED" });
    expect(failure!.message).toContain("version 2 of the state machine");
    expect(old.machine.applies).toBe(0);
    expect((await errorOf(old.node.write(add(1)))).code).toBe("VERSION_UNSUPPORTED");
    // The others go on.
    expect(await world.until(all[0]!.node.write(add(1)))).toBe(12);
    await world.close([all[0]!, all[1]!, old]);
  });

  test("must be a whole number", async () => {
    const world = new World();
    const opening = world.opening("n1", { bootstrap: true }, { machine: new Doubling(1.5) });
    expect((await errorOf(opening)).message).toContain("machine.version");
  });
});
