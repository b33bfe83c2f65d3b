/**
 * Which configuration may follow which.
 *
 * Two quorums that decide something one after the other must share a member, or the second may not
 * know of the first. Between a configuration and the next one this holds because
 *
 *   - voters change only by way of a joint configuration, whose outgoing half is the voters before
 *     it: it shares that half with the one before and the incoming half with the one after;
 *   - only its own final configuration follows a joint one;
 *   - a voter keeps its incarnation: another directory under the same id is another voter.
 *
 * These are checked wherever a configuration is appended, on leader and follower alike: bytes that
 * break them come from a cluster that is broken already.
 *
 * A configuration that founds the cluster anew, after a quorum was lost for good, follows nothing.
 *
 * Invariants: `configurations-overlap`, `joint-left-by-its-own-final`, `voters-have-incarnations`.
 */
import type { Configuration, Member, MemberId } from "./configuration.ts";
import { finalOf, isJoint, isVoter, memberOf, NO_INCARNATION } from "./configuration.ts";
import { violated } from "./invariants.ts";

/** Throws where `next` may not follow `previous`. */
export function checkSuccession(previous: Configuration, next: Configuration, index: number): void {
  for (const { id, incarnation } of next.members) {
    if (incarnation === NO_INCARNATION && isVoter(next, id)) {
      violated("voters-have-incarnations", `Entry ${index} makes ${id} a voter.`);
    }
  }
  // The first configuration of a cluster follows nothing.
  if (previous.voters.length === 0 || next.refounds === true) return;
  if (isJoint(previous)) {
    if (!isSameMembership(finalOf(previous), next)) {
      violated("joint-left-by-its-own-final", `Entry ${index} follows a joint configuration.`);
    }
    return;
  }
  const kept = isJoint(next) ? next.outgoing : next.voters;
  if (!isSameList(kept, previous.voters) || next.voters.length === 0) {
    violated(
      "configurations-overlap",
      `Entry ${index}: ${kept.join()} after ${previous.voters.join()}.`,
    );
  }
  for (const id of previous.voters) {
    if (memberOf(previous, id)?.incarnation === memberOf(next, id)?.incarnation) continue;
    violated("configurations-overlap", `Entry ${index}: ${id} is another directory.`);
  }
}

/** Whether two configurations name the same members in the same roles. */
export function isSameMembership(one: Configuration, other: Configuration): boolean {
  return (
    isSameList(one.voters, other.voters) &&
    isSameList(one.outgoing, other.outgoing) &&
    isSameList(one.learners, other.learners) &&
    one.members.length === other.members.length &&
    one.members.every((member, i) => isSameMember(member, other.members[i]!))
  );
}

/** Whether two sorted lists of ids are equal. */
export function isSameList(one: readonly MemberId[], other: readonly MemberId[]): boolean {
  return one.length === other.length && one.every((id, i) => id === other[i]);
}

function isSameMember(one: Member, other: Member): boolean {
  return (
    one.id === other.id && one.address === other.address && one.incarnation === other.incarnation
  );
}
