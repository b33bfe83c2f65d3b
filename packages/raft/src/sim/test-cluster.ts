/**
 * Small clusters in memory for ordinary unit tests of what is built on a replica: the real engine
 * over simulated disks and a simulated network that work, until the test says otherwise.
 *
 * A cluster of three is ready within milliseconds of the host's time, as time is virtual: it passes
 * only while somebody waits, and is not waited for. Nothing random happens; a test that passes
 * passes always. For trouble that comes by itself see `simulate`.
 */
import type { MemberId } from "../core/configuration.ts";
import { jsonCodec } from "../machine/json-codec.ts";
import type { AnyMachine } from "../machine/disk-machine.ts";
import type { Codec } from "../machine/state-machine.ts";
import { QuorateError } from "../util/error.ts";
import type { DeathKind } from "./observer.ts";
import type { DelayOptions, SimOptions } from "./options.ts";
import type { SimMember } from "./sim-member.ts";
import { SimWorld } from "./sim-world.ts";
import type { MachineOf, Subject } from "./sim-world.ts";
import { SimTestMember } from "./test-member.ts";
import type { TestMember } from "./test-member.ts";
import { RealTime, VirtualTime } from "./test-time.ts";
import type { TestTime } from "./test-time.ts";

/** Options of {@link testCluster}. */
export interface TestClusterOptions<Command, Query> {
  /**
   * Makes a machine for a process that starts; for a rolling upgrade: by member and life. One on
   * disk is made on `owner.storage`, which outlives the process: see `onSimDisk`.
   */
  readonly machine: (owner: MachineOf) => AnyMachine<Command, Query>;
  /** How commands are encoded. Default: JSON. */
  readonly codec?: Codec<Command>;
  /** How many members; they are called n1, n2, … Default 3. */
  readonly members?: number;
  /** `virtual` (default): as fast as the processor goes. `real`: as time passes outside. */
  readonly time?: "virtual" | "real";
  /** T, in ms. Default 150. */
  readonly electionTimeoutMs?: number;
  /** Decides what is drawn, such as who campaigns first. Default 1. */
  readonly seed?: number;
}

/**
 * A cluster in memory; see {@link testCluster}. Calls on its replicas let virtual time pass while
 * they wait, so tests just `await` them.
 */
export interface TestCluster<Command, Query> extends AsyncDisposable {
  /** All members, n1 first. */
  readonly members: ReadonlyArray<TestMember<Command, Query>>;
  /** Time since the cluster began, in ms. */
  readonly nowMs: number;
  /** The member of this id. */
  member(id: MemberId): TestMember<Command, Query>;
  /** Waits until a leader serves that a majority follows, and returns it. */
  leader(): Promise<TestMember<Command, Query>>;
  /** All that are up and do not lead now. */
  followers(): Array<TestMember<Command, Query>>;
  /** Lets time pass. */
  advance(ms: number): Promise<void>;
  /**
   * Lets time pass until the condition holds.
   *
   * @throws QuorateError TIMEOUT where it does not after so long. Default 60,000 ms.
   */
  until(condition: () => boolean, timeoutMs?: number): Promise<void>;
  /**
   * Cuts the network so that only members of the same group hear each other; members that are not
   * named are a group as well. Replaces earlier partitions.
   */
  partition(...groups: ReadonlyArray<readonly MemberId[]>): void;
  /** Everybody hears everybody again. */
  heal(): void;
  /** Closes all replicas, and ends time. */
  close(): Promise<void>;
}

const MS = 1_000;
const ELECTION_TIMEOUT_MS = 150;
const UNTIL_MS = 60_000;
const DOZEN = 12;

/**
 * Starts a cluster in memory and waits until its leader serves.
 *
 * @example
 * ```ts
 * await using cluster = await testCluster({ machine: () => new Counter(), members: 3 });
 * const leader = await cluster.leader();
 * await leader.replica.write(add(1));
 * leader.crash();
 * const next = await cluster.leader();
 * expect(await next.replica.read({ type: "total" })).toBe(1);
 * ```
 */
export async function testCluster<Command, Query>(
  options: TestClusterOptions<Command, Query>,
): Promise<TestCluster<Command, Query>> {
  const { members = 3 } = options;
  if (!Number.isInteger(members) || members < 1 || members > DOZEN) {
    throw new QuorateError("OPTION_INVALID", `members must be 1 to ${DOZEN}, not ${members}`);
  }
  const cluster = new SimTestCluster(options);
  await cluster.begin();
  return cluster;
}

class SimTestCluster<Command, Query> implements TestCluster<Command, Query> {
  readonly members: ReadonlyArray<SimTestMember<Command, Query>>;
  readonly #world: TestWorld;
  readonly #time: TestTime;

