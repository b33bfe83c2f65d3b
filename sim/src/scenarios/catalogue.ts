/**
 * Every scenario there is, found by its name. A file of scenarios exports `scenarios`; it is added
 * here, and nowhere else.
 */
import type { Scenario } from "../scenario.ts";
import { scenarios as calls } from "./issues-calls.ts";
import { scenarios as commit } from "./issues-commit.ts";
import { scenarios as disk } from "./issues-disk.ts";
import { scenarios as identity } from "./issues-identity.ts";
import { scenarios as reads } from "./issues-reads.ts";
import { scenarios as replication } from "./issues-replication.ts";
import { scenarios as votes } from "./issues-votes.ts";
import { scenarios as gray } from "./gray.ts";
import { scenarios as freshness } from "./freshness.ts";
import { scenarios as lateAnswers } from "./late-answers.ts";
import { scenarios as logAlone } from "./log-alone.ts";
import { scenarios as logRecovery } from "./log-recovery.ts";
import { scenarios as comings } from "./comings.ts";
import { scenarios as lostQuorum } from "./lost-quorum.ts";
import { scenarios as membership } from "./membership.ts";
import { scenarios as stability } from "./stability.ts";
import { scenarios as sessions } from "./sessions.ts";
import { scenarios as snapshots } from "./snapshots.ts";
import { scenarios as transfer } from "./transfer.ts";
import { scenarios as versions } from "./versions.ts";

/** All scenarios, in the order of their files. */
export const SCENARIOS: readonly Scenario[] = [
  ...lateAnswers,
  ...logAlone,
  ...logRecovery,
  ...comings,
  ...lostQuorum,
  ...membership,
  ...stability,
  ...sessions,
  ...snapshots,
  ...transfer,
  ...versions,
  ...gray,
  ...votes,
  ...commit,
  ...replication,
  ...reads,
  ...freshness,
  ...disk,
  ...identity,
  ...calls,
];

/** The scenario of this name, or undefined. */
export function findScenario(name: string): Scenario | undefined {
  return SCENARIOS.find((scenario) => scenario.name === name);
}
