/**
 * Processes that die: by power loss, with which everything un-synced is at risk, or alone, with
 * what is in the page cache surviving. One, several or all at the same moment.
 *
 * Half of them come back within 15 ms: a member that is back before anybody has noticed brings the
 * cluster into states that a slow restart never reaches (its old messages are still under way).
 */
import type { Nemesis } from "./nemesis.ts";
import { again, downUs } from "./rhythm.ts";
import { chance } from "../random-streams.ts";
import { someMembers } from "./targets.ts";

/** See above. */
export const crash: Nemesis = {
  kind: "crash",
  text: "Power loss or death of one, several or all members; restarted quickly or slowly.",
  begin(stage, options, random) {
    again(stage, options, random, () => {
      const how = chance(random, 600) ? "power" : "kill";
      for (const member of someMembers(stage, random)) {
        stage.crash(member, how, downUs(random, options));
      }
    });
    return {};
  },
};
