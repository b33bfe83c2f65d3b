/**
 * The stage on which nemeses act: every harm that can be done to a world, each ending by itself
 * after its time or all together with {@link WorldStage.heal}.
 *
 * Harms of the same kind to the same thing overlap: the later end wins, and an earlier end does
 * nothing. After the healing nothing can be done any more.
 */
import type { Configuration, MemberId } from "../core/configuration.ts";
import type { MembershipChange } from "../core/membership-change.ts";
import type { Random } from "../util/random.ts";
import type { DiskMoment } from "./disk-moment.ts";
import type { FullFrom } from "./member-disk.ts";
import type { MemberOptions, Members } from "../runtime/members.ts";
import type { Stage, Wish } from "./nemesis/nemesis.ts";
import type { MemberView } from "./observer.ts";
import type { SimMember } from "./sim-member.ts";
import type { SimWorld } from "./sim-world.ts";

type Lasting = "cut" | "stall" | "slow" | "pause" | "skew";

/** What was done to a world, whoever did it. */
interface Harm {
  /** When each harm that lasts is to end, by what it is done to. */
  readonly ends: Map<string, number>;
  isHealed: boolean;
}

/** Does harm to a world. */
export class WorldStage implements Stage {
  readonly options: Stage["options"];
  readonly #world: SimWorld;
  readonly #harm: Harm;
  readonly #nemesis: string | undefined;

  constructor(world: SimWorld, as?: { readonly nemesis: string; readonly harm: Harm }) {
    this.#world = world;
    this.#harm = as?.harm ?? { ends: new Map(), isHealed: false };
    this.#nemesis = as?.nemesis;
    const { electionTimeoutMs, heartbeatIntervalMs } = world.options;
    this.options = { electionTimeoutMs, heartbeatIntervalMs };
  }

  /** The same stage, for one nemesis: what it does is told with its name. */
  as(nemesis: string): WorldStage {
    return new WorldStage(this.#world, { nemesis, harm: this.#harm });
  }

  get members(): readonly MemberView[] {
    return this.#world.members;
  }

  nowUs(): number {
    return this.#world.nowUs();
  }

  after(delayUs: number, act: () => void): void {
    this.#world.schedule.after(delayUs, () => {
      if (!this.#harm.isHealed) act();
    });
  }

