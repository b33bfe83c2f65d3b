/**
 * A way between two members that comes and goes faster than anybody can settle: each time long
 * enough to be noticed, too short to be believed.
 */
import type { Nemesis } from "./nemesis.ts";
import { again, upToUs } from "./rhythm.ts";
import { between, chance } from "../random-streams.ts";
import { anyPair } from "./targets.ts";

/** See above. */
export const flapping: Nemesis = {
  kind: "flapping",
  text: "The way between two members comes and goes a few times in a row.",
  begin(stage, options, random) {
    const timeoutUs = stage.options.electionTimeoutMs * 1_000;
    again(stage, options, random, () => {
      const pair = anyPair(stage, random);
      if (pair === undefined) return;
      const [from, to] = pair;
      const isOneWay = chance(random, 300);
      const endUs = stage.nowUs() + between(random, timeoutUs, options.lastsMs * 1_000);
      const flap = (): void => {
        const forUs = upToUs(random, timeoutUs);
        stage.cut(from, to, forUs);
        if (!isOneWay) stage.cut(to, from, forUs);
        if (stage.nowUs() < endUs) stage.after(forUs + upToUs(random, timeoutUs), flap);
      };
      flap();
    });
    return {};
  },
};
