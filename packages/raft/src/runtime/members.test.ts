/**
 * `node.members` on real engines in a small world: every change from every member, what it resolves
 * with, and how each refusal is told.
 */
import { describe, expect, test } from "vitest";
import { QuorateError } from "../util/error.ts";
import { add, errorOf, total, World } from "./world-harness.ts";
import type { Opened } from "./world-harness.ts";

const n4 = { id: "n4", address: "n4:9094" };

async function withNewcomer(world: World) {
  const served = await world.served(3);
  const four = await world.open("n4", { wait: true });
  return { ...served, four, everybody: [...served.all, four] };
}

const voters = ({ node }: Opened): string => node.status().configuration.voters.join(" ");
const roles = ({ node }: Opened): string =>
  node.members
    .list()
    .members.map(({ id, role }) => `${id} ${role}`)
    .join(", ");

describe("changes", () => {
  test("a member is added from any member, learns, votes, and serves", async () => {
    const world = new World();
    const { followers, four, everybody } = await withNewcomer(world);
    const asked = followers[0]!.node;
    await world.until(asked.write(add(5)));
    const status = await world.until(asked.members.add(n4));
    expect(status).toMatchObject({ quorum: 3, tolerates: 1, change: undefined });
    expect(status.members.map(({ id, role, becomes }) => [id, role, becomes])).toEqual(
      ["n1", "n2", "n3", "n4"].map((id) => [id, "voter", "voter"]),
    );
    expect(status.version).toBe(asked.status().configurationIndex);
    await world.when(() => four.node.status().state === "running", "n4 runs");
    expect(await world.until(four.node.read(total))).toBe(5);
    await world.close(everybody);
  });

  test("a member that is added before it is started is bound when it comes", async () => {
    const world = new World();
    const { leader, all } = await world.served(3);
    const added = leader.node.members.add(n4);
    await world.when(() => leader.node.members.list().change !== undefined, "it is waited for");
    expect(leader.node.members.list()).toMatchObject({
      change: { phase: "catching-up", waitsFor: ["n4"], voters: ["n1", "n2", "n3", "n4"] },
    });
    expect(leader.node.members.list().members.at(-1)).toMatchObject({
      incarnation: undefined,
      role: "learner",
      becomes: "voter",
    });
    const four = await world.open("n4", { wait: true });
    expect((await world.until(added)).members.at(-1)).toMatchObject({ id: "n4", role: "voter" });
    await world.close([...all, four]);
  });

  test("a caller may go as soon as the change stands in the log, also one of another member", async () => {
    const world = new World();
    const { leader, followers, all } = await world.served(3);
    const asked = followers[0]!.node;
    const status = await world.until(asked.members.add(n4, { until: "begun", timeoutMs: 60_000 }));
    expect(status).toMatchObject({ change: { phase: "catching-up", waitsFor: ["n4"] } });
    // It goes on by itself: when the member comes ...
    const four = await world.open("n4", { wait: true });
    await world.when(() => voters(leader) === "n1 n2 n3 n4", "n4 votes");
    // ... or ends, where it does not.
    const n5 = { id: "n5", address: "n5:9095" };
    await world.until(asked.members.add(n5, { until: "begun", timeoutMs: 2_000 }));
    await world.when(() => asked.members.list().change === undefined, "it is taken back");
    expect(voters(leader)).toBe("n1 n2 n3 n4");
    expect(await world.until(errorOf(asked.members.add(n4, { until: "begun" })))).toMatchObject({
      code: "MEMBER_EXISTS",
    });
    const until = "soon" as "done";
    expect(await world.until(errorOf(asked.members.add(n5, { until })))).toMatchObject({
      code: "OPTION_INVALID",
    });
    await world.close([...all, four]);
  });

  test("learners come, are promoted, demoted and go", async () => {
    const world = new World();
    const { leader, followers, everybody } = await withNewcomer(world);
    await world.until(leader.node.members.add({ ...n4, role: "learner" }));
    expect(roles(leader)).toBe("n1 voter, n2 voter, n3 voter, n4 learner");
    await world.until(followers[1]!.node.members.promote("n4"));
    expect(roles(followers[1]!)).toBe("n1 voter, n2 voter, n3 voter, n4 voter");
    await world.until(leader.node.members.demote("n4"));
    expect(voters(leader)).toBe("n1 n2 n3");
    await world.until(followers[0]!.node.members.remove("n4"));
    expect(roles(followers[0]!)).toBe("n1 voter, n2 voter, n3 voter");
    await world.close(everybody);
  });

  test("the leader is removed by itself, and another one leads", async () => {
    const world = new World();
    const { leader, followers, all } = await world.served(3);
    const { id } = leader.node;
    await world.until(leader.node.members.remove(id));
    await world.when(() => followers.some(({ node }) => node.isLeader), "another one leads");
    await world.until(followers[0]!.node.write(add(2)));
    expect(voters(followers[0]!)).not.toContain(id);
    await world.close(all);
  });

  test("a follower removes itself", async () => {
    const world = new World();
    const { leader, followers, all } = await world.served(3);
    const { node } = followers[0]!;
    await world.until(node.members.remove(node.id));
    await world.when(() => !voters(leader).includes(node.id), "the leader has it committed");
    await world.close(all);
  });

  test("any set, in one step", async () => {
    const world = new World();
    const { leader, followers, everybody } = await withNewcomer(world);
    const gone = followers[1]!.node.id;
    const keep = World.members(3).filter(({ id }) => id !== gone);
    const wanted = [...keep, n4].map((member) => ({ ...member, role: "voter" as const }));
    await world.until(leader.node.members.set(wanted));
    expect(voters(leader)).toBe(`${keep.map(({ id }) => id).join(" ")} n4`);
    await world.close(everybody);
  });

  test("a lost disk: the member is replaced under its id", async () => {
    const world = new World();
    const { leader, followers, all } = await world.served(3);
    const [lost, kept] = followers as [Opened, Opened];
    await world.until(leader.node.write(add(7)));
    await world.until(lost.node.close({ handOver: false }));
    world.wipe(lost.node.id);
    const replaced = kept.node.members.replace(lost.node.id);
    await world.when(
      () => leader.node.members.list().change?.waitsFor.includes(lost.node.id) === true,
      "the new one is waited for",
    );
    const again = await world.open(lost.node.id, { wait: true });
    await world.until(replaced);
    expect(voters(kept)).toBe("n1 n2 n3");
    await world.when(() => again.node.status().state === "running", "it runs");
    expect(await world.until(again.node.read(total))).toBe(7);
    await world.close([...all.filter((one) => one !== lost), again]);
  });
});

