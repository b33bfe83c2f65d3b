/**
 * A small world for tests of the runtime: members over a network and disks in memory, under a clock
 * that stands still until the test lets it go on. The engine is the real one.
 *
 * Virtual time goes in steps of 1 ms; between two steps everything that is ready happens (promises,
 * disk completions). So a run is the same every time, and seconds of virtual time take
 * milliseconds.
 */
import type { MemberId } from "../core/configuration.ts";
import type { RaftInputs } from "../core/contract.ts";
import type { MembershipChange, MembershipResult } from "../core/membership-change.ts";
import { Raft } from "../core/raft.ts";
import { SimDisk } from "../disk/sim-disk.ts";
import { hostOf } from "../machine/disk-host.ts";
import type { DiskStateMachine } from "../machine/disk-machine.ts";
import { InProcessMachine } from "../machine/in-process-machine.ts";
import { jsonCodec } from "../machine/json-codec.ts";
import { readJson } from "../machine/read-json.ts";
import type { StateMachine, Returns } from "../machine/state-machine.ts";
import { ManualClock } from "../transport/manual-clock.ts";
import { MemoryNetwork } from "../transport/memory-streams.ts";
import { MemoryTransport } from "../transport/memory-transport.ts";
import type { Clock, Timer } from "../util/clock.ts";
import { crc32 } from "../util/checksum.ts";
import { QuorateError } from "../util/error.ts";
import { SeededRandom } from "../util/random.ts";
import { openEngine } from "./engine.ts";
import { LIMITS } from "./limits.ts";
import { nodeDigest } from "./node-checksum.ts";
import { resolveOptions } from "./options.ts";
import { ReplicaHandle } from "./replica-handle.ts";
import type { Replica, ReplicaEvent, ReplicaOptions, StaticMember } from "./replica.ts";

export type Add = { type: "add"; amount: number } & Returns<number>;
export type Boom = { type: "boom" } & Returns<never>;
export type Pad = { type: "pad"; text: string } & Returns<number>;
export type Command = Add | Boom | Pad;
export type Total = { type: "total" } & Returns<number>;
export type Later = { type: "later"; of: Promise<number> } & Returns<number>;
export type Query = Total | Later | ({ type: "throw" } & Returns<never>);

export const add = (amount = 1): Add => ({ type: "add", amount });
export const total: Total = { type: "total" };

/** Adds up. Knows how often it was asked, and throws when told to. */
export class Counter implements StateMachine<Command, Query> {
  total = 0;
  applies = 0;
  onApply: (() => void) | undefined;

  apply(command: Command): number {
    this.applies++;
    this.onApply?.();
    if (command.type === "boom") throw new Error("boom");
    if (command.type === "add") this.total += command.amount;
    return this.total;
  }

  query(query: Query): number | Promise<number> {
    if (query.type === "throw") throw new Error("no answer");
    return query.type === "later" ? query.of : this.total;
  }

  /** What `snapshot` returns instead. */
  onSnapshot: (() => unknown) | undefined;
  /** What `restore` waits for. */
  onRestore: (() => Promise<void>) | undefined;

  snapshot(): unknown {
    return this.onSnapshot === undefined ? this.total : this.onSnapshot();
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    await this.onRestore?.();
    this.total = await readJson<number>(chunks);
  }
}

export type Node = Replica<Command, Query>;

