import { describe, expect, test } from "vitest";
import type { RaftInputs } from "../core/contract.ts";
import { EntryBatch, EntryKind, packEntries } from "../core/entry.ts";
import { ManualClock } from "../transport/manual-clock.ts";
import { crc32 } from "../util/checksum.ts";
import { utf8, fromUtf8 } from "../util/bytes.ts";
import { Applier } from "./applier.ts";

function batch(firstIndex: number, term: number, texts: readonly string[]): EntryBatch {
  const entries = texts.map((text) => ({
    kind: text === "" ? EntryKind.noop : EntryKind.command,
    payload: utf8(text),
  }));
  return EntryBatch.seal(packEntries(entries), { term, firstIndex, timeMs: 9, checksum: crc32 });
}

/** An applier over batches that the test changes, and what came of it. */
function setUp(batches: EntryBatch[]): {
  applier: Applier;
  seen: string[];
  terms: number[];
  loads: [number, number][];
  clock: ManualClock;
} {
  const clock = new ManualClock();
  const [seen, terms, loads]: [string[], number[], [number, number][]] = [[], [], []];
  const core = {
    batchAt: (index: number) =>
      batches.find((one) => one.firstIndex <= index && index <= one.lastIndex),
  } as unknown as RaftInputs;
  const applier = new Applier(core, 0, {
    clock,
    machine: {
      apply: (payload, at) => {
        if (fromUtf8(payload) === "slow") clock.advance(3);
        return seen.push(`${at.index}@${at.term}=${fromUtf8(payload)}`);
      },
      query: () => undefined,
    },
    load: (from, to) => loads.push([from, to]),
    termStarts: (term) => terms.push(term),
    applied: () => {},
    slow: () => {},
  });
  return { applier, seen, terms, loads, clock };
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

  test("reads from the log what has left memory, once, and goes on when it comes", () => {
    const { applier, seen, loads } = setUp([batch(5, 2, ["e"])]);
    applier.commit = 5;
    expect(applier.run(1_000)).toBe(false);
    expect(applier.run(1_000)).toBe(false);
    expect(loads).toEqual([[1, 5]]);
    applier.loaded([batch(1, 1, ["a", "b"])]);
    applier.run(1_000);
    expect(loads).toEqual([
      [1, 5],
      [3, 5],
    ]);
    applier.loaded([batch(3, 1, ["c"]), batch(4, 2, ["d"])]);
    applier.run(1_000);
    expect(seen).toEqual(["1@1=a", "2@1=b", "3@1=c", "4@2=d", "5@2=e"]);
  });
});
