/**
 * Death at the moment of a vote: the voter just after its vote has left, the candidate just after
 * its request has. Whoever comes back within 15 ms, without a memory of what it said, may say
 * something else in the same term.
 *
 * That shows only if nobody learns of the first answer: so at times the candidate is cut off as
 * well, and leads a term of which the others have not heard.
 */
import type { Random } from "../../util/random.ts";
import type { MemberView, Observer } from "../observer.ts";
import { between, chance } from "../random-streams.ts";
import type { Nemesis, Stage } from "./nemesis.ts";
import { atOnceUs, Occasions, quickRestartUs } from "./rhythm.ts";
import { isolate, memberOf } from "./targets.ts";

/** See above. */
export const afterVote: Nemesis = {
  kind: "after-vote",
  text: "A voter or candidate loses power just after its vote or request left, and is back soon.",
  begin(stage, options, random): Observer {
    const occasions = new Occasions(stage, options, random);
    return {
      sent(member, to, message) {
        if (message.type === "request-vote") {
          if (occasions.take()) powerLoss(stage, member, random);
        } else if (message.type === "request-vote-response" && message.granted) {
          const candidate = memberOf(stage, to);
          if (candidate !== undefined && occasions.take()) {
            hitVote(stage, { voter: member, candidate }, random);
          }
        }
      },
    };
  },
};

function hitVote(
  stage: Stage,
  vote: { readonly voter: MemberView; readonly candidate: MemberView },
  random: Random,
): void {
  const draw = random.below(10);
  if (draw < 8) powerLoss(stage, vote.voter, random);
  if (draw >= 7) powerLoss(stage, vote.candidate, random);
  if (draw < 4) {
    const timeoutUs = 1_000 * stage.options.electionTimeoutMs;
    const forUs = between(random, timeoutUs, 4 * timeoutUs);
    stage.after(atOnceUs(random), () => isolate(stage, vote.candidate, forUs));
  }
}

function powerLoss(stage: Stage, member: MemberView, random: Random): void {
  const how = chance(random, 850) ? "power" : "kill";
  stage.after(atOnceUs(random), () => stage.crash(member, how, quickRestartUs(random)));
}
