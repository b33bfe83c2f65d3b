/**
 * Clocks that go faster or slower than the others': by parts in a thousand, as quartz in heat, and
 * at times by a tenth. Timeouts then mean something else on each member; safety may not care.
 */
import type { Nemesis } from "./nemesis.ts";
import { again, lastsUs } from "./rhythm.ts";
import { between, chance, pick } from "../random-streams.ts";
import { someMembers } from "./targets.ts";

/** How far, in parts per million. */
const SKEW_MAX_PPM: readonly number[] = [500, 5_000, 30_000, 100_000];

/** See above. */
export const clockSkew: Nemesis = {
  kind: "clock-skew",
  text: "The clocks of one or several members go faster or slower for a while.",
  begin(stage, options, random) {
    again(stage, options, random, () => {
      for (const member of someMembers(stage, random)) {
        const ppm = between(random, 1, pick(random, SKEW_MAX_PPM));
        stage.skew(member, chance(random, 500) ? ppm : -ppm, lastsUs(random, options));
      }
    });
    return {};
  },
};
