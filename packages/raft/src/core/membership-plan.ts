/**
 * Plans of membership changes: from a configuration and a change to the configuration that is
 * appended first, and what follows from it. Pure functions; membership.ts carries plans out.
 *
 * How a change is made
 *   - learners come and go with one entry: they never count;
 *   - voters change by joint consensus, whatever the difference;
 *   - who is to vote and does not yet is a learner until it has caught up (`pending`);
 *   - `replace` takes the old directory of a voter out and brings the new one in. Both have one id,
 *     so they cannot be members at once: a joint configuration takes the old one out, its final
 *     configuration has the new one as a learner, and the pending change makes that a voter.
 *
 * `replace` takes out before it puts in, and that costs nothing while the old directory is dead:
 * with 2k + 1 voters, one of them dead, a majority of all is k + 1 of the 2k that live; without it,
 * a majority of 2k is k + 1 as well. With an even number of voters it is one less.
 *
 * What is refused as unsafe: a change that leaves no voter, and one whose new voters have no
 * majority that was heard within T and has caught up. Such a change could never be committed, and
 * the cluster would hang in the joint configuration. That includes taking out a live voter while
 * another one is dead, and a majority at once unless the rest is well.
 */
import { unreachable } from "../util/assert.ts";
import type { Configuration, Final, Member, MemberId, Pending, Undone } from "./configuration.ts";
import {
  isJoint,
  isVoter,
  makeConfiguration,
  memberOf,
  MEMBERS_MAX,
  NO_INCARNATION,
} from "./configuration.ts";
import type {
  MembershipChange,
  MemberRole,
  PlannedChange,
  PlanRefusal,
} from "./membership-change.ts";
import { describePlan, jointOf, standingOf } from "./membership-course.ts";
import { isSameList, isSameMembership } from "./membership-rules.ts";
import { majority } from "./quorum.ts";

/** What a plan has to know beside the configuration. */
export interface PlanView {
  /** Cluster time now. */
  readonly timeMs: number;
  /** Whether a member could take part in decisions at once. */
  isCaughtUp(id: MemberId): boolean;
}

/** What `change` would do to `configuration`, which is committed. */
export function planChange(
  configuration: Configuration,
  change: MembershipChange,
  view: PlanView,
): PlannedChange {
  const next = isBusy(configuration, change) ?? firstStep(configuration, change, view);
  if ("reason" in next) return refusedPlan(configuration, next);
  if (isSameMembership(configuration, next) && next.pending === configuration.pending) {
    return describePlan(configuration, undefined);
  }
  const unsafe = whyUnsafe(next, view);
  if (unsafe !== undefined) return refusedPlan(configuration, refuse("unsafe", unsafe));
  return describePlan(configuration, next);
}

/** The configuration without what a pending change has brought. */
export function undoneOf(configuration: Configuration, undone: Undone): Configuration {
  const { members, voters, learners, pending, change } = configuration;
  const stays = (id: MemberId): boolean => pending?.added.includes(id) !== true;
  return makeConfiguration({
    members: members.filter((member) => stays(member.id)),
    voters,
    learners: learners.filter(stays),
    change: change === undefined ? undefined : { ...change, undone },
  });
}

/** Why a majority of the voters to come could not decide anything; undefined where it could. */
export function whyUnsafe(next: Configuration, view: PlanView): string | undefined {
  const joint = next.pending !== undefined && !isJoint(next) ? jointOf(next, next.pending) : next;
  const { voters } = joint;
  if (voters.length === 0) return "no voter would be left";
  if (!isJoint(joint)) return undefined;
  // Who has yet to catch up is waited for.
  const waited = isJoint(next) ? [] : voters.filter((id) => !next.voters.includes(id));
  const missing = voters.filter((id) => !waited.includes(id) && !view.isCaughtUp(id));
  const needed = majority(voters.length);
  if (voters.length - missing.length >= needed) return undefined;
  return (
    `of the voters ${voters.join(", ")} that would be left, ${needed} must be reachable and ` +
    `up to date, and ${missing.join(", ")} ${missing.length === 1 ? "is" : "are"} not`
  );
}

function refuse(reason: PlanRefusal["reason"], detail: string): PlanRefusal {
  return { reason, detail };
}

function refusedPlan(before: Configuration, refused: PlanRefusal): PlannedChange {
  const standing = standingOf(before);
  return { before: standing, after: standing, steps: [], refused, next: undefined };
}

