/**
 * Processes that stand still, as under SIGSTOP, a long collection of garbage or a moved machine.
 * Below T nobody may notice; beyond T another leads meanwhile, and the old leader wakes up in the
 * belief that it still does.
 */
import type { Nemesis } from "./nemesis.ts";
import { again, lastsUs, upToUs } from "./rhythm.ts";
import { between, chance } from "../random-streams.ts";
import { anyMember, leaderOf, majorityOf, shuffled } from "./targets.ts";

/** See above. */
export const pause: Nemesis = {
  kind: "pause",
  text: "One member or a majority stands still, for less or for longer than the election timeout.",
  begin(stage, options, random) {
    const timeoutUs = stage.options.electionTimeoutMs * 1_000;
    const forUs = (): number => {
      const draw = random.below(3);
      if (draw === 0) return upToUs(random, timeoutUs);
      return draw === 1 ? between(random, timeoutUs, 3 * timeoutUs) : lastsUs(random, options);
    };
    again(stage, options, random, () => {
      if (chance(random, 200)) {
        // At the same moment, as when the machine below them is moved.
        const together = forUs();
        const members = shuffled(stage, random).slice(0, majorityOf(stage));
        for (const member of members) stage.pause(member, together);
        return;
      }
      const leader = chance(random, 400) ? leaderOf(stage) : undefined;
      stage.pause(leader ?? anyMember(stage, random), forUs());
    });
    return {};
  },
};
