import { describe, expect, test } from "vitest";
import { BatchPace } from "./batch-pace.ts";

/** A pace with a batch of 4 under way that ends at 14, and one of 16 that ends at 30. */
function pace(): BatchPace {
  const it = new BatchPace();
  it.proposed(14, 4);
  it.proposed(30, 16);
  return it;
}

describe("the pace of batches", () => {
  test("who is alone waits for nobody, and neither does the second one", () => {
    const it = new BatchPace();
    expect(it.holds(5, 1)).toBe(false);
    it.proposed(11, 1);
    expect(it.holds(5, 1)).toBe(false);
  });

  test("writes wait until they are as many as are under way", () => {
    const it = pace();
    expect(it.holds(5, 1)).toBe(true);
    expect(it.holds(5.5, 19)).toBe(true);
    expect(it.hasRelease(19)).toBe(false);
    expect(it.hasRelease(20)).toBe(true);
    expect(it.holds(6, 20)).toBe(false);
    expect(it.hasRelease(20)).toBe(false);
  });

  test("or until as many as are left have been applied, batch by batch", () => {
    const it = pace();
    it.proposed(40, 3);
    expect(it.holds(5, 3)).toBe(true);
    it.applied(29);
    expect(it.hasRelease(3)).toBe(false);
    expect(it.hasRelease(19)).toBe(true);
    it.applied(30);
    expect(it.hasRelease(3)).toBe(true);
    expect(it.holds(5, 3)).toBe(false);
  });

  test("or for two milliseconds, from the first one on that was held", () => {
    const it = pace();
    expect(it.dueMs).toBe(Infinity);
    expect(it.holds(5, 1)).toBe(true);
    expect(it.dueMs).toBe(7);
    expect(it.holds(6.9, 2)).toBe(true);
    expect(it.dueMs).toBe(7);
    expect(it.holds(7, 2)).toBe(false);
    expect(it.dueMs).toBe(Infinity);
  });

  test("what is between its batches is none of its business", () => {
    const it = new BatchPace();
    it.proposed(111, 1);
    expect(it.holds(5, 1)).toBe(false);
  });

  test("nothing is held for what an earlier leadership had under way", () => {
    const it = pace();
    expect(it.holds(5, 1)).toBe(true);
    it.forget();
    expect(it.dueMs).toBe(Infinity);
    expect(it.hasRelease(1)).toBe(false);
    expect(it.holds(6, 1)).toBe(false);
  });
});