/** One change at a time; but a member may be bound, and move, while another is waited for. */
function isBusy(configuration: Configuration, change: MembershipChange): PlanRefusal | undefined {
  if (isJoint(configuration)) return refuse("busy", "the voters are just being changed");
  const { pending } = configuration;
  if (pending === undefined) return undefined;
  if (change.type === "bind" || change.type === "address" || change.type === "cancel") {
    return undefined;
  }
  const waits = pending.voters.filter((id) => !configuration.voters.includes(id));
  const what = `another change waits for ${waits.join(", ")} to catch up`;
  return refuse("busy", `${what}: let it end, or take it back (members cancel)`);
}

function firstStep(
  configuration: Configuration,
  change: MembershipChange,
  view: PlanView,
): Configuration | PlanRefusal {
  switch (change.type) {
    case "add":
      return add(configuration, change.member, change.role, untilMs(view, change));
    case "remove":
      return withMember(configuration, change.id, () =>
        towards(configuration, without(configuration, change.id), 0),
      );
    case "replace":
      return withMember(configuration, change.id, (member) =>
        replace(configuration, { ...member, ...arrivalOf(member, change) }, untilMs(view, change)),
      );
    case "promote":
      return withMember(configuration, change.id, () =>
        towards(configuration, asRole(configuration, change.id, "voter"), untilMs(view, change)),
      );
    case "demote":
      return withMember(configuration, change.id, () =>
        towards(configuration, asRole(configuration, change.id, "learner"), 0),
      );
    case "set":
      return set(configuration, change.members, untilMs(view, change));
    case "bind":
      return withMember(configuration, change.id, (member) => bind(configuration, member, change));
    case "address":
      return withMember(configuration, change.id, (member) =>
        moved(configuration, { ...member, address: change.address }),
      );
    case "cancel":
      return configuration.pending === undefined
        ? configuration
        : undoneOf(configuration, "cancelled");
    default:
      return unreachable(change);
  }
}

function untilMs(view: PlanView, change: { readonly timeoutMs: number }): number {
  return Math.floor(view.timeMs + change.timeoutMs);
}

function withMember(
  configuration: Configuration,
  id: MemberId,
  then: (member: Member) => Configuration | PlanRefusal,
): Configuration | PlanRefusal {
  const member = memberOf(configuration, id);
  if (member === undefined) return refuse("member-unknown", `there is no member ${id}`);
  return then(member);
}

/** What is wanted in the end. */
interface Wanted {
  readonly members: readonly Member[];
  readonly voters: readonly MemberId[];
  readonly learners: readonly MemberId[];
}

/** The first configuration on the way to what is wanted. */
function towards(
  configuration: Configuration,
  wanted: Wanted,
  until: number,
): Configuration | PlanRefusal {
  const { voters } = configuration;
  if (wanted.voters.length === 0) return refuse("unsafe", "the last voter cannot be taken out");
  if (wanted.members.length > MEMBERS_MAX) {
    return refuse("unsafe", `a cluster has at most ${MEMBERS_MAX} members`);
  }
  const wantedVoters = [...wanted.voters].sort();
  const newVoters = wantedVoters.filter((id) => !voters.includes(id));
  if (newVoters.length > 0) return waiting(configuration, wanted, until);
  if (isSameList(wantedVoters, voters)) return makeConfiguration(wanted);
  const { members, learners } = withNew(configuration, wanted);
  return makeConfiguration({
    members,
    voters: wantedVoters,
    outgoing: voters,
    learners,
    final: { learners: [...wanted.learners].sort(), arrivals: [] },
  });
}

/** New voters learn first; whoever is to leave stays until they have caught up. */
function waiting(configuration: Configuration, wanted: Wanted, until: number): Configuration {
  const { members, learners, added } = withNew(configuration, wanted);
  return makeConfiguration({
    members,
    voters: configuration.voters,
    learners,
    pending: {
      voters: [...wanted.voters].sort(),
      learners: [...wanted.learners].sort(),
      added,
      untilMs: until,
    },
  });
}

/** The members there are, at their wanted addresses, and the new ones as learners. */
function withNew(
  configuration: Configuration,
  wanted: Wanted,
): { members: Member[]; learners: MemberId[]; added: MemberId[] } {
  const isNew = ({ id }: Member): boolean => memberOf(configuration, id) === undefined;
  const arrivals = wanted.members.filter(isNew);
  const added = arrivals.map((member) => member.id).sort();
  const kept = configuration.members.map(
    (member) => wanted.members.find(({ id }) => id === member.id) ?? member,
  );
  return {
    members: [...kept, ...arrivals],
    learners: [...configuration.learners, ...added],
    added,
  };
}

