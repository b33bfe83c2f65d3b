import { describe, expect, test } from "vitest";
import { ack, append, batchOf, Solo } from "./solo-harness.ts";

describe("entries leave memory though there is room", () => {
  const spare = { raft: { tailSpareBytes: 0 } };

  /** A leader that has committed 2..4 with n2, applied them, and knows nothing of n3's log. */
  function settled(): Solo {
    const solo = new Solo(spare).win("n2").ackAll("n2");
    for (const text of ["a", "b", "c"]) solo.propose(text);
    solo.step("n2", ack(1, 4));
    solo.raft.applied(solo.nowMs, 4);
    solo.take();
    return solo;
  }

  test("since nobody who is heard needs them", () => {
    expect(settled().raft.memoryIndex).toBe(5);
  });

  test("but not before they are applied here", () => {
    const solo = new Solo(spare).win("n2").ackAll("n2");
    for (const text of ["a", "b", "c"]) solo.propose(text);
    solo.step("n2", ack(1, 4));
    expect(solo.raft.memoryIndex).toBe(1);
    solo.raft.applied(solo.nowMs, 3);
    solo.propose("d");
    expect(solo.raft.memoryIndex).toBe(4);
  });

  test("but not while a peer that is heard lacks them", () => {
    const solo = settled();
    solo.step("n3", ack(1, 1));
    solo.propose("d");
    solo.step("n2", ack(1, 5));
    solo.raft.applied(solo.nowMs, 5);
    solo.take();
    expect(solo.raft.memoryIndex).toBe(5);
    solo.step("n3", ack(1, 5));
    solo.propose("e");
    expect(solo.raft.memoryIndex).toBe(6);
  });

  test("a follower keeps what it has not applied", () => {
    const solo = new Solo(spare);
    const batches = ["a", "b", "c"].map((text, i) => batchOf(1, i + 1, text));
    solo.step("n2", append({ term: 1, batches, commit: 3 }));
    expect(solo.raft.memoryIndex).toBe(1);
    solo.raft.applied(solo.nowMs, 2);
    solo.step("n2", append({ term: 1, prevIndex: 3, prevTerm: 1, commit: 3 }));
    expect(solo.raft.memoryIndex).toBe(3);
  });
});
