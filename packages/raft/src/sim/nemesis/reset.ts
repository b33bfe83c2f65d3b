/**
 * Connections that end at once, with whatever was on its way over them.
 */
import type { Nemesis } from "./nemesis.ts";
import { again } from "./rhythm.ts";
import { chance } from "../random-streams.ts";
import { anyMember, anyPair, othersThan } from "./targets.ts";

/** See above. */
export const reset: Nemesis = {
  kind: "reset",
  text: "The connections between two members, or all of one member, end at once.",
  begin(stage, options, random) {
    again(stage, options, random, () => {
      if (chance(random, 250)) {
        const member = anyMember(stage, random);
        for (const other of othersThan(stage, member)) stage.reset(member, other);
        return;
      }
      const pair = anyPair(stage, random);
      if (pair !== undefined) stage.reset(pair[0], pair[1]);
    });
    return {};
  },
};
