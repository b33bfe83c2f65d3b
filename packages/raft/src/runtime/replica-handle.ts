/**
 * The public handle on an engine: checks and encodes what comes in, makes the one promise per call,
 * and leaves the rest to the group.
 */
import type { MemberId } from "../core/configuration.ts";
import type { RequestedChange } from "../transport/peer-message.ts";
import type { Codec, ResultOf } from "../machine/state-machine.ts";
import { QuorateError, messageOf } from "../util/error.ts";
import type { Change, ChangesOptions } from "./changes.ts";
import { LeaderCall, ReadCall, SnapshotCall, TransferCall, WriteCall } from "./calls.ts";
import type { CallStart } from "./calls.ts";
import type { Engine } from "./engine.ts";
import { LeadershipHandle } from "./leadership.ts";
import { MemberCall } from "./member-call.ts";
import type { MemberWish } from "./member-call.ts";
import { MembersHandle } from "./members.ts";
import type { MemberOptions, Members, MembersPlan } from "./members.ts";
import { checkFrom, checkTarget, readTermsOf, TIMEOUT_MAX_MS, timeoutOf } from "./options.ts";
import type {
  CallOptions,
  CloseOptions,
  Leadership,
  ReadOptions,
  Replica,
  ReplicaEvent,
  ReplicaEventOf,
  ReplicaEventType,
  ReplicaStatus,
  SnapshotSummary,
  TransferOptions,
} from "./replica.ts";
import { statusOf } from "./status.ts";

type Resolve = (value: unknown) => void;
type Reject = (error: QuorateError) => void;

/** What a call begins with: one object for all of them, copied from at once. */
const START: { -readonly [K in keyof CallStart]: CallStart[K] } = {
  startedMs: 0,
  deadlineMs: 0,
  signal: undefined,
  resolve: () => {},
  reject: () => {},
};

/** The ends of the promise that was made last: read at once, before anything else can run. */
const ENDS: { resolve: Resolve; reject: Reject } = { resolve: () => {}, reject: () => {} };
const KEEP_ENDS = (resolve: Resolve, reject: Reject): void => {
  ENDS.resolve = resolve;
  ENDS.reject = reject;
};

/** {@link Replica} on an {@link Engine}. */
export class ReplicaHandle<Command, Query> implements Replica<Command, Query> {
  readonly leadership: Leadership;
  readonly members: Members;
  readonly ended: Promise<QuorateError | undefined>;
  readonly #engine: Engine;
  readonly #codec: Codec<Command>;

  constructor(engine: Engine, codec: Codec<Command>) {
    this.#engine = engine;
    this.#codec = codec;
    this.ended = endOf(engine);
    this.leadership = new LeadershipHandle(engine, (target, options) =>
      this.#transfer(target, options),
    );
    this.members = new MembersHandle({
      change: (change, options, isPatient) => this.#changeMembers(change, options, isPatient),
      plan: (change, options) => this.#planMembers(change, options),
      status: () => engine.group.status(),
    });
  }

  get id(): MemberId {
    return this.#engine.options.id;
  }

  get isLeader(): boolean {
    return this.#engine.group.isReady;
  }

  write<C extends Command>(command: C, options?: CallOptions): Promise<ResultOf<C, Command>> {
    // The hot path: no closure per call.
    const promise = new Promise<unknown>(KEEP_ENDS);
    const { resolve, reject } = ENDS;
    try {
      const payload = this.#encode(command);
      this.#checkOpen();
      const start = this.#start(options, resolve, reject);
      const { group } = this.#engine;
      if (!group.calls.hasRoomForWrite(payload.length)) {
        throw new QuorateError("OVERLOADED", "too many writes wait on this member");
      }
      group.addWrite(new WriteCall(group.calls, start, payload));
    } catch (error) {
      reject(error as QuorateError);
    }
    return promise as Promise<ResultOf<C, Command>>;
  }

  read<Q extends Query>(query: Q, options?: ReadOptions): Promise<ResultOf<Q, Query>> {
    return new Promise((resolve, reject: Reject) => {
      const { consistency, maxStalenessMs } = readTermsOf(options);
      this.#checkOpen();
      const start = this.#start(options, resolve as Resolve, reject);
      const { group } = this.#engine;
      const isAtHand =
        consistency === "local" ||
        (maxStalenessMs !== undefined && group.isFresh(start.startedMs, maxStalenessMs));
      if ((!isAtHand || group.snapshots.isRestoring) && !group.calls.hasRoomForRead()) {
        throw new QuorateError("OVERLOADED", "too many reads wait on this member");
      }
      const call = new ReadCall(group.calls, start, query, consistency === "lease");
      if (isAtHand) group.answer(call);
      else group.addRead(call);
    });
  }

  snapshot(options?: CallOptions): Promise<SnapshotSummary> {
    return new Promise((resolve, reject: Reject) => {
      this.#checkOpen();
      const start = this.#start(options, resolve as Resolve, reject);
      const { group } = this.#engine;
      if (!group.calls.hasRoomForRead()) {
        throw new QuorateError("OVERLOADED", "too many calls wait on this member");
      }
      const index = group.status()?.applied ?? 0;
      group.snapshots.add(new SnapshotCall(group.calls, start, index));
    });
  }