  constructor(options: TestClusterOptions<Command, Query>) {
    const { machine, codec, time = "virtual" } = options;
    const world = new TestWorld(optionsOf(options), {
      machine: machine as unknown as Subject["machine"],
      codec: codec ?? jsonCodec<Command>(),
    });
    this.#world = world;
    this.#time = time === "real" ? new RealTime(world) : new VirtualTime(world);
    this.members = world.members.map(
      (member) => new SimTestMember<Command, Query>({ world, member, time: this.#time }),
    );
    world.owners = this.members;
  }

  get nowMs(): number {
    return this.#time.nowMs();
  }

  async begin(): Promise<void> {
    for (const member of this.#world.members) member.start();
    await this.leader();
    await this.until(() => this.members.every(({ replica }) => leaderIn(replica.status())));
  }

  member(id: MemberId): TestMember<Command, Query> {
    const found = this.members.find((member) => member.id === id);
    if (found !== undefined) return found;
    throw new QuorateError("OPTION_INVALID", `there is no member ${id} in this cluster`);
  }

  async leader(): Promise<TestMember<Command, Query>> {
    let leader: TestMember<Command, Query> | undefined;
    await this.until(() => (leader = this.#servingLeader()) !== undefined);
    return leader!;
  }

  followers(): Array<TestMember<Command, Query>> {
    return this.members.filter((member) => member.state === "up" && !member.replica.isLeader);
  }

  advance(ms: number): Promise<void> {
    return this.#time.advance(ms);
  }

  until(condition: () => boolean, timeoutMs: number = UNTIL_MS): Promise<void> {
    const endMs = this.#time.nowMs() + timeoutMs;
    const { schedule } = this.#world;
    return this.#time.during(
      new Promise((resolve, reject) => {
        const look = (): void => {
          try {
            if (condition()) resolve();
            else if (this.#time.nowMs() < endMs) schedule.after(MS, look);
            else reject(new QuorateError("TIMEOUT", `did not come about in ${timeoutMs} ms`));
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
          }
        };
        look();
      }),
    );
  }

  partition(...groups: ReadonlyArray<readonly MemberId[]>): void {
    for (const id of groups.flat()) this.member(id);
    this.heal();
    const groupOf = (id: MemberId): number => groups.findIndex((group) => group.includes(id));
    const { members, network } = this.#world;
    for (const from of members) {
      for (const to of members) {
        if (groupOf(from.id) !== groupOf(to.id)) network.cut(from.address, to.address);
      }
    }
    this.#time.wake();
  }

  heal(): void {
    this.#world.network.healAll();
    this.#time.wake();
  }

  async close(): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop()));
    for (const member of this.#world.members) member.die("kill");
    this.#time.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The leader of the newest term, if it serves and a majority knows it. */
  #servingLeader(): TestMember<Command, Query> | undefined {
    const up = this.members.filter((member) => member.state === "up");
    const leaders = up.filter(({ replica }) => replica.isLeader);
    const leader = leaders.find(({ id }) => {
      const following = up.filter(({ replica }) => replica.status().leader === id);
      return following.length >= this.#world.majority;
    });
    return leader;
  }
}

/** Who is told of the ends of a member. */
interface Owner {
  failure: QuorateError | undefined;
  died(how: DeathKind): void;
}

/** A world in which it is no violation that a member fails: tests make them fail. */
class TestWorld extends SimWorld {
  owners: readonly Owner[] = [];

  override died(member: SimMember, how: DeathKind): void {
    this.network.died(member.address);
    this.audience.died(member, how);
    this.owners[member.number]?.died(how);
  }

  override failed(member: SimMember, error: QuorateError): void {
    this.#note(member, error);
  }

  override refused(member: SimMember, error: unknown): void {
    this.#note(member, error);
  }

  #note(member: SimMember, error: unknown): void {
    const owner = this.owners[member.number];
    if (owner !== undefined && QuorateError.is(error)) owner.failure = error;
  }
}

function leaderIn(status: { readonly leader: MemberId | undefined }): boolean {
  return status.leader !== undefined;
}

function steady(minUs: number, maxUs: number): DelayOptions {
  return { minUs, maxUs, tailShare: 0, tailMaxUs: maxUs };
}

/** Everything works, and quickly. */
function optionsOf<Command, Query>(options: TestClusterOptions<Command, Query>): SimOptions {
  const { members = 3, electionTimeoutMs = ELECTION_TIMEOUT_MS, seed = 1 } = options;
  return {
    seed,
    members,
    electionTimeoutMs,
    heartbeatIntervalMs: Math.max(1, Math.floor(electionTimeoutMs / 10)),
    leaseReads: false,
    segmentBytes: SEGMENT_BYTES,
    limits: {},
    faultyMs: 0,
    network: {
      mode: "messages",
      delay: steady(50, 150),
      lossShare: 0,
      duplicateShare: 0,
      bytesPerSecond: 0,
    },
    disk: { write: steady(20, 80), other: steady(5, 20) },
    clock: { rateSpreadPpm: 0, driftBoundPpm: 10_000, lateShare: 0, lateMaxUs: 0, turnUs: 5 },
    nemeses: [],
    clients: {
      closed: 0,
      open: 0,
      openPerSecond: 0,
      thinkMaxMs: 0,
      timeoutMaxMs: 0,
      keys: 0,
      readShare: 0,
      localReadShare: 0,
      leaseReadShare: 0,
      staleReadShare: 0,
      stalenessMaxMs: 0,
      valueBytesMax: 0,
    },
  };
}

/** Room for commands of 64 KiB, and little to prepare at a start. */
const SEGMENT_BYTES = 262_144;
