/**
 * Trouble in the first moments of a leadership: the new leader, or one of those who elected it,
 * dies, stands still or is cut off within some 60 ms. What a term hangs on (the no-op entry, the
 * first commit, the votes) is decided then, and faults that come at random times hardly ever meet
 * it.
 */
import type { Random } from "../../util/random.ts";
import type { MemberView, Observer } from "../observer.ts";
import type { NemesisOptions } from "../options.ts";
import { between, chance, pick } from "../random-streams.ts";
import type { Nemesis, Stage } from "./nemesis.ts";
import { lastsUs, Occasions, quickRestartUs, soonUs } from "./rhythm.ts";
import { isolate, othersThan } from "./targets.ts";

/** See above. */
export const afterElection: Nemesis = {
  kind: "after-election",
  text: "Shortly after an election the leader or a voter dies, stands still or is cut off.",
  begin(stage, options, random): Observer {
    const occasions = new Occasions(stage, options, random);
    return {
      output(member, { events }) {
        for (const event of events) {
          if (event.type !== "role" || event.role !== "leader" || !occasions.take()) continue;
          const others = othersThan(stage, member);
          const isLeader = others.length === 0 || chance(random, 650);
          const victim = isLeader ? member : pick(random, others);
          stage.after(soonUs(random), () => harm(stage, victim, options, random));
        }
      },
    };
  },
};

// eslint-disable-next-line max-params -- to whom, how long, and the dice
/** One of the things that can happen to a member in the middle of something. */
export function harm(
  stage: Stage,
  victim: MemberView,
  options: NemesisOptions,
  random: Random,
): void {
  const timeoutUs = 1_000 * stage.options.electionTimeoutMs;
  switch (random.below(5)) {
    case 0:
      stage.crash(victim, "power", quickRestartUs(random));
      break;
    case 1:
      stage.crash(victim, chance(random, 500) ? "power" : "kill", lastsUs(random, options));
      break;
    case 2:
      stage.pause(victim, between(random, timeoutUs, 3 * timeoutUs));
      break;
    case 3:
      isolate(stage, victim, between(random, timeoutUs, 3 * timeoutUs));
      break;
    default:
      // Half of what it says arrives.
      for (const other of othersThan(stage, victim)) {
        if (chance(random, 500)) stage.cut(victim, other, between(random, 1, 3 * timeoutUs));
      }
  }
}
