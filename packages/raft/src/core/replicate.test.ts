/** The leader's side: flow control, probing, lost messages, loads, memory, cluster time. */
import { describe, expect, test } from "vitest";
import { crc32 } from "../util/checksum.ts";
import { TestNetwork } from "./core-harness.ts";
import { EntryBatch } from "./entry.ts";
import type { LoadRequest } from "./output.ts";
import { ack, append, batchesOf, batchOf, refusal, Solo } from "./solo-harness.ts";

function ranges(solo: Solo, to = "n2"): string[] {
  return solo
    .sent("append-entries", to)
    .map(
      (m) => `${m.prevIndex}:${m.batches.map((b) => `${b.firstIndex}-${b.lastIndex}`).join(",")}`,
    );
}

/** A leader whose peers have acknowledged the entry that opens its term. */
function leader(options: ConstructorParameters<typeof Solo>[0] = {}): Solo {
  const solo = new Solo(options).win("n2").ackAll("n2", "n3");
  solo.forget();
  return solo;
}

const response = { type: "heartbeat-response", term: 1, round: 0, health: "ok" } as const;

describe("sending ahead", () => {
  test("everything proposed in a turn leaves together, to every peer", () => {
    const solo = leader();
    for (const text of ["a", "b", "c"]) {
      expect(solo.raft.propose(solo.nowMs, { bytes: new Uint8Array(40), count: 1 }).ok, text).toBe(
        true,
      );
    }
    solo.take();
    expect(ranges(solo, "n2")).toEqual(["1:2-2,3-3,4-4"]);
    expect(ranges(solo, "n3")).toEqual(["1:2-2,3-3,4-4"]);
  });

  test("the next turn's entries do not wait for acknowledgements", () => {
    const solo = leader();
    solo.propose("a");
    solo.propose("b");
    expect(ranges(solo)).toEqual(["1:2-2", "2:3-3"]);
  });

  test("a message holds at most appendBytesMax, and at least one batch", () => {
    const solo = leader({ raft: { appendBytesMax: 250 } });
    for (const text of ["a", "b", "c", "x".repeat(500), "d"]) {
      const bytes = new Uint8Array(40 + text.length);
      bytes[4] = text.length & 255;
      bytes[5] = text.length >> 8;
      solo.raft.propose(solo.nowMs, { bytes, count: 1 });
    }
    solo.take();
    expect(ranges(solo)).toEqual(["1:2-2,3-3,4-4", "4:5-5", "5:6-6"]);
  });

  test("not before the leader's own term is durable, then without waiting for its entries", () => {
    const solo = leader();
    solo.autoPersist = false;
    const messages = solo.propose("a");
    expect(messages.map((m) => m.after)).toEqual([0, 0]);
  });
});

