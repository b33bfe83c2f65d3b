import { describe, expect, test } from "vitest";
import type { Replica } from "../index.ts";
import { simulate } from "../sim/simulate.ts";
import { testCluster } from "../sim/test-cluster.ts";
import { everyWhileLeader } from "./every-while-leader.ts";
import type { ScheduledRun } from "./every-while-leader.ts";
import { at, bytesOf, ClusterClock, inPieces } from "./recipe-harness.ts";
import { ScheduleMachine } from "./schedule-machine.ts";
import type { ClaimResult, ScheduleCommand, ScheduleQuery } from "./schedule-machine.ts";

function of(replica: Replica<ScheduleCommand, ScheduleQuery>) {
  return { leadership: replica.leadership, schedule: replica, job: "j" };
}

type Noted = ScheduledRun & { readonly by: string; readonly atMs: number };

describe("work once per interval", () => {
  test("is done by whoever leads, once per interval, with a fence and a number that grow", async () => {
    await using cluster = await testCluster<ScheduleCommand, ScheduleQuery>({
      machine: () => new ScheduleMachine(),
    });
    const clock = new ClusterClock(cluster);
    const runs: Noted[] = [];
    const controller = new AbortController();
    const { signal } = controller;
    const ends = cluster.members.map(({ id, replica }) =>
      everyWhileLeader({ ...of(replica), everyMs: 500, clock, signal }, async (run) => {
        runs.push({ ...run, by: id, atMs: clock.nowMs() });
      }),
    );
    const startMs = clock.nowMs();
    await clock.advance(2_300);
    expect(runs.map(({ run }) => run)).toEqual([1, 2, 3, 4, 5]);
    const first = await cluster.leader();
    expect(new Set(runs.map(({ by }) => by))).toEqual(new Set([first.id]));
    for (const [i, { atMs }] of runs.entries()) {
      expect(atMs - startMs).toBeGreaterThanOrEqual(i * 500 - 5);
      expect(atMs - startMs).toBeLessThan(i * 500 + 60);
    }
    await first.replica.leadership.transfer(cluster.followers()[0]!.id);
    const before = runs.length;
    await clock.advance(2_000);
    const later = runs.slice(before);
    expect(later.map(({ by }) => by)).not.toContain(first.id);
    expect(later.length).toBeGreaterThanOrEqual(3);
    expect(later.length).toBeLessThanOrEqual(4);
    expect(runs.map(({ run }) => run)).toEqual(runs.map((_, i) => i + 1));
    expect(later[0]!.fence).toBeGreaterThan(runs[0]!.fence);
    controller.abort();
    await Promise.all(ends);
    await clock.advance(1_000);
    expect(runs.length).toBe(before + later.length);
  });

  test("ends with what the work throws, and refuses intervals that are none", async () => {
    await using cluster = await testCluster<ScheduleCommand, ScheduleQuery>({
      machine: () => new ScheduleMachine(),
      members: 1,
    });
    const clock = new ClusterClock(cluster);
    const { replica } = await cluster.leader();
    const options = { ...of(replica), clock };
    const failing = everyWhileLeader({ ...options, everyMs: 100 }, async () => {
      throw new RangeError("no");
    });
    await expect(failing).rejects.toThrow(RangeError);
    for (const everyMs of [0, 9, 10.5, Number.NaN]) {
      const refused = everyWhileLeader({ ...options, everyMs }, async () => {});
      await expect(refused).rejects.toMatchObject({ code: "OPTION_INVALID" });
    }
  });
});

describe("its machine", () => {
  const claimOf = (fence: number): ScheduleCommand => ({
    type: "claim",
    job: "j",
    everyMs: 100,
    fence,
  });
  const claim = (machine: ScheduleMachine, timeMs: number, fence: number): ClaimResult =>
    machine.apply(claimOf(fence), at(timeMs, timeMs)) as ClaimResult;

  test("keeps to its grid, leaves out what was missed, and knows old leaders", async () => {
    const machine = new ScheduleMachine();
    expect(claim(machine, 1_000, 3)).toEqual({ type: "run", run: 1, nextInMs: 100 });
    expect(claim(machine, 1_099, 3)).toEqual({ type: "wait", nextInMs: 1 });
    expect(claim(machine, 1_130, 3)).toEqual({ type: "run", run: 2, nextInMs: 70 });
    expect(claim(machine, 1_131, 4)).toEqual({ type: "wait", nextInMs: 69 });
    expect(claim(machine, 1_200, 3)).toEqual({ type: "superseded" });
    expect(claim(machine, 1_555, 4)).toEqual({ type: "run", run: 3, nextInMs: 45 });
    const state = { runs: 3, lastDueMs: 1_500, fence: 4 };
    expect(machine.query({ type: "job", job: "j" })).toEqual(state);
    const other = new ScheduleMachine();
    await other.restore(inPieces(await bytesOf(machine.snapshot()), 5));
    expect(claim(other, 1_556, 4)).toEqual({ type: "wait", nextInMs: 44 });
    expect(other.apply({ type: "forget", job: "j" }, at(2_000, 2_000))).toBe(true);
    expect(other.apply({ type: "forget", job: "j" }, at(2_001, 2_001))).toBe(false);
    expect(other.query({ type: "job", job: "j" })).toBeUndefined();
  });

  test("never gives two runs of an interval in simulated clusters in trouble", async () => {
    const everyMs = 50;
    const summary = await simulate<ScheduleCommand, ScheduleQuery>({
      machine: () => new ScheduleMachine(),
      members: 3,
      seeds: 3,
      override: { faultyMs: 1_500 },
      workload: (random, { calls }) =>
        random.below(5) === 0
          ? { kind: "read", query: { type: "job", job: "j" } }
          : { kind: "write", command: { type: "claim", job: "j", everyMs, fence: calls } },
      check: ({ machines, history }) => {
        const runs = history
          .map(({ result }) => result as ClaimResult | undefined)
          .filter((result) => result?.type === "run");
        expect(new Set(runs.map(({ run }) => run)).size).toBe(runs.length);
        const states = machines.map((machine) =>
          JSON.stringify(machine.query({ type: "job", job: "j" })),
        );
        expect(new Set(states).size).toBe(1);
      },
    });
    expect(summary.answered).toBeGreaterThan(100);
  });
});
