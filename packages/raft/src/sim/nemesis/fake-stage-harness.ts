/**
 * A stage on which nothing happens: it writes down what a nemesis does, in virtual time, and takes
 * no more orders that would run after the healing.
 */
import type { Output, Role } from "../../core/output.ts";
import { SeededRandom } from "../../util/random.ts";
import type { Random } from "../../util/random.ts";
import type { Configuration, MemberId } from "../../core/configuration.ts";
import { EMPTY_CONFIGURATION, votersOnly } from "../../core/configuration.ts";
import type { MembershipChange } from "../../core/membership-change.ts";
import type { DiskMoment } from "../disk-moment.ts";
import type { FullFrom } from "../member-disk.ts";
import type { CoreView, DurableView, MemberView, Observer, SimOperation } from "../observer.ts";
import type { NemesisOptions } from "../options.ts";
import { Schedule } from "../schedule.ts";
import { nemesisOf } from "./catalogue.ts";
import type { Stage, Wish } from "./nemesis.ts";

/** A member that is only a view. */
export interface FakeMember extends MemberView {
  state: MemberView["state"];
  core: CoreView | undefined;
}

/** One order, as it was given. */
export interface Deed {
  readonly atUs: number;
  readonly what: Exclude<
    keyof Stage,
    "members" | "options" | "nowUs" | "after" | "freePlace" | "configuration" | "addressOf"
  >;
  readonly whom: readonly string[];
  /** The numbers and words of the order. */
  readonly how: readonly (number | string)[];
}

/** The stage. */
export class FakeStage implements Stage {
  readonly members: readonly FakeMember[];
  readonly options = { electionTimeoutMs: 300, heartbeatIntervalMs: 30 };
  readonly deeds: Deed[] = [];
  readonly #schedule: Schedule = new Schedule(new SeededRandom(7));
  #isHealed = false;

  constructor(count: number) {
    this.members = Array.from({ length: count }, (_, number) => fakeMember(number));
  }

  nowUs(): number {
    return this.#schedule.nowUs;
  }

