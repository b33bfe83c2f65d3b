/**
 * Every invariant shown to fire: state is corrupted on purpose, or the cluster is broken on
 * purpose, and the next step over it must throw, by name.
 */
import { expect, test } from "vitest";
import { InvariantViolation } from "../util/assert.ts";
import { crc32 } from "../util/checksum.ts";
import { commitAsLeader, commitTo } from "./commit.ts";
import { NO_INCARNATION } from "./configuration.ts";
import { encodeConfiguration } from "./configuration-codec.ts";
import { EntryKind } from "./entry.ts";
import { EntryLog } from "./entry-log.ts";
import { EMPTY_GROUP } from "./contract.ts";
import type { InvariantName } from "./invariants.ts";
import { INVARIANTS } from "./invariants.ts";
import { appendBatch, appendConfiguration, appendNoop } from "./propose.ts";
import { checkSuccession } from "./membership-rules.ts";
import { configurationOf, incarnationOf } from "./member-harness.ts";
import { Progress } from "./progress.ts";
import {
  becomeCandidate,
  becomeFollower,
  becomeLeader,
  becomePreCandidate,
  castVote,
} from "./role.ts";
import { ack, append, batchesOf, batchOf, entryOf, pointAt, Solo } from "./solo-harness.ts";

type Breach = () => unknown;

function leader(options: ConstructorParameters<typeof Solo>[0] = {}): Solo {
  return new Solo(options).win("n2").ackAll("n2", "n3");
}

/** In the middle of a transfer to n2. */
function transferring(): Solo {
  const solo = leader();
  solo.raft.transferLeadership(solo.nowMs, "n2");
  return solo;
}

/** Its log starts after entry 2. */
function released(): Solo {
  const solo = new Solo({ log: [1, 1, 1], commit: 3 });
  solo.raft.applied(solo.nowMs, 3);
  solo.raft.compact(solo.nowMs, 2);
  return solo;
}

/** A follower whose disk has stalled. */
function stalled(): Solo {
  const solo = new Solo();
  solo.raft.state.watch.health = "stalled";
  return solo;
}

