/**
 * Planted defects fit the code that there is, and ask for what there is. Whether each is caught is
 * the affair of `npm run sim -- --mutations`.
 */
import { join } from "node:path";
import { PROFILES } from "quorate/sim";
import { expect, test } from "vitest";
import { patchedFiles } from "../../sim/src/mutant.ts";
import { readMutations } from "../../sim/src/mutation.ts";
import { findScenario } from "../../sim/src/scenarios/catalogue.ts";

const mutations = readMutations(join(import.meta.dirname, "../../sim/mutations"));

test("every planted defect still matches the code", () => {
  for (const { name, files } of mutations) {
    expect(() => patchedFiles(files), name).not.toThrow();
  }
});

test("every planted defect is caught by a profile or scenario that exists", () => {
  const wrong: string[] = [];
  for (const { name, caughtBy: by } of mutations) {
    if (by?.kind === "scenario" && findScenario(by.scenario) === undefined) {
      wrong.push(`${name}: there is no scenario ${by.scenario}`);
    }
    if (by?.kind === "random" && by.profile !== undefined) {
      if (!PROFILES.some((profile) => profile === by.profile)) {
        wrong.push(`${name}: there is no profile ${by.profile}`);
      }
    }
  }
  expect(wrong).toEqual([]);
});

test("there are at least 26 that make a difference", () => {
  const effective = mutations.filter((mutation) => mutation.equivalent === undefined);
  expect(effective.length).toBeGreaterThanOrEqual(26);
});
