/**
 * Linearizable reads (thesis, 6.4): rounds of the leader, requests of followers, and their ends.
 */
import { describe, expect, test } from "vitest";
import { TestNetwork } from "./core-harness.ts";
import type { HeartbeatResponse, ReadIndexResponse } from "./message.ts";
import type { ReadOutcome } from "./output.ts";
import { configurationOf } from "./member-harness.ts";
import { ack, Solo } from "./solo-harness.ts";

function leader(options: ConstructorParameters<typeof Solo>[0] = {}): Solo {
  const solo = new Solo(options).win("n2").ackAll("n2", "n3");
  solo.forget();
  return solo;
}

function read(solo: Solo, context: number): boolean {
  const taken = solo.raft.readIndex(solo.nowMs, context);
  solo.take();
  return taken;
}

function ended(solo: Solo): ReadOutcome[] {
  return solo.outputs.flatMap((output) => [...output.reads]);
}

function answer(round: number, term = 1): HeartbeatResponse {
  return { type: "heartbeat-response", term, round, health: "ok" };
}

describe("rounds of the leader", () => {
  test("a read is answered once a quorum confirmed a round that began after it", () => {
    const solo = leader();
    read(solo, 7);
    expect(solo.sent("heartbeat").map((m) => m.round)).toEqual([1, 1]);
    expect(ended(solo)).toEqual([]);
    solo.step("n3", answer(1));
    expect(ended(solo)).toEqual([{ context: 7, index: 1, status: "ok" }]);
  });

  test("all that wait share a round; who comes after it was sent waits for the next", () => {
    const solo = leader();
    read(solo, 1);
    read(solo, 2);
    read(solo, 3);
    solo.step("n2", answer(1));
    expect(ended(solo).map((r) => r.context)).toEqual([1]);
    expect(solo.sent("heartbeat", "n2").map((m) => m.round)).toEqual([1, 2]);
    solo.step("n3", answer(1));
    expect(ended(solo)).toHaveLength(1);
    solo.step("n3", answer(2));
    expect(ended(solo).map((r) => r.context)).toEqual([1, 2, 3]);
  });

  test("the index is that of the opening of the round, not of an earlier time", () => {
    const solo = leader();
    read(solo, 1);
    solo.propose("a");
    solo.step("n2", ack(1, 2));
    read(solo, 2);
    solo.step("n2", answer(1));
    solo.step("n2", answer(2));
    expect(ended(solo)).toMatchObject([
      { context: 1, index: 1 },
      { context: 2, index: 2 },
    ]);
  });

  test("late answers to earlier rounds confirm nothing", () => {
    const solo = leader();
    read(solo, 1);
    solo.step("n2", answer(1));
    read(solo, 2);
    solo.step("n3", answer(1));
    solo.step("n2", answer(1));
    solo.step("n2", answer(0));
    expect(ended(solo)).toHaveLength(1);
  });

  test("answers of another term, of rounds never sent, of learners and strangers confirm nothing", () => {
    const solo = leader({ learners: ["x1"] });
    read(solo, 1);
    solo.step("n2", answer(1, 0));
    solo.step("n2", answer(99));
    solo.step("x1", answer(1));
    solo.step("stranger", answer(1));
    expect(ended(solo)).toEqual([]);
    expect(solo.sent("heartbeat", "x1")).toEqual([]);
  });

  test("an acknowledgement of entries is no confirmation of a round", () => {
    const solo = leader();
    read(solo, 1);
    solo.propose("a");
    solo.ackAll("n2", "n3");
    expect(ended(solo)).toEqual([]);
  });

  test("a lost heartbeat is made up for by the next one", () => {
    const solo = leader();
    read(solo, 1);
    solo.forget();
    solo.run(100);
    expect(solo.sent("heartbeat", "n2").map((m) => m.round)).toEqual([1]);
  });

  test("nothing is answered before the leader has committed in its own term", () => {
    const solo = new Solo({ log: [1, 1], commit: 2 }).win("n2");
    read(solo, 1);
    solo.run(100);
    solo.step("n2", answer(0, 2));
    solo.step("n3", answer(0, 2));
    expect(ended(solo)).toEqual([]);
    expect(solo.raft.state.reads.round).toBe(0);
    solo.step("n2", ack(2, 3));
    solo.step("n2", answer(1, 2));
    expect(ended(solo)).toEqual([{ context: 1, index: 3, status: "ok" }]);
  });

  test("a joint configuration confirms by both halves", () => {
    const solo = new Solo({ voters: ["n1", "n4", "n5"] }).win("n4").ackAll("n4");
    solo.configure(configurationOf(["n1", "n2", "n3"], [], ["n1", "n4", "n5"]));
    read(solo, 1);
    solo.step("n2", answer(1));
    solo.step("n3", answer(1));
    expect(ended(solo)).toEqual([]);
    solo.step("n5", answer(1));
    expect(ended(solo)).toHaveLength(1);
  });

  test("a sole voter answers in the same turn", () => {
    const solo = new Solo({ voters: ["n1"], learners: ["x1"] });
    solo.forget();
    read(solo, 1);
    expect(solo.outputs).toHaveLength(1);
    expect(ended(solo)).toEqual([{ context: 1, index: 1, status: "ok" }]);
  });

  test("rounds begin anew in each term", () => {
    const solo = leader();
    read(solo, 1);
    solo.step("n2", answer(1));
    solo.step("n2", { type: "heartbeat-response", term: 4, round: 0, health: "ok" });
    solo.run(1_000);
    solo.win("n2").ackAll("n2", "n3");
    read(solo, 2);
    expect(solo.raft.state.reads.round).toBe(1);
    solo.step("n2", answer(1, 1));
    expect(ended(solo)).toHaveLength(1);
  });

  test("reads end when leadership does", () => {
    const solo = leader();
    read(solo, 1);
    read(solo, 2);
    solo.step("n3", { type: "read-index-request", term: 1, token: 5, byLease: false });
    solo.step("n2", { type: "heartbeat-response", term: 4, round: 0, health: "ok" });
    expect(ended(solo)).toEqual([
      { context: 1, index: 0, status: "leadership-lost" },
      { context: 2, index: 0, status: "leadership-lost" },
    ]);
    expect(solo.sent("read-index-response", "n3")).toMatchObject([{ token: 5, ok: false }]);
  });

  test("more than readsMax are refused, local and remote ones together", () => {
    const solo = leader({ raft: { readsMax: 2 } });
    expect(read(solo, 1)).toBe(true);
    solo.step("n2", { type: "read-index-request", term: 1, token: 5, byLease: false });
    expect(read(solo, 3)).toBe(false);
    solo.step("n3", { type: "read-index-request", term: 1, token: 6, byLease: false });
    expect(solo.sent("read-index-response", "n3")).toMatchObject([{ ok: false }]);
  });
});