const breaches: Record<InvariantName, Record<string, Breach>> = {
  "time-monotone": {
    "time goes back": () => new Solo().raft.tick(10),
    "time is no number": () => new Solo().raft.tick(Number.NaN),
  },
  "recovered-consistent": {
    "a log of a later term than the member": () => new Solo({ log: [5], term: 4 }),
    "a log that ends before it starts": () => new Solo({ recovered: { startIndex: 5 } }),
    "entries without a term": () => new Solo({ recovered: { lastIndex: 5 } }),
    "runs that do not begin the log": () =>
      new Solo({ term: 3, recovered: { lastIndex: 5, termRuns: [{ index: 2, term: 1 }] } }),
    "terms that fall": () =>
      new Solo({
        term: 3,
        recovered: {
          lastIndex: 5,
          termRuns: [
            { index: 1, term: 3 },
            { index: 2, term: 1 },
          ],
        },
      }),
    "a run behind the end": () =>
      new Solo({
        term: 3,
        recovered: {
          lastIndex: 5,
          termRuns: [
            { index: 1, term: 1 },
            { index: 6, term: 3 },
          ],
        },
      }),
  },
  "term-monotone": {
    "a follower goes back": () => {
      const { state } = new Solo({ term: 5 }).raft;
      becomeFollower(state, 4, undefined, "planted");
    },
  },
  "vote-once": {
    "a second vote in a term": () => {
      const { state } = new Solo({ term: 5, vote: "n2" }).raft;
      castVote(state, "n3", "incarnation");
    },
    "the same name, another directory": () => {
      const { state } = new Solo({ term: 5, vote: "n2" }).raft;
      castVote(state, "n2", "incarnation");
    },
  },
  "one-leader-per-term": {
    "a second leader speaks to a follower": () => {
      const solo = new Solo();
      solo.step("n2", append({ term: 1 }));
      solo.step("n3", append({ term: 1 }));
    },
    "a second leader speaks to the leader": () => {
      leader().step("n2", { type: "heartbeat", term: 1, commit: 0, round: 0 });
    },
    "a second leader speaks to one that has stepped down": () => {
      const solo = leader();
      solo.run(2_000);
      solo.step("n2", append({ term: 1 }));
    },
  },
  "campaign-as-voter": {
    "a learner asks for pre-votes": () =>
      becomePreCandidate(new Solo({ id: "x1", learners: ["x1"] }).raft.state, "planted"),
    "a learner asks for votes": () =>
      becomeCandidate(new Solo({ id: "x1", learners: ["x1"] }).raft.state, "planted"),
    "a learner leads": () =>
      becomeLeader(new Solo({ id: "x1", learners: ["x1"] }).raft.state, "planted"),
  },
  "campaign-with-storage": {
    "pre-votes without a disk": () => becomePreCandidate(stalled().raft.state, "planted"),
    "votes without a disk": () => becomeCandidate(stalled().raft.state, "planted"),
  },
  "log-contiguous": {
    "a gap": () => new EntryLog(EMPTY_GROUP, crc32).append(batchOf(1, 2, "a")),
  },
  "log-terms-ordered": {
    "a lower term behind a higher one": () => {
      const log = new EntryLog(EMPTY_GROUP, crc32);
      log.append(batchOf(2, 1, "a"));
      log.append(batchOf(1, 2, "b"));
    },
    "a term above the current one": () => appendBatch(new Solo().raft.state, batchOf(1, 1, "a")),
    "a snapshot of a term above the current one": () =>
      new Solo().raft.installSnapshot(1_000, "n2", pointAt(3, 2)),
  },
  "start-monotone": {
    "a release of what is gone": () => released().raft.state.log.startAfter(1),
    "a release beyond the end": () => new Solo({ log: [1] }).raft.state.log.startAfter(2),
    "a reset to where the log starts": () => released().raft.state.log.resetTo(pointAt(2, 1)),
  },
  "released-when-applied": {
    "entries leave that were not applied": () =>
      new Solo({ log: [1, 1], commit: 2 }).raft.compact(1_000, 1),
    "entries leave that are not durable": () => {
      const solo = new Solo({ autoPersist: false });
      solo.step("n2", append({ term: 1, commit: 2, batches: batchesOf([1, 1]) }));
      solo.raft.applied(solo.nowMs, 2);
      solo.raft.compact(solo.nowMs, 1);
    },
  },
  "reset-beyond-commit": {
    "the commit index grows while a snapshot is taken over": () => {
      const { raft, nowMs } = new Solo({ log: [1, 1], commit: 1 });
      let asked = 0;
      Object.defineProperty(raft.state, "commit", { get: () => (asked++ === 0 ? 1 : 9) });
      raft.installSnapshot(nowMs, "n2", pointAt(5, 1));
    },
  },
  "leader-append-only": {
    "a leader is made to follow itself": () => {
      const solo = leader({ log: [1] });
      const { state } = solo.raft;
      // Planted: it takes itself for a follower of n2 while it leads.
      state.leader = "n2";
      state.termLeader = "n2";
      Object.defineProperty(state, "role", {
        get: (() => {
          let asked = 0;
          return () => (asked++ === 0 ? "follower" : "leader");
        })(),
      });
      state.commit = 0;
      solo.raft.step(
        solo.nowMs,
        "n2",
        append({ term: state.term, prevIndex: 1, prevTerm: 1, batches: [batchOf(1, 2, "other")] }),
      );
    },
  },
  "committed-kept": {
    "a leader contradicts a committed entry": () =>
      new Solo({ log: [1, 1], commit: 2 }).step("n2", append({ term: 2, batches: batchesOf([2]) })),
    "a leader has another entry at the commit index": () =>
      new Solo({ log: [1, 1], term: 2, commit: 2 }).step(
        "n2",
        append({ term: 2, prevIndex: 2, prevTerm: 2 }),
      ),
    "a snapshot contradicts a committed entry": () =>
      new Solo({ log: [1, 1], term: 2, commit: 2 }).raft.installSnapshot(
        1_000,
        "n2",
        pointAt(2, 2),
      ),
  },
  "verified-kept": {
    "a leader contradicts itself": () => {
      const solo = new Solo();
      solo.step("n2", append({ term: 2, batches: batchesOf([1, 1]) }));
      solo.step("n2", append({ term: 2, batches: batchesOf([2]) }));
    },
  },
  "commit-monotone": {
    "the commit index goes back": () =>
      commitTo(new Solo({ log: [1, 1], commit: 2 }).raft.state, 1),
  },
  "commit-within-log": {
    "the commit index passes the log": () => commitTo(new Solo({ log: [1] }).raft.state, 2),
  },
  "commit-own-term": {
    "an entry of an earlier term is counted": () =>
      commitAsLeader(new Solo({ log: [1, 1] }).win("n2").raft.state, 2),
  },
  "applied-within-commit": {
    "more is applied than committed": () => new Solo({ log: [1] }).raft.applied(1_000, 1),
  },
  "match-within-log": {
    "a peer's match passes the log": () => {
      const solo = leader();
      const progress = solo.raft.state.progress.get("n2")!;
      progress.match = 9;
      progress.next = 10;
      solo.step("n2", ack(1, 1));
    },
  },
  "next-after-match": {
    "next falls behind match": () => {
      const progress = new Progress(
        { id: "n2", role: "voter", incarnation: incarnationOf("n2") },
        5,
      );
      progress.becomeReplicate();
      progress.match = 7;
      progress.sent(6, 10);
    },
  },
  "inflight-balanced": {
    "more is freed than was sent": () => {
      const progress = new Progress(
        { id: "n2", role: "voter", incarnation: incarnationOf("n2") },
        1,
      );
      progress.becomeReplicate();
      progress.sent(1, 5);
      progress.sent(2, -10);
      progress.acknowledge(2);
    },
  },
  "outputs-in-sequence": {
    "an output that never was is durable": () => new Solo().raft.persisted(1_000, 99),
    "an output that is no number is durable": () => new Solo().raft.persisted(1_000, Number.NaN),
  },
  "stable-within-log": {
    "a truncation forgot to clamp": () => {
      const solo = new Solo({ autoPersist: false });
      solo.step("n2", append({ term: 1, batches: batchesOf([1, 1, 1]) }));
      solo.raft.state.log.truncateFrom(2);
      solo.persist(solo.outputs.at(-1)!.number);
    },
  },
  "read-after-own-commit": {
    "a read is opened before the first own commit": () => {
      const solo = new Solo().win("n2");
      solo.raft.state.ready = true;
      solo.raft.readIndex(solo.nowMs, 1);
      solo.take();
    },
  },
  "transfer-appends-nothing": {
    "the leader opens its term again": () => appendNoop(transferring().raft.state),
  },
  "transfer-target-whole": {
    "the target has acknowledged more than there is": () => {
      const solo = leader();
      solo.raft.state.progress.get("n2")!.match = solo.status.lastIndex + 1;
      solo.raft.transferLeadership(solo.nowMs, "n2");
      solo.take();
    },
  },
  "one-configuration-uncommitted": {
    "a second configuration is appended before the first is committed": () => {
      const { state } = leader().raft;
      appendConfiguration(state, configurationOf(["n1", "n2", "n3"], ["n4"]));
      appendConfiguration(state, configurationOf(["n1", "n2", "n3"], ["n5"]));
    },
  },
  "configurations-overlap": {
    "voters change without a joint configuration": () =>
      appendConfiguration(leader().raft.state, configurationOf(["n1", "n2"])),
    "the outgoing half is not what was there before": () =>
      appendConfiguration(leader().raft.state, configurationOf(["n1"], [], ["n1", "n2"])),
    "a voter becomes another directory": () => {
      const before = configurationOf(["n1", "n2"]);
      const [one, two] = before.members;
      const members = [one!, { ...two!, incarnation: incarnationOf("other") }];
      checkSuccession(before, { ...before, members }, 2);
    },
    "a follower is given such a configuration": () => {
      const payload = encodeConfiguration(configurationOf(["n1"]));
      const batch = entryOf(1, 1, EntryKind.configuration, payload);
      new Solo().step("n2", append({ term: 1, batches: [batch] }));
    },
  },
  "joint-left-by-its-own-final": {
    "a joint configuration is left for its outgoing half": () =>
      checkSuccession(
        configurationOf(["n1", "n4"], [], ["n1", "n2"]),
        configurationOf(["n1", "n2"]),
        2,
      ),
    "a joint configuration follows a joint one": () => {
      const joint = configurationOf(["n1", "n4"], [], ["n1", "n2"]);
      checkSuccession(joint, joint, 2);
    },
  },
  "voters-have-incarnations": {
    "a learner that was never started is promoted": () => {
      const before = configurationOf(["n1"], ["n2"]);
      const joint = configurationOf(["n1", "n2"], [], ["n1"]);
      const members = joint.members.map((m) =>
        m.id === "n2" ? { ...m, incarnation: NO_INCARNATION } : m,
      );
      checkSuccession(before, { ...joint, members }, 2);
    },
  },
};

for (const [name, cases] of Object.entries(breaches)) {
  for (const [what, breach] of Object.entries(cases)) {
    test(`${name}: ${what}`, () => {
      expect(breach).toThrow(InvariantViolation);
      expect(breach).toThrow(new RegExp(`^${name}: `));
    });
  }
}

test("every invariant has a case above, and says what it is in one sentence", () => {
  expect(Object.keys(breaches).sort()).toEqual(Object.keys(INVARIANTS).sort());
  for (const text of Object.values(INVARIANTS)) expect(text).toMatch(/^[A-Z].*\.$/);
});
