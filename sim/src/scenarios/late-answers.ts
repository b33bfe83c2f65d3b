/**
 * Answers that come too late: each was right when it was given and means nothing any more.
 *
 * A network must hold one message back across an election or two to bring these about, so they are
 * told with a single core whose cluster is played by hand.
 */
import assert from "node:assert/strict";
import type { Scenario } from "../scenario.ts";
import { Solo, ackOf, batchOf, voteOf } from "./solo.ts";

/** Scenarios about late answers. */
export const scenarios: readonly Scenario[] = [
  {
    name: "late-acknowledgement",
    known: "openraft cecb5de8",
    text:
      "n1 leads term 2, n2 acknowledges its entries, another leader replaces them, n1 leads again: " +
      "the old acknowledgement, arriving now, must not help to commit.",
    run: () => told(lateAcknowledgement),
  },
  {
    name: "acknowledged-before",
    text:
      "n2 acknowledged what n1 wrote as leader; it was replaced since. When n1 leads again it must " +
      "not rely on what it knew of n2.",
    run: () => told(acknowledgedBefore),
  },
  {
    name: "late-vote",
    text: "A vote that was given in the term before arrives in the next campaign and must not count.",
    run: () => told(lateVote),
  },
  {
    name: "repeated-vote",
    text: "The vote of one member arrives three times: of five, that is no majority.",
    run: () => told(repeatedVote),
  },
  {
    name: "late-read-index",
    known: "etcd#20418",
    text:
      "A follower asks twice for one read; the second answer comes when it is waiting for another " +
      "read, and must not be taken for the answer to that.",
    run: () => told(lateReadIndex),
  },
  {
    name: "late-heartbeat-answer",
    known: "etcd#20418",
    text: "An answer to a heartbeat from before a read arrived must not confirm that read.",
    run: () => told(lateHeartbeatAnswer),
  },
  {
    name: "read-behind-the-round",
    text: "A read that arrives after a round was sent must wait for a round of its own.",
    run: () => told(readBehindTheRound),
  },
  {
    name: "figure-8",
    known: "async-raft#106",
    text:
      "A leader learns that a majority holds an entry of an earlier term, and none of its own: it " +
      "must not commit it, for another leader could still replace it.",
    run: () => told(figure8),
  },
  {
    name: "late-snapshot",
    text:
      "A snapshot arrives at a member whose log holds its last entry and more by now: what follows " +
      "there was acknowledged, and stays.",
    run: () => told(lateSnapshot),
  },
  {
    name: "overwritten-while-written",
    known: "openraft#1960",
    text:
      "Entries are replaced while the write of the old ones is under way: its end must not let the " +
      "new ones count as durable.",
    run: () => told(overwrittenWhileWritten),
  },
];

async function told(story: () => void): Promise<void> {
  await Promise.resolve();
  story();
}

function lateAcknowledgement(): void {
  const core = new Solo({ members: 5 });
  const first = core.leads(["n2", "n3"]);
  // n2 has all of it and says so, but that is still under way when n4 becomes leader.
  const late = ackOf(first, core.appends(3));
  leadsAgain(core, first + 1);
  core.hears("n2", late);
  assert.equal(core.commit, 1, "an acknowledgement of an earlier term was counted");
}

function acknowledgedBefore(): void {
  const core = new Solo({ members: 5 });
  const first = core.leads(["n2", "n3"]);
  core.hears("n2", ackOf(first, core.appends(3)));
  leadsAgain(core, first + 1);
  assert.equal(core.commit, 1, "an acknowledgement of an earlier leadership was counted");
}

/** n4 leads `term` and replaces what n1 wrote; then n1 leads again and has n4's acknowledgement. */
function leadsAgain(core: Solo, term: number): void {
  const batches = [batchOf(term, 2, 1)];
  const prev = { prevIndex: 1, prevTerm: 1, commit: 1 };
  core.hears("n4", { type: "append-entries", term, ...prev, batches });
  const again = core.leads(["n4", "n5"]);
  core.hears("n4", ackOf(again, core.appends(4)));
}

function lateVote(): void {
  const core = new Solo({ members: 3 });
  const first = core.campaigns(["n2"]);
  assert.equal(core.role, "candidate");
  const second = core.campaigns(["n3"]);
  assert.equal(second, first + 1);
  assert.equal(core.role, "candidate");
  core.hears("n2", voteOf(first));
  assert.equal(core.role, "candidate", "a vote of an earlier term was counted");
}

function repeatedVote(): void {
  const core = new Solo({ members: 5 });
  const term = core.campaigns(["n2", "n3"]);
  assert.equal(core.role, "candidate");
  for (let i = 0; i < 3; i++) core.hears("n2", voteOf(term));
  assert.equal(core.role, "candidate", "a vote was counted more than once");
}

