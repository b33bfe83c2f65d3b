import { describe, expect, test } from "vitest";
import { TestNetwork } from "./core-harness.ts";
import { commands, incarnationOf } from "./member-harness.ts";
import type { RequestVote, TimeoutNow } from "./message.ts";
import { ack, append, batchOf, Solo } from "./solo-harness.ts";

const T = 1_000;

/** A leader of term 1 over n2 and n3, which have everything that it has. */
function leader(options: ConstructorParameters<typeof Solo>[0] = {}): Solo {
  const solo = new Solo(options).win("n2").ackAll("n2", "n3");
  solo.forget();
  return solo;
}

function transfer(solo: Solo, target?: string): ReturnType<Solo["raft"]["transferLeadership"]> {
  const result = solo.raft.transferLeadership(solo.nowMs, target);
  solo.take();
  return result;
}

/** A follower of n2 in term 2 that holds entries 1 and 2. */
function follower(): Solo {
  const solo = new Solo({ log: [1], term: 1 });
  const batches = [batchOf(2, 2, "b")];
  solo.step("n2", append({ term: 2, prevIndex: 1, prevTerm: 1, batches }));
  solo.forget();
  return solo;
}

function timeoutNow(fields: Partial<TimeoutNow> = {}): TimeoutNow {
  return { type: "timeout-now", term: 2, lastIndex: 2, lastTerm: 2, ...fields };
}

function requestVote(term: number, isWished: boolean, lastIndex = 2, lastTerm = 2): RequestVote {
  const incarnation = incarnationOf("n3");
  return { type: "request-vote", term, transfer: isWished, incarnation, lastIndex, lastTerm };
}

describe("a leader that hands over", () => {
  test("tells a target that has everything at once", () => {
    const solo = leader();
    expect(transfer(solo, "n3")).toEqual({ ok: true, target: "n3" });
    const message = { type: "timeout-now", term: 1, lastIndex: 1, lastTerm: 1 };
    expect(solo.messages).toEqual([{ to: "n3", message, after: 0 }]);
    expect(solo.status.transfer).toEqual({
      target: "n3",
      sinceMs: solo.nowMs,
      phase: "handed-over",
    });
    expect(solo.eventsOf("transfer").map(({ phase }) => phase)).toEqual(["started", "handed-over"]);
  });

  test("first brings a target up to date that lacks something", () => {
    const solo = leader();
    solo.propose("a");
    transfer(solo, "n3");
    expect(solo.sent("timeout-now")).toEqual([]);
    expect(solo.status.transfer?.phase).toBe("catching-up");
    solo.step("n2", ack(1, 2));
    expect(solo.sent("timeout-now")).toEqual([]);
    solo.step("n3", ack(1, 2));
    expect(solo.sent("timeout-now", "n3")).toMatchObject([{ lastIndex: 2 }]);
  });

  test("appends nothing meanwhile, and says that it is for now only", () => {
    const solo = leader();
    transfer(solo, "n3");
    const result = solo.raft.propose(solo.nowMs, commands("a"));
    expect(result).toEqual({ ok: false, reason: "transferring", leader: "n1" });
    expect(solo.status.lastIndex).toBe(1);
  });

  test("gives up after T and serves again", () => {
    const solo = leader();
    transfer(solo, "n3");
    for (let ms = 0; ms < T; ms += 100) {
      expect(solo.status.transfer).toBeDefined();
      solo.run(100);
      solo.step("n2", { type: "heartbeat-response", term: 1, round: 0, health: "ok" });
    }
    expect(solo.status).toMatchObject({ role: "leader", transfer: undefined });
    expect(solo.eventsOf("transfer").at(-1)).toMatchObject({ phase: "ended" });
    solo.propose("a");
    expect(solo.status.lastIndex).toBe(2);
  });

  test("is woken for giving up though nothing else is due", () => {
    const solo = leader({ raft: { heartbeatIntervalMs: 250 } });
    solo.propose("a");
    solo.run(120);
    transfer(solo, "n2");
    const untilMs = solo.nowMs + T;
    while (solo.raft.nextDeadlineMs < untilMs) {
      solo.run(solo.raft.nextDeadlineMs - solo.nowMs);
      solo.step("n3", { type: "heartbeat-response", term: 1, round: 0, health: "ok" });
    }
    expect(solo.raft.nextDeadlineMs).toBe(untilMs);
  });

  test("says it again with the heartbeats, since the first may be lost", () => {
    const solo = leader();
    transfer(solo, "n3");
    solo.run(99);
    expect(solo.sent("timeout-now")).toHaveLength(1);
    solo.run(1);
    expect(solo.sent("timeout-now")).toHaveLength(2);
    expect(solo.eventsOf("transfer")).toHaveLength(2);
  });

  test("takes the voter that lacks least, and of those the one heard last", () => {
    const solo = new Solo({ voters: ["n1", "n2", "n3", "n4"], learners: ["x1"] }).win("n2", "n3");
    solo.ackAll("n2", "n3", "n4", "x1").propose("a");
    solo.step("x1", ack(1, 2));
    solo.step("n3", ack(1, 2));
    solo.run(1);
    solo.step("n4", ack(1, 2));
    solo.step("n2", { type: "heartbeat-response", term: 1, round: 0, health: "ok" });
    expect(transfer(solo)).toEqual({ ok: true, target: "n4" });
  });

  test("forgets it with the role, and a later leadership knows nothing of it", () => {
    const solo = leader();
    transfer(solo, "n3");
    solo.step("n2", { type: "heartbeat-response", term: 7, round: 0, health: "ok" });
    expect(solo.status).toMatchObject({ role: "follower", transfer: undefined });
    solo.win("n2").propose("a");
    expect(solo.status).toMatchObject({ role: "leader", transfer: undefined });
  });

  test("keeps in mind that no lease holds in a term in which it said timeout-now", () => {
    const solo = leader();
    expect(solo.raft.state.lease.barredTerm).toBe(-1);
    transfer(solo, "n3");
    solo.raft.unreachable(solo.nowMs, "n3");
    solo.take();
    expect(solo.status.transfer).toBeUndefined();
    expect(solo.raft.state.lease.barredTerm).toBe(1);
  });

  test("gives up at once where the connection to the target is lost", () => {
    const solo = leader();
    solo.propose("a");
    transfer(solo, "n3");
    solo.raft.unreachable(solo.nowMs, "n3");
    solo.take();
    expect(solo.eventsOf("transfer").at(-1)?.reason).toContain("connection to n3");
    solo.propose("b");
  });

  test("gives up where the target is no voter any more", () => {
    const solo = leader();
    solo.propose("a");
    transfer(solo, "n3");
    solo.raft.state.progress.get("n3")!.role = "learner";
    solo.take();
    expect(solo.eventsOf("transfer").at(-1)?.reason).toContain("no voter");
  });

  test("follows and votes for the target in spite of its own fresh leadership", () => {
    const solo = leader();
    transfer(solo, "n3");
    solo.step("n3", requestVote(2, true, 1, 1));
    expect(solo.status).toMatchObject({ role: "follower", term: 2 });
    expect(solo.sent("request-vote-response", "n3")).toMatchObject([{ granted: true }]);
  });
});

