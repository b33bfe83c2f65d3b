/** Every directed scenario passes on the library as it is. */
import { describe, expect, test } from "vitest";
import { SCENARIOS } from "../../sim/src/scenarios/catalogue.ts";

describe("scenario", () => {
  for (const scenario of SCENARIOS) {
    test(`${scenario.name}: ${scenario.text}`, () => scenario.run());
  }
});

test("the names of scenarios are unique and in kebab case", () => {
  const names = SCENARIOS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
});

test("scenarios of historical bugs say which", () => {
  const issues = SCENARIOS.filter(({ name }) => name.startsWith("issue-"));
  expect(issues.filter(({ known }) => known === undefined)).toEqual([]);
});