function lateReadIndex(): void {
  const core = new Solo({ members: 3, terms: [1, 1, 1], commit: 4 });
  const heartbeat = { type: "heartbeat", term: 1, commit: 4, round: 0 } as const;
  core.hears("n2", heartbeat);
  core.raft.readIndex(core.nowMs, 1);
  core.act();
  const { token } = core.newest("read-index-request");
  core.waits(150);
  const repeated = core.newest("read-index-request").token;
  assert.notEqual(repeated, token, "the request is repeated with a token of its own");
  const answer = { type: "read-index-response", term: 1, ok: true, index: 4 } as const;
  core.hears("n2", { ...answer, token });
  assert.deepEqual(core.reads.splice(0), [{ context: 1, index: 4, status: "ok" }]);
  core.raft.readIndex(core.nowMs, 2);
  core.act();
  core.hears("n2", { ...answer, token: repeated });
  assert.deepEqual(core.reads, [], "the answer to an earlier request was taken");
}

function lateHeartbeatAnswer(): void {
  const core = new Solo({ members: 3 });
  const term = readyLeader(core);
  const answer = { type: "heartbeat-response", term, round: 0, health: "ok" } as const;
  core.raft.readIndex(core.nowMs, 1);
  core.act();
  assert.equal(core.newest("heartbeat").round, 1);
  core.hears("n2", answer);
  core.hears("n3", answer);
  assert.deepEqual(core.reads, [], "an answer from before the read has confirmed it");
  core.hears("n2", { ...answer, round: 1 });
  assert.equal(core.reads.length, 1);
}

function readBehindTheRound(): void {
  const core = new Solo({ members: 3 });
  const term = readyLeader(core);
  core.raft.readIndex(core.nowMs, 1);
  core.act();
  core.raft.readIndex(core.nowMs, 2);
  core.act();
  core.hears("n2", { type: "heartbeat-response", term, round: 1, health: "ok" });
  assert.deepEqual(
    core.reads.map(({ context }) => context),
    [1],
    "a read was answered by a round that was sent before it arrived",
  );
  core.hears("n2", { type: "heartbeat-response", term, round: 2, health: "ok" });
  assert.equal(core.reads.length, 2);
}

function figure8(): void {
  const core = new Solo({ members: 5, terms: [2, 2], term: 3 });
  const term = core.leads(["n2", "n3"]);
  assert.equal(core.raft.status().lastIndex, 4);
  core.hears("n2", ackOf(term, 3));
  core.hears("n3", ackOf(term, 3));
  assert.equal(core.commit, 1, "an entry of an earlier term was committed by counting");
  core.hears("n2", ackOf(term, 4));
  core.hears("n3", ackOf(term, 4));
  assert.equal(core.commit, 4);
}

function lateSnapshot(): void {
  const core = new Solo({ members: 3, terms: [1, 1, 1, 1, 1] });
  core.hears("n2", { type: "heartbeat", term: 1, commit: 1, round: 1 });
  const { configuration } = core.raft.status();
  const point = { index: 4, term: 1, configuration: { index: 1, configuration }, timeMs: 0 };
  assert.equal(core.raft.installSnapshot(core.nowMs, "n2", point), "in-log");
  core.act();
  assert.equal(core.commit, 4);
  assert.equal(core.raft.status().lastIndex, 6, "entries behind the snapshot are gone");
}

function overwrittenWhileWritten(): void {
  const core = new Solo({ members: 3 });
  core.isDiskFast = false;
  const append = { type: "append-entries", prevIndex: 1, prevTerm: 1, commit: 1 } as const;
  core.hears("n2", { ...append, term: 2, batches: [batchOf(2, 2, 3)] });
  const written = core.outputs.at(-1)!.number;
  core.hears("n3", { ...append, term: 3, batches: [batchOf(3, 2, 3)] });
  const answer = core.outputs.at(-1)!;
  assert.deepEqual(
    answer.messages.map(({ after }) => after),
    [answer.number],
    "the new entries are acknowledged once they are durable",
  );
  core.raft.persisted(core.nowMs, written);
  assert.ok(core.raft.status().persisted < 2, "the old write has made the new entries durable");
}

/** Makes it leader with an own entry committed; returns the term. */
function readyLeader(core: Solo): number {
  const term = core.leads(["n2"]);
  core.hears("n2", ackOf(term, core.raft.status().lastIndex));
  assert.equal(core.raft.status().ready, true);
  core.sent.length = 0;
  return term;
}
