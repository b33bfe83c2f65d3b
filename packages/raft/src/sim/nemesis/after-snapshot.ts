/**
 * Somebody dies, stands still or is cut off at a moment of a snapshot: while it is being taken,
 * when the log was let go of for it, while it is being sent, when the log of the receiver starts
 * anew, and while the machine is being restored.
 */
import type { Random } from "../../util/random.ts";
import type { MemberView, Observer } from "../observer.ts";
import { chance } from "../random-streams.ts";
import type { Nemesis, Stage } from "./nemesis.ts";
import type { NemesisOptions } from "../options.ts";
import { atOnceUs, downUs, lastsUs, Occasions, quickRestartUs, soonUs } from "./rhythm.ts";
import { isolate, memberOf } from "./targets.ts";

/** Transfers are made of many chunks: each is an occasion so often, per mille. */
const CHUNK_SHARE = 150;

/** See above. */
export const afterSnapshot: Nemesis = {
  kind: "after-snapshot",
  text: "A member dies, stands still or is cut off while a snapshot is taken, sent or taken over.",
  begin(stage, options, random): Observer {
    const occasions = new Occasions(stage, options, random);
    const at = (member: MemberView | undefined): void => {
      if (member === undefined || !occasions.take()) return;
      strike({ stage, options, random }, member);
    };
    return {
      output(member, output) {
        if (output.reset !== undefined || output.snapshots.length > 0) at(member);
        for (const event of output.events) if (event.type === "compacted") at(member);
      },
      event(member, event) {
        if (event.type === "snapshot-taken" || event.type === "snapshot-restored") at(member);
      },
      delivered(member, from, message) {
        if (message.type === "snapshot-chunk" && !chance(random, CHUNK_SHARE)) return;
        if (!message.type.startsWith("snapshot-")) return;
        at(chance(random, 500) ? member : memberOf(stage, from));
      },
    };
  },
};

function strike(
  by: { readonly stage: Stage; readonly options: NemesisOptions; readonly random: Random },
  member: MemberView,
): void {
  const { stage, options, random } = by;
  const delayUs = chance(random, 600) ? atOnceUs(random) : soonUs(random);
  const draw = random.below(10);
  stage.after(delayUs, () => {
    const down = chance(random, 600) ? quickRestartUs(random) : downUs(random, options);
    if (draw < 4) stage.crash(member, chance(random, 700) ? "power" : "kill", down);
    else if (draw < 7) {
      const operations = 1 + random.below(12);
      stage.crashAtDisk(member, chance(random, 700) ? "power" : "kill", operations, down);
    } else if (draw < 8) stage.pause(member, lastsUs(random, options));
    else isolate(stage, member, lastsUs(random, options));
  });
}
