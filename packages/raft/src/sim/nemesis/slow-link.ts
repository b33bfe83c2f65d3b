/**
 * Ways that take longer than the others: by a little, so that messages of different members
 * overtake each other, or by more than T, so that what arrives belongs to a term that is over.
 */
import type { Nemesis } from "./nemesis.ts";
import { again, lastsUs, upToUs } from "./rhythm.ts";
import { chance } from "../random-streams.ts";
import { anyMember, anyPair, othersThan } from "./targets.ts";

/** See above. */
export const slowLink: Nemesis = {
  kind: "slow-link",
  text: "One way, or all ways to one member, are slow for a while.",
  begin(stage, options, random) {
    again(stage, options, random, () => {
      const extraUs = upToUs(random, 2_000 * stage.options.electionTimeoutMs);
      const forUs = lastsUs(random, options);
      if (chance(random, 300)) {
        const member = anyMember(stage, random);
        for (const other of othersThan(stage, member)) {
          stage.slow(other, member, extraUs, forUs);
          stage.slow(member, other, extraUs, forUs);
        }
        return;
      }
      const pair = anyPair(stage, random);
      if (pair !== undefined) stage.slow(pair[0], pair[1], extraUs, forUs);
    });
    return {};
  },
};