describe("flow control (thesis, 10.2)", () => {
  test("no more messages in flight than allowed; an acknowledgement makes room", () => {
    const solo = leader({ raft: { inflightMessagesMax: 2 } });
    for (const text of ["a", "b", "c", "d"]) solo.propose(text);
    expect(ranges(solo)).toEqual(["1:2-2", "2:3-3"]);
    expect(solo.status.peers[0]).toMatchObject({ inflightMessages: 2, nextIndex: 4 });
    solo.step("n2", ack(1, 2));
    expect(ranges(solo)).toEqual(["1:2-2", "2:3-3", "3:4-4,5-5"]);
  });

  test("no more bytes in flight than allowed, counted by message", () => {
    const solo = leader({ raft: { inflightBytesMax: 150 } });
    for (const text of ["a", "b", "c"]) solo.propose(text);
    expect(ranges(solo)).toEqual(["1:2-2", "2:3-3"]);
    expect(solo.status.peers[0]?.inflightBytes).toBe(162);
    solo.step("n2", ack(1, 3));
    expect(solo.status.peers[0]?.inflightBytes).toBe(81);
  });

  test("one acknowledgement frees every earlier message: some may have been lost", () => {
    const solo = leader({ raft: { inflightMessagesMax: 3 } });
    for (const text of ["a", "b", "c"]) solo.propose(text);
    solo.step("n2", ack(1, 4));
    expect(solo.status.peers[0]).toMatchObject({
      inflightMessages: 0,
      inflightBytes: 0,
      matchIndex: 4,
    });
  });

  test("a full window whose acknowledgements were lost opens again with a heartbeat's answer", () => {
    const solo = leader({ raft: { inflightMessagesMax: 2 } });
    for (const text of ["a", "b", "c"]) solo.propose(text);
    solo.step("n2", response);
    expect(ranges(solo)).toHaveLength(2);
    solo.run(100);
    solo.step("n2", response);
    expect(ranges(solo)).toEqual(["1:2-2", "2:3-3", "3:4-4"]);
  });

  test("a window never stays full for ever, whatever is lost", () => {
    const network = new TestNetwork({ raft: { inflightMessagesMax: 2 } });
    const { id } = network.elect();
    const other = [...network.nodes.keys()].find((n) => n !== id)!;
    network.drop = (from, _to, message) =>
      from === other && message.type === "append-entries-response";
    for (let i = 0; i < 10; i++) {
      network.propose(id, `${i}`);
      network.run(20);
    }
    network.drop = undefined;
    network.run(1_000);
    expect(network.node(other).texts).toHaveLength(10);
  });

  test("proposals are refused beyond the bound on uncommitted bytes, never into an empty pipe", () => {
    const solo = leader({ raft: { uncommittedBytesMax: 100 } });
    const big = { bytes: new Uint8Array(200), count: 5 };
    expect(solo.raft.propose(solo.nowMs, big)).toMatchObject({ ok: true });
    expect(solo.raft.propose(solo.nowMs, { bytes: new Uint8Array(40), count: 1 })).toEqual({
      ok: false,
      reason: "overloaded",
      leader: "n1",
    });
    solo.take();
    solo.ackAll("n2");
    expect(solo.status).toMatchObject({ commit: 6, uncommittedBytes: 0 });
    expect(solo.raft.propose(solo.nowMs, big)).toMatchObject({ ok: true });
  });
});

describe("probing", () => {
  test("one message until it is answered; then ahead", () => {
    const solo = new Solo({ log: [1, 1] }).win("n2");
    solo.propose("a");
    solo.propose("b");
    expect(ranges(solo)).toEqual(["2:3-3"]);
    solo.step("n2", ack(2, 3));
    expect(ranges(solo)).toEqual(["2:3-3", "3:4-4,5-5"]);
    expect(solo.eventsOf("peer-state")).toMatchObject([{ peer: "n2", state: "replicate" }]);
  });

  test("a lost probe is repeated, without its entries, when a heartbeat is answered", () => {
    const solo = new Solo({ log: [1, 1] }).win("n2");
    solo.run(500);
    expect(ranges(solo)).toEqual(["2:3-3"]);
    solo.step("n2", { ...response, term: 2 });
    expect(ranges(solo)).toEqual(["2:3-3", "2:"]);
    solo.step("n2", ack(2, 2));
    expect(ranges(solo)).toEqual(["2:3-3", "2:", "2:3-3"]);
  });

  test("a refusal takes one round trip per term, not per entry (Figure 7)", () => {
    // Follower (f) of Figure 7: 1 1 1 2 2 2 3 3 3 3 3 against the leader's 1 1 1 4 4 5 5 6 6 6.
    const solo = new Solo({ log: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6], term: 7 }).win("n2");
    const follower = new Solo({ id: "n2", log: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3], term: 7 });
    for (let round = 0; round < 20 && follower.terms.at(-1) !== 8; round++) {
      const outputs = [...solo.outputs];
      solo.forget();
      for (const { loads: wanted, messages } of outputs) {
        for (const load of wanted) {
          solo.raft.loaded(solo.nowMs, load, solo.disk.read(load.from, load.to, load.bytesMax));
        }
        for (const { to, message } of messages) {
          if (to !== "n2" || message.type !== "append-entries") continue;
          for (const answer of follower.step("n1", message)) solo.step("n2", answer.message);
        }
      }
      solo.take();
    }
    expect(follower.terms).toEqual(solo.terms);
    const answers = follower.sent("append-entries-response");
    expect(answers.filter((m) => !m.success)).toMatchObject([
      { index: 10, hintIndex: 10, hintTerm: 3 },
    ]);
    expect(follower.eventsOf("truncated")).toMatchObject([{ from: 4, term: 2 }]);
  });

  test("a refusal that was overtaken is ignored", () => {
    const solo = new Solo({ log: [1, 1, 1] }).win("n2");
    solo.step("n2", refusal(2, 3, 1, 1));
    expect(solo.status.peers[0]?.nextIndex).toBe(2);
    // The same again: the probe at 1 is on its way, this is not its answer.
    solo.step("n2", refusal(2, 3, 0, 0));
    expect(solo.status.peers[0]?.nextIndex).toBe(2);
    solo.step("n2", ack(2, 4));
    solo.step("n2", refusal(2, 3, 1, 1));
    expect(solo.status.peers[0]).toMatchObject({ state: "replicate", matchIndex: 4, nextIndex: 5 });
  });

  test("a hint that leads nowhere still goes back at least one entry", () => {
    const solo = new Solo({ log: [1, 1, 1] }).win("n2");
    solo.step("n2", refusal(2, 3, 3, 9));
    expect(solo.status.peers[0]?.nextIndex).toBe(3);
    solo.step("n2", refusal(2, 2, 0, 0));
    expect(solo.status.peers[0]?.nextIndex).toBe(1);
    solo.step("n2", refusal(2, 0, 0, 0));
    expect(solo.status.peers[0]?.nextIndex).toBe(1);
  });

  test("a peer in need of entries from before the start of the log waits for a snapshot", () => {
    const recovered = {
      startIndex: 5,
      startTerm: 1,
      lastIndex: 6,
      termRuns: [{ index: 6, term: 1 }],
    };
    const solo = new Solo({ term: 1, commit: 5, recovered }).win("n2");
    solo.forget();
    solo.step("n3", refusal(2, 6, 2, 1));
    solo.run(300);
    expect(solo.sent("append-entries", "n3")).toEqual([]);
    expect(solo.sent("heartbeat", "n3")).toHaveLength(3);
    expect(solo.status.peers[1]).toMatchObject({ state: "snapshot", nextIndex: 3 });
    expect(solo.outputs.flatMap(({ snapshots }) => snapshots)).toEqual([{ peer: "n3", term: 2 }]);
  });
});

