/**
 * One test per rule of Figure 2 of the Raft paper (extended version), named after it, and of the
 * sections that the figure points to.
 */
import { describe, expect, test } from "vitest";
import { TestNetwork } from "./core-harness.ts";
import { incarnationOf } from "./member-harness.ts";
import type { Message, RequestVote } from "./message.ts";
import { ack, append, batchesOf, Solo } from "./solo-harness.ts";

function requestVote(term: number, lastIndex: number, lastTerm: number, id = "n2"): RequestVote {
  return {
    type: "request-vote",
    term,
    transfer: false,
    incarnation: incarnationOf(id),
    lastIndex,
    lastTerm,
  };
}

function granted(messages: readonly { message: Message }[]): boolean | undefined {
  const response = messages.map((m) => m.message).find((m) => m.type === "request-vote-response");
  return response?.granted;
}

describe("Figure 2, State", () => {
  test("a member begins as a follower in the term and with the vote that it had made durable", () => {
    const solo = new Solo({ log: [1, 2], term: 5, vote: "n3", commit: 1 });
    expect(solo.status).toMatchObject({ role: "follower", term: 5, commit: 1, lastIndex: 2 });
    expect(granted(solo.step("n2", requestVote(5, 9, 5)))).toBe(false);
    expect(granted(solo.step("n3", requestVote(5, 9, 5, "n3")))).toBe(true);
  });

  test("term and vote are persisted before anything that depends on them is said", () => {
    const solo = new Solo({ autoPersist: false });
    const [response] = solo.step("n2", requestVote(3, 0, 0));
    const output = solo.outputs.at(-1)!;
    expect(output.hardState).toMatchObject({ term: 3, vote: { id: "n2" } });
    expect(response).toMatchObject({ to: "n2", after: output.number });
  });

  test("nextIndex begins behind the leader's last entry, matchIndex at 0", () => {
    const solo = new Solo({ log: [1, 1, 1], autoPersist: true }).win("n2");
    const [n2] = solo.status.peers;
    // Index 4 is the entry that opens the term: the first one to be sent.
    expect(n2).toMatchObject({ id: "n2", matchIndex: 0, nextIndex: 4, state: "probe" });
  });
});

describe("Figure 2, AppendEntries", () => {
  test("1: reply false if term < currentTerm", () => {
    const solo = new Solo({ log: [1, 2], term: 3 });
    solo.step("n2", append({ term: 2, prevIndex: 2, prevTerm: 2 }));
    expect(solo.sent("append-entries-response", "n2")).toMatchObject([{ term: 3, success: false }]);
    expect(solo.status.leader).toBeUndefined();
  });

  test("2: reply false if the log holds no entry at prevLogIndex with prevLogTerm", () => {
    const solo = new Solo({ log: [1, 1, 2], term: 3 });
    solo.step("n2", append({ term: 3, prevIndex: 4, prevTerm: 2 }));
    solo.step("n2", append({ term: 3, prevIndex: 3, prevTerm: 3 }));
    solo.step("n2", append({ term: 3, prevIndex: 3, prevTerm: 2 }));
    expect(solo.sent("append-entries-response").map((m) => m.success)).toEqual([
      false,
      false,
      true,
    ]);
  });

  test("3: an entry that conflicts is deleted, with all that follow it", () => {
    const solo = new Solo({ log: [1, 1, 2, 2, 2], term: 3 });
    solo.step("n2", append({ term: 3, prevIndex: 2, prevTerm: 1, batches: batchesOf([3], 3) }));
    expect(solo.terms).toEqual([1, 1, 3]);
    expect(solo.eventsOf("truncated")).toEqual([{ type: "truncated", from: 3, term: 2 }]);
  });

  test("3: entries that do not conflict stay, also those behind the message", () => {
    const solo = new Solo({ log: [1, 1, 2, 2, 2], term: 3 });
    solo.step("n2", append({ term: 3, prevIndex: 1, prevTerm: 1, batches: batchesOf([1, 2], 2) }));
    expect(solo.terms).toEqual([1, 1, 2, 2, 2]);
    expect(solo.eventsOf("truncated")).toEqual([]);
    expect(solo.sent("append-entries-response")).toMatchObject([{ success: true, index: 3 }]);
  });

  test("4: entries that are not in the log are appended, in the middle of a batch too", () => {
    const solo = new Solo({ log: [1, 1], term: 1 });
    solo.step(
      "n2",
      append({ term: 1, prevIndex: 1, prevTerm: 1, batches: batchesOf([1, 1, 1], 2) }),
    );
    expect(solo.terms).toEqual([1, 1, 1, 1]);
    expect(solo.outputs.flatMap((o) => o.entries).map((b) => b.toString())).toEqual(["[3..4]@1"]);
  });

  test("5: commitIndex follows leaderCommit, at most up to the last new entry", () => {
    const solo = new Solo({ log: [1, 1, 1, 1], term: 2 });
    solo.step(
      "n2",
      append({ term: 2, prevIndex: 1, prevTerm: 1, commit: 4, batches: batchesOf([1], 2) }),
    );
    expect(solo.status.commit).toBe(2);
    solo.step("n2", append({ term: 2, prevIndex: 4, prevTerm: 1, commit: 3 }));
    expect(solo.status.commit).toBe(3);
  });
});

