/**
 * Runs that once failed, made smaller and kept as their options: each must pass now, and pass as a
 * run of its own, with the invariants watching.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runSimulation } from "quorate/sim";
import type { SimOptions } from "quorate/sim";
import { describe, expect, test } from "vitest";

const DIRECTORY = join(import.meta.dirname, "../../sim/regressions");

/** A file of sim/regressions. */
interface Regression {
  /** One sentence: what was wrong. */
  readonly found: string;
  readonly options: SimOptions;
}

const regressions = readdirSync(DIRECTORY)
  .filter((name) => name.endsWith(".json"))
  .map((name) => ({
    name,
    ...(JSON.parse(readFileSync(join(DIRECTORY, name), "utf8")) as Regression),
  }));

describe("a run that once failed", () => {
  for (const { name, found, options } of regressions) {
    test(`passes: ${name}: ${found}`, async () => {
      const { violation } = await runSimulation(options);
      expect(violation).toBeUndefined();
    });
  }

  test("is kept with a sentence that says what was wrong", () => {
    expect(regressions.filter(({ found }) => found.trim() === "")).toEqual([]);
  });
});
