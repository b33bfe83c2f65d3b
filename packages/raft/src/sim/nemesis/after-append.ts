/**
 * Long tails that nobody else has: a leader that has just appended is cut off from all, or from all
 * but one, while its clients go on; often it also dies, and is soon back. Several leaders after
 * each other that each leave such a tail are the figure 8 of the paper: an entry of an old term on
 * a majority that another leader may still overwrite.
 */
import type { Random } from "../../util/random.ts";
import type { MemberView, Observer } from "../observer.ts";
import { between, chance } from "../random-streams.ts";
import type { Nemesis, Stage } from "./nemesis.ts";
import { atOnceUs, Occasions, quickRestartUs, soonUs } from "./rhythm.ts";
import { shuffled } from "./targets.ts";

/** See above. */
export const afterAppend: Nemesis = {
  kind: "after-append",
  text: "A leader that has just appended is cut off from all or all but one, and may die, too.",
  begin(stage, options, random): Observer {
    const occasions = new Occasions(stage, options, random);
    return {
      output(member, output) {
        if (output.entries.length === 0 || member.core?.role !== "leader") return;
        if (occasions.take()) cutOff(stage, member, random);
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
