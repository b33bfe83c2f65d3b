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
