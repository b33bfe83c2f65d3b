import { describe, expect, test } from "vitest";
import { ack, append, batchOf, Solo } from "./solo-harness.ts";

describe("entries leave memory though there is room", () => {
  const spare = { raft: { tailSpareBytes: 0 } };

  /** A leader that has committed 2..4 with both others. */
  function committed(): Solo {
    const solo = new Solo(spare).win("n2").ackAll("n2", "n3");
    for (const text of ["a", "b", "c"]) solo.propose(text);
    for (const id of ["n2", "n3"]) solo.step(id, ack(1, 4));
    return solo;
  }

  /** And has applied them. */
  function settled(): Solo {
    const solo = committed();
    solo.raft.applied(solo.nowMs, 4);
    solo.take();
    return solo;
  }

  /** One more, and n3 says nothing of it. */
  function lagging(): Solo {
    const solo = settled();
    solo.propose("d");
    solo.step("n2", ack(1, 5));
    solo.raft.applied(solo.nowMs, 5);
    solo.take();
    return solo;
  }

  test("since nobody needs them", () => {
    expect(settled().raft.memoryIndex).toBe(5);
  });

  test("but not before they are applied here", () => {
    const solo = committed();
    expect(solo.raft.memoryIndex).toBe(1);
    solo.raft.applied(solo.nowMs, 3);
    solo.propose("d");
    expect(solo.raft.memoryIndex).toBe(4);
  });

  test("but not while a peer lacks them that was heard within T", () => {
    const solo = lagging();
    expect(solo.raft.memoryIndex).toBe(5);
    solo.raft.unreachable(solo.nowMs, "n3");
    solo.take();
    expect(solo.raft.memoryIndex).toBe(5);
    solo.step("n3", ack(1, 5));
    solo.take();
    expect(solo.raft.memoryIndex).toBe(6);
  });

  test("where the peer has been silent for longer", () => {
    const solo = lagging();
    const heartbeat = { type: "heartbeat-response", term: 1, round: 0, health: "ok" } as const;
    for (let ms = 0; ms < 1_100; ms += 100) {
      solo.run(100);
      solo.step("n2", heartbeat);
    }
    expect(solo.raft.memoryIndex).toBe(6);
  });

  test("but not while a new leader does not know yet what the others lack", () => {
    const solo = new Solo({ ...spare, log: [1, 1, 1], commit: 3 }).win("n2");
    for (const text of ["a", "b"]) solo.propose(text);
    solo.step("n2", ack(2, 6));
    solo.raft.applied(solo.nowMs, 6);
    solo.take();
    expect(solo.raft.memoryIndex).toBe(4);
  });

  test("but not while somebody here reads on from before", () => {
    const solo = committed();
    solo.raft.applied(solo.nowMs, 4, 3);
    solo.take();
    expect(solo.raft.memoryIndex).toBe(3);
    solo.raft.applied(solo.nowMs, 4);
    solo.take();
    expect(solo.raft.memoryIndex).toBe(5);
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
