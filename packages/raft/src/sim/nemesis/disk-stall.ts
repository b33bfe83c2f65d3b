/**
 * Disks that do not answer: no error, only silence. The leader's as often as any other's, because
 * a leader whose disk hangs and whose heartbeats go on is what others have never noticed.
 */
import type { Nemesis } from "./nemesis.ts";
import { again, lastsUs } from "./rhythm.ts";
import { chance } from "../random-streams.ts";
import { anyMember, leaderOf } from "./targets.ts";

/** See above. */
export const diskStall: Nemesis = {
  kind: "disk-stall",
  text: "The disk operations of a member do not complete for a while.",
  begin(stage, options, random) {
    again(stage, options, random, () => {
      const leader = chance(random, 500) ? leaderOf(stage) : undefined;
      stage.stallDisk(leader ?? anyMember(stage, random), lastsUs(random, options));
    });
    return {};
  },
};
