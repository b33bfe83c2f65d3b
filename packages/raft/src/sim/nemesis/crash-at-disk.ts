/**
 * Death in the middle of a disk operation: one of the next few of the member is in flight when it
 * dies, and has happened, partly happened or not. So every write, sync, rename and removal is at
 * some time the last thing that a process did, those of starting and of rolling a segment included.
 */
import type { Nemesis } from "./nemesis.ts";
import { again, downUs } from "./rhythm.ts";
import { between, chance, pick } from "../random-streams.ts";
import { anyMember } from "./targets.ts";

/** How many operations ahead: the very next one, or somewhere in the next start or roll. */
const WITHIN: readonly number[] = [1, 3, 10, 30];

/** See above. */
export const crashAtDisk: Nemesis = {
  kind: "crash-at-disk",
  text: "A member dies while one of its next disk operations is in flight.",
  begin(stage, options, random) {
    again(stage, options, random, () => {
      const how = chance(random, 700) ? "power" : "kill";
      const within = between(random, 1, pick(random, WITHIN));
      stage.crashAtDisk(anyMember(stage, random), how, within, downUs(random, options));
    });
    return {};
  },
};
