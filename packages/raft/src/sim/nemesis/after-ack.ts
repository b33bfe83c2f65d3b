/**
 * Power loss where somebody was just believed: the follower whose acknowledgement has left, or the
 * leader that has just committed. With the acknowledging follower gone and the leader cut off, the
 * entry is on the followers' medium or nowhere.
 *
 * Of special interest are acknowledgements of entries of an *old* term: their number proves nothing
 * (figure 8 of the paper), and there are few moments at which that shows. So the leader that has
 * got one is often taken away before it has replicated an entry of its own.
 */
import type { Random } from "../../util/random.ts";
import type { MemberView, Observer } from "../observer.ts";
import { between, chance } from "../random-streams.ts";
import type { Nemesis, Stage } from "./nemesis.ts";
import { atOnceUs, lastsUs, Occasions, quickRestartUs } from "./rhythm.ts";
import { isolate, memberOf } from "./targets.ts";

/** How many of the acknowledgements of old entries are occasions, per mille. */
const OLD_SHARE = 300;

/** See above. */
export const afterAck: Nemesis = {
  kind: "after-ack",
  text: "A follower loses power after its acknowledgement has left, or a leader after its commit.",
  begin(stage, options, random): Observer {
    const occasions = new Occasions(stage, options, random);
    const timeoutUs = 1_000 * stage.options.electionTimeoutMs;
    return {
      sent(member, to, message) {
        if (message.type !== "append-entries-response" || !message.success) return;
        const leader = memberOf(stage, to);
        if (leader === undefined) return;
        const isOld = isOfOldTerm(member, message.index, message.term);
        if (!(isOld && chance(random, OLD_SHARE)) && !occasions.take()) return;
        if (!isOld) powerLoss(stage, member, random);
        if (!isOld && !chance(random, 400)) return;
        const forUs = between(random, timeoutUs, 4 * timeoutUs);
        stage.after(atOnceUs(random), () => {
          if (chance(random, 500)) isolate(stage, leader, forUs);
          else stage.crash(leader, "power", lastsUs(random, options));
        });
      },
      output(member, { events }) {
        if (events.length === 0 || member.core?.role !== "leader") return;
        for (const event of events) {
          if (event.type === "commit" && occasions.take()) powerLoss(stage, member, random);
        }
      },
    };
  },
};

/** Acknowledges entries, and the last of them was not made by the leader of this term. */
function isOfOldTerm({ core }: MemberView, index: number, term: number): boolean {
  if (core === undefined || index <= core.commit || index > core.log.lastIndex) return false;
  return core.log.termAt(index) !== term;
}

function powerLoss(stage: Stage, member: MemberView, random: Random): void {
  stage.after(atOnceUs(random), () => stage.crash(member, "power", quickRestartUs(random)));
}