  after(delayUs: number, act: () => void): void {
    this.#schedule.after(delayUs, () => {
      if (!this.#isHealed) act();
    });
  }

  /** Lets time pass. */
  runFor(forUs: number): void {
    const untilUs = this.nowUs() + forUs;
    for (;;) {
      const { nextUs } = this.#schedule;
      if (nextUs === undefined || nextUs > untilUs) break;
      this.#schedule.next()?.run();
    }
    this.#schedule.skipTo(untilUs);
  }

  heal(): void {
    this.#isHealed = true;
  }

  crash(member: MemberView, how: "power" | "kill", downUs: number): void {
    this.#did("crash", [member], [how, downUs]);
  }

  // eslint-disable-next-line max-params -- the contract
  crashAtDisk(
    member: MemberView,
    how: "power" | "kill",
    at: DiskMoment | number,
    downUs: number,
  ): void {
    this.#did("crashAtDisk", [member], [how, at, downUs]);
  }

  pause(member: MemberView, forUs: number): void {
    this.#did("pause", [member], [forUs]);
  }

  restart(member: MemberView, downUs: number): void {
    this.#did("restart", [member], [downUs]);
  }

  transfer(member: MemberView, target: MemberView | undefined): void {
    this.#did("transfer", [...new Set([member, target ?? member])], []);
  }

  cut(from: MemberView, to: MemberView, forUs: number): void {
    this.#did("cut", [from, to], [forUs]);
  }

  stall(from: MemberView, to: MemberView, forUs: number): void {
    this.#did("stall", [from, to], [forUs]);
  }

  // eslint-disable-next-line max-params -- the contract
  slow(from: MemberView, to: MemberView, extraUs: number, forUs: number): void {
    this.#did("slow", [from, to], [extraUs, forUs]);
  }

  reset(a: MemberView, b: MemberView): void {
    this.#did("reset", [a, b], []);
  }

  stallDisk(member: MemberView, forUs: number): void {
    this.#did("stallDisk", [member], [forUs]);
  }

  slowDisk(member: MemberView, extraUs: number, forUs: number): void {
    this.#did("slowDisk", [member], [extraUs, forUs]);
  }

  failDisk(member: MemberView, what: "write" | "read" | "sync"): void {
    this.#did("failDisk", [member], [what]);
  }

  dropCaches(member: MemberView): void {
    this.#did("dropCaches", [member], []);
  }

  fillDisk(member: MemberView, forUs: number, from: FullFrom = "now"): void {
    this.#did("fillDisk", [member], [forUs, from]);
  }

  rot(member: MemberView, random: Random): boolean {
    this.#did("rot", [member], []);
    return random.below(2) === 0;
  }

  skew(member: MemberView, ppm: number, forUs: number): void {
    this.#did("skew", [member], [ppm, forUs]);
  }

  /** There is always room for one more. */
  freePlace(): MemberView | undefined {
    return this.members.at(-1);
  }

  settle(place: MemberView, id: MemberId, join: readonly string[] | undefined): void {
    this.#did("settle", [place], [id, ...(join ?? ["waits"])]);
  }

  loseDisk(member: MemberView): void {
    this.#did("loseDisk", [member], []);
  }

  change(change: MembershipChange): void {
    this.#did("change", [], [change.type, "id" in change ? change.id : ""]);
  }

  ask(member: MemberView, wish: Wish, timeoutMs: number): void {
    this.#did("ask", [member], [JSON.stringify(wish), timeoutMs]);
  }

  get configuration(): Configuration {
    return votersOnly(
      this.members.map(({ id, incarnation = "" }) => ({ id, address: `${id}:1`, incarnation })),
    );
  }

  addressOf(member: MemberView): string {
    return `${member.id}:1`;
  }

  healNetwork(): void {
    this.#did("healNetwork", [], []);
  }

  #did(what: Deed["what"], whom: readonly MemberView[], how: Deed["how"]): void {
    this.deeds.push({ atUs: this.nowUs(), what, whom: whom.map(({ id }) => id), how });
  }
}

/** Begins a nemesis on a fresh stage; with `share` 1,000 it takes every occasion. */
export function rehearse(
  kind: string,
  given: { readonly members?: number; readonly seed?: number } & Partial<NemesisOptions> = {},
): { readonly stage: FakeStage; readonly observer: Observer } {
  const { members = 5, seed = 1, everyMs = 100, lastsMs = 2_000, share = 1_000 } = given;
  const stage = new FakeStage(members);
  const options: NemesisOptions = { kind, everyMs, lastsMs, share };
  return { stage, observer: nemesisOf(kind).begin(stage, options, new SeededRandom(seed)) };
}

/** Makes a member look as if it had this role. */
export function playRole(member: FakeMember, role: Role, term = 2): void {
  const log = { lastIndex: 0 } as CoreView["log"];
  const configuration = EMPTY_CONFIGURATION;
  const status = (): never => ({ configuration }) as never;
  member.core = { role, term, commit: 0, log, status } as Partial<CoreView> as CoreView;
}

/** An output with nothing in it but what is given. */
export function outputWith(given: Partial<Output>): Output {
  return {
    number: 1,
    hardState: undefined,
    reset: undefined,
    entries: [],
    messages: [],
    commit: 0,
    reads: [],
    loads: [],
    snapshots: [],
    events: [],
    ...given,
  };
}

/** A write that was answered by this member. */
export function doneWrite(member: MemberView): SimOperation {
  return {
    number: 1,
    client: "c1",
    member,
    kind: "write",
    input: undefined,
    calledUs: 0,
    maxStalenessUs: 0,
    outcome: "done",
    result: undefined,
    error: undefined,
    returnedUs: 1,
  };
}

function fakeMember(number: number): FakeMember {
  return {
    id: `n${number + 1}`,
    number,
    life: 1,
    state: "up",
    incarnation: `${number}`.repeat(32),
    core: undefined,
    durable: { log: { lastIndex: 1 } } as DurableView,
  };
}
