/**
 * Bits that flip on the medium, and sectors that cannot be read any more. Nobody meets them before
 * somebody reads, so the member is often restarted soon afterwards. Where that may happen is the
 * affair of the stage, which keeps a good copy of everything somewhere: what every copy has lost,
 * nobody can be asked to bring back.
 */
import type { Nemesis } from "./nemesis.ts";
import { again, downUs, soonUs } from "./rhythm.ts";
import { chance } from "../random-streams.ts";
import { anyMember } from "./targets.ts";

/** See above. */
export const bitRot: Nemesis = {
  kind: "bit-rot",
  text: "A bit of what a member has flips, or a sector is unreadable, where good copies remain.",
  begin(stage, options, random) {
    again(stage, options, random, () => {
      const member = anyMember(stage, random);
      if (chance(random, 400)) {
        // Of a member that is down it is the newest snapshot.
        stage.crash(member, "kill", downUs(random, options));
        stage.after(1, () => void stage.rot(member, random));
        return;
      }
      if (!stage.rot(member, random) || !chance(random, 600)) return;
      stage.after(soonUs(random), () => stage.crash(member, "kill", downUs(random, options)));
    });
    return {};
  },
};