describe("Figure 2, RequestVote", () => {
  test("1: reply false if term < currentTerm", () => {
    const solo = new Solo({ term: 4 });
    const messages = solo.step("n2", requestVote(3, 9, 3));
    expect(messages).toMatchObject([
      { to: "n2", after: 0, message: { type: "request-vote-response", term: 4, granted: false } },
    ]);
  });

  test("2: grant if no vote was given in this term", () => {
    const solo = new Solo({ log: [1], term: 1 });
    expect(granted(solo.step("n2", requestVote(2, 1, 1)))).toBe(true);
    expect(solo.eventsOf("vote")).toEqual([{ type: "vote", term: 2, candidate: "n2" }]);
  });

  test("2: grant the same candidate again, refuse another one in the same term", () => {
    const solo = new Solo({ log: [1], term: 1 });
    solo.step("n2", requestVote(2, 1, 1));
    expect(granted(solo.step("n2", requestVote(2, 1, 1)))).toBe(true);
    expect(granted(solo.step("n3", requestVote(2, 9, 1, "n3")))).toBe(false);
    expect(solo.eventsOf("vote")).toHaveLength(1);
  });

  test("2: another directory under the same name is another candidate", () => {
    const solo = new Solo();
    solo.step("n2", requestVote(2, 0, 0));
    expect(granted(solo.step("n2", requestVote(2, 0, 0, "other directory")))).toBe(false);
  });

  test("2 and 5.4.1: the later last term is more up to date, then the longer log", () => {
    const ends: [number, number, boolean][] = [
      [1, 4, true], // a later term beats any length
      [9, 2, false], // a longer log of an earlier term does not
      [3, 3, true],
      [4, 3, true],
      [2, 3, false],
    ];
    for (const [lastIndex, lastTerm, expected] of ends) {
      const solo = new Solo({ log: [1, 3, 3], term: 3 });
      expect(granted(solo.step("n2", requestVote(5, lastIndex, lastTerm)))).toBe(expected);
    }
  });
});

describe("Figure 2, Rules for Servers: all", () => {
  test("1: what is committed is handed out to be applied", () => {
    const solo = new Solo({ log: [1, 1], term: 1 });
    solo.step("n2", append({ term: 1, prevIndex: 2, prevTerm: 1, commit: 2 }));
    expect(solo.outputs.at(-1)?.commit).toBe(2);
    solo.raft.applied(solo.nowMs, 2);
    expect(solo.status.applied).toBe(2);
  });

  test("2: a higher term in any request or response is taken over, as a follower", () => {
    const higher: Message[] = [
      { type: "request-vote-response", term: 7, granted: false },
      {
        type: "append-entries-response",
        term: 7,
        success: false,
        index: 0,
        hintIndex: 0,
        hintTerm: 0,
      },
      { type: "heartbeat-response", term: 7, round: 0, health: "ok" },
      { type: "read-index-request", term: 7, token: 1, byLease: false },
      { type: "read-index-response", term: 7, token: 1, ok: false, index: 0 },
      { type: "pre-vote-response", term: 7, granted: false },
      { type: "heartbeat", term: 7, commit: 0, round: 0 },
      append({ term: 7 }),
    ];
    for (const message of higher) {
      const solo = new Solo().win("n2");
      solo.step("n3", message);
      expect(solo.status, message.type).toMatchObject({ role: "follower", term: 7 });
    }
  });

  test("2: a pre-vote takes nothing over: it names a term that may never be", () => {
    const solo = new Solo();
    solo.step("n2", { type: "pre-vote", term: 9, lastIndex: 0, lastTerm: 0 });
    expect(solo.status.term).toBe(0);
  });
});

