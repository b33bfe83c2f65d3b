/**
 * Changing who the members are (thesis, 4), on the leader.
 *
 * A change is one or more configuration entries, each appended only when the one before it is
 * committed. The first comes from a plan (membership-plan.ts); the others follow from what stands
 * in the configuration in force, so whoever leads goes on with them:
 *
 *        pending, and its new voters have caught up ──────▶ joint
 *        pending, and its time is over ───────────────────▶ what was added is taken out again
 *        joint, committed ────────────────────────────────▶ its own final configuration
 *        final, committed, and this leader is no voter ───▶ hand over, or step down
 *
 * - Nothing is changed before the leader has committed an entry of its own term: otherwise it may
 *   not know of a configuration that a predecessor has committed, and two quorums that share nobody
 *   could decide (the single-server defect of 2015).
 * - A leader that a configuration does not name as a voter goes on leading until that one is
 *   committed, and does not count itself: only a voter counts (state.ts, `matchOf` and the others).
 * - While leadership is being handed over nothing is appended, hence no configuration either.
 * - The time of a pending change is cluster time, so it goes on under another leader. Time in which
 *   nobody led does not count.
 *
 * Invariants: `one-configuration-uncommitted`, and those of membership-rules.ts.
 */
import { isCaughtUp } from "./caught-up.ts";
import type { Configuration, Pending } from "./configuration.ts";
import { finalOf, isJoint } from "./configuration.ts";
import { jointOf } from "./membership-course.ts";
import type {
  MembershipChange,
  MembershipRefusal,
  MembershipResult,
  PlannedChange,
} from "./membership-change.ts";
import type { PlanView } from "./membership-plan.ts";
import { planChange, undoneOf, whyUnsafe } from "./membership-plan.ts";
import { appendConfiguration, clusterTimeMs } from "./propose.ts";
import { becomeFollower } from "./role.ts";
import type { RaftState } from "./state.ts";
import { emit } from "./state.ts";
import { transferLeadership } from "./transfer.ts";

/** How a change is asked for, beside what it is. */
export interface ChangeOptions {
  /** The entry of the configuration that the change was made for: compare and set. */
  readonly expectedIndex?: number | undefined;
  /** Who asked watches for this number; the same one again is the same change. */
  readonly token?: number | undefined;
}

/** Begins a change, or says why not. Nothing is appended unless it begins. */
export function changeMembership(
  state: RaftState,
  change: MembershipChange,
  { expectedIndex, token = 0 }: ChangeOptions = {},
): MembershipResult {
  const { log, configuration } = state;
  const index = log.configurationIndex;
  if (token !== 0 && configuration.change?.token === token && state.role === "leader") {
    return { ok: true, index: configuration.change.index, unchanged: false };
  }
  const notNow = whyNotNow(state);
  if (notNow !== undefined) return refusal(state, ...notNow);
  if (expectedIndex !== undefined && expectedIndex !== index) {
    return refusal(state, "changed", `the configuration is that of entry ${index}`);
  }
  const { next, refused } = planMembership(state, change);
  if (refused !== undefined) return refusal(state, refused.reason, refused.detail);
  if (next === undefined) return { ok: true, index, unchanged: true };
  return { ok: true, index: begin(state, change, next, token), unchanged: false };
}

/** What a change would do, as of now. */
export function planMembership(state: RaftState, change: MembershipChange): PlannedChange {
  return planChange(state.configuration, change, viewOf(state));
}

/** Once per turn: goes on with what is under way. */
export function collectMembership(state: RaftState): void {
  if (!mayAppend(state)) return;
  const { configuration } = state;
  if (!state.isVoter) {
    leaveTheLead(state);
  } else if (isJoint(configuration)) {
    step(state, finalOf(configuration), "leaves the joint configuration");
  } else if (configuration.pending !== undefined) {
    collectPending(state, configuration, configuration.pending);
  }
}

/** When the pending change has failed, by this leader's clock; Infinity where there is none. */
export function membershipDeadlineMs(state: RaftState): number {
  const { pending } = state.configuration;
  if (pending === undefined || isJoint(state.configuration)) return Infinity;
  if (!state.isVoter || !mayAppend(state)) return Infinity;
  // Cluster time is cut to whole milliseconds: one more, or it would be called for too early.
  return state.leaderSinceMs + (pending.untilMs - state.timeBaseMs) + 1;
}

function collectPending(state: RaftState, configuration: Configuration, pending: Pending): void {
  const { voters } = configuration;
  const newVoters = pending.voters.filter((id) => !voters.includes(id));
  if (newVoters.every((id) => isCaughtUp(state, id))) {
    const joint = jointOf(configuration, pending);
    if (whyUnsafe(joint, viewOf(state)) === undefined) {
      step(state, joint, `${newVoters.join(", ")} caught up`);
      return;
    }
  }
  if (clusterTimeMs(state) < pending.untilMs) return;
  const late = newVoters.filter((id) => !isCaughtUp(state, id));
  const reason = late.length > 0 ? `${late.join(", ")} did not catch up` : "no majority was ready";
  step(state, undoneOf(configuration, "timeout"), `${reason} in time`);
}

/** This leader is no voter any more, by a committed configuration. */
function leaveTheLead(state: RaftState): void {
  if (!state.hasOfferedLead) {
    state.hasOfferedLead = true;
    if (transferLeadership(state, undefined).ok) return;
  }
  becomeFollower(state, state.term, undefined, "is no voter any more");
}

function step(state: RaftState, next: Configuration, reason: string): void {
  const index = appendConfiguration(state, next);
  emit(state, { type: "membership", index, term: state.term, reason });
}

function begin(
  state: RaftState,
  change: MembershipChange,
  next: Configuration,
  token: number,
): number {
  // What a member is called and where it is changes no vote: what is under way stays what it is.
  const isAside = change.type === "bind" || change.type === "address" || change.type === "cancel";
  const mark = { token, index: state.log.lastIndex + 1, undone: "no" } as const;
  const index = appendConfiguration(state, isAside ? next : { ...next, change: mark });
  emit(state, { type: "membership", index, term: state.term, reason: `asked to ${change.type}` });
  return index;
}

function whyNotNow(state: RaftState): [MembershipRefusal, string] | undefined {
  if (state.role !== "leader") return ["not-leader", "this member does not lead"];
  if (!state.ready) return ["not-ready", "the leader has not committed in its term yet"];
  if (state.transfer !== undefined) return ["transferring", "leadership is being handed over"];
  if (!state.isVoter) return ["not-leader", "this member is about to lead no more"];
  if (state.log.configurationIndex > state.commit || isJoint(state.configuration)) {
    return ["settling", "the change before is just being completed"];
  }
  return undefined;
}

/** Whether a configuration may be appended now. */
function mayAppend(state: RaftState): boolean {
  return (
    state.role === "leader" &&
    state.ready &&
    state.transfer === undefined &&
    state.log.configurationIndex <= state.commit
  );
}

function refusal(state: RaftState, reason: MembershipRefusal, detail: string): MembershipResult {
  const { leader, log } = state;
  return { ok: false, reason, detail, leader, index: log.configurationIndex };
}

function viewOf(state: RaftState): PlanView {
  return { timeMs: clusterTimeMs(state), isCaughtUp: (id) => isCaughtUp(state, id) };
}
