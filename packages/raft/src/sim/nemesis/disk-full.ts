/**
 * No space left, for a while: on one disk, or on all of them, as when they are filled at the same
 * pace. The log must wait, undamaged, and go on when there is space; a member must also be able to
 * die meanwhile.
 *
 * A log needs space only for a next segment, and only where none is spare. So most often the disk
 * is full from the moment in which one is begun; or from the beginning of a life. Of a log that
 * waits the process dies at times, and one that has got its space loses it again.
 */
import type { Random } from "../../util/random.ts";
import type { MemberView, Observer } from "../observer.ts";
import type { NemesisOptions } from "../options.ts";
import { between, chance } from "../random-streams.ts";
import type { Nemesis } from "./nemesis.ts";
import { again, lastsUs, Occasions, quickRestartUs, soonUs, upToUs } from "./rhythm.ts";
import { leaderOf, someMembers } from "./targets.ts";

/** Clusters that form while a disk is full, per mille. */
const AT_FORMATION = 100;

/** See above. */
export const diskFull: Nemesis = {
  kind: "disk-full",
  text: "The disks of one or several members are full for a while.",
  begin(stage, options, random): Observer {
    const starts = new Occasions(stage, options, random);
    const die = (member: MemberView, afterUs: number): void => {
      const how = chance(random, 700) ? "power" : "kill";
      stage.after(afterUs, () => stage.crash(member, how, quickRestartUs(random)));
    };
    const fillSome = (): void => {
      const forUs = longUs(random, options);
      const leader = chance(random, 300) ? leaderOf(stage) : undefined;
      const members = leader === undefined ? someMembers(stage, random) : [leader];
      for (const member of members) {
        const isAimed = chance(random, 700);
        stage.fillDisk(member, forUs, isAimed ? "next-segment" : "now");
        if (!isAimed && chance(random, 200)) die(member, upToUs(random, forUs));
      }
    };
    if (chance(random, AT_FORMATION)) stage.after(0, fillSome);
    again(stage, options, random, fillSome);
    return {
      started(member) {
        if (starts.take()) stage.fillDisk(member, longUs(random, options));
      },
      event(member, event) {
        if (event.type !== "storage") return;
        if (event.state === "full" && chance(random, 300)) die(member, soonUs(random));
        if (event.state !== "ok" || !chance(random, 300)) return;
        stage.fillDisk(member, longUs(random, options), "next-segment");
      },
    };
  },
};

/** Half of the time long enough for the log to need space, and to find none several times. */
function longUs(random: Random, options: NemesisOptions): number {
  const maxUs = 1_000 * options.lastsMs;
  return chance(random, 500) ? lastsUs(random, options) : between(random, maxUs, 2 * maxUs);
}
