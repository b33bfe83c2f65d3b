/** The follower's side, beyond Figure 2: boundaries, late messages, hints, commit by heartbeat. */
import { describe, expect, test } from "vitest";
import { configurationOf } from "./member-harness.ts";
import { encodeConfiguration } from "./configuration-codec.ts";
import { EntryKind } from "./entry.ts";
import { append, batchesOf, batchOf, entryOf, payload, Solo } from "./solo-harness.ts";

describe("late and repeated messages", () => {
  test("a repeated append changes nothing and is acknowledged again", () => {
    const solo = new Solo();
    const message = append({ term: 1, batches: batchesOf([1, 1, 1]) });
    solo.step("n2", message);
    solo.step("n2", message);
    expect(solo.outputs.flatMap((o) => o.entries)).toHaveLength(1);
    expect(solo.sent("append-entries-response")).toMatchObject([{ index: 3 }, { index: 3 }]);
  });

  test("an earlier append of the same leader does not shorten the log", () => {
    const solo = new Solo();
    solo.step("n2", append({ term: 1, batches: batchesOf([1, 1, 1, 1]) }));
    solo.step("n2", append({ term: 1, prevIndex: 1, prevTerm: 1, batches: batchesOf([1], 2) }));
    expect(solo.terms).toEqual([1, 1, 1, 1]);
  });

  test("an acknowledgement names what was verified, never the end of the own log", () => {
    const solo = new Solo({ log: [1, 1, 1, 1], term: 2 });
    solo.step("n2", append({ term: 2, prevIndex: 2, prevTerm: 1 }));
    expect(solo.sent("append-entries-response")).toMatchObject([{ success: true, index: 2 }]);
  });
});

describe("below the commit index", () => {
  test("an append that begins and ends there is answered with the commit index", () => {
    const solo = new Solo({ log: [1, 1, 1, 1], commit: 3 });
    solo.step("n2", append({ term: 1, prevIndex: 0, batches: batchesOf([1]) }));
    expect(solo.sent("append-entries-response")).toMatchObject([{ success: true, index: 3 }]);
    expect(solo.terms).toEqual([1, 1, 1, 1]);
  });

  test("an append that begins there and ends above it is taken", () => {
    const solo = new Solo({ log: [1, 1, 1], commit: 2 });
    solo.step("n2", append({ term: 2, prevIndex: 1, prevTerm: 1, batches: batchesOf([1, 2], 2) }));
    expect(solo.terms).toEqual([1, 1, 2]);
  });

  test("an append that begins before the start of the log is taken from there on", () => {
    const recovered = {
      startIndex: 10,
      startTerm: 3,
      lastIndex: 11,
      termRuns: [{ index: 11, term: 3 }],
    };
    const solo = new Solo({ term: 3, commit: 11, recovered });
    const batches = [batchOf(2, 8, "8", "9"), batchOf(3, 10, "10", "11", "12")];
    solo.step("n2", append({ term: 3, prevIndex: 7, prevTerm: 2, batches }));
    expect(solo.status.lastIndex).toBe(12);
    expect(solo.sent("append-entries-response")).toMatchObject([{ success: true, index: 12 }]);
    expect(solo.eventsOf("truncated")).toEqual([]);
  });

  test("an append at the very start of the log is matched by the start's term", () => {
    const recovered = { startIndex: 10, startTerm: 3, lastIndex: 10 };
    const solo = new Solo({ term: 3, commit: 10, recovered });
    solo.step("n2", append({ term: 3, prevIndex: 10, prevTerm: 3, batches: batchesOf([3], 11) }));
    expect(solo.status.lastIndex).toBe(11);
  });
});

