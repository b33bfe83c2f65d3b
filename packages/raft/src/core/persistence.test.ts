/**
 * Asynchronous persistence: what waits for what, and completions that are late, stale or missing.
 */
import { describe, expect, test } from "vitest";
import { crc32 } from "../util/checksum.ts";
import { TestNetwork } from "./core-harness.ts";
import { incarnationOf } from "./member-harness.ts";
import { Persistence } from "./persistence.ts";
import { ack, append, batchesOf, batchOf, Solo } from "./solo-harness.ts";

function manual(options: ConstructorParameters<typeof Solo>[0] = {}): Solo {
  return new Solo({ ...options, autoPersist: false });
}

const vote = {
  type: "request-vote",
  transfer: false,
  term: 2,
  incarnation: incarnationOf("n2"),
  lastIndex: 9,
  lastTerm: 9,
} as const;

describe("numbers", () => {
  test("outputs are numbered one by one, those with nothing to persist too", () => {
    const solo = manual();
    solo.step("n2", { type: "pre-vote", term: 1, lastIndex: 0, lastTerm: 0 });
    solo.step("n2", append({ term: 1, batches: batchesOf([1]) }));
    solo.step("n2", { type: "heartbeat", term: 1, commit: 0, round: 0 });
    const first = solo.outputs[0]!.number;
    expect(solo.outputs.map((o) => o.number)).toEqual([first, first + 1, first + 2]);
  });

  test("what was handed out does not change any more", () => {
    const solo = manual();
    solo.step("n2", { type: "heartbeat", term: 1, commit: 0, round: 0 });
    const [before] = solo.outputs;
    solo.step("n2", append({ term: 1, batches: batchesOf([1]) }));
    expect(before).toMatchObject({ entries: [], loads: [], reads: [] });
    expect(before?.messages).toHaveLength(1);
  });

  test("without news there is no output", () => {
    const solo = manual();
    expect(solo.raft.takeOutput(solo.nowMs)).toBeUndefined();
  });

  test("hard state goes out only when term or vote changed", () => {
    const solo = manual();
    solo.step("n2", append({ term: 1 }));
    solo.step("n2", append({ term: 1, batches: batchesOf([1]), commit: 1 }));
    solo.step("n3", append({ term: 2, prevIndex: 1, prevTerm: 1 }));
    expect(solo.outputs.map((o) => o.hardState)).toEqual([
      { term: 1, vote: undefined, commit: 0 },
      undefined,
      { term: 2, vote: undefined, commit: 1 },
    ]);
  });
});

describe("what waits", () => {
  test("an acknowledgement waits for its entries, a repeated one for the newest write", () => {
    const solo = manual({ term: 1 });
    const message = append({ term: 1, batches: batchesOf([1]) });
    const [first] = solo.step("n2", message);
    const { number } = solo.outputs.at(-1)!;
    expect(first?.after).toBe(number);
    const [second] = solo.step("n2", message);
    expect(second?.after).toBe(number);
    solo.persist(number);
    const [third] = solo.step("n2", message);
    expect(third?.after).toBe(0);
  });

  test("an empty acknowledgement waits for the term it speaks in", () => {
    const solo = manual({ log: [1] });
    const [response] = solo.step("n2", append({ term: 2, prevIndex: 1, prevTerm: 1 }));
    expect(response?.after).toBe(solo.outputs.at(-1)!.number);
  });

  test("a granted vote waits, a repeated one too until it is durable", () => {
    const solo = manual();
    const [first] = solo.step("n2", vote);
    const { number } = solo.outputs.at(-1)!;
    expect(first).toMatchObject({ after: number, message: { granted: true } });
    expect(solo.step("n2", vote)).toMatchObject([{ after: number }]);
    solo.persist(number);
    expect(solo.step("n2", vote)).toMatchObject([{ after: 0 }]);
  });

  test("what promises nothing leaves at once, even in a term that is not durable", () => {
    const solo = manual({ log: [1, 1] });
    const messages = [
      ...solo.step("n2", { type: "heartbeat", term: 5, commit: 0, round: 1 }),
      ...solo.step("n2", append({ term: 5, prevIndex: 9, prevTerm: 5 })),
      ...solo.step("n2", append({ term: 4 })),
      ...solo.step("n3", { type: "pre-vote", term: 2, lastIndex: 0, lastTerm: 0 }),
      ...solo.step("n3", { ...vote, term: 3 }),
      ...solo.step("n3", { type: "read-index-request", term: 5, token: 1, byLease: false }),
    ];
    expect(messages.map((m) => [m.message.type, m.after])).toEqual([
      ["heartbeat-response", 0],
      ["append-entries-response", 0],
      ["append-entries-response", 0],
      ["pre-vote-response", 0],
      ["request-vote-response", 0],
      ["read-index-response", 0],
    ]);
  });

  test("a vote refused in a term just learned leaves at once", () => {
    const solo = manual({ log: [1, 1] });
    const [response] = solo.step("n2", { ...vote, term: 7, lastIndex: 0, lastTerm: 0 });
    expect(response).toMatchObject({ after: 0, message: { term: 7, granted: false } });
  });

  test("a vote waits for whatever made it void, too", () => {
    const solo = manual();
    solo.raft.step(solo.nowMs, "n2", vote);
    solo.raft.step(solo.nowMs, "n3", append({ term: 3 }));
    solo.take();
    const output = solo.outputs.at(-1)!;
    expect(output.hardState).toMatchObject({ term: 3, vote: undefined });
    expect(output.messages.map((m) => m.after)).toEqual([output.number, output.number]);
  });

  test("a candidate counts its own vote only once it is durable", () => {
    const solo = manual();
    solo.timeOut();
    solo.step("n2", { type: "pre-vote-response", term: 1, granted: true });
    const { number } = solo.outputs.at(-1)!;
    solo.step("n3", { type: "request-vote-response", term: 1, granted: true });
    expect(solo.status.role).toBe("candidate");
    // The completion of an earlier write says nothing about it.
    solo.persist(number - 1);
    expect(solo.status.role).toBe("candidate");
    solo.persist(number);
    expect(solo.status.role).toBe("leader");
  });
});

