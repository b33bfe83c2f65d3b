/**
 * What is owed after the trouble: progress by a healed majority, then agreement of all, then
 * silence.
 *
 * Limits are generous multiples of the election timeout: they tell "never" from "slow", they are no
 * measure of speed. No stall is excused: the fault atlas never damages so many disks that no
 * majority is left.
 *
 * While the majority is held to its promises the others suffer (minority.ts). One of them may lead
 * nevertheless, if it can: what is owed is a leader whom all of the majority follow.
 */
import { leftovers } from "./leftovers.ts";
import { Minority } from "./minority.ts";
import type { SimOperation } from "./observer.ts";
import { pick } from "./random-streams.ts";
import type { RunSubject } from "./run.ts";
import type { SimMember } from "./sim-member.ts";
import type { SimWorld } from "./sim-world.ts";
import type { Call } from "./workload/workload.ts";
import type { WorldStage } from "./world-stage.ts";
import { assert } from "../util/assert.ts";
import type { Random } from "../util/random.ts";

const MS = 1_000;
/** How often a call is tried after the healing; leadership may move once more meanwhile. */
const TRIES = 5;
/** How long a cluster without work is watched before it is looked over, in election timeouts. */
const QUIET_TIMEOUTS = 3;
/** Closed replicas have no business any more: what is left must run out in so many tasks. */
const LAST_STEPS_MAX = 200_000;

/** Heals a world and holds it to its promises. */
export class Recovery {
  readonly #world: SimWorld;
  readonly #stage: WorldStage;
  readonly #subject: RunSubject;
  readonly #random;
  readonly #limitUs: number;
  readonly #minority: Minority;
  /** Who is healed first. */
  readonly #order: readonly SimMember[];
  /** Whether everybody had joined the cluster when the trouble ended. */
  #isFormed = false;
  #calls = 0;

  constructor(world: SimWorld, stage: WorldStage, subject: RunSubject) {
    this.#world = world;
    this.#stage = stage;
    this.#subject = subject;
    this.#random = world.streams.stream("recovery");
    this.#minority = new Minority(world);
    this.#order = shuffled(world.members, this.#random);
    const { electionTimeoutMs, clients } = world.options;
    this.#limitUs = (40 * electionTimeoutMs + 5_000 + clients.timeoutMaxMs) * MS;
  }

  /** All of it; ends early where something is broken. */
  async run(): Promise<void> {
    const world = this.#world;
    this.#stage.heal();
    this.#isFormed = world.members.every((member) => member.wasFormed);
    world.audience.healed();
    if (!(await this.#serves())) return;
    this.#minority.end();
    world.isOver = true;
    if (!(await this.#converges())) return;
    await this.#falls();
  }

  /** Members whose disks can still be opened; that some cannot may turn out at any start. */
  #healthy(): SimMember[] {
    return this.#order.filter(
      (member) => !member.isFree && member.state !== "lost" && member.state !== "removed",
    );
  }

  /** Those of them that are part of the cluster now, or are still forming it. */
  #parts(): SimMember[] {
    const world = this.#world;
    return this.#healthy().filter(
      (member) =>
        world.isPart(member) || (member.number < world.options.members && !member.wasFormed),
    );
  }

  /** A majority, drawn; everybody where somebody has not joined the cluster yet. */
  #chosen(): SimMember[] {
    // Whether a majority is enough depends on what is being changed: there everybody is healed.
    if (this.#world.governing !== undefined) return this.#parts();
    const healthy = this.#healthy();
    return this.#isFormed ? healthy.slice(0, this.#world.majority) : healthy;
  }

