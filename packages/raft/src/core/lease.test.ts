/**
 * Reads by lease: when one is held, from when it counts, and what ends it.
 */
import { describe, expect, test } from "vitest";
import { dropLease, leaseLengthMs } from "./lease.ts";
import type { HeartbeatResponse, ReadIndexRequest } from "./message.ts";
import type { ReadOutcome } from "./output.ts";
import { configurationOf } from "./member-harness.ts";
import { ack, Solo } from "./solo-harness.ts";

/** T is 1,000 ms in the harness; with this drift bound the lease is shorter by about a tenth. */
const PPM = 50_000;
const LENGTH_MS = leaseLengthMs(1_000, PPM);

type Options = NonNullable<ConstructorParameters<typeof Solo>[0]>;

function soloWith(options: Options = {}): Solo {
  const raft = { leaseReads: true, clockDriftBoundPpm: PPM, ...options.raft };
  return new Solo({ ...options, raft });
}

/** A leader that is ready and has sent the first round of its lease, which nobody answered yet. */
function leader(options: Options = {}): Solo {
  const solo = soloWith(options).win("n2").ackAll("n2", "n3");
  solo.run(solo.raft.state.heartbeatDeadlineMs - solo.nowMs);
  expect(solo.raft.state.reads.round).toBe(1);
  solo.forget();
  return solo;
}

function answer(round: number, term = 1): HeartbeatResponse {
  return { type: "heartbeat-response", term, round, health: "ok" };
}

function request(token: number, byLease = true): ReadIndexRequest {
  return { type: "read-index-request", term: 1, token, byLease };
}

/** Reads that have ended since the last call. */
function read(solo: Solo, context: number, byLease = true): ReadOutcome[] {
  solo.forget();
  solo.raft.readIndex(solo.nowMs, context, byLease);
  solo.take();
  return solo.outputs.flatMap((output) => [...output.reads]);
}

/** Whether a read is answered at once; if not, it is left waiting. */
function isHeld(solo: Solo): boolean {
  return read(solo, 99).length === 1;
}

describe("a lease", () => {
  test("answers without a round, at the commit index of the moment", () => {
    const solo = leader();
    solo.step("n2", answer(1));
    solo.propose("a");
    solo.step("n2", ack(1, 2));
    expect(read(solo, 7)).toEqual([{ context: 7, index: 2, status: "ok" }]);
    expect(solo.sent("heartbeat")).toEqual([]);
  });

  test("is not used for reads that do not permit it", () => {
    const solo = leader();
    solo.step("n2", answer(1));
    expect(read(solo, 7, false)).toEqual([]);
    expect(solo.sent("heartbeat").map((m) => m.round)).toEqual([2, 2]);
  });

  test("is off unless it is asked for", () => {
    const solo = new Solo().win("n2").ackAll("n2", "n3");
    solo.run(300);
    expect(solo.raft.state.reads.round).toBe(0);
    expect(isHeld(solo)).toBe(false);
    expect(solo.status.leaseEndMs).toBeUndefined();
    solo.step("n2", answer(1));
    expect(isHeld(solo)).toBe(false);
  });

  test("counts from the sending of the round, however late the answer is", () => {
    const solo = leader();
    const sentMs = solo.nowMs;
    solo.run(40);
    solo.step("n2", answer(1));
    expect(solo.status.leaseEndMs).toBe(sentMs + LENGTH_MS);
  });

  test("counts from the first sending of a round that was repeated", () => {
    const solo = leader();
    read(solo, 1, false);
    const sentMs = solo.nowMs;
    solo.run(300);
    expect(solo.sent("heartbeat", "n2").map((m) => m.round)).toEqual([2, 2, 2, 2]);
    solo.step("n2", answer(2));
    expect(solo.status.leaseEndMs).toBe(sentMs + LENGTH_MS);
  });

  test("lasts T less the drift bound, and not a moment longer", () => {
    const solo = leader();
    const sentMs = solo.nowMs;
    expect(LENGTH_MS).toBeCloseTo(904.76, 1);
    solo.step("n2", answer(1));
    // Answers that keep it leader and belong to no later round.
    for (let i = 0; i < 3; i++) {
      solo.run(300);
      solo.step("n2", answer(0));
    }
    solo.nowMs = sentMs + LENGTH_MS - 0.01;
    expect(solo.status.leaseEndMs).toBe(sentMs + LENGTH_MS);
    expect(read(solo, 1)).toHaveLength(1);
    solo.nowMs = sentMs + LENGTH_MS;
    expect(read(solo, 2)).toEqual([]);
    expect(solo.status.leaseEndMs).toBeUndefined();
  });

  test("is renewed by the heartbeats of an idle leader", () => {
    const solo = leader();
    for (let i = 1; i <= 30; i++) {
      solo.step("n3", answer(solo.raft.state.reads.round));
      solo.run(100);
    }
    expect(solo.raft.state.reads.round).toBe(31);
    expect(isHeld(solo)).toBe(true);
  });

  test("needs a majority: learners, strangers and one of five are none", () => {
    const solo = leader({ learners: ["x1"] });
    for (const from of ["x1", "stranger"]) solo.step(from, answer(1));
    expect(isHeld(solo)).toBe(false);
    const five = soloWith({ voters: ["n1", "n2", "n3", "n4", "n5"] }).win("n2", "n3");
    five.ackAll("n2", "n3").run(100);
    five.step("n2", answer(1));
    expect(isHeld(five)).toBe(false);
    five.step("n3", answer(1));
    expect(isHeld(five)).toBe(true);
  });

  test("needs a majority of both halves of a joint configuration", () => {
    const solo = soloWith({ voters: ["n1", "n4", "n5"] })
      .win("n4")
      .ackAll("n4");
    solo.configure(configurationOf(["n1", "n2", "n3"], [], ["n1", "n4", "n5"]));
    solo.run(100);
    solo.step("n2", answer(1));
    solo.step("n3", answer(1));
    expect(isHeld(solo)).toBe(false);
    solo.step("n5", answer(1));
    expect(isHeld(solo)).toBe(true);
  });

  test("is held by a sole voter", () => {
    const solo = soloWith({ voters: ["n1"] });
    solo.run(200);
    expect(solo.status.role).toBe("leader");
    expect(isHeld(solo)).toBe(true);
  });

  test("is not held before an entry of the own term is committed", () => {
    const solo = soloWith({ log: [1, 1], commit: 2 }).win("n2");
    solo.run(100);
    solo.step("n2", answer(1, 2));
    expect(isHeld(solo)).toBe(false);
    solo.step("n2", ack(2, 3));
    expect(isHeld(solo)).toBe(true);
  });
});

