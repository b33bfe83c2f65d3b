/**
 * Power loss where somebody was just believed: the follower whose acknowledgement has left, or the
 * leader that has just committed. With the acknowledging follower gone and the leader cut off, the
 * entry is on the followers' medium or nowhere.
 */
import type { Random } from "../../util/random.ts";
import type { MemberView, Observer } from "../observer.ts";
import { between, chance } from "../random-streams.ts";
import type { Nemesis, Stage } from "./nemesis.ts";
import { atOnceUs, lastsUs, Occasions, quickRestartUs } from "./rhythm.ts";
import { isolate, memberOf } from "./targets.ts";

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
        if (!occasions.take()) return;
        powerLoss(stage, member, random);
        const leader = memberOf(stage, to);
        if (leader === undefined || !chance(random, 400)) return;
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

function powerLoss(stage: Stage, member: MemberView, random: Random): void {
  stage.after(atOnceUs(random), () => stage.crash(member, "power", quickRestartUs(random)));
}
