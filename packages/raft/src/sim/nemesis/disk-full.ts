/**
 * No space left, for a while: on one disk, or on all of them, as when they are filled at the same
 * pace. The log must wait, undamaged, and go on when there is space; a member must also be able to
 * die meanwhile.
 */
import type { Nemesis } from "./nemesis.ts";
import { again, lastsUs, quickRestartUs, upToUs } from "./rhythm.ts";
import { chance } from "../random-streams.ts";
import { someMembers } from "./targets.ts";

/** See above. */
export const diskFull: Nemesis = {
  kind: "disk-full",
  text: "The disks of one or several members are full for a while.",
  begin(stage, options, random) {
    again(stage, options, random, () => {
      const forUs = lastsUs(random, options);
      for (const member of someMembers(stage, random)) {
        stage.fillDisk(member, forUs);
        if (!chance(random, 200)) continue;
        stage.after(upToUs(random, forUs), () =>
          stage.crash(member, "power", quickRestartUs(random)),
        );
      }
    });
    return {};
  },
};