describe("lost messages", () => {
  test("who denies what it had acknowledged is asked once per heartbeat, not without end", () => {
    // A directory that was put back from an old copy: its answers must not make the leader spin.
    const solo = leader();
    solo.propose("a");
    solo.step("n2", ack(1, 2));
    solo.raft.unreachable(solo.nowMs, "n2");
    solo.take();
    solo.forget();
    for (let i = 0; i < 5; i++) solo.step("n2", refusal(1, 2, 1, 1));
    expect(ranges(solo)).toEqual([]);
    const told = solo.events.filter((e) => e.type === "peer-state" && /denies/.test(e.reason));
    expect(told).toHaveLength(1);
    solo.step("n2", response);
    expect(ranges(solo)).toEqual(["2:"]);
    expect(solo.status.peers[0]).toMatchObject({ matchIndex: 2, nextIndex: 3, state: "probe" });
  });

  test("a gap is refused, and closed from what the follower has", () => {
    const solo = leader();
    solo.propose("a");
    solo.propose("b");
    solo.step("n2", refusal(1, 2, 1, 1));
    expect(solo.status.peers[0]).toMatchObject({ state: "probe", nextIndex: 2 });
    expect(ranges(solo)).toEqual(["1:2-2", "2:3-3", "1:2-2,3-3"]);
  });

  test("a lost tail is found by an empty append after a heartbeat was answered", () => {
    const solo = leader();
    solo.propose("a");
    solo.run(100);
    expect(ranges(solo)).toEqual(["1:2-2"]);
    solo.step("n2", response);
    expect(ranges(solo)).toEqual(["1:2-2", "2:"]);
    // Answered meanwhile: nothing to find out.
    solo.ackAll("n2", "n3");
    solo.run(100);
    solo.step("n2", response);
    expect(ranges(solo)).toHaveLength(2);
  });

  test("what was on its way over a lost connection counts for nothing", () => {
    const solo = leader();
    solo.propose("a");
    solo.raft.unreachable(solo.nowMs, "n2");
    solo.take();
    expect(solo.status.peers[0]).toMatchObject({
      state: "probe",
      nextIndex: 2,
      inflightMessages: 0,
    });
    expect(ranges(solo)).toEqual(["1:2-2", "1:2-2"]);
    solo.raft.unreachable(solo.nowMs, "n2");
    solo.raft.unreachable(solo.nowMs, "stranger");
    solo.take();
    expect(solo.eventsOf("peer-state")).toMatchObject([{ reason: "unreachable" }]);
  });

  test("acknowledgements of another term, of strangers, and beyond the log are dropped", () => {
    const solo = new Solo({ log: [1, 1], term: 2 }).win("n2");
    solo.step("n2", ack(2, 3));
    solo.step("stranger", ack(3, 3));
    solo.step("n2", ack(3, 4));
    expect(solo.status.peers[0]).toMatchObject({ matchIndex: 0, state: "probe" });
    expect(solo.status.commit).toBe(0);
  });

  test("an acknowledgement that comes twice or late changes nothing", () => {
    const solo = leader();
    solo.propose("a");
    solo.step("n2", ack(1, 2));
    const before = solo.status.peers[0];
    solo.step("n2", ack(1, 1));
    solo.step("n2", ack(1, 2));
    expect(solo.status.peers[0]).toEqual(before);
  });
});

