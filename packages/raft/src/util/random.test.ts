/** The seeded generator: the same everywhere, for ever. */
import { expect, test } from "vitest";
import { SeededRandom } from "./random.ts";

test("a seed gives the same draws for ever", () => {
  const random = new SeededRandom(42);
  const draws = Array.from({ length: 6 }, () => random.below(1_000_000));
  expect(draws).toMatchInlineSnapshot(`
    [
      372404,
      901729,
      491493,
      42284,
      72415,
      229606,
    ]
  `);
});

test("draws are in range and spread", () => {
  const random = new SeededRandom(7);
  const counts = Array.from({ length: 10 }, () => 0);
  for (let i = 0; i < 100_000; i++) counts[random.below(10)]!++;
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
});

test("a bound that is not a positive integer is refused", () => {
  const random = new SeededRandom(1);
  for (const bad of [0, -1, 1.5, Number.NaN]) expect(() => random.below(bad)).toThrow(RangeError);
});