describe("refusals and ends", () => {
  test("what the others say no to, and why", async () => {
    const world = new World();
    const { leader, followers, all } = await world.served(3);
    const { members } = followers[0]!.node;
    const said = async (promise: Promise<unknown>): Promise<string> => {
      const { code, message, outcome } = await world.until(errorOf(promise));
      expect(outcome).toBe("not-done");
      return `${code}: ${message}`;
    };
    expect(await said(members.remove("n9"))).toContain("MEMBER_UNKNOWN");
    expect(await said(members.add({ id: "n1", address: "x:1" }))).toContain("MEMBER_EXISTS");
    expect(await said(members.set([]))).toContain("MEMBERSHIP_UNSAFE");
    expect(await said(members.remove("n1", { expectedVersion: 0 }))).toContain(
      "MEMBERSHIP_CHANGED",
    );
    expect(await said(members.remove("not an id"))).toContain("OPTION_INVALID");
    expect(await said(members.add({ id: "n4", address: "no port" }))).toContain("OPTION_INVALID");
    expect(await said(members.promote("n1", { timeoutMs: 0 }))).toContain("OPTION_INVALID");
    const pending = errorOf(leader.node.members.add(n4));
    await world.when(() => leader.node.members.list().change !== undefined, "one is pending");
    expect(await said(members.remove("n1"))).toContain("another change waits for n4");
    await world.until(members.cancel());
    expect(await world.until(pending)).toMatchObject({ code: "ABORTED", outcome: "not-done" });
    await world.close(all);
  });

  test("a voter that never comes is taken out again, and the caller hears of it", async () => {
    const world = new World();
    const { leader, followers, all } = await world.served(3);
    const asked = followers[0]!.node.members.add(n4, { timeoutMs: 2_000 });
    const { error } = await world.timed(asked);
    expect(error).toMatchObject({ code: "MEMBERSHIP_TIMEOUT", outcome: "not-done" });
    expect(roles(leader)).toBe("n1 voter, n2 voter, n3 voter");
    await world.close(all);
  });

  test("a plan says what would be, and the version to do it at", async () => {
    const world = new World();
    const { leader, followers, all } = await world.served(3);
    const { members } = followers[0]!.node;
    const plan = await world.until(members.plan({ remove: leader.node.id }));
    expect(plan).toMatchObject({ refused: undefined, before: { quorum: 2 }, after: { quorum: 2 } });
    expect(plan.steps.map((step) => step.type)).toEqual(["joint", "final"]);
    const unsafe = await world.until(members.plan({ set: [] }));
    expect(unsafe).toMatchObject({ refused: { reason: "unsafe" }, steps: [] });
    await world.until(members.remove(leader.node.id, { expectedVersion: plan.version }));
    await world.close(all);
  });

  test("of two changes at one version one is done", async () => {
    const world = new World();
    const { followers, all } = await world.served(3);
    const { version } = followers[0]!.node.members.list();
    const changes = followers.map(({ node }) =>
      node.members.demote(node.id, { expectedVersion: version }),
    );
    const ends = await world.until(Promise.allSettled(changes));
    expect(ends.map((end) => end.status).sort()).toEqual(["fulfilled", "rejected"]);
    await world.close(all);
  });

  test("a change goes on under the next leader, and its caller hears how it ended", async () => {
    const world = new World();
    const { leader, followers, all } = await world.served(3);
    const asked = followers[0]!.node.members.add(n4);
    await world.when(
      () => followers.every(({ node }) => node.members.list().change !== undefined),
      "all know of it",
    );
    await world.until(leader.node.close({ handOver: false }));
    const four = await world.open("n4", { wait: true });
    await world.until(asked);
    expect(voters(followers[1]!)).toBe("n1 n2 n3 n4");
    await world.close([...all.filter((one) => one !== leader), four]);
  });

  test("cut off, a caller is told that nothing was done, or that it is not known", async () => {
    const world = new World();
    const { leader, followers, all } = await world.served(3);
    const [cut] = followers as [Opened];
    world.isolate(cut.node.id, all);
    const { error } = await world.timed(cut.node.members.demote(leader.node.id));
    expect(QuorateError.is(error)).toBe(true);
    expect(["NO_LEADER", "TIMEOUT", "OUTCOME_UNKNOWN"]).toContain(error?.code);
    await world.close(all);
  });

  test("a caller's signal ends the wait and not the change", async () => {
    const world = new World();
    const { leader, all } = await world.served(3);
    const ender = new AbortController();
    const asked = errorOf(leader.node.members.add(n4, { signal: ender.signal }));
    await world.when(() => leader.node.members.list().change !== undefined, "it is waited for");
    ender.abort();
    expect(await world.until(asked)).toMatchObject({ code: "OUTCOME_UNKNOWN" });
    expect(leader.node.members.list().change?.waitsFor).toEqual(["n4"]);
    await world.close(all);
  });
});
