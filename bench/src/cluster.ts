/** Three members of one system, from start to measured window to end. */
import { setTimeout as sleep } from "node:timers/promises";
import { machineTime, shareOfOthers } from "./machine-load.ts";
import { memberProgram } from "./library-systems.ts";
import type { LoopDelay } from "./loop-delay.ts";
import { freePorts } from "./ports.ts";
import { RemoteMember } from "./remote-member.ts";
import { isFloor } from "./protocol.ts";
import type { MemberSample, MemberSetup, SystemName } from "./protocol.ts";

const MEMBERS = ["n1", "n2", "n3"] as const;
const READY_TIMEOUT_MS = 30_000;

/** One measured window. Processor times are per committed entry. */
export interface Window {
  readonly entriesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly cpuLeaderUs: number;
  readonly cpuFollowersUs: readonly number[];
  readonly entriesPerWrite: number | undefined;
  readonly leaderRssBytes: number;
  /** Of the event loops, the leader first; undefined where a system has none. */
  readonly loopDelays: readonly (LoopDelay | undefined)[];
  /** The share of the machine that went elsewhere meanwhile; undefined where it is not known. */
  readonly othersShare: number | undefined;
}

/** How long the load runs before and while it is counted. */
export interface WindowOptions {
  readonly outstanding: number;
  readonly valueBytes: number;
  readonly warmUpMs: number;
  readonly windowMs: number;
}

/** A running cluster with a known leader. */
export class Cluster {
  readonly #members: readonly RemoteMember[];
  #leader: RemoteMember;

  private constructor(members: readonly RemoteMember[]) {
    this.#members = members;
    this.#leader = members[0]!;
  }

  /** Starts three members and waits until one of them can take load. */
  static async start(
    system: SystemName,
    directory: string,
    nodeFlags: readonly string[],
  ): Promise<Cluster> {
    const program = memberProgram(system, nodeFlags);
    const cluster = new Cluster(MEMBERS.map((id) => new RemoteMember(id, program)));
    try {
      await cluster.#open(system, directory);
      await cluster.#findLeader();
      return cluster;
    } catch (error) {
      await cluster.end();
      throw error;
    }
  }

  /**
   * Runs the load without measuring. A member that has been up for a moment runs half compiled;
   * what is measured is one that has been up for long.
   */
  async warmUp(options: WindowOptions, forMs: number): Promise<void> {
    const { outstanding, valueBytes } = options;
    await this.#leader.ask({ type: "start", outstanding, valueBytes });
    await sleep(forMs);
    await this.#leader.ask({ type: "stop" });
  }

  /** Runs the load on the leader and measures one window of it. */
  async measure(options: WindowOptions): Promise<Window> {
    const leader = this.#leader;
    const followers = this.#members.filter((member) => member !== leader);
    const term = (await leader.ask({ type: "ready" })).term;
    await leader.ask({
      type: "start",
      outstanding: options.outstanding,
      valueBytes: options.valueBytes,
    });
    await sleep(options.warmUpMs);
    const machineBefore = machineTime();
    const before = await sampleAll([leader, ...followers], true);
    await sleep(options.windowMs);
    const after = await sampleAll([leader, ...followers], false);
    const machineAfter = machineTime();
    await leader.ask({ type: "stop" });
    const now = await leader.ask({ type: "ready" });
    if (!now.leads || now.term !== term) {
      throw new Error("the leadership changed during a window: the run is void");
    }
    const ownUs = sum(after.map((end, i) => end.cpuUs - before[i]!.cpuUs));
    const othersShare = shareOfOthers(machineBefore, machineAfter, ownUs);
    return { ...windowOf(before, after), othersShare };
  }

  async end(): Promise<void> {
    await Promise.allSettled(this.#members.map((member) => member.ask({ type: "close" })));
    await Promise.all(this.#members.map((member) => member.end()));
  }

  async #open(system: SystemName, directory: string): Promise<void> {
    const ports = await freePorts(MEMBERS.length);
    const members = MEMBERS.map((id, i) => ({ id, address: `127.0.0.1:${ports[i]!}` }));
    const setup = (id: string, leaderPort: number | undefined): MemberSetup => ({
      system,
      id,
      directory,
      members,
      leaderPort,
    });
    if (isFloor(system)) {
      const [leader, ...followers] = this.#members;
      const { port } = await leader!.ask({ type: "open", setup: setup(leader!.id, undefined) });
      await Promise.all(
        followers.map((member) => member.ask({ type: "open", setup: setup(member.id, port) })),
      );
      return;
    }
    await Promise.all(
      this.#members.map((member) =>
        member.ask({ type: "open", setup: setup(member.id, undefined) }),
      ),
    );
  }

  async #findLeader(): Promise<void> {
    const deadline = performance.now() + READY_TIMEOUT_MS;
    for (;;) {
      for (const member of this.#members) {
        if (!(await member.ask({ type: "ready" })).leads) continue;
        this.#leader = member;
        return;
      }
      if (performance.now() > deadline) throw new Error("no member leads after 30 s");
      await sleep(20);
    }
  }
}

function sampleAll(members: readonly RemoteMember[], reset: boolean): Promise<MemberSample[]> {
  return Promise.all(members.map((member) => member.ask({ type: "sample", reset })));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function windowOf(
  before: readonly MemberSample[],
  after: readonly MemberSample[],
): Omit<Window, "othersShare"> {
  const [leader] = after;
  const entries = leader!.load.entries;
  const elapsedMs = leader!.atMs - before[0]!.atMs;
  const perMs = entries / elapsedMs;
  // Each member is measured over its own window: the samples are not taken at the same instant.
  const cpu = after.map((end, i) => {
    const begin = before[i]!;
    return (end.cpuUs - begin.cpuUs) / ((end.atMs - begin.atMs) * perMs);
  });
  const writes = (leader!.logWrites ?? 0) - (before[0]!.logWrites ?? 0);
  return {
    entriesPerSecond: perMs * 1000,
    p50Ms: leader!.load.p50Ms,
    p99Ms: leader!.load.p99Ms,
    maxMs: leader!.load.maxMs,
    cpuLeaderUs: cpu[0]!,
    cpuFollowersUs: cpu.slice(1),
    entriesPerWrite: leader!.logWrites === undefined || writes === 0 ? undefined : entries / writes,
    leaderRssBytes: leader!.rssBytes,
    loopDelays: after.map(({ loopDelay }) => loopDelay),
  };
}
