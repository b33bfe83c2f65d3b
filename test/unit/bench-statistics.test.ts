/** What the bench makes of its numbers: a wrong median says nothing about itself. */
import { expect, test } from "vitest";
import { Histogram } from "../../bench/src/histogram.ts";
import { quantileOf, short, spreadOf } from "../../bench/src/statistics.ts";

test("the median of an even number of runs lies between the two in the middle", () => {
  expect(spreadOf([4, 1, 3, 2])).toEqual({ median: 2.5, min: 1, max: 4 });
  expect(spreadOf([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
});

test("a quantile is a value that was measured, whatever the order", () => {
  const values = Array.from({ length: 50 }, (_, i) => 50 - i);
  expect(quantileOf(values, 0.5)).toBe(25);
  expect(quantileOf(values, 0.99)).toBe(50);
  expect(quantileOf(values, 1)).toBe(50);
  expect(quantileOf([7], 0)).toBe(7);
  expect(values[0]).toBe(50); // left as it was
});

test("numbers are given in as few digits as say something", () => {
  expect([12_345.6, 12.34, 1.234, 0.01234].map(short)).toEqual(["12,346", "12.3", "1.23", "0.012"]);
});

test("a histogram's quantiles are off by less than two per cent", () => {
  const histogram = new Histogram();
  for (let us = 1; us <= 100_000; us++) histogram.record(us / 1_000);
  expect(histogram.count).toBe(100_000);
  expect(Math.abs(histogram.quantileMs(0.5) / 50 - 1)).toBeLessThan(0.02);
  expect(Math.abs(histogram.quantileMs(0.99) / 99 - 1)).toBeLessThan(0.02);
  expect(histogram.maxMs).toBe(100);
});
