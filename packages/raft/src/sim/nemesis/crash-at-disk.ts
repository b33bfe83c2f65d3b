/**
 * Death in the middle of a disk operation, which has happened, partly happened or not. Either one
 * of the next few, so that every operation is at some time the last thing that a process did; or
 * one that is worth most (disk-moment.ts): a large write, to be torn, or a change of names that
 * nothing has brought to the medium yet.
 *
 * Some of these moments are rare. So a member that is to die at one is mostly left alone until it
 * comes. And one that died so often dies again while it starts, in the midst of its recovery.
 */
import type { Random } from "../../util/random.ts";
import type { DiskMoment } from "../disk-moment.ts";
import type { MemberView, Observer } from "../observer.ts";
import { between, chance, pick } from "../random-streams.ts";
import type { Nemesis } from "./nemesis.ts";
import { again, downUs } from "./rhythm.ts";
import { anyMember } from "./targets.ts";

/** How many operations ahead: the very next one, or somewhere in the next start or roll. */
const WITHIN: readonly number[] = [1, 3, 10, 30];
/** How often it is one of these instead, per mille. */
const MOMENT_SHARE = 750;
/** As often as they stand here. */
const MOMENTS: readonly DiskMoment[] = [
  "large-write",
  "large-write",
  "segment-end",
  "mark",
  "segment-begin",
  "preparing",
  "create",
  "rename",
  "rename",
  "sync",
  "sync-names",
  "sync-names",
];
/** How often one that waits for its moment goes on waiting, per mille. */
const PATIENCE = 800;
/** How often a start is hit as well, per mille. */
const START_SHARE = 200;

/** See above. */
export const crashAtDisk: Nemesis = {
  kind: "crash-at-disk",
  text: "A member dies while a disk operation is in flight: a chosen one, or one of the next.",
  begin(stage, options, random): Observer {
    const waiting: Set<number> = new Set();
    const struck: Set<number> = new Set();
    const strike = (member: MemberView, at: DiskMoment | number): void => {
      if (typeof at === "string") waiting.add(member.number);
      struck.add(member.number);
      stage.crashAtDisk(member, howOf(random), at, downUs(random, options));
    };
    again(stage, options, random, () => {
      const member = anyMember(stage, random);
      if (waiting.has(member.number) && chance(random, PATIENCE)) return;
      strike(member, chance(random, MOMENT_SHARE) ? pick(random, MOMENTS) : within(random));
    });
    return {
      died(member) {
        waiting.delete(member.number);
      },
      started(member) {
        if (!struck.delete(member.number) || !chance(random, START_SHARE)) return;
        // Its first operation is still to begin.
        stage.after(0, () => strike(member, within(random)));
      },
    };
  },
};

function howOf(random: Random): "power" | "kill" {
  return chance(random, 700) ? "power" : "kill";
}

function within(random: Random): number {
  return between(random, 1, pick(random, WITHIN));
}
