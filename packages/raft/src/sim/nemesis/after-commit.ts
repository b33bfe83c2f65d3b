/**
 * The leader dies right after a client was told that its write is done: what was promised must be
 * found with the others, and what the others do not know yet (the commit index) must not be needed.
 */
import type { Observer } from "../observer.ts";
import { chance } from "../random-streams.ts";
import type { Nemesis } from "./nemesis.ts";
import { atOnceUs, lastsUs, Occasions, quickRestartUs } from "./rhythm.ts";
import { leaderOf, othersThan, shuffled } from "./targets.ts";

/** See above. */
export const afterCommit: Nemesis = {
  kind: "after-commit",
  text: "The leader dies right after a client was told that its write is done.",
  begin(stage, options, random): Observer {
    const occasions = new Occasions(stage, options, random);
    return {
      settled(operation) {
        if (operation.kind !== "write" || operation.outcome !== "done" || !occasions.take()) return;
        const leader = leaderOf(stage) ?? operation.member;
        const downUs = (): number =>
          chance(random, 600) ? quickRestartUs(random) : lastsUs(random, options);
        const isDark = chance(random, 150);
        stage.after(atOnceUs(random), () => {
          stage.crash(leader, chance(random, 750) ? "power" : "kill", downUs());
          if (isDark) {
            for (const other of othersThan(stage, leader)) stage.crash(other, "power", downUs());
          } else if (chance(random, 300)) {
            const other = shuffled(stage, random).find((member) => member !== leader);
            if (other !== undefined) stage.crash(other, "power", downUs());
          }
        });
      },
    };
  },
};