describe("the hint of a refusal (section 5.3)", () => {
  function hint(log: number[], prevIndex: number, prevTerm: number): [number, number] {
    const solo = new Solo({ log, term: 9 });
    solo.step("n2", append({ term: 9, prevIndex, prevTerm }));
    const [response] = solo.sent("append-entries-response");
    expect(response).toMatchObject({ success: false, index: prevIndex });
    return [response!.hintIndex, response!.hintTerm];
  }

  test("a short log: its end, or the last entry of no later a term", () => {
    expect(hint([1, 1, 2], 7, 5)).toEqual([3, 2]);
    expect(hint([1, 1, 4, 4], 7, 2)).toEqual([2, 1]);
  });

  test("a conflict: the last entry whose term can agree", () => {
    expect(hint([1, 1, 4, 4, 4], 5, 3)).toEqual([2, 1]);
    expect(hint([1, 1, 2, 2, 2], 5, 3)).toEqual([5, 2]);
    expect(hint([4, 4, 4], 3, 2)).toEqual([0, 0]);
  });
});

describe("commit", () => {
  test("a heartbeat commits only what was found equal in this term", () => {
    const solo = new Solo({ log: [1, 1, 1], term: 2 });
    solo.step("n2", { type: "heartbeat", term: 2, commit: 3, round: 0 });
    expect(solo.status.commit).toBe(0);
    solo.step("n2", append({ term: 2, prevIndex: 2, prevTerm: 1 }));
    solo.step("n2", { type: "heartbeat", term: 2, commit: 3, round: 0 });
    expect(solo.status.commit).toBe(2);
  });

  test("what was equal to an earlier leader's log says nothing about the next one's", () => {
    const solo = new Solo();
    solo.step("n2", append({ term: 1, batches: batchesOf([1, 1, 1]) }));
    solo.step("n3", { type: "heartbeat", term: 2, commit: 3, round: 0 });
    expect(solo.status.commit).toBe(0);
  });

  test("a notice commits as a heartbeat does, and is not answered", () => {
    const solo = new Solo({ log: [1, 1, 1], term: 2 });
    solo.step("n2", append({ term: 2, prevIndex: 2, prevTerm: 1 }));
    solo.forget();
    expect(solo.step("n2", { type: "commit-notice", term: 2, commit: 3 })).toEqual([]);
    expect(solo.status).toMatchObject({ commit: 2, leader: "n2" });
  });

  test("but is by who is not well: the leader shall know before it takes more writes", () => {
    const solo = new Solo({ log: [1, 1, 1], term: 2 });
    solo.step("n2", append({ term: 2, prevIndex: 2, prevTerm: 1 }));
    solo.raft.storage(solo.nowMs, true);
    solo.forget();
    solo.step("n2", { type: "commit-notice", term: 2, commit: 1 });
    expect(solo.messages.map(({ to, message }) => [to, message])).toEqual([
      ["n2", { type: "heartbeat-response", term: 2, round: 0, health: "full" }],
    ]);
  });

  test("a notice of a later term makes its sender the leader, one of an earlier is told so", () => {
    const solo = new Solo({ log: [1], term: 2 });
    solo.step("n2", { type: "commit-notice", term: 3, commit: 0 });
    expect(solo.status).toMatchObject({ term: 3, leader: "n2", commit: 0 });
    solo.forget();
    solo.step("n3", { type: "commit-notice", term: 2, commit: 1 });
    expect(solo.sent("heartbeat-response").map((m) => [m.term, m.round])).toEqual([[3, 0]]);
    expect(solo.status.leader).toBe("n2");
  });

  test("several steps within one turn are one advance to an observer", () => {
    const solo = new Solo({ log: [1, 1, 1], term: 1 });
    solo.raft.step(solo.nowMs, "n2", append({ term: 1, prevIndex: 3, prevTerm: 1, commit: 1 }));
    solo.raft.step(solo.nowMs, "n2", append({ term: 1, prevIndex: 3, prevTerm: 1, commit: 3 }));
    solo.take();
    expect(solo.eventsOf("commit")).toEqual([{ type: "commit", index: 3, term: 1 }]);
  });

  test("an old commit index takes nothing back", () => {
    const solo = new Solo({ log: [1, 1, 1], term: 1, commit: 2 });
    solo.step("n2", append({ term: 1, prevIndex: 3, prevTerm: 1, commit: 1 }));
    expect(solo.status.commit).toBe(2);
  });
});

