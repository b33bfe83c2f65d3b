import { describe, expect, test } from "vitest";
import { crc32 } from "../util/checksum.ts";
import { NO_INCARNATION } from "./configuration.ts";
import type { IndexedConfiguration } from "./configuration.ts";
import { encodeConfiguration } from "./configuration-codec.ts";
import { EMPTY_GROUP } from "./contract.ts";
import { EntryKind } from "./entry.ts";
import { EntryLog } from "./entry-log.ts";
import { configurationOf } from "./member-harness.ts";
import {
  ack,
  append,
  batchesOf,
  batchOf,
  entryOf,
  pointAt,
  refusal,
  Solo,
} from "./solo-harness.ts";
import type { SoloOptions } from "./solo-harness.ts";

/** A leader of term 2 with ten entries, all applied, whose log starts after `start`. */
function leaderAt(start: number, options: SoloOptions = {}): Solo {
  const solo = new Solo({ log: [1, 1, 1, 1, 1, 1, 1, 1, 1], ...options }).win("n2");
  solo.step("n2", ack(2, 10));
  solo.raft.applied(solo.nowMs, 10);
  solo.raft.compact(solo.nowMs, start);
  solo.take();
  solo.forget();
  return solo;
}

function requests(solo: Solo): string[] {
  return solo.outputs.flatMap((output) => output.snapshots.map(({ peer }) => peer));
}

function peer(solo: Solo, id: string): ReturnType<Solo["raft"]["status"]>["peers"][number] {
  return solo.status.peers.find((known) => known.id === id)!;
}

/** n3 says that it has entry `index` of `term` at best. */
function behind(solo: Solo, index: number, term = 1): void {
  solo.step("n3", refusal(2, 9, index, term));
}

describe("a log that lets go", () => {
  const configuration = (index: number, ...ids: string[]) =>
    entryOf(1, index, EntryKind.configuration, encodeConfiguration(configurationOf(ids)));

  test("keeps terms and configurations from its new start on, wherever that is", () => {
    const terms = [1, 1, 2, 2, 2, 3];
    for (let start = 0; start <= terms.length; start++) {
      const log = new EntryLog(EMPTY_GROUP, crc32);
      for (const batch of batchesOf(terms)) log.append(batch);
      for (const first of [Math.floor(start / 2), start]) log.startAfter(first);
      const known = [...terms.keys()].map((i) => log.termAt(i + 1));
      expect(known).toEqual(terms.map((term, i) => (i + 1 >= start ? term : undefined)));
      expect(log.termAt(0)).toBe(start === 0 ? 0 : undefined);
      expect([log.startIndex, log.startTerm]).toEqual([start, start === 0 ? 0 : terms[start - 1]]);
      expect([log.lastIndex, log.lastTerm]).toEqual([6, 3]);
      expect(log.batchAt(start)?.lastIndex ?? 7).toBeGreaterThan(start);
      expect(log.firstDifference(batchOf(9, 1, "a", "b", "c", "d", "e", "f"))).toBe(start + 1);
      log.append(batchOf(3, 7, "more"));
      log.append(batchOf(4, 8, "more"));
      expect([log.termAt(7), log.termAt(8)]).toEqual([3, 4]);
      log.truncateFrom(7);
      expect([log.lastIndex, log.lastTerm]).toEqual([6, 3]);
    }
  });

  test("knows the configuration in force at every index that it holds", () => {
    const log = new EntryLog(EMPTY_GROUP, crc32);
    log.append(configuration(1, "n1"));
    log.append(batchOf(1, 2, "a"));
    log.append(configuration(3, "n1", "n2"));
    log.append(batchOf(1, 4, "b"));
    const inForce = (): (number | undefined)[] =>
      [0, 1, 2, 3, 4].map((index) => log.configurationAt(index)?.index);
    expect(inForce()).toEqual([0, 1, 1, 3, 3]);
    log.startAfter(2);
    expect(inForce()).toEqual([undefined, undefined, 1, 3, 3]);
    expect(log.truncateFrom(3)).toBe(true);
    expect(log.configuration.voters).toEqual(["n1"]);
  });

  test("knows which directories were replaced by a configuration that it holds", () => {
    const [old, next, none] = ["a".repeat(32), "b".repeat(32), NO_INCARNATION];
    const named = (index: number, incarnation: string): IndexedConfiguration => {
      const members = [{ id: "n3", address: "h:3", incarnation }];
      const plain = { voters: ["n3"], outgoing: [], learners: [] };
      return { index, configuration: { members, ...plain } };
    };
    const logWith = (...configurations: IndexedConfiguration[]): EntryLog =>
      new EntryLog(
        { ...EMPTY_GROUP, lastIndex: 9, termRuns: [{ index: 1, term: 1 }], configurations },
        crc32,
      );
    const replaced = logWith(named(2, old), named(4, none), named(6, next));
    expect([old, none, next].map((each) => replaced.isSuperseded("n3", each))).toEqual([
      true,
      true,
      false,
    ]);
    // What comes from a newer configuration than this log has is no directory of the past.
    expect(replaced.isSuperseded("n3", "c".repeat(32))).toBe(false);
    expect(replaced.isSuperseded("n4", old)).toBe(false);
    // Rolled back: the old one is the present one again.
    replaced.truncateFrom(3);
    expect([old, next].map((each) => replaced.isSuperseded("n3", each))).toEqual([false, false]);
  });

  test("starts anew with what the snapshot says, cluster time included", () => {
    const log = new EntryLog(EMPTY_GROUP, crc32);
    for (const batch of batchesOf([1, 2])) log.append(batch);
    log.resetTo(pointAt(40, 3, configurationOf(["n7"])));
    expect([log.startIndex, log.lastIndex, log.lastTerm, log.lastTimeMs]).toEqual([40, 40, 3, 40]);
    expect(log.configuration.voters).toEqual(["n7"]);
    expect([log.termAt(2), log.termAt(40), log.termAt(41)]).toEqual([undefined, 3, undefined]);
    expect(log.batchAt(2)).toBeUndefined();
    expect(log.tailBytes).toBe(0);
  });
});

