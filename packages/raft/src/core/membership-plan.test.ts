/**
 * Plans: what a change does to a configuration, step by step, and what is refused.
 */
import { describe, expect, test } from "vitest";
import type { Configuration, MemberId } from "./configuration.ts";
import { finalOf, isJoint, NO_INCARNATION } from "./configuration.ts";
import { decodeConfiguration, encodeConfiguration } from "./configuration-codec.ts";
import { describePlan, jointOf } from "./membership-course.ts";
import type { MembershipChange, PlannedChange } from "./membership-change.ts";
import { planChange, undoneOf } from "./membership-plan.ts";
import { checkSuccession } from "./membership-rules.ts";
import { configurationOf, incarnationOf } from "./member-harness.ts";

const three = configurationOf(["n1", "n2", "n3"]);
const withLearner = configurationOf(["n1", "n2", "n3"], ["x1"]);

function plan(
  configuration: Configuration,
  change: MembershipChange,
  dead: readonly MemberId[] = [],
): PlannedChange {
  return planChange(configuration, change, {
    timeMs: 1_000,
    isCaughtUp: (id) => !dead.includes(id),
  });
}

function add(id: MemberId, role: "voter" | "learner" = "voter"): MembershipChange {
  const member = { id, address: `${id}:1`, incarnation: incarnationOf(id) };
  return { type: "add", member, role, timeoutMs: 500 };
}

function set(voters: readonly MemberId[], learners: readonly MemberId[] = []): MembershipChange {
  const of = (ids: readonly MemberId[], role: "voter" | "learner") =>
    ids.map((id) => ({ id, address: `${id}:1`, role }));
  return {
    type: "set",
    members: [...of(voters, "voter"), ...of(learners, "learner")],
    timeoutMs: 500,
  };
}

/** Every configuration that a plan leads to; each is written, read and checked on the way. */
function course(before: Configuration, planned: PlannedChange): Configuration[] {
  const found: Configuration[] = [];
  let last = before;
  let next = planned.next;
  while (next !== undefined) {
    expect(decodeConfiguration(encodeConfiguration(next))).toEqual(next);
    checkSuccession(last, next, 1);
    found.push(next);
    last = next;
    if (isJoint(next)) next = finalOf(next);
    else next = next.pending === undefined ? undefined : jointOf(next, next.pending);
  }
  return found;
}

const names = (c: Configuration): string =>
  [c.voters, c.outgoing, c.learners].map((ids) => ids.join(" ")).join(" | ");

