import { describe, expect, test } from "vitest";
import type { RaftInputs } from "../core/contract.ts";
import { EntryBatch, EntryKind, packEntries } from "../core/entry.ts";
import type { EntryFields } from "../core/entry.ts";
import { encodeSessionEntry } from "../machine/session-entry.ts";
import { ManualClock } from "../transport/manual-clock.ts";
import { crc32 } from "../util/checksum.ts";
import { utf8, fromUtf8 } from "../util/bytes.ts";
import { MemoryApplier } from "./memory-applier.ts";

function batch(firstIndex: number, term: number, texts: readonly string[]): EntryBatch {
  const entries = texts.map((text) => ({
    kind: text === "" ? EntryKind.noop : EntryKind.command,
    payload: utf8(text),
  }));
  return seal(firstIndex, term, entries);
}

function seal(firstIndex: number, term: number, entries: EntryFields[], timeMs = 9): EntryBatch {
  return EntryBatch.seal(packEntries(entries), { term, firstIndex, timeMs, checksum: crc32 });
}

/** An applier over batches that the test changes, and what came of it. */
function setUp(batches: EntryBatch[]): {
  applier: MemoryApplier;
  seen: string[];
  terms: number[];
  loads: [number, number][];
  clock: ManualClock;
  applied: string[];
} {
  const clock = new ManualClock();
  const applied: string[] = [];
  const [seen, terms, loads]: [string[], number[], [number, number][]] = [[], [], []];
  const core = {
    batchAt: (index: number) =>
      batches.find((one) => one.firstIndex <= index && index <= one.lastIndex),
    get memoryIndex() {
      return batches[0]?.firstIndex ?? Number.MAX_SAFE_INTEGER;
    },
  } as unknown as RaftInputs;
  const applier = new MemoryApplier(core, 0, {
    clock,
    machine: {
      kind: "memory",
      version: 1,
      apply: (payload, at) => {
        if (fromUtf8(payload) === "slow") clock.advance(3);
        return seen.push(`${at.index}@${at.term}=${fromUtf8(payload)}`);
      },
      query: () => undefined,
      snapshot: () => ({ kind: "whole", bytes: new Uint8Array(0) }),
      restore: async () => {},
    },
    load: (from, to) => loads.push([from, to]),
    termStarts: (term) => terms.push(term),
    applied: ({ index, verdict, value }) => applied.push(`${index} ${verdict} ${String(value)}`),
    slow: () => {},
  });
  return { applier, seen, terms, loads, clock, applied };
}

describe("applying", () => {
  test("brings commands to the machine in order and passes over the rest", () => {
    const { applier, seen, terms } = setUp([batch(1, 1, ["", "a", "b"]), batch(4, 3, ["", "c"])]);
    applier.commit = 5;
    expect(applier.run(1_000)).toBe(false);
    expect(seen).toEqual(["2@1=a", "3@1=b", "5@3=c"]);
    expect(terms).toEqual([1, 3]);
    expect(applier.applied).toBe(5);
  });

  test("never reads past the commit index from a batch that may yet be replaced", () => {
    const batches = [batch(1, 1, ["a", "b", "c", "d"])];
    const { applier, seen } = setUp(batches);
    applier.commit = 2;
    applier.run(1_000);
    // A new leader ended entries 3 and 4.
    batches.splice(0, 1, batch(1, 1, ["a", "b"]), batch(3, 2, ["x", "y"]));
    applier.commit = 4;
    applier.run(1_000);
    expect(seen).toEqual(["1@1=a", "2@1=b", "3@2=x", "4@2=y"]);
  });

  test("stops at the end of its slice and goes on where it was", () => {
    const { applier, seen, clock } = setUp([batch(1, 1, ["slow", "slow", "slow", "slow"])]);
    applier.commit = 4;
    expect(applier.run(clock.nowMs() + 5)).toBe(true);
    expect(seen).toHaveLength(2);
    expect(applier.run(clock.nowMs() + 50)).toBe(false);
    expect(seen).toHaveLength(4);
  });

  test("reads from the log what has left memory, only that, and goes on when it comes", () => {
    const { applier, seen, loads } = setUp([batch(5, 2, ["e"])]);
    applier.commit = 5;
    expect(applier.run(1_000)).toBe(false);
    expect(applier.run(1_000)).toBe(false);
    // Where memory begins, the log may not have been overwritten yet.
    expect(loads).toEqual([[1, 4]]);
    applier.loaded([batch(1, 1, ["a", "b"])]);
    applier.run(1_000);
    expect(loads).toEqual([
      [1, 4],
      [3, 4],
    ]);
    applier.loaded([batch(3, 1, ["c"]), batch(4, 2, ["d"])]);
    applier.run(1_000);
    expect(seen).toEqual(["1@1=a", "2@1=b", "3@1=c", "4@2=d", "5@2=e"]);
  });
});

describe("sessions", () => {
  const { command, session, version } = EntryKind;
  const open: EntryFields = {
    kind: session,
    payload: encodeSessionEntry({ type: "open", timeoutMs: 100 }),
  };
  const write = (text: string, id: number, sequence: number, lowest = 1): EntryFields => ({
    kind: command,
    payload: utf8(text),
    session: id,
    sequence,
    lowestUnanswered: lowest,
  });

  test("a repeated command reaches the machine once, and its result is told again", () => {
    const { applier, seen, applied } = setUp([
      seal(1, 1, [open, write("a", 1, 1), write("b", 1, 2), write("a", 1, 1)]),
      seal(5, 2, [write("b", 1, 2, 2), write("a", 1, 1), write("c", 9, 1)]),
    ]);
    applier.commit = 7;
    applier.run(1_000);
    expect(seen).toEqual(["2@1=a", "3@1=b"]);
    expect(applied).toEqual([
      "1 new 1",
      "2 new 1",
      "3 new 2",
      "4 duplicate 1",
      "5 duplicate 2",
      "6 dropped undefined",
      "7 expired undefined",
    ]);
    const { history } = applier.state;
    expect([2, 3, 4, 5, 6, 7].map((index) => history.isEffective(index))).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
  });

  test("nothing of an expired or closed session is applied", () => {
    const close: EntryFields = {
      kind: session,
      payload: encodeSessionEntry({ type: "close" }),
      session: 2,
    };
    const { applier, seen, applied } = setUp([
      seal(1, 1, [open, open, write("a", 1, 1), write("b", 2, 1), close, write("c", 2, 2)], 50),
      seal(7, 1, [write("d", 1, 2)], 151),
    ]);
    applier.commit = 7;
    applier.run(1_000);
    expect(seen).toEqual(["3@1=a", "4@1=b"]);
    expect(applied.slice(5)).toEqual(["6 expired undefined", "7 expired undefined"]);
  });

  test("a version that the machine does not know stops it before anything is applied", () => {
    const two: EntryFields = { kind: version, payload: Uint8Array.of(2, 0, 0, 0) };
    const { applier, seen } = setUp([batch(1, 1, ["a"]), seal(2, 1, [two]), batch(3, 1, ["b"])]);
    applier.commit = 3;
    expect(() => applier.run(1_000)).toThrow("start this member with newer code");
    expect(seen).toEqual(["1@1=a"]);
    expect(applier.applied).toBe(1);
    // As found in a snapshot.
    const other = setUp([batch(1, 1, ["a"])]);
    other.applier.state.machineVersion = 2;
    other.applier.commit = 1;
    expect(() => other.applier.run(1_000)).toThrow("VERSION_UNSUPPORTED");
    expect(other.seen).toEqual([]);
  });
});