describe("the commit index travels", () => {
  test("at once, by a notice where there is nothing else to say", () => {
    const solo = leader();
    solo.propose("a");
    solo.forget();
    solo.step("n2", ack(1, 2));
    expect(solo.messages.map((m) => [m.to, m.message])).toEqual([
      ["n2", { type: "commit-notice", term: 1, commit: 2 }],
      ["n3", { type: "commit-notice", term: 1, commit: 2 }],
    ]);
    // Told once is told.
    expect(solo.step("n3", ack(1, 2))).toEqual([]);
  });

  test("with entries, where there are any", () => {
    const solo = leader();
    solo.propose("a");
    solo.forget();
    solo.raft.step(solo.nowMs, "n2", ack(1, 2));
    solo.propose("b");
    expect(solo.sent("commit-notice")).toEqual([]);
    expect(solo.sent("append-entries").map((m) => m.commit)).toEqual([2, 2]);
  });

  test("a follower applies one message after the leader, not one heartbeat", () => {
    const network = new TestNetwork();
    const { id } = network.elect();
    network.run(500);
    network.propose(id, "a");
    network.run(3);
    for (const node of network.nodes.values()) expect(node.texts).toEqual(["a"]);
  });

  test("held back for a turn: with that turn's entries if there are any, else alone", () => {
    const solo = leader();
    solo.propose("a");
    solo.forget();
    solo.raft.step(solo.nowMs, "n2", ack(1, 2));
    expect(solo.raft.takeOutput(solo.nowMs, true)).toMatchObject({ commit: 2, messages: [] });
    expect(solo.raft.takeOutput(solo.nowMs, true)).toBeUndefined();
    expect(solo.raft.holdsNews).toBe(true);
    solo.propose("b");
    expect(solo.raft.holdsNews).toBe(false);
    expect(solo.sent("append-entries").map((m) => m.commit)).toEqual([2, 2]);
    expect(solo.sent("commit-notice")).toEqual([]);

    solo.raft.step(solo.nowMs, "n2", ack(1, 3));
    solo.raft.takeOutput(solo.nowMs, true);
    expect(solo.raft.holdsNews).toBe(true);
    solo.take();
    expect(solo.raft.holdsNews).toBe(false);
    expect(solo.sent("commit-notice").map((m) => m.commit)).toEqual([3, 3]);
  });

  test("a heartbeat that is due does not wait, and who no longer leads holds nothing", () => {
    const solo = leader();
    solo.propose("a");
    solo.raft.step(solo.nowMs, "n2", ack(1, 2));
    solo.raft.takeOutput(solo.nowMs, true);
    solo.forget();
    solo.nowMs += 100;
    solo.raft.tick(solo.nowMs);
    const output = solo.raft.takeOutput(solo.nowMs, true);
    expect(output?.messages.map(({ message }) => message.type)).toEqual(["heartbeat", "heartbeat"]);
    expect(solo.raft.holdsNews).toBe(false);

    solo.propose("b");
    solo.raft.step(solo.nowMs, "n2", ack(1, 3));
    solo.raft.takeOutput(solo.nowMs, true);
    expect(solo.raft.holdsNews).toBe(true);
    solo.raft.step(solo.nowMs, "n3", append({ term: 9 }));
    solo.raft.takeOutput(solo.nowMs, true);
    expect(solo.raft.holdsNews).toBe(false);
  });
});

