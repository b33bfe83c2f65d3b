/**
 * One member of a test cluster: its replica, its machine, and what can be done to it.
 *
 * The replica handed out is the one of the present life, behind a face that lets time pass while a
 * call waits, and that ends the calls which die with their process: a real caller would have died
 * as well, but a test lives on and must not wait for ever.
 */
import type { MemberId } from "../core/configuration.ts";
import type { AnyMachine } from "../machine/disk-machine.ts";
import type { ResultOf } from "../machine/state-machine.ts";
import type { Members } from "../runtime/members.ts";
import type {
  CallOptions,
  CloseOptions,
  LeaderWork,
  Leadership,
  ReadOptions,
  Replica,
  ReplicaEvent,
  ReplicaEventOf,
  ReplicaEventType,
  ReplicaStatus,
  SnapshotSummary,
  WhileLeaderOptions,
} from "../runtime/replica.ts";
import type { Change, ChangesOptions } from "../runtime/changes.ts";
import { QuorateError } from "../util/error.ts";
import type { DeathKind } from "./observer.ts";
import type { SimMember } from "./sim-member.ts";
import type { SimWorld } from "./sim-world.ts";
import type { TestTime } from "./test-time.ts";
import type { NumberedCommand } from "./workload/sim-codec.ts";

/** A member as a test sees it. */
export interface TestMember<Command, Query> {
  readonly id: MemberId;
  /** `failed`: its replica stopped by itself, and its process ended. */
  readonly state: "down" | "starting" | "up" | "paused" | "failed" | "lost" | "removed";
  /**
   * The replica of the present life. After a restart this is another one.
   *
   * @throws QuorateError CLOSED while the member is down.
   */
  readonly replica: Replica<Command, Query>;
  /** The machine of the present life; undefined while the member is down. */
  readonly machine: AnyMachine<Command, Query> | undefined;
  /** Why its replica stopped by itself or would not start; undefined where it did neither. */
  readonly failure: QuorateError | undefined;
  /**
   * The process dies at once: with the power, which takes what was not synced (default), or alone.
   * Calls that wait end: writes as OUTCOME_UNKNOWN, others as CLOSED.
   */
  crash(how?: "power" | "kill"): void;
  /** Closes the replica in an orderly way; the process ends. */
  stop(): Promise<void>;
  /** Starts a process on what the disk holds, with a new machine. Nothing happens if one runs. */
  start(): Promise<void>;
  /** The process stands still, as under SIGSTOP; nobody is told. */
  pause(): void;
  resume(): void;
}

/** What a member is made from. */
export interface TestMemberParts {
  readonly world: SimWorld;
  readonly member: SimMember;
  readonly time: TestTime;
}

/** {@link TestMember} over a simulated one. */
export class SimTestMember<Command, Query> implements TestMember<Command, Query> {
  readonly #parts: TestMemberParts;
  #face: ReplicaFace<Command, Query> | undefined;
  failure: QuorateError | undefined;

  constructor(parts: TestMemberParts) {
    this.#parts = parts;
  }

  get id(): MemberId {
    return this.#parts.member.id;
  }

  get state(): TestMember<Command, Query>["state"] {
    return this.#parts.member.state;
  }

  get machine(): AnyMachine<Command, Query> | undefined {
    return this.#parts.member.machine as AnyMachine<Command, Query> | undefined;
  }

  get replica(): Replica<Command, Query> {
    const { replica } = this.#parts.member;
    if (replica === undefined) {
      throw new QuorateError("CLOSED", `${this.id} is ${this.state}: it has no replica`);
    }
    if (this.#face?.inner !== replica) this.#face = new ReplicaFace(this.#parts, replica);
    return this.#face;
  }

  crash(how: "power" | "kill" = "power"): void {
    this.#parts.member.die(how);
  }

  async stop(): Promise<void> {
    this.resume();
    const { member, time } = this.#parts;
    if (member.state !== "up") return;
    await time.during(new Promise<void>((resolve) => member.close(resolve)));
  }

  async start(): Promise<void> {
    const { world, member, time } = this.#parts;
    if (member.process !== undefined) return;
    this.failure = undefined;
    member.start();
    const { process } = member;
    const isThere = (): boolean => member.replica !== undefined || member.process !== process;
    await time.during(
      new Promise<void>((resolve) => {
        const look = (): void => {
          if (isThere()) resolve();
          else world.schedule.after(LOOK_US, look);
        };
        look();
      }),
    );
    // Looked at anew: the start may have failed.
    const failure = this.failure as QuorateError | undefined;
    if (failure !== undefined) throw failure;
  }

  pause(): void {
    this.#parts.member.pause();
  }

  resume(): void {
    this.#parts.member.resume();
    this.#parts.time.wake();
  }

  /** The process has ended: whoever waits for it is told. */
  died(how: DeathKind): void {
    const face = this.#face;
    this.#face = undefined;
    if (face === undefined) return;
    if (how === "power" || how === "kill") face.died();
    // A replica that ends by itself has told its callers, who hear it in a moment.
    else this.#parts.world.schedule.after(MS, () => face.died());
  }
}

const MS = 1_000;
/** How often a start is looked at. */
const LOOK_US = 100;

/** A call that waits: how it ends where its process dies. */
type Abandon = () => void;

/** The face of one life's replica. */
class ReplicaFace<Command, Query> implements Replica<Command, Query> {
  readonly inner: Replica<NumberedCommand<unknown>, unknown>;
  readonly #parts: TestMemberParts;
  readonly leadership: Leadership;
  readonly members: Members;
  /** Also where its process was ended: whoever waits is not part of that process. */
  readonly ended: Promise<QuorateError | undefined>;
  #end: () => void = () => {};
  readonly #waiting: Set<Abandon> = new Set();

