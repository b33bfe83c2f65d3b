/**
 * Members come and go while everything else goes wrong: they join through members that may be down,
 * are added before they are started or after, are removed, and lose their disk and are replaced by
 * an empty directory under the same id.
 *
 * A lost disk is a fault that Raft bears only one at a time, and only while the others are enough:
 * one is lost where at least three vote, nothing is being changed, and nobody else is lost. Until
 * that one is replaced or removed nobody else is removed. And only once all voters hold something:
 * before that the first of the list may be the only one who knows that there is a cluster.
 */
import { isJoint, NO_INCARNATION } from "../../core/configuration.ts";
import type { Configuration, MemberId } from "../../core/configuration.ts";
import type { MemberRole } from "../../core/membership-change.ts";
import type { Random } from "../../util/random.ts";
import type { MemberView } from "../observer.ts";
import type { NemesisOptions } from "../options.ts";
import { between, chance, pick } from "../random-streams.ts";
import type { Nemesis, Stage } from "./nemesis.ts";
import { again, soonUs } from "./rhythm.ts";

/** See above. */
export const comings: Nemesis = {
  kind: "comings",
  text: "Members join, are added, removed, lose their disk and are replaced.",
  begin(stage, options, random) {
    const acts = new Comings(stage, options, random);
    again(stage, options, random, () => acts.act());
    return {};
  },
};

class Comings {
  readonly #stage: Stage;
  readonly #random: Random;
  readonly #timeoutMs: number;

  constructor(stage: Stage, options: NemesisOptions, random: Random) {
    this.#stage = stage;
    this.#random = random;
    this.#timeoutMs = Math.max(options.lastsMs, 2 * stage.options.electionTimeoutMs);
  }

  act(): void {
    const { configuration } = this.#stage;
    if (configuration === undefined) return;
    const lost = this.#lostIn(configuration);
    if (lost !== undefined) {
      this.#replace(lost);
      return;
    }
    const draw = this.#random.below(100);
    if (draw < 30) this.#join();
    else if (draw < 50) this.#add();
    else if (draw < 75) this.#remove(configuration);
    else this.#lose(configuration);
  }

  /** A member comes and asks some of the others, whatever state they are in. */
  #join(): void {
    const place = this.#stage.freePlace();
    if (place !== undefined) this.#stage.settle(place, place.id, this.#someAddresses());
  }

  /** A member is added by the leader, and is started before or after that. */
  #add(): void {
    const place = this.#stage.freePlace();
    if (place === undefined) return;
    const address = this.#stage.addressOf(place);
    const role: MemberRole = chance(this.#random, 700) ? "voter" : "learner";
    const member = { id: place.id, address, incarnation: NO_INCARNATION };
    const start = (): void => this.#stage.settle(place, place.id, this.#howToCome());
    const isEarly = chance(this.#random, 500);
    if (isEarly) start();
    this.#stage.change({ type: "add", member, role, timeoutMs: this.#timeoutMs });
    if (!isEarly) this.#stage.after(soonUs(this.#random), start);
  }

  #remove({ members }: Configuration): void {
    this.#stage.change({ type: "remove", id: pick(this.#random, members).id });
  }

  #lose(configuration: Configuration): void {
    const { voters } = configuration;
    if (voters.length < 3 || !this.#isQuiet(configuration)) return;
    const id = pick(this.#random, voters);
    const member = this.#named(configuration, id);
    if (member === undefined || this.#stage.freePlace() === undefined) return;
    this.#stage.loseDisk(member);
    this.#stage.after(soonUs(this.#random), () => {
      const { configuration: now } = this.#stage;
      if (now !== undefined && this.#lostIn(now) === member) this.#replace(member);
    });
  }

  /** An empty directory takes the place of a lost one; without a place it is only removed. */
  #replace({ id }: MemberView): void {
    const settled = this.#stage.members.findLast((one) => one.id === id && one.state !== "lost");
    const place = settled ?? this.#stage.freePlace();
    if (place === undefined) {
      this.#stage.change({ type: "remove", id });
      return;
    }
    const address = this.#stage.addressOf(place);
    if (settled === undefined) this.#stage.settle(place, id, this.#howToCome());
    this.#stage.change({ type: "replace", id, address, timeoutMs: this.#timeoutMs });
  }

  /** Who is named, and whose disk is gone. */
  #lostIn(configuration: Configuration): MemberView | undefined {
    for (const { id } of configuration.members) {
      const member = this.#named(configuration, id);
      if (member?.state === "lost") return member;
    }
    return undefined;
  }

  /** The member that a configuration names by that id. */
  #named({ members }: Configuration, id: MemberId): MemberView | undefined {
    const incarnation = members.find((member) => member.id === id)?.incarnation;
    return this.#stage.members.find((one) => one.id === id && one.incarnation === incarnation);
  }

  /** Nothing is being changed, as far as anybody's log says. */
  #isQuiet(configuration: Configuration): boolean {
    const { voters } = configuration;
    const holds = (id: MemberId): boolean =>
      (this.#named(configuration, id)?.durable.log.lastIndex ?? 0) > 0;
    if (!voters.every(holds)) return false;
    return this.#stage.members.every(({ core }) => {
      const held = core?.status().configuration;
      if (held === undefined || held.members.length === 0) return true;
      return held.pending === undefined && !isJoint(held) && held.voters.join() === voters.join();
    });
  }

  #howToCome(): readonly string[] | undefined {
    return chance(this.#random, 500) ? undefined : this.#someAddresses();
  }

  #someAddresses(): string[] {
    const count = between(this.#random, 1, 2);
    return Array.from({ length: count }, () =>
      this.#stage.addressOf(pick(this.#random, this.#stage.members)),
    );
  }
}