describe("a lease ends", () => {
  function held(): Solo {
    const solo = leader();
    solo.step("n2", answer(1));
    expect(isHeld(solo)).toBe(true);
    return solo;
  }

  test("with a pause, until a round is answered that was sent after it", () => {
    const solo = held();
    solo.nowMs += 501;
    expect(isHeld(solo)).toBe(false);
    const round = solo.raft.state.reads.round;
    expect(round).toBe(2);
    solo.step("n3", answer(1));
    expect(isHeld(solo)).toBe(false);
    solo.step("n3", answer(2));
    expect(isHeld(solo)).toBe(true);
  });

  test("with a pause also where an answer had arrived meanwhile", () => {
    const solo = held();
    solo.run(100);
    expect(solo.raft.state.reads.round).toBe(2);
    solo.nowMs += 501;
    solo.step("n2", answer(2));
    expect(isHeld(solo)).toBe(false);
  });

  test("with leading, and does not come back with the next term", () => {
    const solo = held();
    solo.step("n2", { type: "heartbeat", term: 2, commit: 1, round: 0 });
    expect(solo.status).toMatchObject({ role: "follower", leaseEndMs: undefined });
    expect(isHeld(solo)).toBe(false);
    solo.win("n3").ackAll("n3");
    expect(solo.status.ready).toBe(true);
    expect(isHeld(solo)).toBe(false);
  });

  test("for the rest of a term in which somebody may be elected without silence", () => {
    const solo = held();
    dropLease(solo.raft.state, "for-this-term");
    expect(isHeld(solo)).toBe(false);
    for (let i = 0; i < 3; i++) {
      solo.step("n2", answer(solo.raft.state.reads.round));
      solo.run(100);
    }
    solo.step("n2", answer(solo.raft.state.reads.round));
    expect(isHeld(solo)).toBe(false);
  });

  test("where the leader is no voter any more", () => {
    const solo = held();
    solo.raft.state.isVoter = false;
    expect(isHeld(solo)).toBe(false);
  });
});

describe("a follower's request", () => {
  test("is answered at once by a lease, and without one by a round", () => {
    const solo = leader();
    solo.step("n3", request(5));
    expect(solo.sent("read-index-response")).toEqual([]);
    solo.step("n2", answer(solo.raft.state.reads.round));
    expect(solo.sent("read-index-response", "n3")).toMatchObject([{ token: 5, ok: true }]);
    solo.forget();
    solo.step("n3", request(6));
    expect(solo.sent("read-index-response", "n3")).toMatchObject([
      { token: 6, ok: true, index: 1 },
    ]);
    expect(solo.sent("heartbeat")).toEqual([]);
    solo.forget();
    solo.step("n3", request(7, false));
    expect(solo.sent("read-index-response")).toEqual([]);
  });

  test("permits a lease only where all reads permit it that it is made for", () => {
    const solo = soloWith();
    solo.step("n2", { type: "heartbeat", term: 1, commit: 0, round: 0 });
    read(solo, 1, true);
    expect(solo.sent("read-index-request").map((m) => m.byLease)).toEqual([true]);
    solo.raft.readIndex(solo.nowMs, 2, true);
    solo.raft.readIndex(solo.nowMs, 3, false);
    const { lastToken: token } = solo.raft.state.reads;
    solo.step("n2", { type: "read-index-response", term: 1, token, ok: true, index: 0 });
    expect(solo.sent("read-index-request").map((m) => m.byLease)).toEqual([true, false]);
    expect(solo.outputs.flatMap((output) => output.reads)).toMatchObject([{ context: 1 }]);
    const next = solo.raft.state.reads.lastToken;
    solo.step("n2", { type: "read-index-response", term: 1, token: next, ok: true, index: 0 });
    expect(solo.raft.state.reads.byLease.size).toBe(0);
  });
});