describe("a leader whose log starts later than a peer needs", () => {
  test("asks for a snapshot once, and sends heartbeats alone", () => {
    const solo = leaderAt(6);
    behind(solo, 3);
    solo.run(500);
    expect(requests(solo)).toEqual(["n3"]);
    expect(peer(solo, "n3").state).toBe("snapshot");
    expect(solo.sent("append-entries", "n3")).toEqual([]);
    expect(solo.sent("heartbeat", "n3").length).toBeGreaterThan(3);
  });

  test("asks for none for a peer that is away, and for one as soon as it is back", () => {
    const solo = leaderAt(6);
    behind(solo, 3);
    solo.raft.unreachable(solo.nowMs, "n3");
    solo.raft.snapshotFailed(solo.nowMs, "n3");
    solo.forget();
    solo.run(500);
    expect(requests(solo)).toEqual([]);
    solo.step("n3", { type: "heartbeat-response", term: 2, round: 0, health: "ok" });
    expect(requests(solo)).toEqual(["n3"]);
  });

  test("asks again a heartbeat after it failed", () => {
    const solo = leaderAt(6);
    behind(solo, 3);
    solo.forget();
    solo.raft.snapshotFailed(solo.nowMs, "n3");
    solo.take();
    expect(requests(solo)).toEqual([]);
    solo.step("n2", { type: "heartbeat-response", term: 2, round: 0, health: "ok" });
    solo.run(150);
    expect(requests(solo)).toEqual(["n3"]);
  });

  // What a peer acknowledges after a snapshot need not be the snapshot's own index.
  test.each([6, 7, 8, 10])("goes on from an acknowledgement of %i", (index) => {
    const solo = leaderAt(6);
    behind(solo, 3);
    solo.forget();
    solo.step("n3", ack(2, index));
    expect(peer(solo, "n3")).toMatchObject({ state: "replicate", matchIndex: index });
    const loads = solo.outputs.flatMap((output) => output.loads.map(({ from }) => from));
    const sent = solo.sent("append-entries", "n3").map(({ prevIndex }) => prevIndex + 1);
    expect([...loads, ...sent]).toEqual(index < 10 ? [index + 1] : []);
  });

  test("goes on waiting where an acknowledgement does not reach the log", () => {
    const solo = leaderAt(6);
    behind(solo, 3);
    solo.step("n3", ack(2, 5));
    expect(peer(solo, "n3")).toMatchObject({ state: "snapshot", matchIndex: 5 });
    solo.step("n3", refusal(2, 9, 4, 1));
    expect(peer(solo, "n3")).toMatchObject({ state: "snapshot", matchIndex: 5 });
  });

  test("probes behind a snapshot that was sent, and believes only the peer's core", () => {
    const solo = leaderAt(6);
    behind(solo, 3);
    solo.forget();
    solo.raft.snapshotSent(solo.nowMs, "n3", 7);
    solo.take();
    expect(peer(solo, "n3")).toMatchObject({ state: "probe", matchIndex: 0, nextIndex: 8 });
    expect(solo.sent("append-entries", "n3")).toMatchObject([{ prevIndex: 7, prevTerm: 1 }]);
    solo.step("n3", ack(2, 7));
    expect(peer(solo, "n3")).toMatchObject({ state: "replicate", matchIndex: 7 });
  });

  test("asks for a newer one where the log went on letting go meanwhile", () => {
    const solo = leaderAt(6);
    behind(solo, 3);
    solo.raft.compact(solo.nowMs, 9);
    solo.take();
    solo.forget();
    solo.raft.snapshotSent(solo.nowMs, "n3", 7);
    solo.take();
    expect(peer(solo, "n3").state).toBe("snapshot");
    expect(requests(solo)).toEqual(["n3"]);
  });

  test("does not send what was loaded while its place was released", () => {
    const solo = leaderAt(0, { raft: { tailBytesMax: 1 } });
    solo.step("n3", ack(2, 1));
    const [load] = solo.outputs.flatMap((output) => output.loads);
    expect(load).toMatchObject({ peer: "n3", from: 2 });
    solo.raft.compact(solo.nowMs, 5);
    solo.forget();
    solo.raft.loaded(solo.nowMs, load!, batchesOf([1, 1, 1, 1, 1, 1, 1, 1], 2));
    solo.take();
    expect(solo.sent("append-entries", "n3")).toEqual([]);
    expect(requests(solo)).toEqual(["n3"]);
  });

  test("words about snapshots that nobody waits for change nothing", () => {
    const solo = leaderAt(6);
    solo.raft.snapshotSent(solo.nowMs, "n2", 3);
    solo.raft.snapshotFailed(solo.nowMs, "n2");
    solo.raft.snapshotSent(solo.nowMs, "n9", 3);
    expect(peer(solo, "n2")).toMatchObject({ state: "replicate", matchIndex: 10 });
    const follower = new Solo();
    follower.raft.snapshotSent(follower.nowMs, "n2", 3);
    expect(follower.take()).toEqual([]);
  });
});