/** The clock of one member: it can stand still as a stopped process does, and jump. */
export class MemberClock implements Clock {
  readonly #clock: ManualClock;
  /** Added at every look, so that no two are the same: a turn takes time on a real clock. */
  perLookMs = 0;
  #skippedMs = 0;
  #held: (() => void)[] | undefined;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  nowMs(): number {
    this.#skippedMs += this.perLookMs;
    return this.#clock.nowMs() + this.#skippedMs;
  }

  soon(task: () => void): void {
    this.#clock.soon(() => this.#run(task));
  }

  setTimer(delayMs: number, task: () => void): Timer {
    let isCancelled = false;
    const timer = this.#clock.setTimer(delayMs, () =>
      this.#run(() => {
        if (!isCancelled) task();
      }),
    );
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  /** Time passes for this member alone, as during a long call. */
  skip(ms: number): void {
    this.#skippedMs += ms;
  }

  /** The process is stopped: nothing of it runs. */
  stop(): void {
    this.#held ??= [];
  }

  /** It goes on: what was due runs first. */
  resume(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const task of held) task();
  }

  #run(task: () => void): void {
    if (this.#held === undefined) task();
    else this.#held.push(task);
  }
}

/** One member that was opened in a world. */
export interface Opened {
  readonly clock: MemberClock;
  readonly node: Node;
  readonly machine: Counter;
  readonly transport: MemoryTransport;
  readonly events: ReplicaEvent[];
  /** Asks this member's core for a change of membership. */
  change(change: MembershipChange): MembershipResult;
}

/** T of all members, virtual. */
export const T = 200;

export class World {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork({ clock: this.clock });
  readonly disks = new Map<MemberId, SimDisk>();
  /** Makes machines on disk, where members are to have such. */
  machines: ((disk: SimDisk, id: MemberId) => DiskStateMachine<Command, Query>) | undefined;
  readonly #random: SeededRandom;

  constructor(seed = 1) {
    this.#random = new SeededRandom(seed);
  }

  /** The list n1 … n<count>. */
  static members(count: number): StaticMember[] {
    return Array.from({ length: count }, (_, i) => ({
      id: `n${i + 1}`,
      address: `n${i + 1}:${9091 + i}`,
    }));
  }

  disk(id: MemberId): SimDisk {
    let disk = this.disks.get(id);
    if (disk === undefined) this.disks.set(id, (disk = new SimDisk()));
    return disk;
  }

