/** Pre-vote, stickiness, check-quorum, and the timers behind them. */
import { describe, expect, test } from "vitest";
import { TestNetwork } from "./core-harness.ts";
import { configurationOf, incarnationOf } from "./member-harness.ts";
import type { Message, PreVote, RequestVote } from "./message.ts";
import { ack, append, Solo } from "./solo-harness.ts";

function preVote(term: number, lastIndex = 0, lastTerm = 0): PreVote {
  return { type: "pre-vote", term, lastIndex, lastTerm };
}

function requestVote(term: number, lastIndex = 0, lastTerm = 0): RequestVote {
  return {
    type: "request-vote",
    term,
    transfer: false,
    incarnation: incarnationOf("n2"),
    lastIndex,
    lastTerm,
  };
}

function heartbeat(term: number): Message {
  return { type: "heartbeat", term, commit: 0, round: 0 };
}

describe("pre-vote (thesis, 9.6)", () => {
  test("a campaign begins without raising the term", () => {
    const solo = new Solo({ log: [1], term: 3 });
    solo.timeOut();
    expect(solo.status).toMatchObject({ role: "pre-candidate", term: 3 });
    expect(solo.messages).toEqual([
      { to: "n2", after: 0, message: preVote(4, 1, 1) },
      { to: "n3", after: 0, message: preVote(4, 1, 1) },
    ]);
    expect(solo.eventsOf("role").at(-1)?.reason).toMatch(/^no leader heard for \d{4} ms$/);
  });

  test("granting one changes nothing: no term, no vote, no timer, no contact", () => {
    const solo = new Solo();
    const { electionDeadlineMs, leaderContactMs } = solo.raft.state;
    solo.nowMs += 200;
    const messages = solo.step("n2", preVote(1));
    expect(messages).toMatchObject([
      { after: 0, message: { type: "pre-vote-response", term: 1, granted: true } },
    ]);
    expect(solo.raft.state).toMatchObject({
      term: 0,
      vote: undefined,
      electionDeadlineMs,
      leaderContactMs,
    });
    expect(solo.outputs.at(-1)?.hardState).toBeUndefined();
    // It may be granted to any number of askers.
    expect(solo.step("n3", preVote(1))).toMatchObject([{ message: { granted: true } }]);
  });

  test("refused while a leader is fresh, granted once it is stale", () => {
    const solo = new Solo();
    solo.step("n3", heartbeat(1));
    solo.run(999);
    expect(solo.step("n2", preVote(2))).toMatchObject([{ message: { granted: false, term: 1 } }]);
    solo.run(1);
    expect(solo.step("n2", preVote(2))).toMatchObject([{ message: { granted: true, term: 2 } }]);
  });

  test("granted between pre-candidates", () => {
    const solo = new Solo();
    solo.timeOut();
    expect(solo.step("n2", preVote(1))).toMatchObject([{ message: { granted: true } }]);
  });

  test("refused for a log that is behind", () => {
    const solo = new Solo({ log: [1, 2], term: 2 });
    expect(solo.step("n2", preVote(3, 5, 1))).toMatchObject([{ message: { granted: false } }]);
  });

  test("in the asked term itself: granted only while that term's vote is free", () => {
    const free = new Solo({ term: 3 });
    expect(free.step("n2", preVote(3))).toMatchObject([{ message: { granted: true } }]);
    const given = new Solo({ term: 3, vote: "n3" });
    expect(given.step("n2", preVote(3))).toMatchObject([{ message: { granted: false, term: 3 } }]);
  });

  test("an asker of an earlier term is told the term, and follows it", () => {
    const solo = new Solo({ log: [1, 1, 1], term: 5 });
    expect(solo.step("n2", preVote(3, 9, 1))).toMatchObject([
      { message: { granted: false, term: 5 } },
    ]);
    solo.timeOut();
    solo.step("n3", { type: "pre-vote-response", term: 8, granted: false });
    expect(solo.status).toMatchObject({ role: "follower", term: 8 });
    expect(solo.eventsOf("role").at(-1)?.reason).toBe("term 8 seen from n3");
  });

  test("members with a long log and a low term, and with a short log and a high term, still elect", () => {
    const network = new TestNetwork({ voters: ["n1", "n2"] });
    network.electNode("n1");
    network.block("n1", "n2");
    network.propose("n1", "only here");
    network.run(50);
    // n2 saw terms that n1 knows nothing of, and lacks an entry that n1 has.
    network.crash("n1");
    network.crash("n2");
    network.node("n2").durable.hardState = { term: 9, vote: undefined, commit: 0 };
    network.heal();
    network.restart("n1");
    network.restart("n2");
    network.elect();
    expect(network.leader()?.id).toBe("n1");
    network.run(200);
    expect(network.node("n2").texts).toEqual(["only here"]);
  });

  test("a grant counts only for the round that asks: its term, its role, once per voter", () => {
    const solo = new Solo({ voters: ["n1", "n2", "n3", "n4", "n5"] });
    const grant = (term: number): Message => ({ type: "pre-vote-response", term, granted: true });
    solo.step("n2", grant(1));
    solo.timeOut();
    solo.step("n3", grant(2));
    solo.step("n4", grant(1));
    solo.step("n4", grant(1));
    expect(solo.status.role).toBe("pre-candidate");
    solo.step("n5", grant(1));
    expect(solo.status.role).toBe("candidate");
    // Pre-votes of that round are no votes.
    solo.step("n2", grant(1));
    solo.step("n3", grant(2));
    expect(solo.status.role).toBe("candidate");
  });

  test("a round that a majority refuses is over at once", () => {
    const solo = new Solo();
    solo.timeOut();
    solo.step("n2", { type: "pre-vote-response", term: 0, granted: false });
    expect(solo.status.role).toBe("pre-candidate");
    solo.step("n3", { type: "pre-vote-response", term: 0, granted: false });
    expect(solo.status.role).toBe("follower");
    expect(solo.eventsOf("role").at(-1)?.reason).toBe("pre-votes refused by n2, n3");
    // It may ask again before another T is over.
    expect(solo.raft.state.electionDeadlineMs).toBeLessThan(solo.nowMs + 500);
  });

  test("who is refused for long asks as seldom as ever", () => {
    const solo = new Solo();
    for (let i = 0; i < 30; i++) {
      solo.nowMs = solo.raft.state.electionDeadlineMs;
      solo.raft.tick(solo.nowMs);
      for (const id of ["n2", "n3"]) {
        solo.step(id, { type: "pre-vote-response", term: 0, granted: false });
      }
    }
    expect(solo.raft.state.electionDeadlineMs).toBeGreaterThanOrEqual(solo.nowMs + 1_000);
    expect(solo.nowMs).toBeGreaterThan(15_000);
  });

  test("who refuses an asker for its log alone asks instead of it, without waiting", () => {
    const solo = new Solo({ log: [1, 1], term: 1 });
    solo.step("n3", heartbeat(1));
    const { electionDeadlineMs } = solo.raft.state;
    const ask = { type: "pre-vote", term: 2, lastIndex: 1, lastTerm: 1 } as const;
    // While a leader may be there nothing changes.
    solo.run(999);
    solo.step("n2", ask);
    expect(solo.raft.state.electionDeadlineMs).toBe(electionDeadlineMs);
    solo.run(1);
    // Nor for a log that is as good.
    solo.step("n2", { ...ask, lastIndex: 2 });
    expect(solo.raft.state.electionDeadlineMs).toBe(electionDeadlineMs);
    solo.step("n2", ask);
    expect(solo.raft.state.electionDeadlineMs).toBeLessThan(solo.nowMs + 125);
    solo.nowMs = solo.raft.state.electionDeadlineMs;
    solo.raft.tick(solo.nowMs);
    expect(solo.status.role).toBe("pre-candidate");
  });

  test("a member that was cut off comes back without disturbing the leader", () => {
    const network = new TestNetwork();
    const leader = network.elect();
    const { term } = leader.raft.status();
    const other = [...network.nodes.keys()].find((id) => id !== leader.id)!;
    network.isolate(other);
    network.run(20_000);
    expect(network.raft(other).status().term).toBe(term);
    network.heal();
    network.run(5_000);
    expect(leader.raft.status()).toMatchObject({ role: "leader", term });
    expect(network.raft(other).status()).toMatchObject({ role: "follower", leader: leader.id });
  });
});

