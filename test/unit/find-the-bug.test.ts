/**
 * The example of a state machine with a bug: the simulator finds it, and finds nothing when it is
 * gone.
 */
import { SimulationFailure, simulate } from "quorate/sim";
import { expect, test } from "vitest";
import { Bank } from "../../examples/find-the-bug/bank.ts";
import { simulateBank, simulationOf } from "../../examples/find-the-bug/simulation.ts";

test("the bank's lost update is found, and told in words and numbers that lead to it", async () => {
  const failure = await failureOf(simulateBank());
  expect(failure.violation.invariant).toMatch(/^(same-state|same-answers|state-machine-safety)$/);
  expect(failure.message).toMatch(/"transfer"/);
  const replayed = simulate(simulationOf(() => new Bank(), { replay: failure.options }));
  expect((await failureOf(replayed)).violation).toEqual(failure.violation);
  const repaired = simulationOf(() => new Bank(true), { replay: failure.options });
  expect((await simulate(repaired)).answered).toBeGreaterThan(0);
});

test("the repaired bank lives through the same troubles", async () => {
  const summary = await simulateBank(true);
  expect(summary.runs).toBe(4);
  expect(summary.answered).toBeGreaterThan(100);
});

async function failureOf(run: Promise<unknown>): Promise<SimulationFailure> {
  try {
    await run;
  } catch (error) {
    if (error instanceof SimulationFailure) return error;
    throw error;
  }
  throw new Error("the bug was not found");
}
