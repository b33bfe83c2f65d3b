/**
 * The stage on which nemeses act: every harm that can be done to a world, each ending by itself
 * after its time or all together with {@link WorldStage.heal}.
 *
 * Harms of the same kind to the same thing overlap: the later end wins, and an earlier end does
 * nothing. After the healing nothing can be done any more.
 */
import type { Random } from "../util/random.ts";
import type { Stage } from "./nemesis/nemesis.ts";
import type { MemberView } from "./observer.ts";
import type { SimMember } from "./sim-member.ts";
import type { SimWorld } from "./sim-world.ts";

type Lasting = "cut" | "stall" | "slow" | "pause" | "skew";

/** Does harm to a world. */
export class WorldStage implements Stage {
  readonly options: Stage["options"];
  readonly #world: SimWorld;
  /** When each harm that lasts is to end, by what it is done to. */
  readonly #ends: Map<string, number> = new Map();
  #isHealed = false;
  /** How often each kind of harm was done. */
  readonly counts: Map<string, number> = new Map();

  constructor(world: SimWorld) {
    this.#world = world;
    const { electionTimeoutMs, heartbeatIntervalMs } = world.options;
    this.options = { electionTimeoutMs, heartbeatIntervalMs };
  }

  get members(): readonly MemberView[] {
    return this.#world.members;
  }

  nowUs(): number {
    return this.#world.nowUs();
  }

  after(delayUs: number, act: () => void): void {
    this.#world.schedule.after(delayUs, () => {
      if (!this.#isHealed) act();
    });
  }

  crash(view: MemberView, how: "power" | "kill", downUs: number): void {
    const member = this.#of(view);
    if (this.#isHealed || !isAlive(member)) return;
    this.#note(how, `${member.id} for ${downUs} µs`);
    member.die(how);
    this.#startAfter(member, downUs);
  }

  // eslint-disable-next-line max-params -- the contract of a stage
  crashAtDisk(view: MemberView, how: "power" | "kill", within: number, downUs: number): void {
    const member = this.#of(view);
    if (this.#isHealed || !isAlive(member)) return;
    const { process } = member;
    this.#note(`${how}-at-disk`, `${member.id} at operation ${within} from now`);
    member.disk.dieAt(within, how, () => {
      if (member.process !== process) return;
      member.diedAtDisk(how);
      this.#startAfter(member, downUs);
    });
  }

  pause(view: MemberView, forUs: number): void {
    const member = this.#of(view);
    if (this.#isHealed || (member.state !== "up" && member.state !== "paused")) return;
    this.#note("pause", `${member.id} for ${forUs} µs`);
    member.pause();
    const { life } = member;
    this.#lasting("pause", member.id, forUs, () => {
      if (member.life === life) member.resume();
    });
  }

  restart(view: MemberView, downUs: number): void {
    const member = this.#of(view);
    if (this.#isHealed || member.state !== "up") return;
    this.#note("restart", `${member.id}, down for ${downUs} µs`);
    member.close(() => this.#startAfter(member, downUs));
  }

  transfer(view: MemberView, target: MemberView | undefined): void {
    const { process, replica } = this.#of(view);
    if (this.#isHealed || process === undefined || replica === undefined) return;
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
    if (this.#isHealed || from === to) return;
    const [a, b] = [this.#of(from).address, this.#of(to).address];
    this.#note("slow", `${from.id} to ${to.id} by ${extraUs} µs for ${forUs} µs`);
    this.#world.network.slow(a, b, extraUs);
    this.#lasting("slow", `${a} ${b}`, forUs, () => this.#world.network.slow(a, b, 0));
  }

  reset(a: MemberView, b: MemberView): void {
    if (this.#isHealed || a === b) return;
    this.#note("reset", `${a.id} and ${b.id}`);
    this.#world.network.reset(this.#of(a).address, this.#of(b).address);
  }

  stallDisk(view: MemberView, forUs: number): void {
    if (this.#isHealed) return;
    this.#note("disk-stall", `${view.id} for ${forUs} µs`);
    this.#of(view).disk.stall(forUs);
  }

  slowDisk(view: MemberView, extraUs: number, forUs: number): void {
    if (this.#isHealed) return;
    this.#note("slow-disk", `${view.id} by ${extraUs} µs for ${forUs} µs`);
    this.#of(view).disk.slow(extraUs, forUs);
  }

  failDisk(view: MemberView, what: "write" | "read" | "sync"): void {
    if (this.#isHealed) return;
    this.#note("disk-error", `the next ${what} of ${view.id}`);
    this.#of(view).disk.failNext(what);
  }

  fillDisk(view: MemberView, forUs: number): void {
    if (this.#isHealed) return;
    this.#note("disk-full", `${view.id} for ${forUs} µs`);
    this.#of(view).disk.fill(forUs);
  }

  rot(view: MemberView, random: Random): boolean {
    // Before formation everybody is needed: one lost member would be the end of the cluster.
    const isFormed = this.#world.members.every(({ wasFormed }) => wasFormed);
    if (this.#isHealed || !isFormed) return false;
    const member = this.#of(view);
    const what = this.#world.atlas.rot(member.number, member.disk, random);
    if (what === undefined) return false;
    this.#note("bit-rot", `${member.id}: ${what}`);
    return true;
  }

  skew(view: MemberView, ppm: number, forUs: number): void {
    const member = this.#of(view);
    const { clock } = member;
    if (this.#isHealed || clock === undefined) return;
    this.#note("clock-skew", `${member.id} by ${ppm} ppm for ${forUs} µs`);
    clock.runAt(ppm);
    this.#lasting("skew", member.id, forUs, () => clock.runAt(0));
  }

  healNetwork(): void {
    if (!this.#isHealed) this.#world.network.healPaths();
  }

  /** Ends all harm, for ever. Members that are down stay down: who starts them is decided there. */
  heal(): void {
    this.#isHealed = true;
    this.#ends.clear();
    this.#world.network.healAll();
    for (const member of this.#world.members) {
      member.disk.healAll();
      member.clock?.runAt(0);
      member.resume();
    }
  }

  #onPath(kind: "cut" | "stall", from: MemberView, to: MemberView, forUs: number): void {
    if (this.#isHealed || from === to) return;
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
    this.#ends.set(key, Math.max(endUs, this.#ends.get(key) ?? 0));
    this.after(forUs, () => {
      if (this.#ends.get(key) === endUs) end();
    });
  }

  #startAfter(member: SimMember, downUs: number): void {
    this.after(downUs, () => member.start());
  }

  #note(kind: string, text: string): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    this.#world.audience.fault(kind, text);
  }

  #of(view: MemberView): SimMember {
    return this.#world.members[view.number]!;
  }
}

function isAlive(member: SimMember): boolean {
  return member.process !== undefined && !member.process.isDead;
}