describe("stickiness (thesis, 4.2.3)", () => {
  test("a vote is not even heard while a leader is fresh: no answer, no term", () => {
    const solo = new Solo();
    solo.step("n3", heartbeat(1));
    solo.nowMs += 999;
    expect(solo.step("n2", requestVote(7))).toEqual([]);
    expect(solo.status).toMatchObject({ term: 1, leader: "n3" });
    solo.nowMs += 1;
    expect(solo.step("n2", requestVote(7))).toMatchObject([{ message: { granted: true } }]);
  });

  test("within T after its start a member grants nothing", () => {
    const solo = new Solo({ fresh: true });
    expect(solo.step("n2", requestVote(1))).toEqual([]);
    expect(solo.step("n2", preVote(1))).toMatchObject([{ message: { granted: false } }]);
    solo.run(999);
    expect(solo.step("n2", requestVote(1))).toEqual([]);
    solo.run(1);
    expect(solo.step("n2", requestVote(1))).toMatchObject([{ message: { granted: true } }]);
  });

  test("a higher term seen elsewhere does not shorten it", () => {
    const solo = new Solo();
    solo.step("n3", heartbeat(1));
    solo.step("n2", { type: "heartbeat-response", term: 4, round: 0, health: "ok" });
    expect(solo.status).toMatchObject({ term: 4, leader: undefined });
    expect(solo.step("n2", requestVote(5))).toEqual([]);
  });

  test("a leader refuses while its quorum answers, and not after", () => {
    const solo = new Solo().win("n2");
    solo.nowMs += 900;
    solo.step("n2", { type: "heartbeat-response", term: 1, round: 0, health: "ok" });
    solo.nowMs += 999;
    expect(solo.step("n3", requestVote(5, 9, 4))).toEqual([]);
    solo.nowMs += 1;
    solo.step("n3", { ...requestVote(5, 9, 4), incarnation: incarnationOf("n3") });
    expect(solo.status).toMatchObject({ role: "follower", term: 5 });
  });
});

