/**
 * Whom a nemesis hits, and which ways between members it touches.
 */
import type { MemberId } from "../../core/configuration.ts";
import type { Random } from "../../util/random.ts";
import type { MemberView } from "../observer.ts";
import { between, pick } from "../random-streams.ts";
import type { Stage } from "./nemesis.ts";

/** Any member. */
export function anyMember(stage: Stage, random: Random): MemberView {
  return pick(random, stage.members);
}

/** All members in a random order. */
export function shuffled(stage: Stage, random: Random): MemberView[] {
  const members = [...stage.members];
  for (let i = members.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [members[i], members[j]] = [members[j]!, members[i]!];
  }
  return members;
}

/** More than half of all. */
export function majorityOf(stage: Stage): number {
  return (stage.members.length >> 1) + 1;
}

/**
 * Some members: mostly one, else any number, and now and then all of them at once, as when the
 * power of the room fails.
 */
export function someMembers(stage: Stage, random: Random): readonly MemberView[] {
  const draw = random.below(10);
  const all = shuffled(stage, random);
  if (draw < 6) return all.slice(0, 1);
  return draw < 9 ? all.slice(0, between(random, 1, all.length)) : all;
}

/** Everybody else. */
export function othersThan(stage: Stage, member: MemberView): readonly MemberView[] {
  return stage.members.filter((other) => other !== member);
}

/** The member with this id. */
export function memberOf(stage: Stage, id: MemberId | undefined): MemberView | undefined {
  // A directory that is gone may have a successor of its id.
  return stage.members.findLast((member) => member.id === id);
}

/** Who leads in the highest term, as far as a running core says so itself. */
export function leaderOf(stage: Stage): MemberView | undefined {
  let leader: MemberView | undefined;
  for (const member of stage.members) {
    if (member.core?.role !== "leader") continue;
    if (leader === undefined || member.core.term > (leader.core?.term ?? 0)) leader = member;
  }
  return leader;
}

/** Two different members; undefined in a cluster of one. */
export function anyPair(
  stage: Stage,
  random: Random,
): readonly [from: MemberView, to: MemberView] | undefined {
  const [from, to] = shuffled(stage, random);
  return from === undefined || to === undefined ? undefined : [from, to];
}

/** Cuts the ways from one side to the other; with `both` also those back. */
export function cutApart(
  stage: Stage,
  sides: readonly [readonly MemberView[], readonly MemberView[]],
  forUs: number,
  both = true,
): void {
  for (const from of sides[0]) {
    for (const to of sides[1]) {
      if (from === to) continue;
      stage.cut(from, to, forUs);
      if (both) stage.cut(to, from, forUs);
    }
  }
}

/** Cuts a member off from all others. */
export function isolate(stage: Stage, member: MemberView, forUs: number): void {
  cutApart(stage, [[member], othersThan(stage, member)], forUs);
}
