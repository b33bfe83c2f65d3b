/**
 * Orderly restarts, as of an upgrade: now one member, now all of them one after the other.
 *
 * Closing settles every call and seals the log; what it forgets shows at the next start.
 */
import type { Nemesis } from "./nemesis.ts";
import { again, downUs } from "./rhythm.ts";
import { chance } from "../random-streams.ts";
import { anyMember, shuffled } from "./targets.ts";

/** See above. */
export const restart: Nemesis = {
  kind: "restart",
  text: "A member is closed in an orderly way and started again; sometimes all, one by one.",
  begin(stage, options, random) {
    again(stage, options, random, () => {
      const isRolling = chance(random, 200);
      const members = isRolling ? shuffled(stage, random) : [anyMember(stage, random)];
      let waitUs = 0;
      for (const member of members) {
        const forUs = downUs(random, options);
        stage.after(waitUs, () => stage.restart(member, forUs));
        waitUs += forUs + stage.options.electionTimeoutMs * 1_000;
      }
    });
    return {};
  },
};
