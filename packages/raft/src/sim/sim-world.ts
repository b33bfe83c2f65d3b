/**
 * A whole cluster in one thread: members over simulated disks, network and clocks, and one queue of
 * what happens next. The engine in every member is the real one.
 *
 * A step takes the next task off the schedule, runs it and then lets promises settle: a fixed
 * number of times the microtask queue is run down. No event loop takes part, so nothing outside can
 * come between two steps, and the same options give the same run on every engine.
 *
 * The world ends at the first violation: what comes after a broken promise proves nothing.
 */
import { jsonCodec } from "../machine/json-codec.ts";
import type { MemberId } from "../core/configuration.ts";
import type { DiskStateMachine } from "../machine/disk-machine.ts";
import type { MachineStorage } from "../machine/machine-storage.ts";
import type { Codec, StateMachine } from "../machine/state-machine.ts";
import type { ReadOptions } from "../runtime/replica.ts";
import type { StoreMachine } from "../store/store-machine.ts";
import { assert, InvariantViolation } from "../util/assert.ts";
import type { Checksum } from "../util/checksum.ts";
import { crc32 } from "../util/checksum.ts";
import { messageOf, QuorateError } from "../util/error.ts";
import { Audience } from "./audience.ts";
import { FaultAtlas } from "./fault-atlas.ts";
import { Governing } from "./governing.ts";
import { MemberDisk } from "./member-disk.ts";
import { MessageNetwork } from "./message-network.ts";
import type { DeathKind, MemberView, SimOperation } from "./observer.ts";
import { SimViolation } from "./observer.ts";
import type { SimOptions } from "./options.ts";
import { RandomStreams, between } from "./random-streams.ts";
import type { EntryOf } from "./process.ts";
import { Schedule } from "./schedule.ts";
import { codeOf, SimMember } from "./sim-member.ts";
import type { SimNetwork } from "./sim-network.ts";
import { StreamNetwork } from "./stream-network.ts";
import type { Call, CallTerms, Harbour } from "./workload/workload.ts";

/**
 * How often promises get their turn after a task. Measured over all that the engine does: chains
 * behind a completion of the disk have at most nine links, those behind a turn two. A longer one
 * would go on after the next task, as late as that but in the same way in every run.
 */
const HOPS = { message: 1, turn: 3, timer: 3, disk: 12 } as const;
/** And so often where nothing is due for a while: no chain is longer. */
const LAST_HOPS = 100;
const GAP_US = 10_000;
/**
 * Closing a log with many segments is one chain over all of its files; nothing is due meanwhile.
 */
const LONG_GAP_HOPS = 20_000;
const LONG_GAP_US = 400_000;
/** Waiting for it makes no promise: that is a third of what a run allocates. */
const SETTLED: Promise<void> = Promise.resolve();
/** A replica that stopped by itself is started again after so long, as a supervisor would. */
const RESTART_US = { min: 50_000, max: 500_000 } as const;

/** How a disk that fails may keep a process from starting. */
const FAILURES: readonly string[] = ["STORAGE_FAILED", "LOG_DAMAGED"];

/** For whom a machine is made: members may run different code, and other code after a restart. */
export interface MachineOf {
  readonly id: MemberId;
  /** How often its process was started, this time included. */
  readonly life: number;
  /** For a machine on disk: the disk of this member, in this life. */
  readonly storage: MachineStorage;
}

/** What is being simulated. */
export interface Subject {
  /** A new machine, for a new process: the so manieth life of that member. */
  readonly machine: (
    owner: MachineOf,
  ) => StateMachine<never, never> | DiskStateMachine<never, never>;
  /** The same on a store, for runs whose machines are on disk; undefined: they are in memory. */
  readonly storeMachine?: () => StoreMachine<never, never>;
  readonly codec: Codec<unknown>;
}

/** A call of {@link SimWorld.run}. */
interface Going {
  readonly until: () => boolean;
  readonly resolve: (isReached: boolean) => void;
  readonly reject: (error: unknown) => void;
  /** Turns that promises get before the next task. */
  hops: number;
  /** Nothing is due for a while. */
  isBeforeGap: boolean;
}