describe("steps", () => {
  test.each<[string, Configuration, MembershipChange, string[]]>([
    [
      "a voter",
      three,
      add("n4"),
      ["n1 n2 n3 |  | n4", "n1 n2 n3 n4 | n1 n2 n3 | ", "n1 n2 n3 n4 |  | "],
    ],
    ["a learner", three, add("x1", "learner"), ["n1 n2 n3 |  | x1"]],
    [
      "out with a voter",
      three,
      { type: "remove", id: "n2" },
      ["n1 n3 | n1 n2 n3 | ", "n1 n3 |  | "],
    ],
    ["out with a learner", withLearner, { type: "remove", id: "x1" }, ["n1 n2 n3 |  | "]],
    [
      "a promotion",
      withLearner,
      { type: "promote", id: "x1", timeoutMs: 9 },
      ["n1 n2 n3 |  | x1", "n1 n2 n3 x1 | n1 n2 n3 | ", "n1 n2 n3 x1 |  | "],
    ],
    [
      "a demotion",
      withLearner,
      { type: "demote", id: "n3" },
      ["n1 n2 | n1 n2 n3 | x1", "n1 n2 |  | n3 x1"],
    ],
    [
      "another directory of a voter",
      three,
      { type: "replace", id: "n2", timeoutMs: 9 },
      ["n1 n3 | n1 n2 n3 | ", "n1 n3 |  | n2", "n1 n2 n3 | n1 n3 | ", "n1 n2 n3 |  | "],
    ],
    [
      "everybody else",
      withLearner,
      set(["n3", "n4", "x1"], ["n1", "x5"]),
      ["n1 n2 n3 |  | n4 x1 x5", "n3 n4 x1 | n1 n2 n3 | x5", "n3 n4 x1 |  | n1 x5"],
    ],
    ["a smaller set", withLearner, set(["n1"], ["x2"]), ["n1 | n1 n2 n3 | x1 x2", "n1 |  | x2"]],
  ])("%s", (_name, before, change, expected) => {
    const planned = bound(plan(before, change));
    expect(planned.refused).toBeUndefined();
    expect(course(before, planned).map(names)).toEqual(expected);
  });

  test("a plan says who decides, before, after and meanwhile", () => {
    const { before, after, steps } = plan(three, add("n4"));
    expect(before).toMatchObject({ quorum: 2, tolerates: 1 });
    expect(after).toMatchObject({ voters: ["n1", "n2", "n3", "n4"], quorum: 3, tolerates: 1 });
    expect(steps.map((step) => step.type)).toEqual(["learners", "wait", "joint", "final"]);
    expect(steps.map((step) => step.quorum)).toEqual([
      "2 of n1, n2, n3",
      "2 of n1, n2, n3",
      "2 of n1, n2, n3; and 3 of n1, n2, n3, n4",
      "3 of n1, n2, n3, n4",
    ]);
    expect(describePlan(three, undefined)).toMatchObject({ steps: [], after: before });
  });

  test("replaced, a learner is another directory at once", () => {
    const { next } = plan(withLearner, { type: "replace", id: "x1", address: "z:9", timeoutMs: 9 });
    const found = next?.members.find((m) => m.id === "x1");
    expect(found).toEqual({ id: "x1", address: "z:9", incarnation: NO_INCARNATION });
  });

  test("set keeps the directories it knows and takes the addresses it is given", () => {
    const members = [
      { id: "n1", address: "n1:1", role: "voter" },
      { id: "n2", address: "elsewhere:1", role: "voter" },
      { id: "n3", address: "n3:1", role: "voter" },
    ] as const;
    const moved = plan(three, { type: "set", members, timeoutMs: 9 });
    expect(moved.next?.members[1]).toEqual({ ...three.members[1], address: "elsewhere:1" });
    expect(moved.next?.voters).toEqual(three.voters);
  });

  test.each<[string, Configuration, MembershipChange]>([
    ["promoting a voter", three, { type: "promote", id: "n1", timeoutMs: 9 }],
    ["demoting a learner", withLearner, { type: "demote", id: "x1" }],
    ["setting what is", withLearner, set(["n1", "n2", "n3"], ["x1"])],
    ["cancelling nothing", three, { type: "cancel" }],
    [
      "binding again",
      three,
      { type: "bind", id: "n1", incarnation: incarnationOf("n1"), address: "" },
    ],
    ["the same address", three, { type: "address", id: "n1", address: "n1:1" }],
  ])("nothing is to be done for %s", (_name, before, change) => {
    expect(plan(before, change)).toMatchObject({ next: undefined, refused: undefined, steps: [] });
  });
});

describe("while a change waits", () => {
  const waiting = plan(three, { ...add("n4"), timeoutMs: 500 } as MembershipChange).next!;

  test("it says until when, and what it has brought", () => {
    expect(waiting.pending).toEqual({
      voters: ["n1", "n2", "n3", "n4"],
      learners: [],
      added: ["n4"],
      untilMs: 1_500,
    });
  });

  test("another one is refused, but members may move, be bound, and the change be cancelled", () => {
    expect(plan(waiting, { type: "remove", id: "n1" }).refused?.reason).toBe("busy");
    expect(plan(jointOf(waiting, waiting.pending!), { type: "cancel" }).refused?.reason).toBe(
      "busy",
    );
    const moved = plan(waiting, { type: "address", id: "n1", address: "far:1" }).next;
    expect(moved?.pending).toEqual(waiting.pending);
    const unbound = { ...waiting, members: waiting.members.map(unknown("n4")) };
    const bind = {
      type: "bind",
      id: "n4",
      incarnation: incarnationOf("n4"),
      address: "n4:1",
    } as const;
    expect(plan(unbound, bind).next).toEqual(waiting);
    expect(plan(waiting, { ...bind, incarnation: incarnationOf("no") }).refused?.reason).toBe(
      "member-exists",
    );
    expect(plan(waiting, { type: "cancel" }).next).toEqual(three);
  });

  test("taken back, it leaves nothing behind but how it ended", () => {
    const change = { token: 5, index: 9, undone: "no" } as const;
    expect(undoneOf({ ...waiting, change }, "timeout")).toEqual({
      ...three,
      change: { ...change, undone: "timeout" },
    });
  });
});