describe("entries that left memory", () => {
  const behind = { raft: { tailBytesMax: 100 } };

  /** A leader with entries 2..5 on disk only, and n3 knowing of none of them. */
  function evicted(): Solo {
    const solo = new Solo(behind).win("n2").ackAll("n2", "n3");
    for (const text of ["a", "b", "c", "d"]) {
      solo.propose(text);
      solo.step("n2", ack(1, solo.status.lastIndex));
    }
    solo.raft.unreachable(solo.nowMs, "n3");
    solo.take();
    return solo;
  }

  function loads(solo: Solo): LoadRequest[] {
    return solo.outputs.flatMap((output) => [...output.loads]);
  }

  test("durable batches leave, the oldest first, down to the bound", () => {
    const solo = new Solo(behind).win("n2").ackAll("n2", "n3");
    for (const text of ["a", "b", "c"]) solo.propose(text);
    expect(solo.status.tailBytes).toBeLessThanOrEqual(100);
    expect(solo.raft.batchAt(2)).toBeUndefined();
    expect(solo.raft.batchAt(4)?.toString()).toBe("[4..4]@1");
  });

  test("batches that are not durable stay", () => {
    const solo = new Solo(behind).win("n2").ackAll("n2", "n3");
    solo.autoPersist = false;
    for (const text of ["a", "b", "c"]) solo.propose(text);
    expect(solo.raft.batchAt(2)).toBeDefined();
    solo.persist(solo.outputs.at(-1)!.number);
    expect(solo.raft.batchAt(2)).toBeUndefined();
  });

  test("are asked of the log once the place of agreement is known, one request at a time", () => {
    const solo = evicted();
    expect(loads(solo)).toEqual([]);
    expect(ranges(solo, "n3").at(-1)).toBe("1:");
    solo.step("n3", ack(1, 1));
    solo.propose("e");
    expect(loads(solo)).toEqual([{ peer: "n3", term: 1, from: 2, to: 4, bytesMax: 1_048_576 }]);
  });

  test("are sent when they come, and memory takes over where they end", () => {
    const solo = evicted();
    solo.step("n3", ack(1, 1));
    const [load] = loads(solo);
    solo.forget();
    solo.raft.loaded(solo.nowMs, load!, solo.disk.read(1, 4, 10_000));
    solo.take();
    expect(ranges(solo, "n3")).toEqual(["1:2-2,3-3,4-4", "4:5-5"]);
  });

  test("are cut in messages of appendBytesMax, the first one at the asked index", () => {
    const solo = new Solo({ log: [1, 1, 1, 1], raft: { appendBytesMax: 100 } }).win("n2");
    solo.step("n2", refusal(2, 4, 1, 1));
    solo.step("n2", ack(2, 1));
    const [load] = loads(solo);
    expect(load).toMatchObject({ from: 2, to: 4, bytesMax: 100 });
    solo.forget();
    const [whole] = solo.disk.batches;
    solo.raft.loaded(solo.nowMs, load!, [whole!.upTo(2, crc32), whole!.from(3, crc32)]);
    solo.take();
    expect(ranges(solo, "n2")).toEqual(["1:2-2", "2:3-4", "4:5-5"]);
  });

  test.each([
    ["nothing", []],
    ["a gap before them", [batchOf(1, 3, "b")]],
    ["a gap between them", [batchOf(1, 2, "a"), batchOf(1, 4, "c")]],
    ["entries of another term", [batchOf(7, 2, "a")]],
    ["entries beyond the log", batchesOf([1, 1, 1, 1, 1, 1], 2)],
    ["entries before the wanted ones only", [batchOf(1, 1, "")]],
  ])("are not sent where they are wrong: %s; they are asked for again later", (_name, batches) => {
    const solo = evicted();
    solo.step("n3", ack(1, 1));
    const [load] = loads(solo);
    solo.forget();
    solo.raft.loaded(solo.nowMs, load!, batches);
    solo.take();
    expect(solo.sent("append-entries", "n3")).toEqual([]);
    solo.run(100);
    expect(loads(solo)).toEqual([load]);
  });

  test("a failed load is asked for again after a heartbeat", () => {
    const solo = evicted();
    solo.step("n3", ack(1, 1));
    const [load] = loads(solo);
    solo.forget();
    solo.raft.loadFailed(solo.nowMs, load!);
    solo.take();
    expect(loads(solo)).toEqual([]);
    solo.run(100);
    expect(loads(solo)).toEqual([load]);
  });

  test("an answer to what is no longer asked is dropped", () => {
    const solo = evicted();
    solo.step("n3", ack(1, 1));
    const [load] = loads(solo);
    const batches = solo.disk.read(2, 4, 10_000);
    solo.forget();
    solo.raft.loaded(solo.nowMs, { ...load!, term: 0 }, batches);
    solo.raft.loaded(solo.nowMs, { ...load!, peer: "n2" }, batches);
    solo.raft.loaded(solo.nowMs, { ...load!, peer: "stranger" }, batches);
    solo.raft.loaded(solo.nowMs, { ...load!, from: 1 }, batches);
    solo.step("n3", ack(1, 3));
    solo.raft.loaded(solo.nowMs, load!, batches);
    solo.raft.loaded(solo.nowMs, load!, batches);
    solo.take();
    expect(loads(solo)).toMatchObject([{ peer: "n3", from: 4 }]);
    expect(solo.sent("append-entries", "n3")).toEqual([]);
    const follower = new Solo();
    follower.raft.loaded(follower.nowMs, load!, batches);
    follower.raft.loadFailed(follower.nowMs, load!);
    expect(follower.take()).toEqual([]);
  });

  test("after a restart nothing is in memory, and a peer far behind still catches up", () => {
    const network = new TestNetwork({ raft: { appendBytesMax: 300, tailBytesMax: 200 } });
    const { id } = network.elect();
    const other = [...network.nodes.keys()].find((n) => n !== id)!;
    network.crash(other);
    for (let i = 0; i < 50; i++) {
      network.propose(id, `${i}`);
      network.run(10);
    }
    for (const node of network.nodes.values()) if (node.isUp) network.crash(node.id);
    for (const node of network.nodes.keys()) network.restart(node);
    expect(network.raft(id).batchAt(10)).toBeUndefined();
    network.elect();
    network.runUntil(() => network.node(other).texts.length === 50, 3_000);
  });
});