/** What ended a run. */
export interface FoundViolation {
  readonly invariant: string;
  readonly message: string;
  readonly step: number;
  readonly atUs: number;
  readonly error: unknown;
}

/** A simulated cluster. */
export class SimWorld implements Harbour<unknown, unknown> {
  readonly options: SimOptions;
  readonly subject: Subject;
  readonly checksum: Checksum = crc32;
  readonly streams: RandomStreams;
  readonly schedule: Schedule;
  readonly network: SimNetwork;
  readonly audience: Audience;
  readonly atlas: FaultAtlas;
  readonly members: readonly SimMember[];
  /** Who decides, where that changes. */
  readonly governing: Governing | undefined;
  /** Tasks taken off the schedule. */
  steps = 0;
  /** Messages, disk completions and timers that ran code of a member. */
  events = 0;
  /** Operations made so far. */
  operations = 0;
  violation: FoundViolation | undefined;
  /** The run ends after this step, for somebody who wants to look at the world there. */
  stepMax: number = Number.MAX_SAFE_INTEGER;
  /** No new call is made and what clients still wanted to do is dropped. */
  isOver = false;
  readonly #open: Set<SimOperation> = new Set();
  readonly #ends: Map<SimOperation, (operation: SimOperation) => void> = new Map();
  readonly #random;
  /** The call of {@link run} that has not ended. */
  #going: Going | undefined;
  /** How often promises get their turn after the present task. */
  #hops: number = HOPS.message;

