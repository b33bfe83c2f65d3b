/**
 * Disks that do not answer: no error, only silence. The leader's as often as any other's, because
 * a leader whose disk hangs and whose heartbeats go on is what others have never noticed; and at
 * times those of several at once, as where they share a storage: then nobody has a better one, and
 * leadership must not go round. Stalls last from less than the election timeout up to sixty of it.
 */
import type { Nemesis } from "./nemesis.ts";
import { again, lastsUs, upToUs } from "./rhythm.ts";
import { between, chance } from "../random-streams.ts";
import { anyMember, leaderOf, someMembers } from "./targets.ts";

/** The longest stall, in election timeouts. */
const LONGEST_TIMEOUTS = 60;

/** See above. */
export const diskStall: Nemesis = {
  kind: "disk-stall",
  text: "The disk operations of one or several members do not complete for a while.",
  begin(stage, options, random) {
    const timeoutUs = stage.options.electionTimeoutMs * 1_000;
    const forUs = (): number => {
      const draw = random.below(3);
      if (draw === 0) return lastsUs(random, options);
      return draw === 1
        ? between(random, timeoutUs, 4 * timeoutUs)
        : upToUs(random, LONGEST_TIMEOUTS * timeoutUs);
    };
    again(stage, options, random, () => {
      if (chance(random, 150)) {
        const together = forUs();
        for (const member of someMembers(stage, random)) stage.stallDisk(member, together);
        return;
      }
      const leader = chance(random, 500) ? leaderOf(stage) : undefined;
      stage.stallDisk(leader ?? anyMember(stage, random), forUs());
    });
    return {};
  },
};
