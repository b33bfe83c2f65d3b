/**
 * All invariants of a run, in the order in which they look at what happens: what lies deeper first,
 * so that a defect is named by what it breaks and not by what follows from it.
 */
import { acknowledgedOnQuorum } from "./acknowledged-on-quorum.ts";
import { appliedMonotone } from "./applied-monotone.ts";
import { changesWhole } from "./changes-whole.ts";
import { appliedWithinCommit } from "./applied-within-commit.ts";
import { commitMonotone } from "./commit-monotone.ts";
import { committedNeverTruncated } from "./committed-never-truncated.ts";
import { committedOnQuorum } from "./committed-on-quorum.ts";
import { converged } from "./converged.ts";
import { exactlyOnce } from "./exactly-once.ts";
import type { Invariant } from "./invariant.ts";
import { leaderAfterHeal } from "./leader-after-heal.ts";
import { leaderCompleteness } from "./leader-completeness.ts";
import { logMatching } from "./log-matching.ts";
import { memoryAtBase } from "./memory-at-base.ts";
import { oneLeaderPerTerm } from "./one-leader-per-term.ts";
import { persistedBeforeSaid } from "./persisted-before-said.ts";
import { promisesSettle } from "./promises-settle.ts";
import { readIndexCovers } from "./read-index-covers.ts";
import { recoveredWhatWasDurable } from "./recovered-what-was-durable.ts";
import { stateMachineSafety } from "./state-machine-safety.ts";
import { termMonotone } from "./term-monotone.ts";
import { transferInOrder } from "./transfer-in-order.ts";
import { voteImmutable } from "./vote-immutable.ts";

/** Every invariant that a run is watched by. */
export const INVARIANTS_OF_A_RUN: readonly Invariant[] = [
  recoveredWhatWasDurable,
  persistedBeforeSaid,
  termMonotone,
  voteImmutable,
  oneLeaderPerTerm,
  transferInOrder,
  logMatching,
  committedNeverTruncated,
  leaderCompleteness,
  committedOnQuorum,
  commitMonotone,
  appliedWithinCommit,
  appliedMonotone,
  stateMachineSafety,
  exactlyOnce,
  changesWhole,
  acknowledgedOnQuorum,
  readIndexCovers,
  promisesSettle,
  leaderAfterHeal,
  converged,
  memoryAtBase,
];
