/**
 * The process that judges a mutant. It lies beside the mutant as its copy, so that `quorate` is the
 * library with the planted defect, and answers one question on standard output.
 *
 * What the defect makes the process do, even to die, is an answer: {@link Verdict}. The first line
 * says that the library could be loaded at all.
 */
import { PROFILES, SimViolation } from "quorate/sim";
import { findScenario } from "./scenarios/catalogue.ts";
import { runSeed } from "./seed-run.ts";
import { LOADED } from "./verdict.ts";
import type { Question, Verdict } from "./verdict.ts";

let seedsRun = 0;

process.stdout.write(`${LOADED}\n`);
process.on("uncaughtException", (error) => answer(crash(error)));
process.on("unhandledRejection", (error) => answer(crash(error)));
const question = JSON.parse(process.argv[2]!) as Question;
answer(question.kind === "random" ? await judgeSeeds(question) : await judgeScenario(question));

async function judgeSeeds(question: Question & { kind: "random" }): Promise<Verdict> {
  const profile = PROFILES.find((each) => each === (question.profile ?? PROFILES[0]));
  if (profile === undefined) return unasked(`there is no profile "${question.profile}"`);
  for (let i = 0; i < question.seeds; i++) {
    const seed = (question.firstSeed + i) % 2 ** 32;
    seedsRun++;
    try {
      const { violation } = await runSeed(seed, profile);
      if (violation === undefined) continue;
      const text = violation.message.startsWith(violation.invariant)
        ? violation.message
        : `${violation.invariant}: ${violation.message}`;
      return { type: "violation", text, seeds: seedsRun };
    } catch (error) {
      return crash(error);
    }
  }
  return { type: "quiet", text: "nothing was broken", seeds: seedsRun };
}

async function judgeScenario(question: Question & { kind: "scenario" }): Promise<Verdict> {
  const scenario = findScenario(question.scenario);
  if (scenario === undefined) return unasked(`there is no scenario "${question.scenario}"`);
  try {
    await scenario.run();
    return { type: "quiet", text: "the scenario passed", seeds: 0 };
  } catch (error) {
    if (!isFinding(error)) return crash(error);
    return { type: "violation", text: messageOf(error), seeds: 0 };
  }
}

/** A scenario tells what is wrong by one of these; anything else it did not foresee. */
function isFinding(error: unknown): boolean {
  if (error instanceof SimViolation) return true;
  return error instanceof Error && ["AssertionError", "InvariantViolation"].includes(error.name);
}

function crash(error: unknown): Verdict {
  return { type: "crash", text: messageOf(error), seeds: seedsRun };
}

function unasked(text: string): Verdict {
  return { type: "unasked", text, seeds: seedsRun };
}

function messageOf(error: unknown): string {
  // The message of a violation begins with what was broken; of others, the name says more.
  if (error instanceof SimViolation) return error.message;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

function answer(verdict: Verdict): void {
  // Whatever the mutant still wants to do no longer matters.
  process.stdout.write(`${JSON.stringify(verdict)}\n`, () => process.exit(0));
}