describe("requests of followers", () => {
  /** A follower of n2 in term 1. */
  function follower(): Solo {
    const solo = new Solo();
    solo.step("n2", { type: "heartbeat", term: 1, commit: 0, round: 0 });
    solo.forget();
    return solo;
  }

  function tokens(solo: Solo): number[] {
    return solo.sent("read-index-request", "n2").map((m) => m.token);
  }

  function response(token: number, fields: Partial<ReadIndexResponse> = {}): ReadIndexResponse {
    return { type: "read-index-response", term: 1, token, ok: true, index: 9, ...fields };
  }

  test("the leader is asked, and its answer is the index to wait for", () => {
    const solo = follower();
    read(solo, 1);
    expect(solo.messages).toMatchObject([{ to: "n2", after: 0 }]);
    solo.step("n2", response(tokens(solo)[0]!));
    expect(ended(solo)).toEqual([{ context: 1, index: 9, status: "ok" }]);
  });

  test("one request at a time; what comes later waits for the next", () => {
    const solo = follower();
    read(solo, 1);
    read(solo, 2);
    read(solo, 3);
    expect(tokens(solo)).toHaveLength(1);
    solo.step("n2", response(tokens(solo)[0]!));
    expect(ended(solo).map((r) => r.context)).toEqual([1]);
    expect(tokens(solo)).toHaveLength(2);
    solo.step("n2", response(tokens(solo)[1]!));
    expect(ended(solo).map((r) => r.context)).toEqual([1, 2, 3]);
  });

  test("it is repeated with a fresh token; the answer to either will do, once", () => {
    const solo = follower();
    read(solo, 1);
    solo.run(100);
    const [first, second] = tokens(solo);
    expect(second).toBeGreaterThan(first!);
    solo.step("n2", response(first!));
    solo.step("n2", response(second!));
    expect(ended(solo)).toHaveLength(1);
  });

  test("answers to earlier requests, from others, and of other terms are dropped", () => {
    const solo = follower();
    read(solo, 1);
    solo.step("n2", response(tokens(solo)[0]!));
    read(solo, 2);
    const [old, token] = tokens(solo);
    solo.step("n2", response(old!));
    solo.step("n3", response(token!));
    solo.step("n2", response(token!, { term: 0 }));
    solo.step("n2", response(token! + 1));
    expect(ended(solo)).toHaveLength(1);
  });

  test("a token from before a restart is never taken for one after it", () => {
    const before = follower();
    read(before, 1);
    const after = new Solo({ term: 1, raft: { startNonce: 2_000_000 } });
    after.step("n2", { type: "heartbeat", term: 1, commit: 0, round: 0 });
    read(after, 1);
    after.step("n2", response(tokens(before)[0]!));
    expect(ended(after)).toEqual([]);
  });

  test("refused: asked again after a heartbeat interval, with those that came meanwhile", () => {
    const solo = follower();
    read(solo, 1);
    solo.step("n2", response(tokens(solo)[0]!, { ok: false }));
    read(solo, 2);
    expect(tokens(solo)).toHaveLength(1);
    solo.run(100);
    expect(tokens(solo)).toHaveLength(2);
    solo.step("n2", response(tokens(solo)[1]!));
    expect(ended(solo).map((r) => r.context)).toEqual([1, 2]);
  });

  test("a new leader is asked at once", () => {
    const solo = follower();
    read(solo, 1);
    solo.step("n3", { type: "heartbeat", term: 2, commit: 0, round: 0 });
    const [request] = solo.sent("read-index-request", "n3");
    expect(request).toMatchObject({ term: 2 });
    solo.step("n3", response(request!.token, { term: 2 }));
    expect(ended(solo)).toHaveLength(1);
  });

  test("without a leader a read ends within T of its loss, or of the read's arrival", () => {
    const solo = follower();
    solo.run(900);
    read(solo, 1);
    solo.timeOut();
    const lostMs = solo.nowMs;
    while (ended(solo).length === 0) solo.run(10);
    expect(ended(solo)).toEqual([{ context: 1, index: 0, status: "no-leader" }]);
    expect(solo.nowMs - lostMs).toBeLessThanOrEqual(1_000);
    const askedMs = solo.nowMs;
    read(solo, 2);
    while (ended(solo).length === 1) solo.run(10);
    expect(solo.nowMs - askedMs).toBeLessThanOrEqual(1_010);
    expect(ended(solo)[1]).toMatchObject({ context: 2, status: "no-leader" });
  });

  test("a read made while nobody leads is answered by whoever is elected in time", () => {
    const solo = follower();
    solo.timeOut();
    read(solo, 1);
    solo.step("n2", { type: "pre-vote-response", term: 2, granted: true });
    solo.step("n2", { type: "request-vote-response", term: 2, granted: true });
    solo.ackAll("n2", "n3");
    solo.step("n2", answer(1, 2));
    expect(ended(solo)).toEqual([{ context: 1, index: 1, status: "ok" }]);
  });

  test("the leader answers one request per member and round; a newer one replaces one that waits", () => {
    const solo = leader();
    const request = (token: number): void => {
      solo.step("n3", { type: "read-index-request", term: 1, token, byLease: false });
    };
    request(1);
    request(2);
    request(3);
    solo.step("n2", answer(1));
    solo.step("n2", answer(2));
    expect(solo.sent("read-index-response", "n3")).toMatchObject([
      { token: 1, ok: true, index: 1 },
      { token: 3, ok: true, index: 1 },
    ]);
  });

  test("who does not lead, or leads another term, says no; so it does to strangers", () => {
    const solo = follower();
    solo.step("n3", { type: "read-index-request", term: 1, token: 4, byLease: false });
    expect(solo.sent("read-index-response", "n3")).toMatchObject([{ token: 4, ok: false }]);
    const other = leader();
    other.step("n3", { type: "read-index-request", term: 0, token: 5, byLease: false });
    other.step("stranger", { type: "read-index-request", term: 1, token: 6, byLease: false });
    expect(other.sent("read-index-response")).toMatchObject([{ ok: false }, { ok: false }]);
  });
});