  crash(view: MemberView, how: "power" | "kill", downUs: number): void {
    const member = this.#of(view);
    if (this.#harm.isHealed || !isAlive(member)) return;
    this.#note(how, `${member.id} for ${downUs} µs`);
    member.die(how);
    this.#startAfter(member, downUs);
  }

  // eslint-disable-next-line max-params -- the contract of a stage
  crashAtDisk(
    view: MemberView,
    how: "power" | "kill",
    at: DiskMoment | number,
    downUs: number,
  ): void {
    const member = this.#of(view);
    if (this.#harm.isHealed || !isAlive(member)) return;
    const { process } = member;
    member.disk.dieAt(at, how, () => {
      if (member.process !== process) return;
      // Told when it strikes: most that are arranged never do.
      const which = typeof at === "number" ? "an operation" : at;
      this.#note(`${how}-at-disk`, `${member.id} at ${which}, for ${downUs} µs`);
      member.diedAtDisk(how);
      this.#startAfter(member, downUs);
    });
  }

  pause(view: MemberView, forUs: number): void {
    const member = this.#of(view);
    if (this.#harm.isHealed || !isAlive(member)) return;
    this.#note("pause", `${member.id} for ${forUs} µs`);
    member.pause();
    const { life } = member;
    this.#lasting("pause", lifeOf(member), forUs, () => {
      if (member.life === life) member.resume();
    });
  }

  restart(view: MemberView, downUs: number): void {
    const member = this.#of(view);
    if (this.#harm.isHealed || member.state !== "up") return;
    this.#note("restart", `${member.id}, down for ${downUs} µs`);
    member.close(() => this.#startAfter(member, downUs));
  }

  transfer(view: MemberView, target: MemberView | undefined): void {
    const { process, replica } = this.#of(view);
    if (this.#harm.isHealed || process === undefined || replica === undefined) return;
    this.#note("transfer", `asked of ${view.id}, to ${target?.id ?? "the best"}`);
    const timeoutMs = 3 * this.#world.options.electionTimeoutMs;
    process.enter(() => {
      // Whether it comes true is nobody's promise here; what it does to others is watched.
      replica.leadership.transfer(target?.id, { timeoutMs }).catch(() => {});
    });
  }

  cut(from: MemberView, to: MemberView, forUs: number): void {
    this.#onPath("cut", from, to, forUs);
  }

  stall(from: MemberView, to: MemberView, forUs: number): void {
    this.#onPath("stall", from, to, forUs);
  }

  // eslint-disable-next-line max-params -- the contract of a stage
  slow(from: MemberView, to: MemberView, extraUs: number, forUs: number): void {
    if (this.#harm.isHealed || from === to) return;
    const [a, b] = [this.#of(from).address, this.#of(to).address];
    this.#note("slow", `${from.id} to ${to.id} by ${extraUs} µs for ${forUs} µs`);
    this.#world.network.slow(a, b, extraUs);
    this.#lasting("slow", `${a} ${b}`, forUs, () => this.#world.network.slow(a, b, 0));
  }

  reset(a: MemberView, b: MemberView): void {
    if (this.#harm.isHealed || a === b) return;
    this.#note("reset", `${a.id} and ${b.id}`);
    this.#world.network.reset(this.#of(a).address, this.#of(b).address);
  }

  stallDisk(view: MemberView, forUs: number): void {
    if (this.#harm.isHealed) return;
    this.#note("disk-stall", `${view.id} for ${forUs} µs`);
    this.#of(view).disk.stall(forUs);
  }

  slowDisk(view: MemberView, extraUs: number, forUs: number): void {
    if (this.#harm.isHealed) return;
    this.#note("slow-disk", `${view.id} by ${extraUs} µs for ${forUs} µs`);
    this.#of(view).disk.slow(extraUs, forUs);
  }

  failDisk(view: MemberView, what: "write" | "read" | "sync"): void {
    if (this.#harm.isHealed) return;
    this.#note("disk-error", `the next ${what} of ${view.id}`);
    this.#of(view).disk.failNext(what);
  }

  dropCaches(view: MemberView): void {
    const { disk } = this.#of(view);
    if (this.#harm.isHealed || disk.isInUse) return;
    this.#note("drop-caches", view.id);
    disk.dropCaches();
  }

  fillDisk(view: MemberView, forUs: number, from: FullFrom = "now"): void {
    if (this.#harm.isHealed) return;
    const since = from === "now" ? "" : " from its next segment on";
    this.#note("disk-full", `${view.id} for ${forUs} µs${since}`);
    this.#of(view).disk.fill(forUs, from);
  }

  rot(view: MemberView, random: Random): boolean {
    // Before formation everybody is needed: one lost member would be the end of the cluster.
    const isFormed = this.#world.members.every(({ wasFormed }) => wasFormed);
    if (this.#harm.isHealed || !isFormed) return false;
    const member = this.#of(view);
    const { atlas } = this.#world;
    const logStart = member.durable.log.startIndex;
    const what =
      member.state === "down"
        ? atlas.rotSnapshot(member.number, member.disk, { logStart, random })
        : atlas.rot(member.number, member.disk, random);
    if (what === undefined) return false;
    this.#note("bit-rot", `${member.id}: ${what}`);
    return true;
  }

  skew(view: MemberView, wantedPpm: number, forUs: number): void {
    const { driftBoundPpm } = this.#world.options.clock;
    const ppm = Math.max(-driftBoundPpm, Math.min(driftBoundPpm, wantedPpm));
    const member = this.#of(view);
    const { clock } = member;
    if (this.#harm.isHealed || clock === undefined) return;
    this.#note("clock-skew", `${member.id} by ${ppm} ppm for ${forUs} µs`);
    clock.runAt(ppm);
    this.#lasting("skew", lifeOf(member), forUs, () => clock.runAtOwnRate());
  }

  freePlace(): MemberView | undefined {
    return this.#world.members.find((member) => member.isFree);
  }

  settle(view: MemberView, id: MemberId, join: readonly string[] | undefined): void {
    const member = this.#of(view);
    if (this.#harm.isHealed || !member.isFree) return;
    const how = join === undefined ? "waits" : `joins through ${join.join(" or ")}`;
    this.#note("comes", `${id} at ${member.address}: ${how}`);
    // It may take longer than all the trouble: whether it succeeds is nobody's promise here.
    const timeoutMs = 1_000_000;
    member.settle(id, join === undefined ? { wait: true } : { join, timeoutMs });
  }

  loseDisk(view: MemberView): void {
    const member = this.#of(view);
    if (this.#harm.isHealed || member.isFree || member.state === "lost") return;
    this.#note("disk-lost", `${member.id} at ${member.address}`);
    member.lose();
  }

  change(change: MembershipChange): void {
    if (this.#harm.isHealed) return;
    const leader = this.#world.members.findLast(({ core }) => core?.isReady === true);
    if (leader === undefined) return;
    this.#note("change", `${leader.id} is asked to ${textOf(change)}`);
    leader.change(change);
  }

  ask(view: MemberView, wish: Wish, timeoutMs: number): void {
    const { process, replica } = this.#of(view);
    if (this.#harm.isHealed || process === undefined || replica === undefined) return;
    this.#note("ask", `${view.id} is asked to ${JSON.stringify(wish)}`);
    process.enter(() => {
      // Nobody is promised that it comes true; what it does to others is watched.
      wished(replica.members, wish, { timeoutMs }).catch(() => {});
    });
  }

  get configuration(): Configuration | undefined {
    return this.#world.governing?.configuration;
  }

  addressOf(view: MemberView): string {
    return this.#of(view).address;
  }

  healNetwork(): void {
    if (!this.#harm.isHealed) this.#world.network.healPaths();
  }

  /** Ends all harm, for ever. Members that are down stay down: who starts them is decided there. */
  heal(): void {
    this.#harm.isHealed = true;
    this.#harm.ends.clear();
    this.#world.network.healAll();
    for (const member of this.#world.members) {
      member.disk.healAll();
      member.clock?.runAtOwnRate();
      member.resume();
    }
  }

  #onPath(kind: "cut" | "stall", from: MemberView, to: MemberView, forUs: number): void {
    if (this.#harm.isHealed || from === to) return;
    const [a, b] = [this.#of(from).address, this.#of(to).address];
    this.#note(kind, `${from.id} to ${to.id} for ${forUs} µs`);
    this.#world.network[kind](a, b);
    // One of them replaces the other on a path, so they share their end.
    this.#lasting("cut", `${a} ${b}`, forUs, () => this.#world.network.heal(a, b));
  }

  // eslint-disable-next-line max-params -- what, to what, how long, and its end
  #lasting(what: Lasting, whom: string, forUs: number, end: () => void): void {
    const key = `${what} ${whom}`;
    const endUs = this.nowUs() + forUs;
    this.#harm.ends.set(key, Math.max(endUs, this.#harm.ends.get(key) ?? 0));
    this.after(forUs, () => {
      if (this.#harm.ends.get(key) === endUs) end();
    });
  }

  #startAfter(member: SimMember, downUs: number): void {
    this.after(downUs, () => member.start());
  }

  #note(kind: string, text: string): void {
    this.#world.audience.fault(kind, text, this.#nemesis);
  }

  #of(view: MemberView): SimMember {
    return this.#world.members[view.number]!;
  }
}

function textOf(change: MembershipChange): string {
  const of = change.type === "add" ? change.member.id : "id" in change ? change.id : "";
  return `${change.type} ${of}`.trimEnd();
}

function wished(members: Members, wish: Wish, options: MemberOptions): Promise<unknown> {
  if ("cancel" in wish) return members.cancel(options);
  if ("add" in wish) return members.add(wish.add, options);
  if ("set" in wish) return members.set(wish.set, options);
  if ("replace" in wish) return members.replace(wish.replace, options);
  if ("promote" in wish) return members.promote(wish.promote, options);
  if ("demote" in wish) return members.demote(wish.demote, options);
  return members.remove(wish.remove, options);
}

/** Of pauses and clocks each life has its own: the next one begins without. */
function lifeOf({ id, life }: SimMember): string {
  return `${id} in life ${life}`;
}

function isAlive(member: SimMember): boolean {
  return member.process !== undefined && !member.process.isDead;
}
