/** Stacks come back, whatever ends in which order; and a violation has one. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { drawOptions } from "./draw-options.ts";
import { runSimulation } from "./run.ts";
import { withoutStacks } from "./stackless.ts";

const before = Error.stackTraceLimit;
beforeEach(() => void (Error.stackTraceLimit = 7));
afterEach(() => void (Error.stackTraceLimit = before));

test("errors have no stacks meanwhile, and have them again after a rejection", async () => {
  const ended = withoutStacks(async () => {
    expect(new Error("meanwhile").stack).toBe("Error: meanwhile");
    return Promise.reject(new Error("over"));
  });
  await expect(ended).rejects.toThrow("over");
  expect(Error.stackTraceLimit).toBe(7);
});

test("the last one out brings stacks back", async () => {
  let end: () => void = () => {};
  const long = withoutStacks(() => new Promise<void>((resolve) => (end = resolve)));
  await withoutStacks(() => Promise.resolve());
  expect(Error.stackTraceLimit).toBe(0);
  end();
  await long;
  expect(Error.stackTraceLimit).toBe(7);
});

test("a violation has a stack", async () => {
  const drawn = drawOptions(2);
  // No leader can be elected over such a network.
  const delay = { minUs: 3_000_000, maxUs: 3_000_000, tailShare: 0, tailMaxUs: 0 };
  const network = { ...drawn.network, delay };
  const { violation } = await runSimulation({ ...drawn, network, nemeses: [], faultyMs: 100 });
  expect(violation?.invariant).toBe("leader-after-heal");
  expect(violation?.stack).toMatch(/\n +at /);
});

test("a violation that does not come again is not lost", async () => {
  const running = runSimulation({ ...drawOptions(1), faultyMs: 200 });
  await Promise.resolve();
  expect(() => Math.random()).toThrow("Math.random");
  expect((await running).violation?.invariant).toBe("nothing-outside");
});
