/**
 * Networks that fall apart, in the shapes that break elections: one member alone; two halves; a
 * bridge that sees both of two sides which do not see each other; and ways that are lost in one
 * direction only (a switch that drops what comes in on one port has kept clusters without a leader
 * for hours).
 */
import type { Random } from "../../util/random.ts";
import type { MemberView } from "../observer.ts";
import { between, chance } from "../random-streams.ts";
import type { Nemesis, Stage } from "./nemesis.ts";
import { again, lastsUs } from "./rhythm.ts";
import { cutApart, isolate, leaderOf, othersThan, shuffled } from "./targets.ts";

/** See above. */
export const partition: Nemesis = {
  kind: "partition",
  text: "The network falls apart: one alone, two halves, a bridge between them, or one way only.",
  begin(stage, options, random) {
    again(stage, options, random, () => {
      if (stage.members.length < 2) return;
      const shape = SHAPES[random.below(SHAPES.length)]!;
      shape(stage, random, lastsUs(random, options));
      if (chance(random, 150)) stage.after(lastsUs(random, options), () => stage.healNetwork());
    });
    return {};
  },
};

type Shape = (stage: Stage, random: Random, forUs: number) => void;

const SHAPES: readonly Shape[] = [
  (stage, random, forUs) => isolate(stage, victim(stage, random), forUs),
  (stage, random, forUs) => {
    const [left, right] = halves(shuffled(stage, random), random);
    cutApart(stage, [left, right], forUs);
  },
  (stage, random, forUs) => {
    // The first of them sees everybody.
    const [, ...rest] = shuffled(stage, random);
    if (rest.length >= 2) cutApart(stage, halves(rest, random), forUs);
  },
  (stage, random, forUs) => {
    // One that hears all and is heard by none, or the other way about.
    const one = victim(stage, random);
    const others = othersThan(stage, one);
    const isMute = chance(random, 500);
    cutApart(stage, isMute ? [[one], others] : [others, [one]], forUs, false);
  },
  (stage, random, forUs) => {
    // Each way by itself, as it comes.
    for (const from of stage.members) {
      for (const to of stage.members) {
        if (from !== to && chance(random, 300)) stage.cut(from, to, forUs);
      }
    }
  },
];

/** The leader as often as all others together. */
function victim(stage: Stage, random: Random): MemberView {
  const leader = chance(random, 500) ? leaderOf(stage) : undefined;
  return leader ?? stage.members[random.below(stage.members.length)]!;
}

/** Two sides, none of them empty. */
function halves(
  members: readonly MemberView[],
  random: Random,
): readonly [readonly MemberView[], readonly MemberView[]] {
  const at = between(random, 1, members.length - 1);
  return [members.slice(0, at), members.slice(at)];
}
