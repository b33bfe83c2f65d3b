/**
 * Trouble while a read round is under way: its heartbeats have left, its answers have not come. The
 * leader stands still, or cannot be heard any more while the answers of the others take long; they
 * reach it when somebody else leads already, and must not confirm a read that began later.
 */
import type { Random } from "../../util/random.ts";
import type { MemberView, Observer } from "../observer.ts";
import { between, chance } from "../random-streams.ts";
import type { Nemesis, Stage } from "./nemesis.ts";
import { atOnceUs, Occasions, soonUs } from "./rhythm.ts";
import { othersThan } from "./targets.ts";

/** See above. */
export const readInFlight: Nemesis = {
  kind: "read-in-flight",
  text: "While a read is being confirmed the leader stands still, is cut off, or answers are late.",
  begin(stage, options, random): Observer {
    const occasions = new Occasions(stage, options, random);
    // The term and round last seen of each member: only a new round is an occasion.
    const terms: number[] = [];
    const rounds: number[] = [];
    return {
      sent(member, _to, message) {
        if (message.type !== "heartbeat" || message.round === 0) return;
        const { term, round } = message;
        if (rounds[member.number] === round && terms[member.number] === term) return;
        rounds[member.number] = round;
        terms[member.number] = term;
        if (occasions.take()) strike(stage, member, random);
      },
    };
  },
};

function strike(stage: Stage, leader: MemberView, random: Random): void {
  const timeoutUs = 1_000 * stage.options.electionTimeoutMs;
  const extraUs = between(random, timeoutUs >> 2, 2 * timeoutUs);
  const forUs = between(random, timeoutUs, 4 * timeoutUs);
  const others = othersThan(stage, leader);
  const draw = random.below(4);
  for (const other of others) {
    // The ways back: answers that come too late, one by one or all at once.
    if (draw < 2) stage.slow(other, leader, extraUs, forUs);
    else if (draw === 2) stage.stall(other, leader, extraUs);
  }
  if (draw === 3 || chance(random, 400)) {
    stage.after(atOnceUs(random), () => stage.pause(leader, between(random, extraUs, forUs)));
    return;
  }
  // The ways there: nobody hears of the leader, so that somebody else is elected.
  stage.after(soonUs(random), () => {
    for (const other of others) stage.cut(leader, other, forUs);
  });
}