function without(configuration: Configuration, id: MemberId): Wanted {
  const others = (other: MemberId): boolean => other !== id;
  return {
    members: configuration.members.filter((member) => member.id !== id),
    voters: configuration.voters.filter(others),
    learners: configuration.learners.filter(others),
  };
}

function asRole(configuration: Configuration, id: MemberId, role: MemberRole): Wanted {
  const { voters, learners } = without(configuration, id);
  return {
    members: configuration.members,
    voters: role === "voter" ? [...voters, id] : voters,
    learners: role === "learner" ? [...learners, id] : learners,
  };
}

function add(
  configuration: Configuration,
  member: Member,
  role: MemberRole,
  until: number,
): Configuration | PlanRefusal {
  const taken = whoHas(configuration, member);
  if (taken !== undefined) return refuse("member-exists", taken);
  const { members, voters, learners } = configuration;
  const isVoting = role === "voter";
  const wanted = {
    members: [...members, member],
    voters: isVoting ? [...voters, member.id] : voters,
    learners: isVoting ? learners : [...learners, member.id],
  };
  return towards(configuration, wanted, until);
}

/** Why a member cannot be added: somebody has its id, its directory or its address. */
function whoHas(configuration: Configuration, member: Member): string | undefined {
  for (const other of configuration.members) {
    if (other.id === member.id) return `${member.id} is a member already`;
    if (other.incarnation === member.incarnation && member.incarnation !== NO_INCARNATION) {
      return `the directory of ${member.id} is a member already, as ${other.id}`;
    }
    if (other.address === member.address) return `${other.id} has the address ${member.address}`;
  }
  return undefined;
}

function arrivalOf(
  member: Member,
  change: Extract<MembershipChange, { type: "replace" }>,
): Omit<Member, "id"> {
  const { address = member.address, incarnation = NO_INCARNATION } = change;
  return { address, incarnation };
}

function replace(
  configuration: Configuration,
  arrival: Member,
  until: number,
): Configuration | PlanRefusal {
  const { members, voters, learners } = configuration;
  const { id, incarnation } = arrival;
  const known = members.find(
    (member) => member.incarnation === incarnation && incarnation !== NO_INCARNATION,
  );
  if (known !== undefined) {
    return refuse("member-exists", `that directory is a member already, as ${known.id}`);
  }
  if (!isVoter(configuration, id)) return moved(configuration, arrival);
  const left = voters.filter((other) => other !== id);
  if (left.length === 0) return refuse("unsafe", "the only voter cannot be replaced");
  const final: Final = { learners: [...learners, id].sort(), arrivals: [arrival] };
  const pending: Pending = { voters, learners, added: [id], untilMs: until };
  return makeConfiguration({ members, voters: left, outgoing: voters, learners, final, pending });
}

function set(
  configuration: Configuration,
  wanted: Extract<MembershipChange, { type: "set" }>["members"],
  until: number,
): Configuration | PlanRefusal {
  const ids = wanted.map((member) => member.id);
  if (new Set(ids).size < ids.length || new Set(wanted.map((m) => m.address)).size < ids.length) {
    return refuse("member-exists", "an id or an address is named twice");
  }
  const members = wanted.map(({ id, address }) => {
    const incarnation = memberOf(configuration, id)?.incarnation ?? NO_INCARNATION;
    return { id, address, incarnation };
  });
  const of = (role: MemberRole): MemberId[] =>
    wanted.filter((member) => member.role === role).map((member) => member.id);
  return towards(configuration, { members, voters: of("voter"), learners: of("learner") }, until);
}

function bind(
  configuration: Configuration,
  member: Member,
  change: Extract<MembershipChange, { type: "bind" }>,
): Configuration | PlanRefusal {
  const { id, incarnation, address } = change;
  if (member.incarnation === incarnation) return configuration;
  if (member.incarnation !== NO_INCARNATION) {
    return refuse("member-exists", `${id} is bound to another directory`);
  }
  return moved(configuration, { id, incarnation, address });
}

/** The same configuration, with one member at another address or bound to a directory. */
function moved(configuration: Configuration, member: Member): Configuration {
  const { members } = configuration;
  return makeConfiguration({
    ...configuration,
    members: members.map((other) => (other.id === member.id ? member : other)),
  });
}
