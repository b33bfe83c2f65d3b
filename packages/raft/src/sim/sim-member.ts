/**
 * One member of a simulated cluster over all its lives: its disk stays, its processes come and go.
 *
 * A life is: start → the engine opens on what the disk holds → it serves → it dies. Death takes the
 * process at whatever point it is; what the dead one still wants to do reaches nobody (process.ts,
 * sim-disk.ts). Its callers learn nothing: their operations end as unknown.
 *
 * A replica that stops by itself counts as a process that exits, as the server's does, and is
 * started again a while later. A member that refuses to start since its log is damaged is `lost`:
 * that is right where the fault atlas damaged it, and a violation everywhere else.
 */
import { DiskError } from "../disk/disk.ts";
import { Raft } from "../core/raft.ts";
import type { Incarnation, MemberId } from "../core/configuration.ts";
import type { MembershipChange } from "../core/membership-change.ts";
import type { RaftInputs, RaftOptions, RecoveredGroup } from "../core/contract.ts";
import type { Disk } from "../disk/disk.ts";
import { isDiskMachine } from "../machine/disk-machine.ts";
import type { MachineHost } from "../machine/machine-host.ts";
import type { MachineStorage } from "../machine/machine-storage.ts";
import { openEngine } from "../runtime/engine.ts";
import type { Engine } from "../runtime/engine.ts";
import { resolveOptions } from "../runtime/options.ts";
import type { EngineOptions } from "../runtime/options.ts";
import type { SimOptions } from "./options.ts";
import { ReplicaHandle } from "../runtime/replica-handle.ts";
import type {
  CloseOptions,
  Replica,
  ReplicaEvent,
  StartOptions,
  StaticMember,
} from "../runtime/replica.ts";
import { QuorateError } from "../util/error.ts";
import type { Random, SeededRandom } from "../util/random.ts";
import type { MemberDisk } from "./member-disk.ts";
import { MemberClock } from "./member-clock.ts";
import type { AppliedCommand, CoreView, DeathKind, MemberView } from "./observer.ts";
import { DurableState, Probe } from "./probe.ts";
import { SimProcess } from "./process.ts";
import { onSimDisk } from "./on-sim-disk.ts";
import { chance } from "./random-streams.ts";
import type { SimWorld } from "./sim-world.ts";
import { simCodec, SimMachineHost } from "./workload/sim-codec.ts";
import type { NumberedCommand } from "./workload/sim-codec.ts";
import { SimDiskHost } from "./workload/sim-disk-host.ts";
import { sha256 } from "./sha256.ts";

/** Processes that go on with their timers instead of what waits in their sockets, per mille. */
const TIMERS_FIRST_SHARE = 500;

const HOUR_MS = 3_600_000;
/** Changes that a machine on disk gathers where a run does not say it. */
const CHANGES_PER_COMMIT = 4;

/** Where a member is in its lives. */
export type MemberState = MemberView["state"];

/** A member. */
export class SimMember implements MemberView {
  id: MemberId;
  readonly number: number;
  readonly address: string;
  readonly disk: MemberDisk;
  readonly durable: DurableState;
  life = 0;
  state: MemberState = "down";
  process: SimProcess | undefined;
  replica: Replica<NumberedCommand<unknown>, unknown> | undefined;
  /** The state machine of this life. */
  machine: unknown;
  /** Whether that lives on its disk. */
  isOnDisk = false;
  /** The clock of this life; its rate can be changed. */
  clock: MemberClock | undefined;
  /** Whether it ever knew its cluster: its core existed in some life. */
  wasFormed = false;
  /** Nobody starts it for now. */
  isHeldDown = false;
  incarnation: Incarnation | undefined;
  /** How its directory begins; undefined for a spare place that nobody has taken. */
  #beginning: StartOptions | undefined;
  readonly #world: SimWorld;
  readonly #ppm: number;
  readonly #random: SeededRandom;
  #probe: Probe | undefined;
  #engine: Engine | undefined;
  /** What its feed of changes shows next. */
  #nextChange = 1;