describe("check-quorum (thesis, 6.2)", () => {
  test("a leader that hears no quorum within T follows nobody, exactly then", () => {
    const solo = new Solo().win("n2");
    const since = solo.nowMs;
    solo.run(500);
    solo.step("n3", { type: "heartbeat-response", term: 1, round: 0, health: "ok" });
    solo.run(999);
    expect(solo.status.role).toBe("leader");
    expect(solo.raft.nextDeadlineMs).toBe(since + 1_500);
    solo.run(1);
    expect(solo.status).toMatchObject({ role: "follower", term: 1, leader: undefined });
    expect(solo.eventsOf("role").at(-1)?.reason).toBe("quorum lost: heard only n1 within 1000 ms");
  });

  test("learners do not keep a leader in office, nor do answers of another term", () => {
    const solo = new Solo({ learners: ["x1"] }).win("n2");
    for (let i = 0; i < 10; i++) {
      solo.run(100);
      solo.step("x1", { type: "heartbeat-response", term: 1, round: 0, health: "ok" });
      solo.step("n2", { type: "heartbeat-response", term: 0, round: 0, health: "ok" });
    }
    expect(solo.status.role).toBe("follower");
  });

  test("a joint configuration needs to be heard from both halves", () => {
    const solo = new Solo({ voters: ["n1", "n2", "n3"], outgoing: ["n1", "n4", "n5"] });
    solo.win("n2", "n4");
    for (let i = 0; i < 10; i++) {
      solo.run(100);
      for (const from of ["n2", "n3"]) solo.step(from, ack(1, 1));
    }
    expect(solo.status.role).toBe("follower");
  });

  test("after it stepped down, the old leader's pre-vote is taken like any other", () => {
    const network = new TestNetwork();
    const leader = network.elect();
    network.isolate(leader.id);
    network.run(1_200);
    expect(leader.raft.status().role).not.toBe("leader");
    network.heal();
    expect(network.elect().raft.status().ready).toBe(true);
  });

  test("an asymmetric cut does not end in elections without end", () => {
    const network = new TestNetwork();
    const leader = network.elect();
    const [other] = [...network.nodes.keys()].filter((id) => id !== leader.id);
    // The leader hears this follower and is not heard by it: it asks for pre-votes and gets none.
    network.block(leader.id, other!);
    network.run(30_000);
    expect(network.leaders.size).toBe(1);
    expect(leader.raft.status().role).toBe("leader");
  });

  test("a stale leader that is told of a later term steps down", () => {
    const solo = new Solo({ term: 5 });
    const stale = solo.step("n2", heartbeat(3));
    expect(stale).toMatchObject([{ after: 0, message: { type: "heartbeat-response", term: 5 } }]);
    const leader = new Solo().win("n2");
    leader.step("n3", { type: "heartbeat-response", term: 5, round: 0, health: "ok" });
    expect(leader.status).toMatchObject({ role: "follower", term: 5 });
  });
});

