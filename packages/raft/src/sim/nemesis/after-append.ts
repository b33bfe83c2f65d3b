/**
 * Long tails that nobody else has: a leader that has just appended is cut off from all, or from all
 * but one, while its clients go on; often it also dies, and is soon back. Several leaders after
 * each other that each leave such a tail are the figure 8 of the paper: an entry of an old term on
 * a majority that another leader may still overwrite. For that the *first* entry of a leader counts
 * most, so it is an occasion of its own: with it the log of a leader of whom nobody has heard is
 * newer than all others.
 */
import type { Random } from "../../util/random.ts";
import type { MemberView, Observer } from "../observer.ts";
import { between, chance } from "../random-streams.ts";
import type { Nemesis, Stage } from "./nemesis.ts";
import { atOnceUs, Occasions, quickRestartUs, soonUs } from "./rhythm.ts";
import { shuffled } from "./targets.ts";

/** How many of the first entries of a leadership are occasions, per mille. */
const FIRST_SHARE = 250;

/** See above. */
export const afterAppend: Nemesis = {
  kind: "after-append",
  text: "A leader that has just appended is cut off from all or all but one, and may die, too.",
  begin(stage, options, random): Observer {
    const occasions = new Occasions(stage, options, random);
    /** The term in which each member was last seen to append as the leader. */
    const terms: number[] = [];
    return {
      output({ core, number }, { entries }) {
        if (entries.length === 0 || core?.role !== "leader") return;
        const isFirst = terms[number] !== core.term;
        terms[number] = core.term;
        if (!(isFirst && chance(random, FIRST_SHARE)) && !occasions.take()) return;
        cutOff(stage, stage.members[number]!, random);
      },
    };
  },
};

function cutOff(stage: Stage, leader: MemberView, random: Random): void {
  const timeoutUs = 1_000 * stage.options.electionTimeoutMs;
  const forUs = between(random, timeoutUs >> 1, 3 * timeoutUs);
  // The one that is spared has the entry, too, and may lead later or not.
  const spared = chance(random, 500) ? 1 : 0;
  const isMute = chance(random, 300);
  const others = shuffled(stage, random).filter((member) => member !== leader);
  for (const other of others.slice(spared)) {
    stage.cut(leader, other, forUs);
    if (!isMute) stage.cut(other, leader, forUs);
  }
  if (!chance(random, 500)) return;
  const waitUs = chance(random, 500) ? atOnceUs(random) : soonUs(random);
  stage.after(waitUs, () => {
    const isLong = chance(random, 400);
    stage.crash(leader, "power", isLong ? between(random, 1, forUs) : quickRestartUs(random));
  });
}