  changes(options: ChangesOptions = {}): AsyncIterable<Change<Command>> {
    checkFrom(options.from);
    this.#checkOpen();
    return this.#engine.group.changes.feed(this.#codec, options);
  }

  leader(options?: CallOptions): Promise<MemberId> {
    return new Promise((resolve, reject: Reject) => {
      this.#checkOpen();
      const start = this.#start(options, resolve as Resolve, reject);
      const { group } = this.#engine;
      if (!group.calls.hasRoomForRead()) {
        throw new QuorateError("OVERLOADED", "too many calls wait on this member");
      }
      group.addLeaderCall(new LeaderCall(group.calls, start));
    });
  }

  status(): ReplicaStatus {
    return statusOf(this.#engine);
  }

  on<T extends ReplicaEventType>(
    type: T,
    listener: (event: ReplicaEventOf<T>) => void,
  ): () => void {
    return this.#engine.observers.on(type, listener);
  }

  onAny(listener: (event: ReplicaEvent) => void): () => void {
    return this.#engine.observers.onAny(listener);
  }

  close(options?: CloseOptions): Promise<void> {
    return this.#engine.close(options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #transfer(target: MemberId | undefined, options: TransferOptions | undefined): Promise<MemberId> {
    return new Promise((resolve, reject: Reject) => {
      checkTarget(target);
      const start = this.#wishStart(options, resolve as Resolve, reject);
      const { group } = this.#engine;
      group.addWish(new TransferCall(group.calls, start, target));
    });
  }

  /** With patience: for as long as the leader gives the new voters, and for its own failover. */
  #changeMembers(
    change: RequestedChange,
    options: MemberOptions,
    isPatient: boolean,
  ): Promise<void> {
    return new Promise((resolve, reject: Reject) => {
      const { electionTimeoutMs } = this.#engine.options;
      const patienceMs = "timeoutMs" in change ? change.timeoutMs + 10 * electionTimeoutMs : 0;
      const timeoutMs = isPatient ? Math.min(patienceMs, TIMEOUT_MAX_MS) : options.timeoutMs;
      const { signal, expectedVersion, until } = options;
      const callOptions: CallOptions = {
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        ...(signal === undefined ? {} : { signal }),
      };
      const start = this.#wishStart(callOptions, () => resolve(), reject);
      const endsBegun = until === "begun";
      this.#addMemberCall(start, { change, planOnly: false, expectedVersion, endsBegun });
    });
  }

  #planMembers(change: RequestedChange, options: CallOptions): Promise<MembersPlan> {
    return new Promise((resolve, reject: Reject) => {
      const start = this.#wishStart(options, resolve as Resolve, reject);
      const plan = { change, planOnly: true, expectedVersion: undefined, endsBegun: false };
      this.#addMemberCall(start, plan);
    });
  }

  #addMemberCall(start: CallStart, wish: MemberWish): void {
    const { group } = this.#engine;
    group.addWish(new MemberCall(group.calls, start, wish));
  }

  #encode(command: Command): Uint8Array {
    let payload: Uint8Array;
    try {
      payload = this.#codec.encode(command);
    } catch (cause) {
      throw new QuorateError(
        "COMMAND_INVALID",
        `the command cannot be encoded: ${messageOf(cause)}`,
        { cause },
      );
    }
    if (!(payload instanceof Uint8Array)) {
      throw new QuorateError("COMMAND_INVALID", "the codec did not encode to a Uint8Array");
    }
    const { commandBytesMax } = this.#engine.options;
    if (payload.length > commandBytesMax) {
      throw new QuorateError(
        "COMMAND_TOO_LARGE",
        `the command has ${payload.length} bytes; commandBytesMax is ${commandBytesMax}`,
      );
    }
    return payload;
  }

  #checkOpen(): void {
    const { group } = this.#engine;
    if (group.state !== "forming" && group.state !== "running") throw group.refusal();
    if (this.#engine.isClosing) throw new QuorateError("CLOSED", "this replica is closing");
  }

  #wishStart(options: CallOptions | undefined, resolve: Resolve, reject: Reject): CallStart {
    this.#checkOpen();
    const start = this.#start(options, resolve, reject);
    if (!this.#engine.group.calls.hasRoomForRead()) {
      throw new QuorateError("OVERLOADED", "too many calls wait on this member");
    }
    return start;
  }

  #start(options: CallOptions | undefined, resolve: Resolve, reject: Reject): CallStart {
    const { clock } = this.#engine.ports;
    const timeoutMs = timeoutOf(options, this.#engine.options.callTimeoutMs);
    const signal = options?.signal;
    if (signal?.aborted === true) {
      throw new QuorateError("ABORTED", "the caller's signal had already ended the call", {
        cause: signal.reason,
      });
    }
    const startedMs = clock.nowMs();
    START.startedMs = startedMs;
    START.deadlineMs = startedMs + timeoutMs;
    START.signal = signal;
    START.resolve = resolve;
    START.reject = reject;
    return START;
  }
}

/** It may have ended already: then there is no event any more. */
function endOf({ observers, group }: Engine): Promise<QuorateError | undefined> {
  return new Promise((resolve) => {
    const { failure } = group;
    if (failure !== undefined) resolve(failure);
    observers.on("failed", ({ error }) => resolve(error));
    observers.on("removed", ({ reason }) => resolve(new QuorateError("REMOVED", reason)));
    observers.on("closed", () => resolve(undefined));
  });
}
