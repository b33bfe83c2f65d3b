/**
 * How a change of membership goes on by itself, and what a plan shows of that.
 *
 * The leader goes by the same two functions, `finalOf` and `jointOf`: what is shown is what is
 * done.
 */
import type { Configuration, MemberId, Pending } from "./configuration.ts";
import { finalOf, isJoint, makeConfiguration } from "./configuration.ts";
import type { PlannedChange, PlanStep, Standing } from "./membership-change.ts";
import { majority } from "./quorum.ts";

/** What a plan shows, from the configuration before and the one that is appended first. */
export function describePlan(
  before: Configuration,
  next: Configuration | undefined,
): PlannedChange {
  const steps: PlanStep[] = [];
  let last = before;
  for (let at = next; at !== undefined; at = followingOf(at)) {
    steps.push(describeStep(last, at));
    if (at.pending !== undefined && !isJoint(at)) steps.push(describeWait(at, at.pending));
    last = at;
  }
  return { before: standingOf(before), after: standingOf(last), steps, refused: undefined, next };
}

/** The joint configuration that a pending change leads to once its new voters have caught up. */
export function jointOf(configuration: Configuration, pending: Pending): Configuration {
  const { members, voters, learners, change } = configuration;
  return makeConfiguration({
    members,
    voters: pending.voters,
    outgoing: voters,
    learners: learners.filter((id) => !pending.voters.includes(id)),
    final: { learners: pending.learners, arrivals: [] },
    change,
  });
}

/** Who decides in a configuration. */
export function standingOf({ voters, learners }: Configuration): Standing {
  const quorum = voters.length === 0 ? 0 : majority(voters.length);
  return { voters, learners, quorum, tolerates: voters.length - quorum };
}

/** What follows a configuration by itself; undefined where it stays. */
function followingOf(configuration: Configuration): Configuration | undefined {
  if (isJoint(configuration)) return finalOf(configuration);
  if (configuration.pending === undefined) return undefined;
  return jointOf(configuration, configuration.pending);
}

function describeStep(before: Configuration, next: Configuration): PlanStep {
  if (isJoint(next)) {
    const text = `voters become ${next.voters.join(", ")}; the old ones still decide with them`;
    return { type: "joint", text, quorum: quorumOf(next) };
  }
  const { learners } = next;
  const learning = learners.length === 0 ? "no learners" : `learners ${learners.join(", ")}`;
  const type = isJoint(before) ? "final" : "learners";
  return { type, text: `voters ${next.voters.join(", ")}; ${learning}`, quorum: quorumOf(next) };
}

function describeWait(configuration: Configuration, pending: Pending): PlanStep {
  const waits = pending.voters.filter((id) => !configuration.voters.includes(id));
  const text = `${waits.join(", ")} must catch up, or the change is taken back`;
  return { type: "wait", text, quorum: quorumOf(configuration) };
}

function quorumOf({ voters, outgoing }: Configuration): string {
  const half = (ids: readonly MemberId[]): string => `${majority(ids.length)} of ${ids.join(", ")}`;
  return outgoing.length === 0 ? half(voters) : `${half(outgoing)}; and ${half(voters)}`;
}
