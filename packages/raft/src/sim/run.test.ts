/** What a run hands out. */
import { expect, test } from "vitest";
import { drawOptions } from "./draw-options.ts";
import { runSimulation } from "./run.ts";

const SHORT = { ...drawOptions(3), faultyMs: 1_000 };

test("every line of the trace is handed over, in order, and may be printed", async () => {
  const lines: string[] = [];
  const { lastEvents, steps } = await runSimulation(SHORT, {
    trace: (line) => {
      // Traps are out of the way here.
      Math.random();
      lines.push(line);
    },
  });
  expect(lines.length).toBeGreaterThan(500);
  expect(lines.slice(-lastEvents.length)).toEqual(lastEvents);
  const numbers = lines.map((line) => Number(line.slice(0, 9)));
  expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  expect(numbers.at(-1)).toBeLessThanOrEqual(steps);
});

test("a run that ends early hands over what it has", async () => {
  const lines: string[] = [];
  await runSimulation(SHORT, { untilStep: 20, trace: (line) => lines.push(line) });
  expect(lines.length).toBeGreaterThan(0);
});

test("statistics and trace name the nemesis that did it; one that did nothing has a zero", async () => {
  const nemeses = [
    { kind: "pause", everyMs: 100, lastsMs: 50, share: 0 },
    { kind: "after-commit", everyMs: 100, lastsMs: 50, share: 0 },
  ];
  const lines: string[] = [];
  const { statistics } = await runSimulation(
    { ...SHORT, members: 3, nemeses },
    { trace: (line) => lines.push(line) },
  );
  expect(statistics["nemesis pause"]).toBeGreaterThan(0);
  expect(statistics["nemesis after-commit"]).toBe(0);
  const told = lines.filter((line) => /fault +pause: n\d for \d+ µs, by pause$/.test(line));
  expect(told).toHaveLength(statistics["nemesis pause"]!);
});

test("a death at the disk counts when it strikes, not when it is arranged", async () => {
  const nemeses = [{ kind: "crash-at-disk", everyMs: 50, lastsMs: 50, share: 0 }];
  const { statistics } = await runSimulation({ ...SHORT, members: 3, nemeses });
  const deaths = (statistics["ended by power"] ?? 0) + (statistics["ended by kill"] ?? 0);
  expect(statistics["nemesis crash-at-disk"]).toBeGreaterThan(0);
  expect(statistics["nemesis crash-at-disk"]).toBeLessThanOrEqual(deaths);
});