describe("who may vote and campaign", () => {
  test("a learner never campaigns and is asked for no vote", () => {
    const solo = new Solo({ id: "x1", voters: ["n1", "n2"], learners: ["x1"] });
    solo.run(10_000);
    expect(solo.status.role).toBe("follower");
    expect(solo.messages).toEqual([]);
  });

  test("a learner grants its vote: it may have been promoted and not know it yet", () => {
    const solo = new Solo({ id: "x1", voters: ["n1", "n2"], learners: ["x1"] });
    expect(solo.step("n2", requestVote(1))).toMatchObject([{ message: { granted: true } }]);
  });

  test("votes of learners and of strangers do not count", () => {
    const solo = new Solo({ learners: ["x1"] });
    solo.timeOut();
    for (const from of ["x1", "stranger"]) {
      solo.step(from, { type: "pre-vote-response", term: 1, granted: true });
    }
    expect(solo.status.role).toBe("pre-candidate");
    expect(solo.eventsOf("vote-received")).toEqual([]);
  });

  test("a directory that no configuration names neither votes nor campaigns", () => {
    const { members, ...rest } = configurationOf(["n1", "n2", "n3"]);
    const others = members.map((m) =>
      m.id === "n1" ? { ...m, incarnation: incarnationOf("old") } : m,
    );
    const startConfiguration = { index: 0, configuration: { members: others, ...rest } };
    const solo = new Solo({ recovered: { startConfiguration } });
    expect(solo.step("n2", requestVote(1))).toEqual([]);
    expect(solo.step("n2", preVote(1))).toEqual([]);
    solo.run(10_000);
    expect(solo.status.role).toBe("follower");
  });

  test("who is in no configuration held gets no answer and changes no term", () => {
    const solo = new Solo().win("n2");
    solo.forget();
    for (const message of [
      requestVote(9),
      preVote(9),
      heartbeatResponse(9),
      { ...ack(9, 0), success: false },
      { type: "pre-vote-response", term: 9, granted: false } as const,
    ]) {
      solo.step("stranger", message);
    }
    expect(solo.messages).toEqual([]);
    expect(solo.status).toMatchObject({ role: "leader", term: 1 });
  });

  test("a member without any configuration takes entries from a leader it does not know", () => {
    const configuration = configurationOf([]);
    const solo = new Solo({
      id: "x1",
      recovered: { startConfiguration: { index: 0, configuration } },
    });
    expect(solo.step("n2", append({ term: 3 }))).toMatchObject([{ message: { success: true } }]);
    expect(solo.status).toMatchObject({ term: 3, leader: "n2" });
  });

  test("a joint election needs a majority of both halves", () => {
    const solo = new Solo({ voters: ["n1", "n2", "n3"], outgoing: ["n1", "n4", "n5"] });
    solo.timeOut();
    const grant = { type: "pre-vote-response", term: 1, granted: true } as const;
    for (const from of ["n2", "n3"]) solo.step(from, grant);
    expect(solo.status.role).toBe("pre-candidate");
    solo.step("n5", grant);
    expect(solo.status.role).toBe("candidate");
  });

  test("a sole voter leads as soon as its own vote is durable", () => {
    const solo = new Solo({ voters: ["n1"], fresh: true, autoPersist: false });
    expect(solo.status).toMatchObject({ role: "candidate", term: 1 });
    solo.run(60_000);
    expect(solo.status).toMatchObject({ role: "candidate", term: 1 });
    solo.persist(solo.outputs.at(-1)!.number);
    expect(solo.status).toMatchObject({ role: "leader", term: 1, ready: false });
    solo.persist(solo.outputs.at(-1)!.number);
    expect(solo.status).toMatchObject({ ready: true, commit: 1 });
    expect(solo.eventsOf("role").map((e) => e.reason)).toEqual([
      "sole voter",
      "pre-votes from n1",
      "votes from n1",
    ]);
  });

  test("a sole voter that crashed before its vote was durable does not lead the same term twice", () => {
    const network = new TestNetwork({ voters: ["n1"], learners: ["x1"], persistence: "manual" });
    network.run(100);
    expect(network.leaders.size).toBe(0);
    network.crash("n1");
    network.restart("n1");
    network.persist("n1");
    expect([...network.leaders]).toEqual([[1, "n1"]]);
  });
});