describe("cluster time", () => {
  function timesOf(solo: Solo): number[] {
    return solo.outputs.flatMap((o) => o.entries).map((b) => b.timeMs);
  }

  test("continues from the last entry by the leader's clock, in whole milliseconds", () => {
    const solo = new Solo({ log: [1], recovered: { lastTimeMs: 5_000 } }).win("n2");
    solo.nowMs += 10.7;
    solo.propose("a");
    solo.nowMs += 10.7;
    solo.propose("b");
    expect(timesOf(solo)).toEqual([5_000, 5_010, 5_021]);
  });

  test("never goes back, whoever leads", () => {
    const solo = new Solo();
    const late = EntryBatch.seal(
      { bytes: new Uint8Array(40), count: 1 },
      { term: 1, firstIndex: 1, timeMs: 9_000, checksum: crc32 },
    );
    solo.step("n2", append({ term: 1, batches: [late] }));
    solo.win("n2").propose("a");
    expect(timesOf(solo)).toEqual([9_000, 9_000, 9_000]);
  });
});

test("a peer that can be reached again is probed at once", () => {
  const solo = new Solo().win("n2").ackAll("n2", "n3");
  solo.raft.unreachable(solo.nowMs, "n3");
  solo.take();
  solo.forget();
  solo.raft.reachable(solo.nowMs, "n3");
  solo.raft.reachable(solo.nowMs, "n9");
  solo.take();
  expect(solo.sent("append-entries", "n3")).toHaveLength(1);
  expect(solo.sent("append-entries", "n2")).toHaveLength(0);
});
