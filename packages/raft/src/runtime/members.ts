/**
 * The members of a group: who they are, and how that is changed. Types of the public face, and the
 * handle behind `node.members`.
 *
 * Every change works on every member: it goes to the leader, who plans it, begins it or refuses it,
 * and carries it on; so does whoever leads after it (core/membership.ts). The promise of a change
 * resolves when this member's own committed configuration shows it done.
 */
import type { Configuration, Incarnation, MemberId } from "../core/configuration.ts";
import { finalOf, isJoint, NO_INCARNATION } from "../core/configuration.ts";
import type { RaftStatus } from "../core/contract.ts";
import type { MembershipPlan, MemberRole, WantedMember } from "../core/membership-change.ts";
import { standingOf } from "../core/membership-course.ts";
import type { RequestedChange } from "../transport/peer-message.ts";
import {
  checkCount,
  checkMember,
  checkMemberId,
  checkUntil,
  checkVersion,
  catchUpOf,
} from "./member-options.ts";
import type { CallOptions } from "./replica.ts";

export type {
  MembershipPlan,
  MemberRole,
  PlanRefusal,
  PlanStep,
  Standing,
  WantedMember,
} from "../core/membership-change.ts";

/** A member that is to be added. */
export interface NewMember {
  /** `host:port` under which the others reach it. */
  readonly address: string;
  /** Default: its address. */
  readonly id?: MemberId;
  /** Default `voter`: it learns first, and votes by itself once it has caught up. */
  readonly role?: MemberRole;
}

/** How a change of membership is made. */
export interface MemberOptions {
  /**
   * How long new voters have to catch up, by cluster time, before the change is taken back. Default
   * 300,000. Of changes without new voters it is the deadline of the call; default `callTimeoutMs`.
   */
  readonly timeoutMs?: number;
  /** Ends the wait. A change that has begun goes on; `cancel` takes it back. */
  readonly signal?: AbortSignal;
  /** Only where the configuration of this version is in force: compare and set. */
  readonly expectedVersion?: number;
  /**
   * When the call resolves. `done`, the default: once the change is. `begun`: once it stands in the
   * log, committed. Then whoever leads completes it when its new voters have come and caught up, or
   * takes it back after `timeoutMs`; `list` shows how far it is.
   */
  readonly until?: "begun" | "done";
}

/** How a member is replaced. */
export interface ReplaceOptions extends MemberOptions {
  /** Where the new one is reached. Default: as the old one. */
  readonly address?: string;
}

/** A change that is only planned. */
export type PlannedMembers =
  | { readonly add: NewMember }
  | { readonly remove: MemberId }
  | { readonly replace: MemberId; readonly address?: string }
  | { readonly promote: MemberId }
  | { readonly demote: MemberId }
  | { readonly set: readonly WantedMember[] };

/** What a change would do: see {@link MembershipPlan}. */
export interface MembersPlan extends MembershipPlan {
  /** The version that it was planned for: give it as `expectedVersion`. */
  readonly version: number;
}

/** One member, as the newest committed configuration has it. */
export interface MemberInfo {
  readonly id: MemberId;
  readonly address: string;
  /** Its directory; undefined while that is not known, since it was never heard. */
  readonly incarnation: Incarnation | undefined;
  readonly role: MemberRole;
  /** What the change under way makes of it; its role where there is none. */
  readonly becomes: MemberRole | "removed";
}

/** A change of membership that is under way. */
export interface ChangeProgress {
  /** `catching-up`: new voters are waited for; `joint`: old and new voters decide together. */
  readonly phase: "catching-up" | "joint";
  /** Who will vote when it is done. */
  readonly voters: readonly MemberId[];
  /** Who has to catch up. */
  readonly waitsFor: readonly MemberId[];
  /** Of those, as the leader knows them, how many entries each lacks; empty on other members. */
  readonly lag: Readonly<Record<MemberId, number>>;
  /** Until it is taken back, by cluster time as this member knows it; undefined = it is not. */
  readonly remainingMs: number | undefined;
}

/** The members as this member knows them: from its newest committed configuration. */
export interface MembershipStatus {
  /** The index of that configuration: it grows with every change. */
  readonly version: number;
  readonly members: readonly MemberInfo[];
  /** How many voters make a majority, and how many may be away. */
  readonly quorum: number;
  readonly tolerates: number;
  readonly change: ChangeProgress | undefined;
}

