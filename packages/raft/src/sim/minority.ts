/**
 * What those suffer who are no part of the healed majority, until everybody is healed.
 *
 * They are not only dead: what is dead disturbs nobody. A member that hears nothing and asks for
 * votes, or that speaks and is not heard, or whose way comes and goes, must not keep the majority
 * from its work either. Between the members of the majority everything is sound.
 *
 * Each member has what was drawn for it towards all of the majority alike. A way that is cut to
 * some of the majority only is not drawn: with such a cut Raft may rightly make no progress, when
 * one of the majority cannot hear a leader whom all others follow. For the same reason several
 * members that suffer have sound ways among themselves.
 *
 * Whoever leads may have a disk that hangs or is full as well: it has to get out of the way by
 * itself (core/yield.ts).
 */
import { between, pick } from "./random-streams.ts";
import type { SimMember } from "./sim-member.ts";
import type { SimWorld } from "./sim-world.ts";
import { unreachable } from "../util/assert.ts";
import type { Random } from "../util/random.ts";

/** What a member of the minority may suffer. */
export const AFFLICTIONS = [
  "dead",
  "mute",
  "deaf",
  "cut-off",
  "half-open",
  "slow-ways",
  "paused",
  "stuck-disk",
  "full-disk",
  "flapping",
] as const;

/** One of {@link AFFLICTIONS}. */
export type Affliction = (typeof AFFLICTIONS)[number];

const MS = 1_000;
/** Longer than any run. */
const FOR_EVER_US = 24 * 3_600 * 1_000 * MS;
/** How slow a way is at most, and how long one that flaps stays as it is, in election timeouts. */
const SLOW_TIMEOUTS = 3;
const FLAP_TIMEOUTS = 3;

/** Keeps a minority from being well. */
export class Minority {
  readonly #world: SimWorld;
  readonly #random: Random;
  readonly #drawn: ReadonlyMap<SimMember, Affliction>;
  /** Those whom nothing may keep from working together. */
  #majority: readonly SimMember[] = [];
  /** What flaps belongs to one majority. */
  #epoch = 0;

  /** `always`: everybody suffers that; otherwise what is drawn. */
  constructor(world: SimWorld, always?: Affliction) {
    this.#world = world;
    this.#random = world.streams.stream("minority");
    this.#drawn = new Map(world.members.map((m) => [m, always ?? pick(this.#random, AFFLICTIONS)]));
  }

  /** These are the majority: all others suffer from now on. */
  besides(majority: readonly SimMember[]): void {
    const isSame = majority.length === this.#majority.length && majority.every((m) => this.#has(m));
    if (isSame) return;
    this.end();
    this.#majority = majority;
    for (const [member, affliction] of this.#drawn) {
      if (!this.#has(member) && member.state !== "lost") this.#afflict(member, affliction);
    }
  }

  /** Nobody suffers any more. Who is dead can be started. */
  end(): void {
    this.#epoch++;
    this.#majority = [];
    this.#world.network.healPaths();
    for (const member of this.#world.members) {
      member.isHeldDown = false;
      member.disk.healAll();
      member.resume();
    }
  }

  #has(member: SimMember): boolean {
    return this.#majority.includes(member);
  }

  #afflict(member: SimMember, affliction: Affliction): void {
    this.#world.audience.fault(
      `minority-${affliction}`,
      `${member.id}, until the others have served`,
    );
    if (affliction === "dead") {
      member.isHeldDown = true;
      member.die("kill");
      return;
    }
    member.start();
    switch (affliction) {
      case "mute":
        return this.#blockFrom(member, "cut");
      case "deaf":
        return this.#blockTo(member, "cut");
      case "cut-off":
        this.#blockFrom(member, "cut");
        return this.#blockTo(member, "cut");
      case "half-open":
        return this.#halfOpen(member);
      case "slow-ways":
        return this.#slow(member);
      case "paused":
        return member.pause();
      case "stuck-disk":
        return member.disk.stall(FOR_EVER_US);
      case "full-disk":
        return member.disk.fill(FOR_EVER_US);
      case "flapping":
        return this.#flap(member, true, this.#epoch);
      default:
        return unreachable(affliction);
    }
  }

  #blockFrom(member: SimMember, how: "cut" | "stall" | "heal"): void {
    const { network } = this.#world;
    for (const { address } of this.#majority) network[how](member.address, address);
  }

  #blockTo(member: SimMember, how: "cut" | "stall" | "heal"): void {
    const { network } = this.#world;
    for (const { address } of this.#majority) network[how](address, member.address);
  }

  /** Nothing moves and nobody is told, in one direction or both. */
  #halfOpen(member: SimMember): void {
    const draw = this.#random.below(3);
    if (draw !== 0) this.#blockFrom(member, "stall");
    if (draw !== 1) this.#blockTo(member, "stall");
  }

  #slow(member: SimMember): void {
    const { network } = this.#world;
    const maxUs = SLOW_TIMEOUTS * this.#timeoutUs;
    const [fromUs, toUs] = [this.#random.below(maxUs), this.#random.below(maxUs)];
    for (const { address } of this.#majority) {
      network.slow(member.address, address, fromUs);
      network.slow(address, member.address, toUs);
    }
  }

  #flap(member: SimMember, isCut: boolean, epoch: number): void {
    const how = isCut ? "cut" : "heal";
    this.#blockFrom(member, how);
    this.#blockTo(member, how);
    const forUs = between(this.#random, 1, FLAP_TIMEOUTS * this.#timeoutUs);
    this.#world.schedule.after(forUs, () => {
      if (epoch === this.#epoch) this.#flap(member, !isCut, epoch);
    });
  }

  get #timeoutUs(): number {
    return this.#world.options.electionTimeoutMs * MS;
  }
}