  constructor(world: SimWorld, number: number, disk: MemberDisk) {
    this.#world = world;
    this.number = number;
    this.id = `n${number + 1}`;
    this.address = addressOf(number);
    this.disk = disk;
    const { members } = world.options;
    if (number < members) this.#beginning = { members: membersOf(members) };
    this.durable = new DurableState(world.checksum);
    this.#random = world.streams.stream(`member ${this.id}`);
    const { rateSpreadPpm } = world.options.clock;
    this.#ppm = this.#random.below(2 * rateSpreadPpm + 1) - rateSpreadPpm;
  }

  get core(): CoreView | undefined {
    return this.#probe;
  }

  /** The engine of this life, once it is open: for checks at the end of a run. */
  get engine(): Engine | undefined {
    return this.#engine;
  }

  /** For streams of randomness: of two directories of one id each has its own. */
  get #name(): string {
    const own = `n${this.number + 1}`;
    return this.id === own ? own : `${this.id} in the place of ${own}`;
  }

  /** A spare place that nobody has taken. */
  get isFree(): boolean {
    return this.#beginning === undefined;
  }

  /** A member of that id begins in this spare place, on an empty directory. */
  settle(id: MemberId, beginning: StartOptions): void {
    this.id = id;
    this.#beginning = beginning;
    this.start();
  }

  /** The disk is gone, and the process with it: it never starts again. */
  lose(): void {
    this.die("power");
    this.state = "lost";
  }

  /** Asks the core for a change of membership, as the leader. */
  change(change: MembershipChange): void {
    const { process } = this;
    process?.enter(() => {
      this.#probe?.changeMembership(this.clock!.nowMs(), change);
      this.#engine?.host.wake();
    });
  }

  /** Whether its process exists. */
  get isUp(): boolean {
    return this.state === "up" || this.state === "paused";
  }

  /** Starts a process on what the disk holds. Nothing happens where one runs or can never run. */
  start(): void {
    if ((this.state !== "down" && this.state !== "failed") || this.isHeldDown || this.isFree)
      return;
    this.life++;
    this.state = "starting";
    const process = new SimProcess((kind) => this.#world.counted(kind));
    this.process = process;
    this.#world.counted("disk");
    this.#world.audience.started(this);
    const ports = this.#ports(process);
    const host = this.#machineHost(process, ports.disk);
    openEngine(ports, this.#options(), host).then(
      (engine) => this.#opened(process, engine),
      (error: unknown) => this.#refused(process, error),
    );
  }

  #machineHost(process: SimProcess, disk: Disk): MachineHost<unknown> {
    const { subject, options, checksum } = this.#world;
    const { codec, storeMachine } = subject;
    const applied = (command: AppliedCommand): void => this.#applied(process, command);
    const { onDisk } = options;
    const directory = `/data/${this.id}/machine`;
    const changesPerCommit = onDisk ?? CHANGES_PER_COMMIT;
    const storage: MachineStorage = { disk, directory, checksum, changesPerCommit };
    if (onDisk !== undefined && storeMachine !== undefined) {
      const inner = storeMachine();
      this.machine = inner;
      this.isOnDisk = true;
      const machine = onSimDisk<unknown, unknown>(inner as never, storage);
      return new SimDiskHost({ machine, codec, checksum, applied });
    }
    const machine = subject.machine({ id: this.id, life: this.life, storage });
    this.machine = machine;
    this.isOnDisk = isDiskMachine<unknown, unknown>(machine);
    return isDiskMachine<unknown, unknown>(machine)
      ? new SimDiskHost({ machine, codec, checksum, applied })
      : new SimMachineHost({ machine: machine as never, codec, checksum, applied });
  }

  /** The process dies: of itself, by a signal, or with the power. */
  die(how: "power" | "kill" | "failed"): void {
    const { process } = this;
    if (process === undefined || process.isDead) return;
    this.disk.die(how === "power" ? "power" : "kill");
    this.#gone(process, how);
  }

  /** The disk died under the process at an operation of its choice. */
  diedAtDisk(how: "power" | "kill"): void {
    const { process } = this;
    if (process !== undefined && !process.isDead) this.#gone(process, how);
  }

  /** Closes the replica in an orderly way; the process ends when that is done. */
  close(whenClosed: () => void, options: CloseOptions = {}): void {
    const { process, replica } = this;
    if (process === undefined || replica === undefined || this.state !== "up") return;
    // Behind an orderly end there is a chain as long as behind the log.
    process.enter(() => {
      replica.close(options).then(
        () => {
          if (process.isDead) return;
          this.disk.die("kill");
          this.#gone(process, "close");
          whenClosed();
        },
        (error: unknown) => this.#world.broken("close-never-rejects", `${this.id}: close`, error),
      );
    }, "disk");
  }

  /** Stands still, also in the middle of a start. */
  pause(): void {
    if (this.state !== "up" && this.state !== "starting") return;
    this.process?.pause();
    this.state = "paused";
    this.#world.audience.paused(this, true);
  }

  resume(): void {
    if (this.state !== "paused") return;
    this.state = this.replica === undefined ? "starting" : "up";
    this.#world.audience.paused(this, false);
    const timersFirst = chance(this.#random, TIMERS_FIRST_SHARE);
    this.process?.resume({ schedule: this.#world.schedule, timersFirst });
  }

  #opened(process: SimProcess, engine: Engine): void {
    // The process may have died in the moment in which it was ready.
    if (process.isDead) return;
    this.#engine = engine;
    this.replica = new ReplicaHandle<NumberedCommand<unknown>, unknown>(
      engine,
      simCodec(this.#world.subject.codec),
    );
    if (this.state === "starting") this.state = "up";
    this.replica.onAny((event) => this.#event(process, event));
    void this.#follow(process, this.replica);
    // What happened before anybody could listen.
    const { failure } = engine.group;
    if (failure === undefined) return;
    if (failure.code === "REMOVED") {
      this.#event(process, { type: "removed", reason: failure.message });
    } else this.#event(process, { type: "failed", error: failure });
  }

  /** Reads the feed of changes of this life, from where the last one ended. */
  async #follow(
    process: SimProcess,
    replica: Replica<NumberedCommand<unknown>, unknown>,
  ): Promise<void> {
    const { audience } = this.#world;
    try {
      for await (const change of replica.changes({ from: this.#nextChange })) {
        if (process.isDead) return;
        const { index, timeMs, command } = change;
        this.#nextChange = index + 1;
        audience.changed(this, { index, timeMs, operation: command.operation });
      }
    } catch (error) {
      // Who closes takes no call any more, nor a feed that is to go on elsewhere.
      const isClosing = QuorateError.is(error) && error.code === "CLOSED";
      if (process.isDead || isClosing || replica.status().state !== "running") return;
      // A read of the log that failed: what comes next is asked for again, as a consumer would.
      if (QuorateError.is(error) && error.cause instanceof DiskError) {
        return this.#follow(process, replica);
      }
      const firstIndex = QuorateError.is(error) ? error.firstIndex : undefined;
      if (firstIndex === undefined || firstIndex <= this.#nextChange) {
        this.#world.broken("changes-whole", `${this.id}: its feed of changes ends`, error);
        return;
      }
      this.#nextChange = firstIndex;
      audience.changesCompacted(this, firstIndex);
      await this.#follow(process, replica);
    }
  }

  #refused(process: SimProcess, error: unknown): void {
    if (process.isDead) return;
    this.disk.die("kill");
    this.#gone(process, "refused");
    this.#world.refused(this, error);
  }

  #event(process: SimProcess, event: ReplicaEvent): void {
    if (process.isDead) return;
    this.#world.audience.event(this, event);
    const reason = removalOf(event);
    if (reason !== undefined) {
      this.#world.removed(this, reason);
      this.die("failed");
      this.state = "removed";
      return;
    }
    if (event.type !== "failed") return;
    this.#world.failed(this, event.error);
    this.die("failed");
  }

  #applied(process: SimProcess, command: AppliedCommand): void {
    if (!process.isDead) this.#world.audience.applied(this, command);
  }

  #gone(process: SimProcess, how: DeathKind): void {
    process.die();
    this.process = undefined;
    this.replica = undefined;
    this.#engine = undefined;
    this.#probe = undefined;
    this.machine = undefined;
    this.clock = undefined;
    this.state = how === "failed" || how === "refused" ? "failed" : "down";
    this.#world.died(this, how);
  }

  #ports(process: SimProcess): Parameters<typeof openEngine>[0] {
    const world = this.#world;
    const { schedule, checksum } = world;
    const random: Random = world.streams.stream(`${this.#name} life ${this.life}`);
    const clock = new MemberClock({
      schedule,
      process,
      options: world.options.clock,
      random: world.streams.stream(`${this.#name} clock ${this.life}`),
      ppm: this.#ppm,
    });
    this.clock = clock;
    const transport = world.network.transport({
      id: this.id,
      address: this.address,
      process,
      clock,
      random,
      // Promises of a dead process may still run for a while; nothing of that reaches anybody.
      sent: (to, message) => {
        if (!process.isDead) world.audience.sent(this, to, message);
      },
      delivered: (from, message) => {
        if (!process.isDead) world.audience.delivered(this, from, message);
      },
    });
    return {
      clock,
      random,
      disk: this.disk.begin(process),
      transport,
      checksum,
      digest: sha256,
      core: (options, recovered, nowMs) => this.#makeCore(process, options, recovered, nowMs),
    };
  }

  // eslint-disable-next-line max-params -- the shape of CoreFactory and one more
  #makeCore(
    process: SimProcess,
    options: RaftOptions,
    recovered: RecoveredGroup,
    nowMs: number,
  ): RaftInputs {
    const world = this.#world;
    this.incarnation = options.incarnation;
    const core = new Raft({ ...options, ...world.options.limits }, recovered, nowMs);
    if (process.isDead) return core;
    world.audience.recovered(this, recovered);
    this.durable.recover(recovered);
    const probe: Probe = new Probe(core, {
      recovered,
      durable: this.durable,
      checksum: world.checksum,
      events: {
        output: (output) => {
          if (this.#probe === probe) world.audience.output(this, output);
        },
        persisted: (output) => {
          if (this.#probe === probe) world.audience.persisted(this, output);
        },
      },
    });
    this.#probe = probe;
    this.wasFormed = true;
    return probe;
  }

  #options(): EngineOptions {
    const { options } = this.#world;
    const { electionTimeoutMs, heartbeatIntervalMs, leaseReads, clock } = options;
    const { sessionTimeoutMs = HOUR_MS } = options;
    const resolved = resolveOptions<unknown, unknown>({
      id: this.id,
      listen: this.address,
      dataDir: `/data/${this.id}`,
      machine: {} as never,
      ...(this.#beginning === undefined ? {} : { start: this.#beginning }),
      electionTimeoutMs,
      heartbeatIntervalMs,
      sessionTimeoutMs,
      leaseReads,
      clockDriftBoundPpm: clock.driftBoundPpm,
    });
    // Far below what the options of a replica allow: small segments end sooner.
    const { segmentBytes } = options;
    return {
      ...resolved,
      segmentBytes,
      commandBytesMax: Math.floor(segmentBytes / 4),
      snapshot: { ...resolved.snapshot, ...snapshotsOf(options, electionTimeoutMs) },
    };
  }
}

function snapshotsOf(
  { snapshots }: SimOptions,
  electionTimeoutMs: number,
): Partial<EngineOptions["snapshot"]> {
  // What does not move for so long is given up: soon, so that a run sees it.
  const progressTimeoutMs = 5 * electionTimeoutMs;
  if (snapshots === undefined) return { progressTimeoutMs };
  const { bytesPerSecond: sendBytesPerSecond, ...rest } = snapshots;
  return { ...rest, sendBytesPerSecond, progressTimeoutMs };
}

/** The address of a member by its number. */
export function addressOf(number: number): string {
  return `n${number + 1}:${9_091 + number}`;
}

/** The static list of a cluster of so many. */
export function membersOf(count: number): StaticMember[] {
  return Array.from({ length: count }, (_, i) => ({ id: `n${i + 1}`, address: addressOf(i) }));
}

/** The code of an error of ours; its name where it is none. */
export function codeOf(error: unknown): string {
  if (QuorateError.is(error)) return error.code;
  return error instanceof Error ? error.name : typeof error;
}

/**
 * Why it is no member any more: it was one and has learned that, or it asks to join without knowing
 * that it was added, and taken out again, before it had heard of either.
 */
function removalOf(event: ReplicaEvent): string | undefined {
  if (event.type === "removed") return event.reason;
  if (event.type !== "failed" || event.error.code !== "JOIN_FAILED") return undefined;
  return /was a member already, and was removed/.test(event.error.message)
    ? event.error.message
    : undefined;
}