/**
 * Changes who the members are, from any member. One change at a time: another one is refused while
 * one is waited for.
 *
 * What all of them throw, with nothing done: MEMBERSHIP_BUSY (another change waits for its new
 * voters), MEMBERSHIP_CHANGED (not the expected version), MEMBERSHIP_UNSAFE (what would be left
 * could not decide anything), MEMBERSHIP_TIMEOUT (taken back, since the new voters did not catch
 * up), MEMBER_UNKNOWN, MEMBER_EXISTS, NO_LEADER, TIMEOUT, ABORTED (also: it was cancelled),
 * OPTION_INVALID, OVERLOADED, CLOSED, REMOVED. It may have been done, or be done yet, with
 * OUTCOME_UNKNOWN: `list` shows it.
 */
export interface Members {
  /**
   * Adds a member, which may be started before or after that. As a voter it learns first; once it
   * has caught up it votes by itself, whoever leads by then; resolves when it does.
   *
   * @example
   * ```ts
   * await node.members.add({ id: "n4", address: "10.0.0.4:9091" }, { timeoutMs: 60_000 });
   * // It is started later: enough that this stands in the log.
   * await node.members.add({ address: "10.0.0.5:9091" }, { until: "begun" });
   * ```
   */
  add(member: NewMember, options?: MemberOptions): Promise<MembershipStatus>;

  /**
   * Takes a member out, this one and the leader included. The last voter cannot be taken out, nor
   * one without which the voters that are left could decide nothing.
   *
   * @example
   * ```ts
   * await node.members.remove("n2");
   * ```
   */
  remove(id: MemberId, options?: MemberOptions): Promise<MembershipStatus>;

  /**
   * Gives the place of a member to a new, empty directory under the same id: what to do when a disk
   * was lost. The old directory never votes again; the new one votes once it has caught up.
   *
   * @example
   * ```ts
   * await node.members.replace("n3", { address: "10.0.0.9:9091" });
   * ```
   */
  replace(id: MemberId, options?: ReplaceOptions): Promise<MembershipStatus>;

  /** Makes a learner a voter, once it has caught up. */
  promote(id: MemberId, options?: MemberOptions): Promise<MembershipStatus>;

  /** Makes a voter a learner: it keeps receiving the log, and counts no more. */
  demote(id: MemberId, options?: MemberOptions): Promise<MembershipStatus>;

  /**
   * Makes the members exactly these, whatever the difference, as one change. Who is known keeps its
   * directory; who is not must catch up first where it is to vote.
   *
   * @example
   * ```ts
   * await node.members.set([
   *   { id: "n1", address: "10.0.0.1:9091", role: "voter" },
   *   { id: "n5", address: "10.0.0.5:9091", role: "learner" },
   * ]);
   * ```
   */
  set(members: readonly WantedMember[], options?: MemberOptions): Promise<MembershipStatus>;

  /** Takes back the change that waits for its new voters; nothing to do where none does. */
  cancel(options?: MemberOptions): Promise<MembershipStatus>;

  /**
   * What a change would do: who decides before, meanwhile and after, or why it would be refused.
   * Changes nothing.
   *
   * @example
   * ```ts
   * const plan = await node.members.plan({ remove: "n2" });
   * if (plan.refused === undefined) {
   *   await node.members.remove("n2", { expectedVersion: plan.version });
   * }
   * ```
   */
  plan(change: PlannedMembers, options?: CallOptions): Promise<MembersPlan>;

  /** The members as this member knows them. Cheap; works in every state. */
  list(): MembershipStatus;
}

/** How the handle makes a call of a wish. */
export interface MemberCalls {
  change(change: RequestedChange, options: MemberOptions, isPatient: boolean): Promise<void>;
  plan(change: RequestedChange, options: CallOptions): Promise<MembersPlan>;
  status(): RaftStatus | undefined;
}

/** {@link Members} by way of {@link MemberCalls}. */
export class MembersHandle implements Members {
  readonly #calls: MemberCalls;

  constructor(calls: MemberCalls) {
    this.#calls = calls;
  }

  add(member: NewMember, options: MemberOptions = {}): Promise<MembershipStatus> {
    return this.#change({ add: member }, options);
  }

  remove(id: MemberId, options: MemberOptions = {}): Promise<MembershipStatus> {
    return this.#change({ remove: id }, options);
  }

  replace(id: MemberId, options: ReplaceOptions = {}): Promise<MembershipStatus> {
    const { address } = options;
    return this.#change({ replace: id, ...(address === undefined ? {} : { address }) }, options);
  }

