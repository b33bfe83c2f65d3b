import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BTree } from "./btree.ts";

/** Few different keys, so that runs hit the same ones, next to hostile and arbitrary ones. */
const key = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 400 }).map((n) => String(n).padStart(3, "0")) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("__proto__", "constructor", "toString", "", "\0", "\xff"),
  },
  {
    weight: 1,
    arbitrary: fc.uint8Array({ maxLength: 6 }).map((b) => Buffer.from(b).toString("latin1")),
  },
);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant("set" as const), key }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("delete" as const), key }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("clone" as const) }) },
);

/** A map, and its entries in key order when asked: what the tree is measured against. */
function sorted(model: ReadonlyMap<string, number>): [string, number][] {
  return [...model].sort(([a], [b]) => (a < b ? -1 : 1));
}

function entriesOf(tree: BTree<number>, from?: string): [string, number][] {
  const entries: [string, number][] = [];
  const cursor = tree.cursor(from);
  while (cursor.next()) entries.push([cursor.key, cursor.value]);
  return entries;
}

/** As `expect` does, without its cost: this runs a hundred thousand times. */
function same(actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Error(`want ${String(expected)}, got ${String(actual)}`);
}

describe("BTree", () => {
  test("does what a sorted map does, and its clones stand still", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 1500, size: "max" }), key, (steps, from) => {
        const tree = new BTree<number>();
        const model = new Map<string, number>();
        const frozen: { tree: BTree<number>; entries: [string, number][] }[] = [];
        for (const [number, s] of steps.entries()) {
          if (s.type === "clone") {
            if (frozen.length < 5) frozen.push({ tree: tree.clone(), entries: sorted(model) });
          } else if (s.type === "set") {
            same(tree.set(s.key, number), model.get(s.key));
            model.set(s.key, number);
          } else {
            same(tree.delete(s.key), model.get(s.key));
            model.delete(s.key);
          }
        }
        expect(tree.check()).toBeUndefined();
        expect(tree.size).toBe(model.size);
        const all = sorted(model);
        expect(entriesOf(tree)).toEqual(all);
        expect(entriesOf(tree, from)).toEqual(all.filter(([k]) => k >= from));
        for (const [k, value] of all) same(tree.get(k), value);
        for (const { tree: copy, entries } of frozen) expect(entriesOf(copy)).toEqual(entries);
      }),
      { numRuns: 60, seed: 1 },
    );
  });

  test("stays balanced while it grows to 20,000 keys and shrinks to none, in several orders", () => {
    const orders: Record<string, (n: number) => number> = {
      ascending: (n) => n,
      descending: (n) => 19_999 - n,
      scattered: (n) => (n * 7919) % 20_000,
    };
    for (const order of Object.values(orders)) {
      const tree = new BTree<number>();
      for (let n = 0; n < 20_000; n++) tree.set(String(order(n)).padStart(5, "0"), n);
      expect(tree.size).toBe(20_000);
      expect(tree.check()).toBeUndefined();
      for (let n = 0; n < 20_000; n++) {
        tree.delete(String(order(n)).padStart(5, "0"));
        if (n % 4_000 === 0) expect(tree.check()).toBeUndefined();
      }
      expect(tree.size).toBe(0);
      expect(entriesOf(tree)).toEqual([]);
    }
  });

  test("a clone can be written too, and neither sees the other's writes", () => {
    const tree = new BTree<number>();
    for (let n = 0; n < 1_000; n++) tree.set(String(n), n);
    const copy = tree.clone();
    for (let n = 0; n < 1_000; n += 2) tree.delete(String(n));
    for (let n = 1_000; n < 1_500; n++) copy.set(String(n), n);
    expect([tree.size, copy.size]).toEqual([500, 1_500]);
    expect([tree.check(), copy.check()]).toEqual([undefined, undefined]);
    expect(tree.get("1200")).toBeUndefined();
    expect(copy.get("2")).toBe(2);
  });
});