describe("in a cluster", () => {
  test("a read on any member sees every write that ended before", () => {
    const network = new TestNetwork({ voters: ["n1", "n2", "n3"], learners: ["x1"] });
    const { id } = network.elect();
    network.propose(id, "a");
    network.runUntil(() => network.node(id).texts.length === 1);
    const { commit } = network.raft(id).status();
    for (const member of network.nodes.keys()) {
      const context = network.read(member);
      network.run(10);
      expect(network.outcome(member, context)).toMatchObject({ status: "ok", index: commit });
    }
  });

  test("a leader that slept through its own deposition answers no read from old confirmations", () => {
    const network = new TestNetwork({ latencyMs: 5 });
    const old = network.elect();
    network.run(200);
    const before = network.read(old.id);
    network.run(6);
    // Confirmations of the first round are on their way back while it falls asleep.
    network.pause(old.id);
    network.runUntil(() => network.leader() !== undefined && network.leader() !== old, 10_000);
    const next = network.elect();
    network.propose(next.id, "new");
    network.runUntil(() => next.texts.includes("new"));
    network.resume(old.id);
    const context = network.read(old.id);
    network.run(1_000);
    expect(network.outcome(old.id, context)?.status).not.toBe("ok");
    expect(network.outcome(old.id, before)).toBeDefined();
  });

  test("a leader cut off from its quorum ends its reads within T, a follower within 2 T", () => {
    const network = new TestNetwork();
    const { id } = network.elect();
    const other = [...network.nodes.keys()].find((n) => n !== id)!;
    network.isolate(id);
    network.isolate(other);
    const a = network.read(id);
    const b = network.read(other);
    network.run(1_000);
    expect(network.outcome(id, a)?.status).toBe("leadership-lost");
    network.run(1_000);
    expect(network.outcome(other, b)?.status).toBe("no-leader");
  });
});
