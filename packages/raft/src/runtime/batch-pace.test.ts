import { describe, expect, test } from "vitest";
import { BatchPace } from "./batch-pace.ts";

/** A pace with the entries up to `proposedTo` on their way, and those up to `appliedTo` applied. */
function pace(proposedTo: number, appliedTo: number): BatchPace {
  const it = new BatchPace();
  it.applied(appliedTo);
  it.proposed(proposedTo);
  return it;
}

describe("the pace of batches", () => {
  test("who is alone waits for nobody, and neither does the second one", () => {
    expect(new BatchPace().holds(5, 1)).toBe(false);
    expect(pace(10, 10).holds(5, 1)).toBe(false);
    expect(pace(11, 10).holds(5, 1)).toBe(false);
  });

  test("writes wait until they are as many as are under way", () => {
    const it = pace(30, 10);
    expect(it.holds(5, 1)).toBe(true);
    expect(it.holds(5.5, 19)).toBe(true);
    expect(it.hasRelease(19)).toBe(false);
    expect(it.hasRelease(20)).toBe(true);
    expect(it.holds(6, 20)).toBe(false);
    expect(it.hasRelease(20)).toBe(false);
  });

  test("or until as many as are left have been applied", () => {
    const it = pace(30, 10);
    expect(it.holds(5, 3)).toBe(true);
    it.applied(26);
    expect(it.hasRelease(3)).toBe(false);
    it.applied(27);
    expect(it.hasRelease(3)).toBe(true);
    expect(it.holds(5, 3)).toBe(false);
  });

  test("or for two milliseconds, from the first one on that was held", () => {
    const it = pace(30, 10);
    expect(it.dueMs).toBe(Infinity);
    expect(it.holds(5, 1)).toBe(true);
    expect(it.dueMs).toBe(7);
    expect(it.holds(6.9, 2)).toBe(true);
    expect(it.dueMs).toBe(7);
    expect(it.holds(7, 2)).toBe(false);
    expect(it.dueMs).toBe(Infinity);
  });

  test("nothing is held for what an earlier leadership had under way", () => {
    const it = pace(30, 10);
    expect(it.holds(5, 1)).toBe(true);
    it.leaderChanged();
    expect(it.dueMs).toBe(Infinity);
    expect(it.hasRelease(1)).toBe(false);
    expect(it.holds(6, 1)).toBe(false);
  });
});
