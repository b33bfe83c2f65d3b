/**
 * Every scenario there is, found by its name. A file of scenarios exports `scenarios`; it is added
 * here, and nowhere else.
 */
import type { Scenario } from "../scenario.ts";
import { scenarios as lateAnswers } from "./late-answers.ts";

/** All scenarios, in the order of their files. */
export const SCENARIOS: readonly Scenario[] = [...lateAnswers];

/** The scenario of this name, or undefined. */
export function findScenario(name: string): Scenario | undefined {
  return SCENARIOS.find((scenario) => scenario.name === name);
}