describe("completions", () => {
  test("one may cover many outputs; repeated and earlier ones are harmless", () => {
    const solo = manual({ term: 1 });
    for (let i = 1; i <= 3; i++) {
      solo.step(
        "n2",
        append({
          term: 1,
          prevIndex: i - 1,
          prevTerm: i === 1 ? 0 : 1,
          batches: batchesOf([1], i),
        }),
      );
    }
    const [a, , c] = solo.outputs.map((o) => o.number);
    solo.persist(a!);
    expect(solo.status.persisted).toBe(1);
    solo.persist(c!);
    expect(solo.status.persisted).toBe(3);
    solo.persist(a!);
    solo.persist(c!);
    expect(solo.status.persisted).toBe(3);
  });

  test("a late completion in a later term still counts for what is still there", () => {
    const solo = manual({ term: 1 });
    solo.step("n2", append({ term: 1, batches: batchesOf([1, 1]) }));
    const { number } = solo.outputs.at(-1)!;
    solo.step("n3", append({ term: 2, prevIndex: 2, prevTerm: 1 }));
    solo.persist(number);
    expect(solo.status.persisted).toBe(2);
  });

  test("of an overwritten write never counts for what took its place (ABA)", () => {
    const solo = manual({ term: 1 });
    solo.step("n2", append({ term: 1, batches: batchesOf([1, 1, 1]) }));
    const old = solo.outputs.at(-1)!.number;
    solo.step("n3", append({ term: 2, prevIndex: 1, prevTerm: 1, batches: batchesOf([2, 2], 2) }));
    const replaced = solo.outputs.at(-1)!.number;
    solo.persist(old);
    expect(solo.status.persisted).toBe(1);
    solo.persist(replaced);
    expect(solo.status.persisted).toBe(3);
  });

  test("a truncation takes back what was durable", () => {
    const solo = manual({ log: [1, 1, 1, 1] });
    expect(solo.status.persisted).toBe(4);
    solo.step("n2", append({ term: 2, prevIndex: 1, prevTerm: 1, batches: batchesOf([2], 2) }));
    expect(solo.status.persisted).toBe(1);
  });

  test("of a former leader's write does not commit for the next term (Figure 8 with a slow disk)", () => {
    const solo = manual({ log: [1] });
    solo.autoPersist = true;
    solo.win("n2");
    solo.autoPersist = false;
    solo.propose("a");
    const { number } = solo.outputs.at(-1)!;
    solo.step("n3", append({ term: 3, prevIndex: 1, prevTerm: 1, batches: batchesOf([3, 3], 2) }));
    solo.persist(number);
    expect(solo.status).toMatchObject({ commit: 0, persisted: 1, role: "follower" });
  });

  test("an acknowledgement that a truncation overtook within one turn is never sent", () => {
    const solo = manual({ term: 1 });
    solo.raft.step(solo.nowMs, "n2", append({ term: 1, batches: batchesOf([1, 1, 1]) }));
    solo.raft.step(
      solo.nowMs,
      "n3",
      append({ term: 2, prevIndex: 1, prevTerm: 1, batches: batchesOf([2], 2) }),
    );
    solo.take();
    expect(solo.sent("append-entries-response", "n2")).toEqual([]);
    expect(solo.sent("append-entries-response", "n3")).toMatchObject([{ index: 2 }]);
    expect(solo.outputs.at(-1)!.entries.map((b) => b.toString())).toEqual(["[1..1]@1", "[2..2]@2"]);
  });

  test("appends and truncations of one turn go out as what is left of them", () => {
    const solo = manual({ log: [1, 1, 1] });
    const steps = [
      append({ term: 2, prevIndex: 1, prevTerm: 1, batches: batchesOf([2, 2], 2) }),
      append({ term: 3, prevIndex: 0, batches: batchesOf([3]) }),
    ];
    solo.raft.step(solo.nowMs, "n2", steps[0]!);
    solo.raft.step(solo.nowMs, "n3", steps[1]!);
    solo.take();
    expect(solo.outputs.at(-1)!.entries.map((b) => b.toString())).toEqual(["[1..1]@3"]);
    expect(solo.disk.batches.map((b) => b.toString())).toEqual(["[1..1]@3"]);
  });
});

