/**
 * The historical bugs that are told again: how many, of which kinds, and each with a planted defect
 * to show that it would be seen. The stories themselves are run by sim-scenarios.test.ts; that each
 * fails on its defect is the affair of `npm run sim -- --mutations`.
 */
import { join } from "node:path";
import { expect, test } from "vitest";
import { readMutations } from "../../sim/src/mutation.ts";
import { SCENARIOS } from "../../sim/src/scenarios/catalogue.ts";

const issues = SCENARIOS.filter(({ name }) => name.startsWith("issue-"));
const planted = readMutations(join(import.meta.dirname, "../../sim/mutations")).filter(({ name }) =>
  name.startsWith("issue-"),
);

test("at least 40 historical bugs are told as an issue of their own", () => {
  expect(issues.length).toBeGreaterThanOrEqual(40);
  expect(new Set(issues.map(({ known }) => known)).size).toBe(issues.length);
});

test("every issue has a planted defect of the same name, which it has to catch", () => {
  const byName = new Map(planted.map((mutation) => [mutation.name, mutation]));
  for (const { name, known } of issues) {
    const mutation = byName.get(name);
    expect(mutation?.caughtBy, name).toEqual({ kind: "scenario", scenario: name });
    expect(mutation?.known, name).toBe(known);
  }
  expect(planted.map(({ name }) => name)).toEqual(issues.map(({ name }) => name).toSorted());
});
