/**
 * Who votes is changed again and again, by callers of any member, whatever state it is in: members
 * are promoted and demoted, the leader among them, removed, and set all at once; changes are
 * cancelled, and asked for twice in a moment.
 *
 * It leaves members alone while the disk of one of them is lost: what that costs together with a
 * smaller set of voters is more than Raft promises to bear.
 */
import type { Configuration, MemberId } from "../../core/configuration.ts";
import { memberOf } from "../../core/configuration.ts";
import type { WantedMember } from "../../core/membership-change.ts";
import type { Random } from "../../util/random.ts";
import type { NemesisOptions } from "../options.ts";
import { chance, pick } from "../random-streams.ts";
import type { Nemesis, Stage, Wish } from "./nemesis.ts";
import { again, soonUs } from "./rhythm.ts";
import { anyMember, leaderOf } from "./targets.ts";

/** See above. */
export const roles: Nemesis = {
  kind: "roles",
  text: "Members are promoted, demoted and set by callers anywhere; changes are cancelled.",
  begin(stage, options, random) {
    again(stage, options, random, () => {
      ask(stage, options, random);
      if (chance(random, 250)) stage.after(soonUs(random), () => ask(stage, options, random));
    });
    return {};
  },
};

function ask(stage: Stage, options: NemesisOptions, random: Random): void {
  const { configuration } = stage;
  if (configuration === undefined || configuration.members.length === 0) return;
  if (isSomebodyLost(stage, configuration)) return;
  const timeoutMs = Math.max(options.lastsMs, 2 * stage.options.electionTimeoutMs);
  stage.ask(anyMember(stage, random), wishOf(stage, configuration, random), timeoutMs);
}

function wishOf(stage: Stage, { members, learners }: Configuration, random: Random): Wish {
  const any = (): MemberId => pick(random, members).id;
  switch (random.below(8)) {
    case 0:
    case 1:
      return { promote: learners.length > 0 ? pick(random, learners) : any() };
    case 2:
      return { demote: any() };
    case 3:
      return { demote: leaderOf(stage)?.id ?? any() };
    case 4:
      return { cancel: true };
    case 5:
      // Who is removed never comes back, so not too often.
      return chance(random, 300) ? { remove: leaderOf(stage)?.id ?? any() } : { demote: any() };
    default:
      return { set: members.map(({ id, address }) => wanted(id, address, random)) };
  }
}

function wanted(id: MemberId, address: string, random: Random): WantedMember {
  return { id, address, role: chance(random, 700) ? "voter" : "learner" };
}

/** Whether a member that is named by this very directory will never come back. */
function isSomebodyLost(stage: Stage, configuration: Configuration): boolean {
  return stage.members.some(
    ({ id, incarnation, state }) =>
      state === "lost" && memberOf(configuration, id)?.incarnation === incarnation,
  );
}