describe("a cluster with slow disks", () => {
  test("commits nothing before a majority is durable, and everything after", () => {
    const network = new TestNetwork();
    const { id } = network.elect();
    network.run(100);
    for (const node of network.nodes.values()) node.autoPersist = false;
    network.propose(id, "a");
    network.run(500);
    expect(network.node(id).texts).toEqual([]);
    const [one, two] = [...network.nodes.keys()].filter((n) => n !== id);
    network.persist(one!);
    network.run(10);
    expect(network.node(id).texts).toEqual([]);
    network.persist(two!);
    network.run(10);
    expect(network.node(id).texts).toEqual(["a"]);
    expect(network.node(id).pending.length).toBeGreaterThan(0);
  });

  test("a power cut of all members loses nothing that was committed", () => {
    const network = new TestNetwork();
    const { id } = network.elect();
    for (const node of network.nodes.values()) node.autoPersist = false;
    network.propose(id, "kept");
    network.run(5);
    for (const node of [...network.nodes.keys()].slice(0, 2)) network.persist(node);
    network.run(5);
    const committed = [...network.committed.values()].some((entry) => entry.endsWith("kept"));
    network.propose(id, "not durable");
    network.run(5);
    for (const node of network.nodes.keys()) network.crash(node);
    for (const node of network.nodes.values()) {
      node.autoPersist = true;
      network.restart(node.id);
    }
    network.elect();
    network.run(500);
    expect(committed).toBe(true);
    for (const node of network.nodes.values()) expect(node.texts).toEqual(["kept"]);
  });

  test("a write that only one acknowledgement vouched for may be lost, and is not reported", () => {
    const solo = manual({ voters: ["n1", "n2", "n3"] });
    solo.autoPersist = true;
    solo.win("n2").ackAll("n2");
    solo.autoPersist = false;
    solo.propose("a");
    solo.step("n2", ack(1, 2));
    expect(solo.status.commit).toBe(1);
  });
});

describe("Persistence", () => {
  test("clamps what pending outputs prove, whatever the order of truncations", () => {
    const persistence = new Persistence(0, 0, undefined, crc32);
    persistence.append(batchOf(1, 1, "a", "b", "c", "d"));
    const first = persistence.handOut(4, 1, undefined).number;
    persistence.truncateFrom(3);
    persistence.append(batchOf(2, 3, "e"));
    const second = persistence.handOut(3, 2, undefined).number;
    persistence.truncateFrom(2);
    persistence.append(batchOf(3, 2, "f", "g"));
    const third = persistence.handOut(3, 3, undefined).number;
    persistence.persisted(first, 3);
    expect(persistence.stableIndex).toBe(1);
    persistence.persisted(second, 3);
    expect(persistence.stableIndex).toBe(1);
    persistence.persisted(third, 3);
    expect(persistence.stableIndex).toBe(3);
  });

  test("cuts a batch that was not handed out yet", () => {
    const persistence = new Persistence(0, 0, undefined, crc32);
    persistence.append(batchOf(1, 1, "a", "b", "c"));
    persistence.truncateFrom(2);
    expect(persistence.handOut(1, 0, undefined).entries.map((b) => b.toString())).toEqual([
      "[1..1]@1",
    ]);
  });
});