  /** The majority works and the others suffer. Who has turned out to be lost is replaced. */
  #arrange(): SimMember[] {
    const chosen = this.#chosen();
    assert(chosen.length >= this.#world.majority, "the fault atlas leaves a majority");
    if (this.#world.governing === undefined) this.#minority.besides(chosen);
    keepUp(this.#world.governing === undefined ? chosen : this.#healthy());
    return chosen;
  }

  async #serves(): Promise<boolean> {
    const hasLeader = (): boolean => {
      const chosen = this.#arrange();
      return this.#world.members.some(
        ({ id, core }) => core?.isReady === true && chosen.every((m) => m.core?.leader === id),
      );
    };
    const ids = (): string =>
      this.#chosen()
        .map(({ id }) => id)
        .join(", ");
    const what = (): string => `a leader whom ${ids()} follow`;
    if (!(await this.#comes(hasLeader, "leader-after-heal", what))) return false;
    const asked: Set<SimMember> = new Set();
    for (;;) {
      const member = this.#chosen().find((one) => !asked.has(one));
      if (member === undefined) return true;
      asked.add(member);
      for (const kind of ["write", "read"] as const) {
        if (!(await this.#answers(member, kind))) return false;
      }
    }
  }

  async #answers(member: SimMember, kind: "write" | "read"): Promise<boolean> {
    const world = this.#world;
    const errors: string[] = [];
    const timeoutMs = 20 * world.options.electionTimeoutMs;
    const endUs = world.nowUs() + this.#limitUs / 2;
    for (let i = 0; i < TRIES;) {
      // Nothing is owed by one that is lost; whoever takes its place is asked as well.
      if (!this.#arrange().includes(member)) return true;
      // A new one each time: a value that is written twice could be taken for either.
      const call = this.#callOf(kind);
      if (call === undefined) return true;
      let ended: SimOperation | undefined;
      const options = { timeoutMs, client: "healed" };
      const made = world.call(member, call, options, (operation) => {
        ended = operation;
      });
      if (!(await world.run(() => made.outcome !== "open"))) return false;
      if (ended?.outcome === "done") return true;
      errors.push(ended?.error ?? "?");
      // A queue that clients keep full says nothing about progress: in the end they are sent home.
      if (ended?.error === "OVERLOADED" && !world.isOver) world.isOver = world.nowUs() > endUs;
      else i++;
      await world.runFor(world.options.electionTimeoutMs * MS);
    }
    const text = `${kind} through ${member.id} in a healed cluster: ${errors.join(", ")}`;
    world.broken("progress-after-heal", text);
    return false;
  }

  async #converges(): Promise<boolean> {
    const world = this.#world;
    const isSettled = (): boolean => {
      const healthy = this.#healthy();
      keepUp(healthy);
      return world.openOperations === 0 && agree(this.#parts()) && this.#isTidy(healthy);
    };
    if (!(await this.#comes(isSettled, "converges", "agreement of all members"))) return false;
    const quietUs = QUIET_TIMEOUTS * world.options.electionTimeoutMs * MS;
    if (!(await world.runFor(quietUs))) return false;
    // Members may have changed in the quiet: then a disk has not had its time for the last of it.
    const isQuiet = (): boolean =>
      isSettled() && areDurable(this.#parts()) && leftovers(world).length === 0;
    const what = (): string => `durable logs and empty queues: ${leftovers(world).join("; ")}`;
    if (!(await this.#comes(isQuiet, "memory-at-base", what))) return false;
    world.audience.ended();
    return world.violation === undefined && this.#isExamined();
  }

  /** What takes time to be looked at. */
  async #isExamined(): Promise<boolean> {
    const { examine } = this.#subject;
    if (examine === undefined) return true;
    let isOver = false;
    examine().then(
      () => (isOver = true),
      (error: unknown) => this.#world.report(error),
    );
    return this.#comes(() => isOver, "examined", "an end to the look at the machines");
  }

  /** Who is no member any more has stopped; nothing is being changed. */
  #isTidy(healthy: readonly SimMember[]): boolean {
    const { governing } = this.#world;
    if (governing?.configuration === undefined) return true;
    const { outgoing, pending } = governing.configuration;
    if (outgoing.length > 0 || pending !== undefined) return false;
    return healthy.every((member) => member.core === undefined || governing.names(member));
  }

  /** Everybody is closed; then nothing may be left to happen. */
  async #falls(): Promise<void> {
    const world = this.#world;
    for (const member of world.members) member.close(() => {});
    const isDown = (): boolean => world.members.every(({ process }) => process === undefined);
    if (!(await this.#comes(isDown, "closes", "the end of all replicas"))) return;
    const steps = world.steps + LAST_STEPS_MAX;
    await world.run(() => world.steps > steps);
    if (world.steps > steps) world.broken("falls-silent", "closed replicas still cause events");
  }

  async #comes(
    condition: () => boolean,
    invariant: string,
    what: string | (() => string),
  ): Promise<boolean> {
    const world = this.#world;
    const endUs = world.nowUs() + this.#limitUs;
    let isLate = false;
    let isThere = false;
    let nextUs = 0;
    const until = (): boolean => {
      // Looked at once a millisecond: it is no cheap question.
      const nowUs = world.nowUs();
      if (nowUs >= nextUs) {
        nextUs = nowUs + MS;
        isThere = condition();
        isLate = nowUs > endUs;
      }
      return isThere || isLate;
    };
    await world.run(until);
    isThere ||= condition();
    if (isThere || world.violation !== undefined) return world.violation === undefined;
    const text = typeof what === "string" ? what : what();
    const states = world.members.map(stateOf).join("; ");
    world.broken(invariant, `${text} did not come in ${this.#limitUs / MS} ms: ${states}`);
    return false;
  }

  #callOf(kind: "write" | "read"): Call<unknown, unknown> | undefined {
    for (let i = 0; i < 1_000; i++) {
      const call = this.#subject.workload.next(this.#random, {
        name: "healed",
        calls: this.#calls++,
      });
      if (call.kind === kind) return call;
    }
    return undefined;
  }
}

/** Who is down is started; who failed starts by itself. */
function keepUp(members: readonly SimMember[]): void {
  for (const member of members) {
    if (member.state === "down" && !member.isHeldDown) member.start();
  }
}

function shuffled(members: readonly SimMember[], random: Random): SimMember[] {
  const left = [...members];
  const order: SimMember[] = [];
  while (left.length > 0) {
    const member = pick(random, left);
    left.splice(left.indexOf(member), 1);
    order.push(member);
  }
  return order;
}

function agree(members: readonly SimMember[]): boolean {
  const first = members[0]?.core;
  if (first === undefined || members.every((member) => member.core?.isReady !== true)) return false;
  return members.every(({ core, state }) => {
    if (core === undefined || state !== "up") return false;
    return (
      core.commit === first.commit &&
      core.appliedIndex === core.commit &&
      core.log.lastIndex === first.log.lastIndex &&
      core.log.lastIndex === core.commit
    );
  });
}

function areDurable(members: readonly SimMember[]): boolean {
  return members.every(({ core, durable }) => durable.log.lastIndex === core?.log.lastIndex);
}

function stateOf(member: SimMember): string {
  const { core } = member;
  if (core === undefined) return `${member.id} is ${member.state}`;
  const log = `${core.log.lastIndex}@${core.log.lastTerm}`;
  return (
    `${member.id} ${member.state}, ${core.role} in term ${core.term}, leader ${core.leader}, ` +
    `commit ${core.commit}, applied ${core.appliedIndex}, last ${log}`
  );
}
