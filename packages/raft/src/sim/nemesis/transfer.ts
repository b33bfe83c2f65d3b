/**
 * Leadership is asked to move: to anybody, to somebody in particular, now and then twice at once.
 *
 * That is no fault, but what it sets in motion has to stand all the others: a target that dies or
 * stands still, a message that is late, writes that go on meanwhile.
 */
import type { Nemesis } from "./nemesis.ts";
import { again, soonUs } from "./rhythm.ts";
import { chance } from "../random-streams.ts";
import { anyMember } from "./targets.ts";

/** See above. */
export const transfer: Nemesis = {
  kind: "transfer",
  text: "A member is asked to move leadership to a certain member or to the best; at times twice.",
  begin(stage, options, random) {
    again(stage, options, random, () => {
      const ask = (): void => {
        const target = chance(random, 400) ? undefined : anyMember(stage, random);
        stage.transfer(anyMember(stage, random), target);
      };
      ask();
      if (chance(random, 250)) stage.after(soonUs(random), ask);
    });
    return {};
  },
};