  promote(id: MemberId, options: MemberOptions = {}): Promise<MembershipStatus> {
    return this.#change({ promote: id }, options);
  }

  demote(id: MemberId, options: MemberOptions = {}): Promise<MembershipStatus> {
    return this.#change({ demote: id }, options);
  }

  set(members: readonly WantedMember[], options: MemberOptions = {}): Promise<MembershipStatus> {
    return this.#change({ set: members }, options);
  }

  async cancel(options: MemberOptions = {}): Promise<MembershipStatus> {
    checkVersion(options.expectedVersion);
    await this.#calls.change({ type: "cancel" }, options, false);
    return this.list();
  }

  async plan(change: PlannedMembers, options: CallOptions = {}): Promise<MembersPlan> {
    return this.#calls.plan(requestOf(change, catchUpOf(undefined)), options);
  }

  list(): MembershipStatus {
    return membershipOf(this.#calls.status());
  }

  async #change(wish: PlannedMembers, options: MemberOptions): Promise<MembershipStatus> {
    checkVersion(options.expectedVersion);
    checkUntil(options.until);
    const change = requestOf(wish, catchUpOf(options.timeoutMs));
    await this.#calls.change(change, options, "timeoutMs" in change);
    return this.list();
  }
}

/** The members by the newest committed configuration. */
export function membershipOf(raft: RaftStatus | undefined): MembershipStatus {
  if (raft === undefined) {
    return { version: 0, members: [], quorum: 0, tolerates: 0, change: undefined };
  }
  const { index, configuration } = raft.committedConfiguration;
  const { quorum, tolerates } = standingOf(configuration);
  const goal = goalOf(configuration);
  const members = configuration.members.map(({ id, address, incarnation }) => ({
    id,
    address,
    incarnation: incarnation === NO_INCARNATION ? undefined : incarnation,
    role: configuration.learners.includes(id) ? ("learner" as const) : ("voter" as const),
    becomes: becomes(goal, id),
  }));
  return { version: index, members, quorum, tolerates, change: progressOf(raft, configuration) };
}

interface Goal {
  readonly voters: readonly MemberId[];
  readonly learners: readonly MemberId[];
}

function goalOf(configuration: Configuration): Goal {
  if (configuration.pending !== undefined) return configuration.pending;
  return isJoint(configuration) ? finalOf(configuration) : configuration;
}

function becomes(goal: Goal, id: MemberId): MemberInfo["becomes"] {
  if (goal.voters.includes(id)) return "voter";
  return goal.learners.includes(id) ? "learner" : "removed";
}

function progressOf(raft: RaftStatus, configuration: Configuration): ChangeProgress | undefined {
  const { pending } = configuration;
  if (pending === undefined && !isJoint(configuration)) return undefined;
  const { voters } = goalOf(configuration);
  const waitsFor = voters.filter((id) => !configuration.voters.includes(id));
  const lag: Record<MemberId, number> = {};
  for (const { id, matchIndex } of raft.peers) {
    if (waitsFor.includes(id)) lag[id] = raft.lastIndex - matchIndex;
  }
  const remainingMs =
    pending === undefined ? undefined : Math.max(0, pending.untilMs - raft.clusterTimeMs);
  const phase = isJoint(configuration) ? "joint" : "catching-up";
  return { phase, voters, waitsFor, lag, remainingMs };
}

function requestOf(wish: PlannedMembers, timeoutMs: number): RequestedChange {
  if ("add" in wish) {
    const { address, id = address, role = "voter" } = wish.add;
    checkMember({ id, address, role });
    const member = { id, address, incarnation: NO_INCARNATION };
    return { type: "add", member, role, timeoutMs };
  }
  if ("set" in wish) {
    checkCount(wish.set.length);
    for (const member of wish.set) checkMember(member);
    const members = wish.set.map(({ id, address, role }) => ({ id, address, role }));
    return { type: "set", members, timeoutMs };
  }
  if ("replace" in wish) {
    const { replace: id, address } = wish;
    checkMember({ id, address: address ?? "any:1", role: "voter" });
    return { type: "replace", id, ...(address === undefined ? {} : { address }), timeoutMs };
  }
  if ("promote" in wish) return { type: "promote", id: checkMemberId(wish.promote), timeoutMs };
  if ("demote" in wish) return { type: "demote", id: checkMemberId(wish.demote) };
  return { type: "remove", id: checkMemberId(wish.remove) };
}