describe("configurations (thesis, 4.1)", () => {
  const two = configurationOf(["n1", "n2"], [], ["n1", "n2", "n3"]);

  test("one is in force when it is appended, and the one before it when it is truncated", () => {
    const solo = new Solo();
    const entry = entryOf(1, 1, EntryKind.configuration, encodeConfiguration(two));
    solo.step("n2", append({ term: 1, batches: [entry] }));
    expect(solo.status).toMatchObject({ configuration: two, configurationIndex: 1, commit: 0 });
    solo.step("n3", append({ term: 2, batches: batchesOf([2]) }));
    expect(solo.status.configurationIndex).toBe(0);
    expect(solo.status.configuration.voters).toEqual(["n1", "n2", "n3"]);
    expect(solo.eventsOf("configuration").map((e) => e.index)).toEqual([1, 0]);
  });

  test("configurations found at recovery are in force and roll back too", () => {
    const configurations = [{ index: 2, configuration: two }];
    const solo = new Solo({ log: [1, 1], recovered: { configurations } });
    expect(solo.status.configurationIndex).toBe(2);
    solo.step("n2", append({ term: 2, prevIndex: 1, prevTerm: 1, batches: batchesOf([2], 2) }));
    expect(solo.status.configurationIndex).toBe(0);
  });

  test("a member that its newest configuration leaves out still votes by the one before", () => {
    const solo = new Solo();
    const joint = encodeConfiguration(configurationOf(["n2", "n3"], [], ["n1", "n2", "n3"]));
    const without = encodeConfiguration(configurationOf(["n2", "n3"]));
    const batches = [joint, without].map((bytes, i) =>
      entryOf(1, 1 + i, EntryKind.configuration, bytes),
    );
    solo.step("n2", append({ term: 1, batches }));
    solo.run(20_000);
    // It asks whether it could win, since it may be the only one who holds that configuration.
    expect(solo.status).toMatchObject({ role: "pre-candidate", term: 1 });
    const vote = {
      type: "request-vote",
      transfer: false,
      term: 2,
      incarnation: "n3",
      lastIndex: 2,
      lastTerm: 1,
    } as const;
    expect(solo.step("n3", vote)).toMatchObject([{ message: { granted: true } }]);
  });

  test("an append whose configuration cannot be read is dropped whole", () => {
    const solo = new Solo({ log: [1] });
    const bad = entryOf(2, 1, EntryKind.configuration, payload("no configuration"));
    expect(solo.step("n2", append({ term: 2, batches: [bad] }))).toEqual([]);
    expect(solo.terms).toEqual([1]);
  });
});

describe("malformed messages are dropped", () => {
  test.each([
    [
      "a gap behind prevIndex",
      append({ term: 2, prevIndex: 1, prevTerm: 1, batches: batchesOf([2], 3) }),
    ],
    [
      "a gap between batches",
      append({ term: 2, batches: [batchOf(1, 1, "a"), batchOf(1, 3, "b")] }),
    ],
    ["terms that fall", append({ term: 2, batches: [batchOf(2, 1, "a"), batchOf(1, 2, "b")] })],
    ["a term above the sender's", append({ term: 2, batches: [batchOf(3, 1, "a")] })],
    ["a previous term above the sender's", append({ term: 2, prevIndex: 1, prevTerm: 3 })],
    ["a term beyond all bounds", append({ term: 2 ** 53 })],
    ["a term that is no number", append({ term: Number.NaN })],
  ])("%s", (_name, message) => {
    const solo = new Solo({ log: [1], term: 2 });
    expect(solo.step("n2", message)).toEqual([]);
    expect(solo.terms).toEqual([1]);
  });

  test("a message from oneself", () => {
    const solo = new Solo();
    expect(solo.step("n1", append({ term: 2 }))).toEqual([]);
    expect(solo.status.term).toBe(0);
  });
});