describe("Figure 2, Rules for Servers: followers and candidates", () => {
  test("followers 1: requests of candidates and leaders are answered", () => {
    const solo = new Solo();
    solo.step("n2", requestVote(1, 0, 0));
    solo.step("n2", append({ term: 1 }));
    solo.step("n2", { type: "heartbeat", term: 1, commit: 0, round: 3 });
    expect(solo.messages.map((m) => m.message.type)).toEqual([
      "request-vote-response",
      "append-entries-response",
      "heartbeat-response",
    ]);
  });

  test("followers 2: silence for the election timeout starts a campaign", () => {
    const solo = new Solo();
    solo.run(499);
    solo.step("n2", append({ term: 1 }));
    solo.run(999);
    expect(solo.status.role).toBe("follower");
    solo.run(501);
    expect(solo.status.role).toBe("pre-candidate");
  });

  test("followers 2: a vote given puts the campaign off", () => {
    const solo = new Solo();
    const before = solo.raft.state.electionDeadlineMs;
    solo.nowMs += 300;
    solo.step("n2", requestVote(1, 0, 0));
    expect(solo.raft.state.electionDeadlineMs).toBeGreaterThanOrEqual(solo.nowMs + 1_000);
    expect(solo.raft.state.electionDeadlineMs).not.toBe(before);
  });

  test("followers 2: a vote refused does not", () => {
    const solo = new Solo({ log: [1, 1] });
    const before = solo.raft.state.electionDeadlineMs;
    solo.nowMs += 300;
    solo.step("n2", requestVote(3, 1, 1));
    expect(solo.status.term).toBe(3);
    expect(solo.raft.state.electionDeadlineMs).toBe(before);
  });

  test("candidates 1: raises the term, votes for itself, asks every voter", () => {
    const solo = new Solo({ log: [1, 2], learners: ["x1"], autoPersist: false });
    solo.timeOut();
    expect(solo.status).toMatchObject({ role: "pre-candidate", term: 2 });
    solo.step("n3", { type: "pre-vote-response", term: 3, granted: true });
    expect(solo.status).toMatchObject({ role: "candidate", term: 3 });
    const output = solo.outputs.at(-1)!;
    expect(output.hardState).toMatchObject({ term: 3, vote: { id: "n1" } });
    const message = {
      type: "request-vote",
      transfer: false,
      term: 3,
      incarnation: incarnationOf("n1"),
      lastIndex: 2,
      lastTerm: 2,
    };
    expect(output.messages).toEqual([
      { to: "n2", message, after: output.number },
      { to: "n3", message, after: output.number },
    ]);
  });

  test("candidates 2: votes of a majority make it leader", () => {
    const voters = ["n1", "n2", "n3", "n4", "n5"];
    const solo = new Solo({ voters });
    solo.timeOut();
    for (const from of ["n2", "n3"])
      solo.step(from, { type: "pre-vote-response", term: 1, granted: true });
    solo.step("n2", { type: "request-vote-response", term: 1, granted: true });
    expect(solo.status.role).toBe("candidate");
    solo.step("n4", { type: "request-vote-response", term: 1, granted: true });
    expect(solo.status).toMatchObject({ role: "leader", leader: "n1" });
    expect(solo.eventsOf("role").at(-1)?.reason).toBe("votes from n1, n2, n4");
  });

  test("candidates 3: a leader of the same term is followed", () => {
    const solo = new Solo();
    solo.timeOut();
    solo.step("n2", { type: "pre-vote-response", term: 1, granted: true });
    solo.step("n3", append({ term: 1 }));
    expect(solo.status).toMatchObject({ role: "follower", term: 1, leader: "n3" });
  });

  test("candidates 4: an election that is not decided in time starts over", () => {
    const solo = new Solo();
    solo.timeOut();
    solo.step("n2", { type: "pre-vote-response", term: 1, granted: true });
    expect(solo.status.role).toBe("candidate");
    solo.run(1_500);
    expect(solo.status).toMatchObject({ role: "pre-candidate", term: 1 });
    solo.step("n2", { type: "pre-vote-response", term: 2, granted: true });
    expect(solo.status).toMatchObject({ role: "candidate", term: 2 });
  });
});