  constructor(options: SimOptions, subject: Subject) {
    this.options = options;
    this.subject = subject;
    this.streams = new RandomStreams(options.seed);
    this.schedule = new Schedule(this.streams.stream("ties"));
    this.audience = new Audience((error) => this.#thrown(error));
    this.#random = this.streams.stream("world");
    const context = {
      schedule: this.schedule,
      options: options.network,
      random: this.streams.stream("network"),
      checksum: this.checksum,
    };
    this.network =
      options.network.mode === "messages"
        ? new MessageNetwork(context)
        : new StreamNetwork(context);
    const places = options.members + (options.spares ?? 0);
    this.members = Array.from({ length: places }, (_, i) => this.#member(i));
    if (places > options.members) {
      this.governing = new Governing(this.members);
      this.audience.add(this.governing);
    }
    this.atlas = new FaultAtlas(options.members);
  }

  get majority(): number {
    const count = this.governing?.configuration?.voters.length ?? this.options.members;
    return Math.floor(count / 2) + 1;
  }

  /** Whether a quorum of those who decide now are such. */
  isQuorum(isSuch: (member: MemberView) => boolean, index?: number): boolean {
    if (this.governing !== undefined) return this.governing.isQuorum(isSuch, index);
    return this.members.filter(isSuch).length >= this.majority;
  }

  /** Whether it is part of the cluster, as the newest committed configuration has it. */
  isPart(member: MemberView): boolean {
    return this.governing?.names(member) ?? true;
  }

  /** Calls that have not ended. */
  get openOperations(): number {
    return this.#open.size;
  }

  nowUs(): number {
    return this.schedule.nowUs;
  }

  after(delayUs: number, act: () => void): void {
    this.schedule.after(delayUs, () => {
      if (!this.isOver) act();
    });
  }

  /** Takes tasks off the schedule until `until` says so; false where nothing is left before. */
  run(until: () => boolean): Promise<boolean> {
    return new Promise((resolve, reject) => {
      assert(this.#going === undefined, "a world runs once at a time");
      this.#going = { until, resolve, reject, hops: 0, isBeforeGap: false };
      this.#go();
    });
  }

  /** Lets so much virtual time pass. */
  async runFor(us: number): Promise<boolean> {
    const endUs = this.schedule.nowUs + us;
    let isReached = false;
    this.schedule.at(endUs, () => {
      isReached = true;
    });
    return this.run(() => isReached);
  }

  call(
    view: MemberView,
    call: Call<unknown, unknown>,
    terms: CallTerms,
    done: (operation: SimOperation) => void,
  ): SimOperation {
    const member = this.members[view.number]!;
    const operation: SimOperation = {
      number: ++this.operations,
      client: terms.client,
      member,
      kind: call.kind,
      input: call.kind === "write" ? call.command : call.query,
      calledUs: this.schedule.nowUs,
      maxStalenessUs: call.kind === "stale-read" ? call.maxStalenessMs * 1_000 : 0,
      outcome: "open",
      result: undefined,
      error: undefined,
      returnedUs: -1,
    };
    this.#open.add(operation);
    this.#ends.set(operation, done);
    this.audience.called(operation);
    const { process } = member;
    if (process === undefined || member.replica === undefined) {
      // Refused by the kernel: nobody listens there.
      this.schedule.after(1, () => this.#end(operation, "not-done", "died"));
    } else {
      process.enter(() => this.#begin(member, operation, call, terms.timeoutMs));
    }
    return operation;
  }

  /** Something that had to hold does not. */
  broken(invariant: string, message: string, cause?: unknown): void {
    this.#thrown(new SimViolation(invariant, message, cause));
  }

  /** What somebody threw who looks at the run from outside: a violation, or a defect of ours. */
  report(error: unknown): void {
    this.#thrown(error);
  }

  // ---- what members report

  /** Something entered the code of a member. */
  counted(kind: EntryOf): void {
    this.events++;
    this.#hops = Math.max(this.#hops, HOPS[kind]);
  }

  died(member: SimMember, how: DeathKind): void {
    this.network.died(member.address);
    for (const operation of this.#open) {
      if (operation.member !== member) continue;
      this.#end(operation, operation.kind === "write" ? "unknown" : "not-done", "died");
    }
    this.audience.died(member, how);
    if (how === "failed" || how === "refused") this.#startAgain(member);
  }

  /** A replica has stopped by itself. */
  failed(member: SimMember, error: QuorateError): void {
    if (error.code === "REPLICA_FAILED") {
      const cause = causeOf(error);
      const name = cause instanceof InvariantViolation ? "assertion" : "replica-goes-on";
      this.broken(name, `${member.id} has stopped: ${error.message}`, cause);
    } else if (!this.#mayStop(member, error)) {
      this.broken("replica-goes-on", `${member.id} has stopped: ${error.message}`, error);
    }
  }

  /**
   * Whether its disk is a reason to stop. A full one is none, once the member is formed: before
   * that there is nothing to wait with, and it may stop as it may refuse to start.
   */
  #mayStop(member: SimMember, error: QuorateError): boolean {
    const { hurts, hasFailed } = member.disk;
    if (hasFailed || this.#hasRot(member, error)) return true;
    return error.code === "DISK_FULL" && hurts.has("full") && !member.wasFormed;
  }

  /** A member says that it was removed: then a committed configuration does without it. */
  removed(member: SimMember, reason: string): void {
    if (this.governing === undefined || this.isPart(member)) {
      this.broken("only-removed-members-stop", `${member.id}: ${reason}`);
    }
  }

  /** A process would not start. */
  refused(member: SimMember, error: unknown): void {
    const code = codeOf(error);
    if (code === "REMOVED") {
      // It had stopped before anybody could listen, or died before it had told.
      this.removed(member, messageOf(error));
      member.state = "removed";
      return;
    }
    if (this.#hasRot(member, error)) {
      member.state = "lost";
      this.audience.fault("lost", `${member.id} refuses to start: ${messageOf(error)}`);
      return;
    }
    // A read that fails while the log is opened looks like damage to whoever opens it.
    const { hurts, hasFailed } = member.disk;
    const isHurt = code === "DISK_FULL" ? hurts.has("full") : hasFailed && FAILURES.includes(code);
    if (!isHurt) this.broken("starts-again", `${member.id}: ${messageOf(error)}`, error);
  }

  /** Bits of its log were flipped, and that is what it says. */
  #hasRot(member: SimMember, error: unknown): boolean {
    return codeOf(error) === "LOG_DAMAGED" && this.atlas.isDamaged(member.number);
  }

  /**
   * Goes on once promises have had their turns. Called back by a promise that is settled, and not a
   * loop that awaits one: that made a fifth of the garbage of a run.
   */
  readonly #go = (): void => {
    const going = this.#going;
    if (going === undefined) return;
    if (--going.hops > 0) {
      void SETTLED.then(this.#go);
      return;
    }
    try {
      const result = this.#step(going);
      if (result === undefined) {
        void SETTLED.then(this.#go);
        return;
      }
      this.#going = undefined;
      going.resolve(result);
    } catch (error) {
      this.#going = undefined;
      going.reject(error);
    }
  };

  /** Runs the next task and says how many turns promises get; the result where the run is over. */
  #step(going: Going): boolean | undefined {
    const { schedule } = this;
    if (going.isBeforeGap) {
      going.isBeforeGap = false;
      if (schedule.nextUs === undefined) return going.until();
    } else {
      if (this.#isStopped || going.until()) return !this.#isStopped;
      const { nowUs, nextUs } = schedule;
      if (nextUs === undefined || nextUs - nowUs > GAP_US) {
        // A long chain of promises must not wait for time to pass: it may end in something sooner.
        going.isBeforeGap = true;
        const isLong = nextUs === undefined || nextUs - nowUs > LONG_GAP_US;
        going.hops = isLong ? LONG_GAP_HOPS : LAST_HOPS;
        return undefined;
      }
    }
    const due = schedule.next()!;
    this.steps++;
    due.run();
    going.hops = this.#takeHops();
    return undefined;
  }

  get #isStopped(): boolean {
    return this.violation !== undefined || this.steps >= this.stepMax;
  }

  #takeHops(): number {
    const hops = this.#hops;
    this.#hops = HOPS.message;
    return hops;
  }

  #member(number: number): SimMember {
    const disk = new MemberDisk({
      schedule: this.schedule,
      options: this.options.disk,
      random: this.streams.stream(`disk n${number + 1}`),
    });
    return new SimMember(this, number, disk);
  }

  #startAgain(member: SimMember): void {
    const { min, max } = RESTART_US;
    this.schedule.after(between(this.#random, min, max), () => {
      if (member.state !== "failed") return;
      member.state = "down";
      member.start();
    });
  }

  // eslint-disable-next-line max-params -- one call, made in one place
  #begin(
    member: SimMember,
    operation: SimOperation,
    call: Call<unknown, unknown>,
    timeoutMs: number,
  ): void {
    const { replica } = member;
    if (replica === undefined) {
      this.#end(operation, "not-done", "died");
      return;
    }
    const promise: Promise<unknown> =
      call.kind === "write"
        ? replica.write({ operation: operation.number, command: call.command }, { timeoutMs })
        : replica.read(call.query, { timeoutMs, ...readTermsOf(call) });
    promise.then(
      (value) => {
        operation.result = value;
        this.#end(operation, "done", undefined);
      },
      (error: unknown) => {
        const isKnown = QuorateError.is(error) && error.outcome === "not-done";
        this.#end(operation, isKnown ? "not-done" : "unknown", codeOf(error));
      },
    );
  }