describe("refused", () => {
  test.each<[string, Configuration, MembershipChange, readonly MemberId[], string]>([
    ["the last voter", configurationOf(["n1"]), { type: "remove", id: "n1" }, [], "unsafe"],
    [
      "demoting the last",
      configurationOf(["n1"], ["x1"]),
      { type: "demote", id: "n1" },
      [],
      "unsafe",
    ],
    ["an empty set", three, set([], ["n1"]), [], "unsafe"],
    [
      "replacing the only one",
      configurationOf(["n1"]),
      { type: "replace", id: "n1", timeoutMs: 9 },
      [],
      "unsafe",
    ],
    ["a live one beside a dead one", three, { type: "remove", id: "n2" }, ["n3"], "unsafe"],
    [
      "replacing a live one beside a dead one",
      three,
      { type: "replace", id: "n2", timeoutMs: 9 },
      ["n3"],
      "unsafe",
    ],
    ["a majority that leaves the dead", three, set(["n3"]), ["n3"], "unsafe"],
    ["two new ones where one of three is dead", three, set(["n1", "n3"]), ["n3"], "unsafe"],
    ["one that is there", three, add("n1"), [], "member-exists"],
    [
      "one of that directory",
      three,
      { type: "replace", id: "n2", incarnation: incarnationOf("n1"), timeoutMs: 9 },
      [],
      "member-exists",
    ],
    ["a set with one twice", three, set(["n1", "n1"]), [], "member-exists"],
    ["one that is not there", three, { type: "remove", id: "n9" }, [], "member-unknown"],
    ["promoting nobody", three, { type: "promote", id: "n9", timeoutMs: 9 }, [], "member-unknown"],
  ])("%s", (_name, before, change, dead, reason) => {
    const planned = plan(before, change, dead);
    expect(planned.refused?.reason).toBe(reason);
    expect(planned.next).toBeUndefined();
  });

  test.each<[string, Configuration, MembershipChange, readonly MemberId[]]>([
    ["the dead one of three", three, { type: "remove", id: "n3" }, ["n3"]],
    ["replacing the dead one", three, { type: "replace", id: "n3", timeoutMs: 9 }, ["n3"]],
    ["a majority where the rest is well", three, set(["n1"]), ["n2", "n3"]],
    ["a new one beside a dead one", three, add("n4"), ["n3"]],
    ["a learner, whoever is dead", three, add("n4", "learner"), ["n2", "n3", "n4"]],
  ])("but not %s", (_name, before, change, dead) => {
    expect(plan(before, change, dead).refused).toBeUndefined();
  });
});

/** As if every member had been started: voters must be known. */
function bound(planned: PlannedChange): PlannedChange {
  const { next } = planned;
  if (next === undefined) return planned;
  const known = <M extends { id: string; incarnation: string }>(m: M): M =>
    m.incarnation === NO_INCARNATION ? { ...m, incarnation: incarnationOf(`new ${m.id}`) } : m;
  const final = next.final && { ...next.final, arrivals: next.final.arrivals.map(known) };
  const members = next.members.map(known);
  return { ...planned, next: { ...next, members, ...(final === undefined ? {} : { final }) } };
}

function unknown(id: MemberId) {
  return <M extends { id: string }>(m: M): M =>
    m.id === id ? { ...m, incarnation: NO_INCARNATION } : m;
}