describe("a follower that is given a snapshot", () => {
  function follower(options: SoloOptions = {}): Solo {
    const solo = new Solo({ term: 2, autoPersist: false, ...options });
    solo.step("n2", { type: "heartbeat", term: 2, commit: 0, round: 0 });
    solo.persist(solo.outputs.at(-1)!.number);
    solo.forget();
    return solo;
  }

  test("answers an old one with how far it is", () => {
    const solo = follower({ log: [1, 1, 1, 1], commit: 3 });
    expect(solo.raft.installSnapshot(solo.nowMs, "n2", pointAt(2, 1))).toBe("old");
    expect(solo.take()).toMatchObject([{ to: "n2", after: 0, message: ack(2, 3) }]);
    expect(solo.status).toMatchObject({ lastIndex: 4, commit: 3, startIndex: 0 });
  });

  test("keeps the tail behind one whose last entry it holds", () => {
    const solo = follower({ log: [1, 1, 1, 1], commit: 1 });
    expect(solo.raft.installSnapshot(solo.nowMs, "n2", pointAt(3, 1))).toBe("in-log");
    expect(solo.take()).toMatchObject([{ to: "n2", after: 0, message: ack(2, 3) }]);
    expect(solo.status).toMatchObject({ lastIndex: 4, commit: 3, startIndex: 0 });
    expect(solo.outputs.every((output) => output.reset === undefined)).toBe(true);
  });

  test.each([
    ["ends before it", [1, 1]],
    ["holds another entry there", [1, 1, 1, 1, 1, 1, 1]],
    ["is empty", []],
  ])("starts its log anew where that %s", (_, log) => {
    const solo = follower({ log, commit: Math.min(1, log.length) });
    const point = pointAt(6, 2, configurationOf(["n1", "n2", "n4"]));
    expect(solo.raft.installSnapshot(solo.nowMs, "n2", point)).toBe("reset");
    const [envelope] = solo.take();
    const { number, reset, entries } = solo.outputs.at(-1)!;
    expect(reset).toEqual(point);
    expect(entries).toEqual([]);
    // The leader hears of it once the reset is durable, not before.
    expect(envelope).toMatchObject({ to: "n2", after: number, message: ack(2, 6) });
    expect(solo.status).toMatchObject({ startIndex: 6, lastIndex: 6, lastTerm: 2, commit: 6 });
    expect(solo.status.persisted).toBe(Math.min(1, log.length));
    expect(solo.status.configuration.voters).toEqual(["n1", "n2", "n4"]);
    solo.persist(number);
    expect(solo.status.persisted).toBe(6);
  });

  test("goes on behind it in the same output", () => {
    const solo = follower();
    solo.raft.installSnapshot(solo.nowMs, "n2", pointAt(6, 2));
    const message = append({ term: 2, prevIndex: 6, prevTerm: 2, batches: [batchOf(2, 7, "a")] });
    solo.step("n2", message);
    const { reset, entries } = solo.outputs.at(-1)!;
    expect([reset?.index, entries.map((batch) => batch.firstIndex)]).toEqual([6, [7]]);
    expect(solo.status.lastIndex).toBe(7);
  });

  test("takes back what it was about to acknowledge and what was on its way to the disk", () => {
    const solo = follower({ log: [1], commit: 1 });
    const tail = append({ term: 2, prevIndex: 1, prevTerm: 1, batches: batchesOf([1, 1, 1], 2) });
    solo.step("n2", tail);
    const written = solo.outputs.at(-1)!.number;
    solo.raft.step(solo.nowMs, "n2", { ...tail, commit: 1 });
    solo.raft.installSnapshot(solo.nowMs, "n2", pointAt(6, 2));
    const sent = solo.take();
    expect(sent.map(({ message }) => message)).toEqual([ack(2, 6)]);
    // The late completion proves what is committed, and not the entries that are gone.
    solo.persist(written);
    expect(solo.status.persisted).toBe(1);
    solo.persist(solo.outputs.at(-1)!.number);
    expect(solo.status.persisted).toBe(6);
  });

  test("campaigns no more where the snapshot says that it has no vote", () => {
    const solo = new Solo({ log: [1], term: 2 });
    solo.timeOut();
    expect(solo.status.role).toBe("pre-candidate");
    solo.raft.installSnapshot(solo.nowMs, "n2", pointAt(6, 2, configurationOf(["n2", "n3"])));
    expect(solo.status.role).toBe("follower");
    solo.run(5_000);
    expect(solo.status.role).toBe("follower");
  });

  test("a leader has all that a snapshot could hold", () => {
    const solo = leaderAt(6);
    expect(solo.raft.installSnapshot(solo.nowMs, "n2", pointAt(50, 2))).toBe("old");
    expect(solo.take()).toEqual([]);
    expect(solo.status.commit).toBe(10);
  });
});

test("a compaction below the start of the log changes nothing", () => {
  const solo = leaderAt(6);
  solo.raft.compact(solo.nowMs, 4);
  expect(solo.take()).toEqual([]);
  expect(solo.status.startIndex).toBe(6);
});
