/**
 * Half-open connections: nothing moves and nobody is told. What was sent meanwhile arrives later,
 * all at once, in a world that has gone on.
 */
import type { Nemesis } from "./nemesis.ts";
import { again, lastsUs } from "./rhythm.ts";
import { chance } from "../random-streams.ts";
import { anyPair } from "./targets.ts";

/** See above. */
export const stallLink: Nemesis = {
  kind: "stall-link",
  text: "Nothing moves between two members for a while and nobody is told; later it all arrives.",
  begin(stage, options, random) {
    again(stage, options, random, () => {
      const pair = anyPair(stage, random);
      if (pair === undefined) return;
      stage.stall(pair[0], pair[1], lastsUs(random, options));
      if (chance(random, 400)) stage.stall(pair[1], pair[0], lastsUs(random, options));
    });
    return {};
  },
};
