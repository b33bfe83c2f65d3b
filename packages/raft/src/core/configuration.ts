/**
 * Who is in the cluster.
 *
 * A configuration is the payload of an entry of kind `configuration`, and it is in force as soon as
 * that entry is *appended* (thesis, 4.1), durable or not, committed or not; a truncation that
 * removes the entry brings the previous one back. `outgoing` is empty except in a joint
 * configuration (thesis, 4.3), where every decision needs a majority of `voters` AND a majority of
 * `outgoing`.
 *
 * A change of membership takes several entries and outlives leaders. So what it is on its way to
 * stands in the configuration itself, and whoever leads goes on from there:
 *
 *   pending   new voters are learners still; once they have caught up the voters are to change as
 *             it says, and when the cluster time `untilMs` passes first, who was added is taken out
 *   final     of a joint configuration: what follows it beside `voters`. A member that is replaced
 *             is an outgoing voter still, so its new directory waits here as an arrival
 *   change    which change this configuration belongs to, or ended with, and how that ended
 *
 * The bytes are described in configuration-codec.ts; what may follow what in membership-rules.ts.
 */

/** A member id: 1 to 64 of `A-Z a-z 0-9 . _ : [ ] -`. */
export type MemberId = string;

/** The random identity of one data directory: 32 lower-case hex digits. */
export type Incarnation = string;

/** An incarnation that is not known yet; such a member is never counted. */
export const NO_INCARNATION: Incarnation = "0".repeat(32);

/** One member as the configuration knows it. */
export interface Member {
  readonly id: MemberId;
  /** `host:port` under which the others dial it. */
  readonly address: string;
  readonly incarnation: Incarnation;
}

/** Who the members are and who of them votes. */
export interface Configuration {
  /** Everybody, sorted by id. */
  readonly members: readonly Member[];
  /** Ids of the (incoming) voters, sorted. */
  readonly voters: readonly MemberId[];
  /** Ids of the outgoing voters, sorted; empty unless the configuration is joint. */
  readonly outgoing: readonly MemberId[];
  /** Ids of members that receive the log and do not vote, sorted. */
  readonly learners: readonly MemberId[];
  /** What the cluster waits for before its voters change; a joint one hands it on. */
  readonly pending?: Pending | undefined;
  /** Joint only: what the final configuration has beside its voters. */
  readonly final?: Final | undefined;
  /** The change that led here; undefined for the first configuration. */
  readonly change?: ChangeMark | undefined;
  /**
   * It founds the cluster anew, under another cluster id, after a quorum was lost for good: what
   * came before does not bind it.
   */
  readonly refounds?: true | undefined;
}

/** A change that waits until its new voters have caught up. Lists are sorted. */
export interface Pending {
  /** Who is to vote then. */
  readonly voters: readonly MemberId[];
  /** Who is to be a learner then. Members that are neither leave. */
  readonly learners: readonly MemberId[];
  /** Members that came with this change: where it fails they leave again. */
  readonly added: readonly MemberId[];
  /** Cluster time at which it has failed. */
  readonly untilMs: number;
}

/** What follows a joint configuration, beside its incoming voters. Lists are sorted. */
export interface Final {
  readonly learners: readonly MemberId[];
  /** Learners whose id is taken by an outgoing voter until then, or that are new. */
  readonly arrivals: readonly Member[];
}

/** How a change of membership ended that did not succeed; `no` while it goes on or did. */
export type Undone = "no" | "timeout" | "cancelled";

/** Which change of membership a configuration belongs to. */
export interface ChangeMark {
  /** Given by who asked for it; 0 where nobody watches. */
  readonly token: number;
  /** The entry that began it. */
  readonly index: number;
  readonly undone: Undone;
}

/** A configuration and the index of the entry that holds it. */
export interface IndexedConfiguration {
  readonly index: number;
  readonly configuration: Configuration;
}

/** Nobody: what a member without a log has. */
export const EMPTY_CONFIGURATION: Configuration = {
  members: [],
  voters: [],
  outgoing: [],
  learners: [],
};

const MEMBER_ID = /^[A-Za-z0-9._:[\]-]{1,64}$/;

/** The most members that a configuration may name. */
export const MEMBERS_MAX = 256;

/** Whether a string may be a member id. */
export function isMemberId(text: string): boolean {
  return MEMBER_ID.test(text);
}

/** A configuration in which every given member votes. */
export function votersOnly(members: readonly Member[]): Configuration {
  return makeConfiguration({ members, voters: members.map((member) => member.id) });
}

/** A configuration from what is given; sorts every list, and leaves out what is undefined. */
export function makeConfiguration(given: {
  readonly members: readonly Member[];
  readonly voters: readonly MemberId[];
  readonly outgoing?: readonly MemberId[];
  readonly learners?: readonly MemberId[];
  readonly pending?: Pending | undefined;
  readonly final?: Final | undefined;
  readonly change?: ChangeMark | undefined;
}): Configuration {
  const { members, voters, outgoing = [], learners = [], pending, final, change } = given;
  return {
    members: [...members].sort(byId),
    voters: [...voters].sort(),
    outgoing: [...outgoing].sort(),
    learners: [...learners].sort(),
    ...(pending === undefined ? {} : { pending }),
    ...(final === undefined ? {} : { final }),
    ...(change === undefined ? {} : { change }),
  };
}

/** Whether every decision needs two majorities. */
export function isJoint(configuration: Configuration): boolean {
  return configuration.outgoing.length > 0;
}

/** Whether a change of membership is under way. */
export function isChanging(configuration: Configuration): boolean {
  return configuration.pending !== undefined || isJoint(configuration);
}

/** Whether `id` has a vote in either half. */
export function isVoter(configuration: Configuration, id: MemberId): boolean {
  return configuration.voters.includes(id) || configuration.outgoing.includes(id);
}

/** The member of that id, if there is one. */
export function memberOf(configuration: Configuration, id: MemberId): Member | undefined {
  return configuration.members.find((member) => member.id === id);
}

/** What follows a joint configuration: the only one that may. */
export function finalOf(joint: Configuration): Configuration {
  const { voters, pending, change } = joint;
  const { learners, arrivals } = joint.final ?? { learners: joint.learners, arrivals: [] };
  const arriving = new Set(arrivals.map((member) => member.id));
  const staying = new Set([...voters, ...learners]);
  const members = joint.members.filter(({ id }) => staying.has(id) && !arriving.has(id));
  members.push(...arrivals);
  return makeConfiguration({ members, voters, learners, pending, change });
}

/** Orders members by id, as every list of them is. */
export function byId(a: Member, b: Member): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}
