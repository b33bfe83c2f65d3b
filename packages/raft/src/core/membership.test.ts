/**
 * Changes of membership on one core: when they begin, how they go on, what they wait for.
 */
import { describe, expect, test } from "vitest";
import type { MemberId } from "./configuration.ts";
import { NO_INCARNATION } from "./configuration.ts";
import type { MembershipChange, MembershipResult } from "./membership-change.ts";
import type { ChangeOptions } from "./membership.ts";
import { incarnationOf } from "./member-harness.ts";
import { ack, Solo } from "./solo-harness.ts";

function leader(options: ConstructorParameters<typeof Solo>[0] = {}): Solo {
  return new Solo(options).win("n2").ackAll("n2", "n3");
}

function change(solo: Solo, wish: MembershipChange, options?: ChangeOptions): MembershipResult {
  const result = solo.raft.changeMembership(solo.nowMs, wish, options);
  solo.take();
  return result;
}

function add(id: MemberId, timeoutMs = 5_000, incarnation = incarnationOf(id)): MembershipChange {
  return { type: "add", member: { id, address: `${id}:1`, incarnation }, role: "voter", timeoutMs };
}

const remove = (id: MemberId): MembershipChange => ({ type: "remove", id });

function state(solo: Solo): string {
  const { voters, outgoing, learners } = solo.status.configuration;
  return [voters, outgoing, learners].map((ids) => ids.join(" ")).join(" | ");
}

describe("a change begins", () => {
  test("on a leader that has committed in its own term, and is told why not elsewhere", () => {
    const solo = new Solo();
    expect(change(solo, remove("n3"))).toMatchObject({ ok: false, reason: "not-leader" });
    solo.win("n2");
    expect(change(solo, remove("n3"))).toMatchObject({ ok: false, reason: "not-ready" });
    solo.ackAll("n2", "n3");
    expect(change(solo, remove("n3"))).toEqual({ ok: true, index: 2, unchanged: false });
    expect(state(solo)).toBe("n1 n2 | n1 n2 n3 | ");
    expect(solo.status.configuration.change).toEqual({ token: 0, index: 2, undone: "no" });
  });

  test("one at a time: not while one is uncommitted, joint, or waits", () => {
    const solo = leader();
    change(solo, add("n4"));
    expect(change(solo, remove("n3"))).toMatchObject({ reason: "settling" });
    solo.ackAll("n2", "n3");
    expect(change(solo, remove("n3"))).toMatchObject({ reason: "busy" });
    expect(change(solo, { type: "address", id: "n3", address: "far:1" })).toMatchObject({
      ok: true,
    });
    solo.ackAll("n2", "n3");
    expect(change(solo, { type: "cancel" })).toMatchObject({ ok: true });
    solo.ackAll("n2", "n3");
    expect(change(solo, remove("n3"))).toMatchObject({ ok: true });
    expect(change(solo, remove("n2"))).toMatchObject({ reason: "settling" });
  });

  test("not while leadership is handed over", () => {
    const solo = leader();
    solo.raft.transferLeadership(solo.nowMs, "n2");
    expect(change(solo, remove("n3"))).toMatchObject({ ok: false, reason: "transferring" });
  });

  test("for the configuration that is expected, or not", () => {
    const solo = leader();
    expect(change(solo, remove("n3"), { expectedIndex: 1 })).toMatchObject({
      ok: false,
      reason: "changed",
      index: 0,
    });
    expect(change(solo, remove("n3"), { expectedIndex: 0 })).toMatchObject({ ok: true });
  });

  test("once: asked again with the same token it is the same change", () => {
    const solo = leader();
    const options = { token: 77, expectedIndex: 0 };
    expect(change(solo, add("n4"), options)).toEqual({ ok: true, index: 2, unchanged: false });
    expect(change(solo, add("n4"), options)).toEqual({ ok: true, index: 2, unchanged: false });
    expect(solo.status.lastIndex).toBe(2);
    solo.ackAll("n2", "n3");
    expect(change(solo, add("n4"), { token: 78, expectedIndex: 0 })).toMatchObject({
      reason: "changed",
    });
  });

  test("a plan is what would be begun, and changes nothing", () => {
    const solo = leader();
    const plan = solo.raft.planMembership(solo.nowMs, remove("n3"));
    expect(plan.steps.map((step) => step.type)).toEqual(["joint", "final"]);
    expect(solo.status.lastIndex).toBe(1);
  });
});

