/** Members come: asked for through any member, waited for, bound, bootstrapped only once. */
import { describe, expect, test } from "vitest";
import { NO_INCARNATION } from "../core/configuration.ts";
import { NO_CLUSTER, RefusalCode } from "../transport/transport.ts";
import { alone, change, joined, leaderOf } from "./join-harness.ts";
import type { Opened } from "./world-harness.ts";
import { add, errorOf, T, total, World } from "./world-harness.ts";

describe("join", () => {
  test("a member joins through the leader, catches up, votes, and has what was written before", async () => {
    const world = new World();
    const n1 = await alone(world);
    expect(await world.until(n1.node.write(add(5)))).toBe(5);
    const n2 = await world.open("n2", { join: ["n1:9091"] });
    expect(n2.node.status()).toMatchObject({
      state: "joining",
      clusterId: NO_CLUSTER,
      role: "follower",
    });
    await world.when(() => n2.node.status().state === "running", "n2 is invited");
    expect(n2.node.status().clusterId).toBe(n1.node.status().clusterId);
    await world.when(() => n2.events.some(({ type }) => type === "joined"), "n2 tells of it");
    await world.when(
      () => n1.node.status().configuration.voters.join() === "n1,n2",
      "n2 votes as far as n1 knows",
    );
    expect(await world.until(n2.node.read(total))).toBe(5);
    expect(await world.until(n2.node.write(add(2)))).toBe(7);
    await world.close([n1, n2]);
  });

  test("three members grow one by one, through a member that does not lead", async () => {
    const world = new World();
    const n1 = await alone(world);
    const n2 = await joined(world, "n2", "n1", [n1]);
    const follower = [n1, n2].find(({ node }) => !node.isLeader)!;
    const n3 = await joined(world, "n3", follower.node.id, [n1, n2]);
    const all = [n1, n2, n3];
    expect(await world.until(n3.node.write(add(1)))).toBe(1);
    expect(new Set(all.map(({ node }) => node.status().clusterId)).size).toBe(1);
    // Any two of three go on.
    const leader = leaderOf(all);
    await world.close([leader]);
    const rest = all.filter((opened) => opened !== leader);
    await world.when(() => rest.some(({ node }) => node.isLeader), "another leads");
    expect(await world.until(rest[0]!.node.write(add(1)))).toBe(2);
    await world.close(rest);
  });

  test("as a learner it gets everything and never votes", async () => {
    const world = new World();
    const n1 = await alone(world);
    const n2 = await world.open("n2", { join: ["n1:9091"], as: "learner" });
    await world.when(() => n2.node.status().configuration.learners.includes("n2"), "n2 learns");
    expect(await world.until(n1.node.write(add(3)))).toBe(3);
    expect(await world.until(n2.node.read(total))).toBe(3);
    await world.run(10 * T);
    expect(n1.node.status().configuration).toMatchObject({ voters: ["n1"], learners: ["n2"] });
    await world.close([n1, n2]);
  });

  test("at the deadline it fails, and says what each contact said", async () => {
    const world = new World();
    const waiting = await world.open("n3", { wait: true });
    const n2 = await world.open("n2", {
      join: ["n3:9093", "n9:9099", "n2:9092"],
      timeoutMs: 3_000,
    });
    const told = n2.node.leader({ timeoutMs: 20_000 });
    const error = await world.until(errorOf(told));
    expect(error.code).toBe("JOIN_FAILED");
    expect(error.message).toContain("no cluster has taken n2 within 3000 ms");
    expect(error.message).toContain("n3:9093 is n3, which is not part of a cluster yet");
    expect(error.message).toContain("n9:9099 does not answer");
    expect(error.message).toContain("n2:9092 is n2 itself");
    expect(n2.node.status()).toMatchObject({ state: "failed", failure: { code: "JOIN_FAILED" } });
    await world.close([waiting, n2]);
    // Nothing of it was durable: the next start asks again.
    const n1 = await alone(world);
    const again = await joined(world, "n2", "n1", [n1]);
    await world.close([n1, again]);
  });

  test("contacts of two clusters end it at once, since one address is wrong", async () => {
    const world = new World();
    const n1 = await alone(world);
    const n3 = await world.open("n3", { bootstrap: true });
    const n2 = await world.open("n2", { join: ["n1:9091", "n3:9093"] });
    const error = await world.until(errorOf(n2.node.leader({ timeoutMs: 20_000 })));
    expect(error.code).toBe("JOIN_FAILED");
    expect(error.message).toContain("the contacts belong to different clusters");
    expect(n1.node.status().configuration.members.length).toBeLessThanOrEqual(2);
    await world.close([n1, n2, n3]);
  });

  test("an id that is taken by another directory is refused, with the way out", async () => {
    const world = new World();
    const n1 = await alone(world);
    const n2 = await joined(world, "n2", "n1", [n1]);
    await world.close([n2]);
    world.wipe("n2");
    const empty = await world.open("n2", { join: ["n1:9091"], timeoutMs: 2_000 });
    const error = await world.until(errorOf(empty.node.leader({ timeoutMs: 20_000 })));
    expect(error.code).toBe("JOIN_FAILED");
    expect(error.message).toContain("come back with an empty directory");
    expect(error.message).toContain("members replace n2");
    await world.close([n1, empty]);
  });

  test("a restart changes no membership, whatever it says, and finds the others again", async () => {
    const world = new World();
    const n1 = await alone(world);
    const n2 = await joined(world, "n2", "n1", [n1]);
    await world.close([n2]);
    const index = n1.node.status().configurationIndex;
    const again = await world.open("n2", { join: ["n7:9097"], as: "learner" });
    expect(again.node.status().state).toBe("running");
    await world.when(() => [n1, again].some(({ node }) => node.isLeader), "somebody leads");
    expect(await world.until(again.node.write(add(1)))).toBe(1);
    expect(again.node.status().configuration.voters).toEqual(["n1", "n2"]);
    expect(n1.node.status().configurationIndex).toBe(index);
    await world.close([n1, again]);
  });

  test("one that has no entry yet comes back as a member after a crash, and catches up", async () => {
    const world = new World();
    const n1 = await alone(world);
    const n2 = await world.open("n2", { join: ["n1:9091"] });
    await world.when(() => n2.node.status().state === "running", "n2 is invited");
    expect(n2.node.status().lastIndex).toBe(0);
    world.crashDisk("n2");
    await world.close([n2]);
    const again = await world.open("n2", { join: ["n1:9091"] });
    expect(again.node.status()).toMatchObject({ state: "running" });
    await world.when(() => again.node.status().configuration.voters.includes("n2"), "n2 votes");
    await world.close([n1, again]);
  });
});