  constructor(parts: TestMemberParts, inner: Replica<NumberedCommand<unknown>, unknown>) {
    this.#parts = parts;
    this.inner = inner;
    this.ended = new Promise((resolve) => {
      this.#end = () => resolve(undefined);
      void inner.ended.then(resolve);
    });
    this.leadership = {
      transfer: (target, options) =>
        this.#call("CLOSED", () => inner.leadership.transfer(target, options)),
      whileLeader: (work, options) => this.#whileLeader(work, options),
      watch: (listener) => inner.leadership.watch(listener),
    };
    const change = <T>(make: (members: Members) => Promise<T>): Promise<T> =>
      this.#call("OUTCOME_UNKNOWN", () => make(inner.members));
    this.members = {
      add: (member, options) => change((members) => members.add(member, options)),
      remove: (id, options) => change((members) => members.remove(id, options)),
      replace: (id, options) => change((members) => members.replace(id, options)),
      promote: (id, options) => change((members) => members.promote(id, options)),
      demote: (id, options) => change((members) => members.demote(id, options)),
      set: (wanted, options) => change((members) => members.set(wanted, options)),
      cancel: (options) => change((members) => members.cancel(options)),
      plan: (planned, options) => this.#call("CLOSED", () => inner.members.plan(planned, options)),
      list: () => inner.members.list(),
    };
  }

  get id(): MemberId {
    return this.inner.id;
  }

  get isLeader(): boolean {
    return this.inner.isLeader;
  }

  write<C extends Command>(command: C, options?: CallOptions): Promise<ResultOf<C, Command>> {
    const { world } = this.#parts;
    const operation = ++world.operations;
    return this.#call("OUTCOME_UNKNOWN", () =>
      this.inner.write({ operation, command }, options),
    ) as Promise<ResultOf<C, Command>>;
  }

  read<Q extends Query>(query: Q, options?: ReadOptions): Promise<ResultOf<Q, Query>> {
    return this.#call("CLOSED", () => this.inner.read(query, options)) as Promise<
      ResultOf<Q, Query>
    >;
  }

  snapshot(options?: CallOptions): Promise<SnapshotSummary> {
    return this.#call("CLOSED", () => this.inner.snapshot(options));
  }

  /** It may wait for ever for the next one; the end of the process ends it. */
  async *changes(options?: ChangesOptions): AsyncGenerator<Change<Command>, void, undefined> {
    const inner = this.inner.changes(options)[Symbol.asyncIterator]();
    while (this.#parts.member.replica === this.inner) {
      const step = await this.#call("CLOSED", () => inner.next());
      if (step.done === true) return;
      const { index, timeMs, command } = step.value;
      yield { index, timeMs, command: command.command as Command };
    }
  }

  leader(options?: CallOptions): Promise<MemberId> {
    return this.#call("CLOSED", () => this.inner.leader(options));
  }

  status(): ReplicaStatus {
    return this.inner.status();
  }

  on<T extends ReplicaEventType>(
    type: T,
    listener: (event: ReplicaEventOf<T>) => void,
  ): () => void {
    return this.inner.on(type, listener);
  }

  onAny(listener: (event: ReplicaEvent) => void): () => void {
    return this.inner.onAny(listener);
  }

  close(options?: CloseOptions): Promise<void> {
    const { member } = this.#parts;
    if (member.replica !== this.inner) return Promise.resolve();
    return this.#call(
      "CLOSED",
      () => new Promise<void>((resolve) => member.close(resolve, options)),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  died(): void {
    this.#end();
    for (const abandon of this.#waiting) abandon();
    this.#waiting.clear();
  }

  /** It waits for no end, so no time passes for it; the death of the process ends it. */
  #whileLeader(work: LeaderWork, options: WhileLeaderOptions = {}): Promise<void> {
    const { process } = this.#parts.member;
    const ender = new AbortController();
    const end = (): void => ender.abort(options.signal?.reason);
    if (options.signal?.aborted === true || process === undefined) end();
    else options.signal?.addEventListener("abort", end, { once: true });
    this.#waiting.add(end);
    return new Promise((resolve, reject: (error: unknown) => void) => {
      const begin = (): void => {
        const { signal } = ender;
        this.inner.leadership
          .whileLeader(work, { signal })
          .then(resolve, reject)
          .finally(() => {
            this.#waiting.delete(end);
            options.signal?.removeEventListener("abort", end);
          });
      };
      if (process === undefined) begin();
      else process.enter(begin);
    });
  }

  /** Makes the call in the process of the member: now, or when it goes on. */
  #call<T>(code: "OUTCOME_UNKNOWN" | "CLOSED", make: () => Promise<T>): Promise<T> {
    const { member, time } = this.#parts;
    const { process } = member;
    const promise = new Promise<T>((resolve, reject) => {
      const abandon = (): void =>
        reject(new QuorateError(code, `the process of ${this.id} has ended`));
      if (process === undefined || member.replica !== this.inner) {
        reject(new QuorateError("CLOSED", `the process of ${this.id} has ended`));
        return;
      }
      this.#waiting.add(abandon);
      process.enter(() => {
        make()
          .then(resolve, reject)
          .finally(() => this.#waiting.delete(abandon));
      });
    });
    return time.during(promise);
  }
}
