/**
 * Disk operations that fail. A failed write or sync ends the replica for good: the kernel may have
 * dropped the pages, and what is asked again succeeds without meaning it. The world then restarts
 * the member, as a supervisor would. Power loss soon after the error shows what was never written;
 * so does a machine that has dropped its caches before the next process reads.
 */
import type { Observer } from "../observer.ts";
import type { Nemesis } from "./nemesis.ts";
import { again, downUs, soonUs } from "./rhythm.ts";
import { chance, pick } from "../random-streams.ts";
import { anyMember, leaderOf } from "./targets.ts";

const KINDS = ["write", "write", "sync", "sync", "read"] as const;
/** How many deaths the caches do not outlive, per mille. */
const DROPPED_SHARE = 400;

/** See above. */
export const diskError: Nemesis = {
  kind: "disk-error",
  text: "A write, sync or read of the log fails: the member stops and is restarted.",
  begin(stage, options, random): Observer {
    again(stage, options, random, () => {
      const leader = chance(random, 300) ? leaderOf(stage) : undefined;
      const member = leader ?? anyMember(stage, random);
      stage.failDisk(member, pick(random, KINDS));
      if (!chance(random, 300)) return;
      stage.after(soonUs(random), () => stage.crash(member, "power", downUs(random, options)));
    });
    return {
      died(member) {
        if (chance(random, DROPPED_SHARE)) stage.after(0, () => stage.dropCaches(member));
      },
    };
  },
};
