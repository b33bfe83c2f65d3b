import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LiveBytes, LocationIndex } from "./location-index.ts";
import { recordBytes } from "./record.ts";

type Row = { firstIndex: number; count: number; term: number; segment: number; bytes: number };

/** The naive index: rows in an array. */
class NaiveIndex {
  rows: Row[] = [];
  start = 0;
  last = 0;

  dropThrough(index: number): void {
    this.start = index;
    this.rows = this.rows.filter(
      (_row, i) => (this.rows[i + 1]?.firstIndex ?? this.last + 1) > index + 1,
    );
  }

  find(index: number): number {
    return this.rows.findLastIndex((row) => row.firstIndex <= index);
  }
}

const anyStep = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("push"), draw: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("cut"), draw: fc.nat(1000) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("drop"), draw: fc.nat(1000) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("move"), draw: fc.nat(1000) }) },
);

describe("the location index", () => {
  test("agrees with a naive one, and counts live bytes", () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 400 }), (steps) => {
        const live = new LiveBytes();
        const index = new LocationIndex(live);
        const naive = new NaiveIndex();
        for (const [i, { kind, draw }] of steps.entries()) {
          const span = naive.last - naive.start;
          if (kind === "push") {
            const firstIndex = naive.last + 1;
            const row = {
              firstIndex,
              count: 1 + (draw % 4),
              term: 1,
              segment: 1 + (i >> 4),
              bytes: 100 + draw,
            };
            index.push({ ...row, offset: i });
            naive.rows.push(row);
            naive.last += row.count;
          } else if (kind === "cut" && span > 0) {
            const from = naive.start + 1 + (draw % span);
            index.cutFrom(from);
            naive.rows = naive.rows.filter((row) => row.firstIndex < from);
            naive.last = from - 1;
          } else if (kind === "drop" && span > 0) {
            const through = naive.start + 1 + (draw % span);
            index.dropThrough(through, naive.last);
            naive.dropThrough(through);
          } else if (kind === "move" && naive.rows.length > 0) {
            const row = naive.rows[draw % naive.rows.length]!;
            row.segment = 1 + (i >> 4);
            index.place({ ...row, offset: i });
          }
          agree(index, naive, live);
        }
      }),
      { numRuns: 60, seed: 1 },
    );
  });

  test("takes rows between others, as recovery finds moved batches", () => {
    const index = new LocationIndex(new LiveBytes());
    const row = { count: 2, term: 1, segment: 1, offset: 8, bytes: 80 };
    for (const firstIndex of [5, 1, 9, 3, 7]) index.place({ ...row, firstIndex });
    expect(Array.from({ length: index.rows }, (_, i) => index.firstIndex(i))).toEqual([
      1, 3, 5, 7, 9,
    ]);
    expect(index.bodyLastIndex(2)).toBe(6);
    expect(index.find(0)).toBe(-1);
    index.clear();
    expect(index.rows).toBe(0);
  });

  test("lets a row go that ends before rows which are still to come", () => {
    const index = new LocationIndex(new LiveBytes());
    const row = { count: 1, term: 1, segment: 1, offset: 8, bytes: 80 };
    for (const firstIndex of [5, 20]) index.place({ ...row, firstIndex });
    index.dropThrough(9, 20);
    expect(index.rows).toBe(1);
    index.place({ ...row, firstIndex: 10 });
    expect(index.firstIndex(0)).toBe(10);
  });
});

function agree(index: LocationIndex, naive: NaiveIndex, live: LiveBytes): void {
  const rows: Row[] = [];
  for (let row = 0; row < index.rows; row++) {
    rows.push({
      firstIndex: index.firstIndex(row),
      count: index.bodyLastIndex(row) - index.firstIndex(row) + 1,
      term: index.term(row),
      segment: index.segment(row),
      bytes: index.bytes(row),
    });
  }
  expect(rows).toEqual(naive.rows);
  let total = 0;
  for (const row of naive.rows) total += recordBytes(row.bytes);
  expect(live.total).toBe(total);
  for (let probe = naive.start; probe <= naive.last; probe += 7) {
    expect(index.find(probe)).toBe(naive.find(probe));
  }
}