  #end(
    operation: SimOperation,
    outcome: "done" | "unknown" | "not-done",
    error: string | undefined,
  ): void {
    if (!this.#open.delete(operation)) return;
    this.#hops = Math.max(this.#hops, HOPS.turn);
    operation.outcome = outcome;
    operation.error = error;
    operation.returnedUs = this.schedule.nowUs;
    const done = this.#ends.get(operation);
    this.#ends.delete(operation);
    this.audience.settled(operation);
    done?.(operation);
  }

  #thrown(error: unknown): void {
    if (this.violation !== undefined) return;
    this.violation = {
      invariant: error instanceof SimViolation ? error.invariant : "no-defect-in-the-simulator",
      message: messageOf(error),
      step: this.steps,
      atUs: this.schedule.nowUs,
      error,
    };
  }
}

type ReadCall = Exclude<Call<unknown, unknown>, { readonly kind: "write" }>;

function readTermsOf(call: ReadCall): ReadOptions {
  switch (call.kind) {
    case "stale-read":
      return { maxStalenessMs: call.maxStalenessMs };
    case "lease-read":
      return { consistency: "lease" };
    case "local-read":
      return { consistency: "local" };
    default:
      return {};
  }
}

/** What was at the root of a replica's end. */
function causeOf(error: Error): unknown {
  let cause: unknown = error;
  while (cause instanceof Error && cause.cause !== undefined) cause = cause.cause;
  return cause;
}

/** The codec of subjects that name none. */
export const DEFAULT_CODEC: Codec<unknown> = jsonCodec<unknown>();
