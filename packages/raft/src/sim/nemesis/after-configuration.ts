/**
 * Trouble in the moments of a change of membership: when a leader has appended a configuration, and
 * when one is committed, somebody dies, stands still or is cut off. What goes wrong with changes
 * goes wrong there: a joint configuration that nobody leaves, a quorum of one half, a leader that
 * was removed and does not know that it is done.
 */
import type { Observer } from "../observer.ts";
import { chance, pick } from "../random-streams.ts";
import { harm } from "./after-election.ts";
import type { Nemesis } from "./nemesis.ts";
import { atOnceUs, Occasions, soonUs } from "./rhythm.ts";
import { othersThan } from "./targets.ts";

/** See above. */
export const afterConfiguration: Nemesis = {
  kind: "after-configuration",
  text: "Shortly after a configuration was appended or committed somebody dies or is cut off.",
  begin(stage, options, random): Observer {
    const occasions = new Occasions(stage, options, random);
    return {
      output(member, { events }) {
        for (const event of events) {
          const isOccasion =
            event.type === "membership" || event.type === "configuration-committed";
          if (!isOccasion || !occasions.take()) continue;
          const others = othersThan(stage, member);
          const isSelf = others.length === 0 || chance(random, 600);
          const victim = isSelf ? member : pick(random, others);
          const delayUs = chance(random, 500) ? atOnceUs(random) : soonUs(random);
          stage.after(delayUs, () => harm(stage, victim, options, random));
        }
      },
    };
  },
};