describe("a transfer is refused", () => {
  const refusals: [string, () => Solo, string | undefined, string][] = [
    ["by a member that does not lead", () => follower(), "n3", "not-leader"],
    ["to nobody it knows", leader, "n9", "unknown-member"],
    ["to a learner", () => leader({ learners: ["x1"] }), "x1", "not-voter"],
    ["where there is no other voter", alone, undefined, "no-other-voter"],
  ];
  for (const [name, make, target, reason] of refusals) {
    test(name, () => {
      expect(transfer(make(), target)).toMatchObject({ ok: false, reason });
    });
  }

  test("to a member that was not heard within T, or is disconnected", () => {
    const solo = leader();
    for (let ms = 0; ms < T; ms += 100) {
      solo.run(100);
      solo.step("n2", { type: "heartbeat-response", term: 1, round: 0, health: "ok" });
    }
    expect(transfer(solo, "n3")).toMatchObject({ ok: false, reason: "unreachable" });
    solo.raft.unreachable(solo.nowMs, "n2");
    expect(transfer(solo)).toMatchObject({ ok: false, reason: "unreachable" });
    solo.step("n2", ack(1, 1));
    expect(transfer(solo)).toEqual({ ok: true, target: "n2" });
  });

  test("while another is under way; the same one, or any, is joined", () => {
    const solo = leader();
    transfer(solo, "n3");
    expect(transfer(solo, "n2")).toMatchObject({ ok: false, reason: "busy" });
    expect(transfer(solo, "n3")).toEqual({ ok: true, target: "n3" });
    expect(transfer(solo)).toEqual({ ok: true, target: "n3" });
    expect(solo.sent("timeout-now")).toHaveLength(1);
  });

  test("to itself there is nothing to do", () => {
    const solo = leader();
    expect(transfer(solo, "n1")).toEqual({ ok: true, target: "n1" });
    expect(solo.status.transfer).toBeUndefined();
  });
});