describe("wait", () => {
  test("a waiting member answers, asks nobody, and is brought in by who adds it", async () => {
    const world = new World();
    const n1 = await alone(world);
    const n2 = await world.open("n2", { wait: true });
    await world.run(10 * T);
    expect(n2.node.status()).toMatchObject({ state: "waiting", clusterId: NO_CLUSTER });
    expect(await world.until(errorOf(n2.node.write(add())))).toMatchObject({ code: "NO_LEADER" });
    change(n1, {
      type: "add",
      member: { id: "n2", address: "n2:9092", incarnation: NO_INCARNATION },
      role: "voter",
      timeoutMs: 60_000,
    });
    await world.when(() => n2.node.status().configuration.voters.includes("n2"), "n2 votes");
    const own = n1.node.status().configuration.members.find(({ id }) => id === "n2");
    expect(own?.incarnation).toBe(n2.node.status().incarnation);
    expect(await world.until(n2.node.write(add(4)))).toBe(4);
    await world.close([n1, n2]);
  });

  test("a member that was added before it is started is bound when it comes, and only once", async () => {
    const world = new World();
    const n1 = await alone(world);
    change(n1, {
      type: "add",
      member: { id: "n2", address: "n2:9092", incarnation: NO_INCARNATION },
      role: "learner",
      timeoutMs: 60_000,
    });
    await world.run(5 * T);
    const n2 = await world.open("n2", { join: ["n1:9091"], as: "learner" });
    await world.when(() => n2.node.status().configuration.learners.includes("n2"), "n2 learns");
    await world.close([n2]);
    world.wipe("n2");
    const other = await world.open("n2", { wait: true });
    await world.when(
      () => other.events.some((event) => event.type === "peer-refused"),
      "the second directory is refused",
    );
    expect(other.node.status().state).toBe("waiting");
    await world.close([n1, other]);
  });
});

