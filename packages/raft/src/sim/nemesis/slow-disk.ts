/**
 * Disks that are slow and answer out of order. Slow disks are what exposes whoever speaks before
 * its write is durable: the longer the sync, the wider the gap in which power can fail.
 */
import type { Nemesis } from "./nemesis.ts";
import { again, lastsUs } from "./rhythm.ts";
import { between, pick } from "../random-streams.ts";
import { someMembers } from "./targets.ts";

/** How much slower, in ms. */
const EXTRA_MAX_MS: readonly number[] = [2, 10, 40, 150];

/** See above. */
export const slowDisk: Nemesis = {
  kind: "slow-disk",
  text: "The disk operations of one or several members are slow and complete out of order.",
  begin(stage, options, random) {
    again(stage, options, random, () => {
      const extraUs = between(random, 500, pick(random, EXTRA_MAX_MS) * 1_000);
      const forUs = lastsUs(random, options);
      for (const member of someMembers(stage, random)) stage.slowDisk(member, extraUs, forUs);
    });
    return {};
  },
};