  /** Power loss: the member finds its disk as a real one would be found. */
  crashDisk(id: MemberId): void {
    this.disks.set(id, this.disk(id).crash(this.#random));
  }

  /** The directory is gone. */
  wipe(id: MemberId): void {
    this.disks.set(id, new SimDisk());
  }

  async open(
    id: MemberId,
    start: ReplicaOptions<Command, Query>["start"],
    overrides: Partial<ReplicaOptions<Command, Query>> = {},
  ): Promise<Opened> {
    return this.until(this.opening(id, start, overrides));
  }

  /** Opens without letting time pass. */
  async opening(
    id: MemberId,
    start: ReplicaOptions<Command, Query>["start"],
    overrides: Partial<ReplicaOptions<Command, Query>> = {},
  ): Promise<Opened> {
    const listen = overrides.listen ?? `${id}:${9090 + Number(id.slice(1))}`;
    const random = new SeededRandom(this.#random.below(0x1_0000_0000));
    const transport = new MemoryTransport({
      network: this.network,
      listen,
      random,
      checksum: crc32,
      limits: LIMITS,
    });
    const clock = new MemberClock(this.clock);
    const disk = this.disk(id);
    const machine = (overrides.machine as Counter | undefined) ?? new Counter();
    const onDisk = this.machines?.(disk, id);
    const ports = { clock, random, disk, transport, checksum: crc32, digest: nodeDigest };
    const options = resolveOptions<Command, Query>({
      id,
      listen,
      dataDir: `/data/${id}`,
      machine,
      electionTimeoutMs: T,
      ...overrides,
      ...(start === undefined ? {} : { start }),
    });
    // Far below what the options allow: preparing segments is most of the work of a short life.
    const segmentBytes = overrides.segmentBytes ?? 65_536;
    const codec = jsonCodec<Command>();
    let core: RaftInputs | undefined;
    const engine = await openEngine(
      {
        ...ports,
        core: (raftOptions, recovered, nowMs) => (core = new Raft(raftOptions, recovered, nowMs)),
      },
      { ...options, segmentBytes },
      onDisk === undefined ? new InProcessMachine(machine, codec) : hostOf(onDisk, codec),
    );
    const node: Node = new ReplicaHandle<Command, Query>(engine, codec);
    const events: ReplicaEvent[] = [];
    node.onAny((event) => events.push(event));
    const change = (asked: MembershipChange): MembershipResult => {
      const result = core!.changeMembership(clock.nowMs(), asked);
      engine.host.wake();
      return result;
    };
    return { node, machine, transport, events, clock, change };
  }

  /** Opens n1 … n<count> with the same list. */
  async cluster(
    count: number,
    overrides: Partial<ReplicaOptions<Command, Query>> = {},
  ): Promise<Opened[]> {
    const members = World.members(count);
    return this.until(
      Promise.all(members.map(({ id }) => this.opening(id, { members }, overrides))),
    );
  }

  /** Opens a cluster and waits for a leader that serves. */
  async served(
    count: number,
    overrides: Partial<ReplicaOptions<Command, Query>> = {},
  ): Promise<{ all: Opened[]; leader: Opened; followers: Opened[] }> {
    const all = await this.cluster(count, overrides);
    await this.when(() => all.some(({ node }) => node.isLeader), "a leader");
    await this.when(
      () => all.every(({ node }) => node.status().leader !== undefined),
      "everybody knows the leader",
    );
    const leader = all.find(({ node }) => node.isLeader)!;
    return { all, leader, followers: all.filter((opened) => opened !== leader) };
  }

  /** Lets time pass. */
  async run(ms: number): Promise<void> {
    for (let i = 0; i < ms; i++) await this.#step();
  }

  /** Lets time pass until the promise settles; fails after a virtual minute. */
  async until<R>(promise: Promise<R>, maxMs = 60_000): Promise<R> {
    const state = { settled: false };
    const end = async (): Promise<void> => {
      await Promise.allSettled([promise]);
      state.settled = true;
    };
    const ended = end();
    await breathe();
    for (let ms = 0; !state.settled; ms++) {
      if (ms > maxMs) throw new Error(`nothing settled in ${maxMs} ms of virtual time`);
      await this.#step();
    }
    await ended;
    return promise;
  }

  async when(condition: () => boolean, what: string, maxMs = 20_000): Promise<void> {
    for (let ms = 0; !condition(); ms++) {
      if (ms > maxMs) throw new Error(`${what}: did not come about in ${maxMs} ms of virtual time`);
      await this.#step();
    }
  }

  /** The time that a promise takes, and how it ends. */
  async timed<R>(promise: Promise<R>): Promise<{ ms: number; value?: R; error?: QuorateError }> {
    const startMs = this.clock.nowMs();
    try {
      const value = await this.until(promise);
      return { ms: this.clock.nowMs() - startMs, value };
    } catch (error) {
      if (!QuorateError.is(error)) throw error;
      return { ms: this.clock.nowMs() - startMs, error };
    }
  }

  /** Cuts `id` off from everybody, in both directions. */
  isolate(id: MemberId, all: readonly Opened[]): void {
    const own = addressOf(all, id);
    for (const { node } of all) {
      if (node.id === id) continue;
      const other = addressOf(all, node.id);
      this.network.cut(own, other);
      this.network.cut(other, own);
    }
  }

  async close(all: readonly Opened[]): Promise<void> {
    await this.until(Promise.all(all.map(({ node }) => node.close())));
  }

  async #step(): Promise<void> {
    this.clock.advance(1);
    await breathe();
  }
}

function addressOf(all: readonly Opened[], id: MemberId): string {
  return all.find(({ node }) => node.id === id)!.transport.address;
}

/** Lets everything that waits for a promise happen. */
function breathe(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** The error a promise rejects with. */
export async function errorOf(promise: Promise<unknown>): Promise<QuorateError> {
  try {
    await promise;
  } catch (error) {
    if (QuorateError.is(error)) return error;
    throw error;
  }
  throw new Error("want a rejection");
}