describe("a member that is told timeout-now", () => {
  test("campaigns at once, without pre-votes, and says who wished it", () => {
    const solo = follower();
    solo.step("n2", timeoutNow());
    expect(solo.status).toMatchObject({ role: "candidate", term: 3, leader: undefined });
    expect(solo.sent("pre-vote")).toEqual([]);
    expect(solo.sent("request-vote", "n2")).toMatchObject([{ term: 3, transfer: true }]);
    expect(solo.sent("request-vote", "n3")).toHaveLength(1);
  });

  test("asks for votes only once its own is durable", () => {
    const solo = follower();
    solo.autoPersist = false;
    const sent = solo.step("n2", timeoutNow());
    expect(sent.map(({ after }) => after)).toEqual([
      solo.outputs.at(-1)!.number,
      solo.outputs.at(-1)!.number,
    ]);
  });

  test("once its own campaign fails, asks like everybody else", () => {
    const solo = follower();
    solo.step("n2", timeoutNow());
    solo.forget();
    solo.run(2 * T);
    expect(solo.sent("request-vote")).toEqual([]);
    expect(solo.sent("pre-vote").length).toBeGreaterThan(0);
  });

  const ignored: [string, string, TimeoutNow][] = [
    ["of an earlier term", "n2", timeoutNow({ term: 1, lastIndex: 2, lastTerm: 1 })],
    ["of a later term", "n2", timeoutNow({ term: 3 })],
    ["of somebody who does not lead", "n3", timeoutNow()],
    ["for a longer log than it has", "n2", timeoutNow({ lastIndex: 3 })],
    ["for a shorter log than it has", "n2", timeoutNow({ lastIndex: 1, lastTerm: 1 })],
  ];
  for (const [name, from, message] of ignored) {
    test(`does nothing if it is ${name}`, () => {
      const solo = follower();
      solo.step(from, message);
      expect(solo.status).toMatchObject({ role: "follower", term: 2 });
      expect(solo.messages).toEqual([]);
    });
  }

  test("does nothing while its log is not durable", () => {
    const solo = follower();
    solo.autoPersist = false;
    const batches = [batchOf(2, 3, "c")];
    solo.step("n2", append({ term: 2, prevIndex: 2, prevTerm: 2, batches }));
    solo.step("n2", timeoutNow({ lastIndex: 3 }));
    expect(solo.status.role).toBe("follower");
    solo.persist(solo.outputs.at(-1)!.number);
    solo.step("n2", timeoutNow({ lastIndex: 3 }));
    expect(solo.status.role).toBe("candidate");
  });

  test("does nothing as a learner", () => {
    const solo = new Solo({ id: "x1", voters: ["n1", "n2"], learners: ["x1"], log: [1], term: 2 });
    solo.step("n2", append({ term: 2, prevIndex: 1, prevTerm: 1 }));
    solo.step("n2", timeoutNow({ lastIndex: 1, lastTerm: 1 }));
    expect(solo.status.role).toBe("follower");
  });
});

describe("a member that is asked for a vote as the leader wished", () => {
  test("gives it though it has just heard that leader", () => {
    const solo = follower();
    solo.step("n3", requestVote(3, false));
    expect(solo.messages).toEqual([]);
    solo.step("n3", requestVote(3, true));
    expect(solo.sent("request-vote-response", "n3")).toMatchObject([{ granted: true }]);
  });

  test("refuses it to a log that is behind its own all the same", () => {
    const solo = follower();
    solo.step("n3", requestVote(3, true, 1, 1));
    expect(solo.sent("request-vote-response", "n3")).toMatchObject([{ granted: false }]);
  });
});

test("over a network leadership moves within a few messages and nothing is lost", () => {
  const network = new TestNetwork({ latencyMs: 5 });
  network.electNode("n1");
  network.propose("n1", "a", "b");
  network.transfer("n1", "n3");
  const beganMs = network.nowMs;
  network.runUntil(() => network.leader()?.id === "n3" && network.raft("n3").status().ready);
  expect(network.nowMs - beganMs).toBeLessThan(60);
  network.propose("n3", "c");
  network.run(200);
  for (const node of network.nodes.values()) expect(node.texts).toEqual(["a", "b", "c"]);
});

function alone(): Solo {
  const solo = new Solo({ voters: ["n1"] });
  solo.run(2 * T);
  return solo;
}