describe("time", () => {
  test("a pause proves no silence: the timer starts anew, and what waits is read first", () => {
    const solo = new Solo();
    solo.nowMs += 5_000;
    solo.raft.tick(solo.nowMs);
    expect(solo.take()).toEqual([]);
    expect(solo.status.role).toBe("follower");
    expect(solo.raft.state.electionDeadlineMs).toBeGreaterThanOrEqual(solo.nowMs + 1_000);
  });

  test("the pause is noticed by whatever input comes first", () => {
    const solo = new Solo();
    solo.nowMs += 5_000;
    solo.step("stranger", requestVote(1));
    solo.raft.tick(solo.nowMs);
    expect(solo.status.role).toBe("follower");
  });

  test("a member that does not lead asks to be woken often enough to notice a pause", () => {
    const solo = new Solo();
    solo.step("n2", heartbeat(1));
    expect(solo.raft.nextDeadlineMs).toBe(solo.nowMs + 250);
  });

  test("a leader is not spared: after a pause longer than T it has no quorum", () => {
    const solo = new Solo().win("n2");
    solo.nowMs += 5_000;
    solo.raft.tick(solo.nowMs);
    expect(solo.status.role).toBe("follower");
  });

  test("a follower that was paused for long follows on when its messages are read", () => {
    const network = new TestNetwork();
    const leader = network.elect();
    const other = [...network.nodes.keys()].find((id) => id !== leader.id)!;
    network.pause(other);
    network.run(10_000);
    network.propose(leader.id, "meanwhile");
    network.run(10_000);
    network.resume(other);
    network.run(200);
    expect(network.node(other).texts).toEqual(["meanwhile"]);
    expect(network.node(other).eventsOf("role")).toEqual([]);
    expect(network.leaders.size).toBe(1);
  });

  test("more ticks than needed do no harm", () => {
    const solo = new Solo();
    for (let i = 0; i < 100; i++) {
      solo.raft.tick(solo.nowMs);
      solo.raft.tick(solo.nowMs);
      solo.nowMs += 5;
    }
    expect(solo.take()).toEqual([]);
  });
});

function heartbeatResponse(term: number): Message {
  return { type: "heartbeat-response", term, round: 0, health: "ok" };
}