describe("bootstrap", () => {
  test("asks the contacts first and refuses where one belongs to a cluster", async () => {
    const world = new World();
    const n1 = await alone(world);
    const opening = world.opening("n2", { bootstrap: true, contacts: ["n9:9099", "n1:9091"] });
    const error = await world.until(errorOf(opening));
    expect(error.code).toBe("CLUSTER_EXISTS");
    expect(error.message).toContain(`n1:9091 is n1 of cluster ${n1.node.status().clusterId}`);
    expect(error.message).toContain("start n2 with --join n1:9091");
    // Nothing has begun in its directory.
    const n2 = await joined(world, "n2", "n1", [n1]);
    await world.close([n1, n2]);
  });

  test("goes on where no contact is there, or only the member itself", async () => {
    const world = new World();
    const n1 = await world.open("n1", { bootstrap: true, contacts: ["n1:9091", "n2:9092"] });
    await world.when(() => n1.node.isLeader, "n1 leads");
    await world.close([n1]);
  });

  test("of two that know each other at most one becomes a cluster", async () => {
    const world = new World();
    const both = await world.until(
      Promise.allSettled([
        world.opening("n1", { bootstrap: true, contacts: ["n2:9092"] }),
        world.opening("n2", { bootstrap: true, contacts: ["n1:9091"] }),
      ]),
    );
    const opened = both.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    expect(opened.map(({ node }) => node.id)).toEqual(["n1"]);
    await world.close(opened);
  });

  test("on a lost disk makes no second cluster that keeps serving", async () => {
    const world = new World();
    const n1 = await alone(world);
    const n2 = await joined(world, "n2", "n1", [n1]);
    const n3 = await joined(world, "n3", "n1", [n1, n2]);
    await world.close([n1]);
    world.wipe("n1");
    const second = await world.open("n1", { bootstrap: true });
    await world.when(() => second.node.status().state === "failed", "it stops");
    expect(second.node.status().failure?.code).toBe("CLUSTER_EXISTS");
    expect(second.node.status().failure?.message).toContain("members replace n1");
    // Whoever dials it until it is closed hears why, and not that it stops.
    const heard = ({ events }: typeof n2): boolean =>
      events.some((e) => e.type === "peer-refused" && e.code === RefusalCode.cluster);
    await world.when(() => heard(n2) && heard(n3), "both others hear why");
    await world.close([second]);
    const error = await world.until(errorOf(world.opening("n1", { bootstrap: true })));
    expect(error.code).toBe("REMOVED");
    expect(error.message).toContain("was begun as a new cluster");
    await world.when(() => [n2, n3].some(({ node }) => node.isLeader), "the others go on");
    expect(await world.until(n2.node.write(add(1)))).toBe(1);
    await world.close([n2, n3]);
  });
});

describe("addresses", () => {
  test("a member under a new address is found, and the configuration follows", async () => {
    const world = new World();
    const n1 = await alone(world);
    const n2 = await joined(world, "n2", "n1", [n1]);
    await world.close([n2]);
    const moved = await world.open("n2", undefined, { listen: "m2:7002" });
    await world.when(
      () =>
        [n1, moved].every(
          ({ node }) =>
            node.status().configuration.members.find(({ id }) => id === "n2")?.address ===
            "m2:7002",
        ),
      "the new address is agreed on",
    );
    expect(await world.until(moved.node.write(add(2)))).toBe(2);
    await world.close([n1, moved]);
  });

  test("all members under new addresses at once find each other by hints", async () => {
    const world = new World();
    const n1 = await alone(world);
    const n2 = await joined(world, "n2", "n1", [n1]);
    const n3 = await joined(world, "n3", "n1", [n1, n2]);
    expect(await world.until(n3.node.write(add(7)))).toBe(7);
    await world.close([n1, n2, n3]);
    const moved: Opened[] = [];
    for (const i of [1, 2, 3]) {
      const join = ["m1:7001", "m2:7002", "m3:7003"];
      moved.push(await world.open(`n${i}`, { join }, { listen: `m${i}:700${i}` }));
    }
    await world.when(() => moved.some(({ node }) => node.isLeader), "one leads");
    await world.when(
      () =>
        moved.every(({ node }) =>
          node.status().configuration.members.every(({ address }) => address.startsWith("m")),
        ),
      "all new addresses are agreed on",
    );
    expect(await world.until(moved[2]!.node.write(add(1)))).toBe(8);
    await world.close(moved);
  });
});
