/** Pictures of results: where values lie, what is written, and that no name lies on another. */
import { expect, test } from "vitest";
import { compact, linearScale, logScale, namedScale, thinned } from "../../bench/src/plot-scale.ts";
import { movedApart, picture } from "../../bench/src/plot.ts";
import type { Chart } from "../../bench/src/plot.ts";

test("a linear axis goes from zero to a round number above all values", () => {
  const scale = linearScale([3, 87], 5);
  expect(scale.ticks).toEqual([0, 20, 40, 60, 80, 100]);
  expect([0, 50, 100].map(scale.at)).toEqual([0, 0.5, 1]);
  expect(linearScale([0], 5).ticks.at(-1)).toBe(1);
  expect(linearScale([0.3], 3).ticks).toEqual([0, 0.1, 0.2, 0.3]);
});

test("a logarithmic axis has whole decades, and their halves where there are few", () => {
  expect(logScale([2, 90]).ticks).toEqual([1, 2, 5, 10, 20, 50, 100]);
  expect(logScale([0.3, 40_000]).ticks).toEqual([0.1, 1, 10, 100, 1_000, 10_000, 100_000]);
  expect(logScale([1, 100]).at(10)).toBeCloseTo(0.5);
  expect(logScale([7, 7]).ticks.at(-1)).toBe(10);
  expect(() => logScale([0, 1])).toThrow("no place for 0");
});

test("an axis of what was asked for names just that, and leaves out what has no room", () => {
  const scale = namedScale([1, 4_096, 16, 256, 16], true);
  expect(scale.ticks).toEqual([1, 16, 256, 4_096]);
  expect(scale.ticks.map(scale.label)).toEqual(["1", "16", "256", "4,096"]);
  expect(thinned(scale, 0.4)).toEqual([16, 4_096]);
  expect(namedScale([5], true).at(5)).toBe(0.5);
});

test("numbers beside an axis are short", () => {
  const shown = [0, 0.25, 12, 999, 1_500, 20_000, 2_500_000, 3e9].map(compact);
  expect(shown).toEqual(["0", "0.25", "12", "999", "1.5k", "20k", "2.5M", "3G"]);
});

test("names are moved apart, in their order, and stay inside", () => {
  const placed = movedApart([10, 11, 12, 95, 99], 15, { from: 0, to: 100 });
  expect(placed).toEqual([10, 25, 40, 85, 100]);
  const gaps = movedApart([50, 50, 50, 50, 50, 50], 15, { from: 0, to: 100 });
  for (let i = 1; i < gaps.length; i++) expect(gaps[i]! - gaps[i - 1]!).toBeGreaterThanOrEqual(15);
  expect(gaps.at(-1)).toBeLessThanOrEqual(100);
});

const LINES: Chart = {
  kind: "lines",
  title: "a < b & c",
  x: { label: "outstanding", log: true },
  y: { label: "entries/s", log: true },
  lines: ["one", "two", "three"].map((name, i) => ({
    name,
    isReference: i === 0,
    points: [1, 16, 256].map((x) => ({ x, value: 100 * x + i, low: 90 * x, high: 110 * x })),
  })),
};
const BARS: Chart = {
  kind: "bars",
  title: "bars",
  groups: [
    {
      label: "16",
      bars: [
        { name: "two", value: 3, low: 2, high: 4 },
        { name: "zero", value: 0 },
      ],
    },
  ],
};

/** The texts of a picture, with where they stand in their chart. */
function textsOf(svg: string): readonly { readonly y: number; readonly text: string }[] {
  const found = svg.matchAll(/<text x="[-\d.]+" y="([-\d.]+)"[^>]*>([^<]*)<\/text>/g);
  return [...found].map(([, y, text]) => ({ y: Number(y), text: text! }));
}

test("a picture is well formed, has no value that is no number, and colours for both pages", () => {
  const svg = picture("title", "note", [LINES, BARS]);
  expect(svg).toContain("a &lt; b &amp; c");
  expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  expect(svg).toContain("prefers-color-scheme:dark");
  const open: string[] = [];
  for (const [, slash, name, rest] of svg.matchAll(/<(\/?)([a-z]+)([^>]*)>/g)) {
    if (slash === "/") expect(open.pop()).toBe(name);
    else if (!rest!.endsWith("/")) open.push(name!);
  }
  expect(open).toEqual([]);
});

test("lines that end in the same place have their names below each other", () => {
  const names = textsOf(picture("t", "n", [LINES])).filter(({ text }) =>
    ["one", "two", "three"].includes(text),
  );
  const ys = names.map(({ y }) => y).sort((a, b) => a - b);
  expect(ys).toHaveLength(3);
  expect(ys[1]! - ys[0]!).toBeGreaterThanOrEqual(14);
  expect(ys[2]! - ys[1]!).toBeGreaterThanOrEqual(14);
});

test("a name has one colour in all charts of a picture, the reference none of them", () => {
  const svg = picture("t", "n", [LINES, BARS]);
  const colours = [...svg.matchAll(/class="name (\w+)"[^>]*>(\w+)</g)].map(
    ([, c, n]) => `${n} ${c}`,
  );
  expect(new Set(colours)).toEqual(new Set(["one reference", "two c0", "three c1", "zero c2"]));
});