describe("Figure 2, Rules for Servers: leaders", () => {
  test("1: says so at once when elected, and again and again when idle", () => {
    const solo = new Solo().win("n2");
    expect(solo.sent("append-entries").map((m) => m.term)).toEqual([1, 1]);
    solo.forget();
    solo.run(100);
    expect(solo.messages.map((m) => [m.to, m.message.type])).toEqual([
      ["n2", "heartbeat"],
      ["n3", "heartbeat"],
    ]);
  });

  test("2: a command is appended and answered by its place", () => {
    const solo = new Solo().win("n2").ackAll("n2", "n3");
    const result = solo.raft.propose(solo.nowMs, { bytes: new Uint8Array(40), count: 1 });
    expect(result).toEqual({ ok: true, firstIndex: 2, term: 1 });
    expect(new Solo().raft.propose(1_000, { bytes: new Uint8Array(40), count: 1 })).toEqual({
      ok: false,
      reason: "not-leader",
      leader: undefined,
    });
  });

  test("3: sends what a follower lacks, from nextIndex on", () => {
    const solo = new Solo().win("n2").ackAll("n2");
    solo.forget();
    solo.propose("a");
    const [message] = solo.sent("append-entries", "n2");
    expect(message).toMatchObject({ prevIndex: 1, prevTerm: 1 });
    expect(message?.batches.map((b) => b.toString())).toEqual(["[2..2]@1"]);
  });

  test("3: a success moves nextIndex and matchIndex on, a refusal moves nextIndex back", () => {
    const solo = new Solo({ log: [1, 1, 1] }).win("n2");
    solo.step("n2", ack(2, 4));
    expect(solo.status.peers[0]).toMatchObject({ matchIndex: 4, nextIndex: 5 });
    solo.step("n3", { ...ack(2, 3), success: false, hintIndex: 1, hintTerm: 1 });
    expect(solo.status.peers[1]).toMatchObject({ matchIndex: 0, nextIndex: 2 });
    expect(solo.sent("append-entries", "n3").at(-1)).toMatchObject({ prevIndex: 1, prevTerm: 1 });
  });

  test("4: commits what a majority has, in its own term", () => {
    const solo = new Solo({ voters: ["n1", "n2", "n3", "n4", "n5"] }).win("n2", "n3");
    solo.step("n2", ack(1, 1));
    expect(solo.status.commit).toBe(0);
    solo.step("n3", ack(1, 1));
    expect(solo.status.commit).toBe(1);
  });

  test("4, 5.4.2 and Figure 8: entries of earlier terms are never committed by counting", () => {
    const solo = new Solo({ log: [1, 2], term: 3 }).win("n2");
    // (c) of Figure 8: entry 2 of term 2 is on a majority, yet it can still be overwritten.
    solo.step("n2", ack(4, 2));
    expect(solo.status.commit).toBe(0);
    // (e): with an entry of its own term on a majority, everything before it is safe too.
    solo.step("n2", ack(4, 3));
    expect(solo.status.commit).toBe(3);
  });

  test("the leader's own entries count only once its own disk has them", () => {
    const solo = new Solo().win("n2").ackAll("n2", "n3");
    solo.autoPersist = false;
    solo.propose("a");
    const { number } = solo.outputs.at(-1)!;
    solo.step("n2", ack(1, 2));
    expect(solo.status.commit).toBe(1);
    solo.persist(number);
    expect(solo.status.commit).toBe(2);
  });

  test("a majority without the leader is enough while its disk is slow", () => {
    const solo = new Solo().win("n2").ackAll("n2", "n3");
    solo.autoPersist = false;
    solo.propose("a");
    solo.step("n2", ack(1, 2));
    solo.step("n3", ack(1, 2));
    expect(solo.status).toMatchObject({ commit: 2, persisted: 1 });
  });
});

describe("Section 5 and 8", () => {
  test("5.2: election timeouts are drawn from [T, 1.5 T)", () => {
    const drawn = new Set<number>();
    const solo = new Solo();
    for (let i = 0; i < 200; i++) {
      solo.run(solo.raft.state.electionDeadlineMs - solo.nowMs);
      drawn.add(solo.raft.state.electionTimeoutMs);
    }
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(1_000);
    expect(Math.max(...drawn)).toBeLessThan(1_500);
    expect(drawn.size).toBeGreaterThan(100);
  });

  test("8: a new leader opens its term with an entry of its own", () => {
    const network = new TestNetwork();
    const leader = network.elect();
    expect(leader.applied).toMatchObject([{ index: 1, kind: 0 }]);
    expect(leader.eventsOf("ready")).toEqual([{ type: "ready", term: leader.raft.status().term }]);
  });

  test("5.3: five leaders later every log is the same", () => {
    const network = new TestNetwork({ voters: ["n1", "n2", "n3", "n4", "n5"] });
    for (const id of ["n1", "n2", "n3", "n4", "n5"]) {
      network.electNode(id);
      network.propose(id, `from ${id}`);
      network.run(20);
      network.isolate(id);
      network.propose(id, `lost with ${id}`);
      network.run(3_000);
      network.heal();
    }
    network.run(5_000);
    const texts = ["from n1", "from n2", "from n3", "from n4", "from n5"];
    for (const node of network.nodes.values()) expect(node.texts).toEqual(texts);
  });
});