describe("a change goes on", () => {
  function waiting(timeoutMs = 5_000): Solo {
    const solo = leader();
    change(solo, add("n4", timeoutMs));
    return solo.ackAll("n2", "n3");
  }

  test("when the new voter holds what the leader held a while ago, and is heard", () => {
    const solo = waiting();
    expect(state(solo)).toBe("n1 n2 n3 |  | n4");
    solo.step("n4", ack(1, 2));
    expect(state(solo)).toBe("n1 n2 n3 n4 | n1 n2 n3 | ");
    solo.ackAll("n2");
    expect(state(solo)).toBe("n1 n2 n3 n4 | n1 n2 n3 | ");
    solo.ackAll("n4");
    expect(state(solo)).toBe("n1 n2 n3 n4 |  | ");
  });

  test("not while it is behind by more than what came in lately", () => {
    const solo = waiting(60_000);
    for (let i = 0; i < 12; i++) {
      solo.propose("x");
      solo.ackAll("n2", "n3");
      solo.run(100);
    }
    solo.step("n4", ack(1, 1));
    expect(state(solo)).toBe("n1 n2 n3 |  | n4");
    solo.step("n4", ack(1, solo.status.lastIndex - 2));
    expect(solo.status.configuration.voters).toContain("n4");
  });

  test("not for a member whose directory is not known, whatever it says", () => {
    const solo = leader();
    change(solo, add("n4", 60_000, NO_INCARNATION));
    solo.ackAll("n2", "n3", "n4");
    expect(state(solo)).toBe("n1 n2 n3 |  | n4");
    const bind = {
      type: "bind",
      id: "n4",
      incarnation: incarnationOf("n4"),
      address: "n4:1",
    } as const;
    expect(change(solo, bind)).toMatchObject({ ok: true });
    solo.ackAll("n2", "n3");
    // What was acknowledged before was another directory's word.
    expect(state(solo)).toBe("n1 n2 n3 |  | n4");
    expect(solo.status.peers.find((peer) => peer.id === "n4")?.matchIndex).toBe(0);
    solo.ackAll("n4");
    expect(state(solo)).toBe("n1 n2 n3 n4 | n1 n2 n3 | ");
  });

  test("not before the new voter holds the configuration that lets it vote", () => {
    const solo = leader();
    change(solo, add("n4", 60_000, NO_INCARNATION));
    for (let i = 0; i < 15; i++) {
      solo.ackAll("n2", "n3");
      solo.run(100);
    }
    const before = solo.status.lastIndex;
    const incarnation = incarnationOf("n4");
    change(solo, { type: "bind", id: "n4", incarnation, address: "n4:1" });
    solo.ackAll("n2", "n3");
    // Nearly all of the log, and not the entry that names it.
    solo.step("n4", ack(1, before));
    expect(state(solo)).toBe("n1 n2 n3 |  | n4");
    solo.step("n4", ack(1, before + 1));
    expect(state(solo)).toBe("n1 n2 n3 n4 | n1 n2 n3 | ");
  });

  test("back, when its time is over; the leader wakes up for that", () => {
    const solo = waiting(2_500);
    for (let i = 0; i < 30 && state(solo) !== "n1 n2 n3 |  | "; i++) {
      solo.run(100);
      solo.ackAll("n2", "n3");
    }
    expect(state(solo)).toBe("n1 n2 n3 |  | ");
    expect(solo.status.configuration.change).toMatchObject({ index: 2, undone: "timeout" });
  });

  test("a deadline that can do nothing yet wakes nobody", () => {
    const solo = leader();
    change(solo, add("n4", 1));
    solo.run(300);
    expect(solo.raft.nextDeadlineMs).toBeGreaterThan(solo.nowMs);
    expect(solo.status.configuration.pending).toBeDefined();
  });
});

describe("a leader that is no voter", () => {
  test("leads until that is committed, does not count itself, and hands over", () => {
    const solo = leader();
    change(solo, remove("n1"));
    solo.step("n2", ack(1, 2));
    expect(solo.status.configuration.voters).toEqual(["n2", "n3"]);
    expect(solo.status).toMatchObject({ commit: 1 });
    solo.step("n3", ack(1, 2));
    expect(solo.status).toMatchObject({ commit: 2, lastIndex: 3, role: "leader" });
    solo.step("n2", ack(1, 3));
    expect(solo.status).toMatchObject({ commit: 2, role: "leader" });
    solo.step("n3", ack(1, 3));
    expect(solo.status).toMatchObject({ commit: 3, role: "leader" });
    expect(solo.sent("timeout-now")).toHaveLength(1);
  });

  test("steps down where nobody takes over within T, and campaigns no more", () => {
    const solo = leader();
    change(solo, remove("n1"));
    solo.ackAll("n2", "n3");
    solo.ackAll("n2", "n3");
    solo.run(1_100);
    expect(solo.status.role).toBe("follower");
    solo.run(10_000);
    expect(solo.status.role).toBe("follower");
    expect(solo.status.term).toBe(1);
  });
});
