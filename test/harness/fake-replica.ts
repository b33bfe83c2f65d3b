/**
 * A replica that applies at once, in memory, for tests of the HTTP face: it remembers how it was
 * called, and throws or waits when told to.
 */
import { QuorateError } from "quorate";
import type {
  CallOptions,
  Configuration,
  MemberOptions,
  MembershipStatus,
  MembersPlan,
  ReadOptions,
  ReplicaStatus,
  SnapshotSummary,
} from "quorate";
import type { KvCommand, KvQuery } from "../../packages/server/src/store/command.ts";
import { KvMachine } from "../../packages/server/src/store/kv-machine.ts";

type Member = Configuration["members"][number];

/** Three members on this machine. */
export const MEMBERS: readonly Member[] = [1, 2, 3].map((n) => ({
  id: `n${n}`,
  address: `127.0.0.1:909${n}`,
  incarnation: String(n).repeat(32),
}));

/** The status of a follower in term 3, changed as told. */
export function statusOf(change: Partial<ReplicaStatus>): ReplicaStatus {
  return {
    id: "n1",
    incarnation: "1".repeat(32),
    clusterId: "c".repeat(32),
    address: "127.0.0.1:9091",
    state: "running",
    failure: undefined,
    role: "follower",
    term: 3,
    leader: "n2",
    leaderAddress: "127.0.0.1:9092",
    isLeader: false,
    leaderForMs: undefined,
    leaseForMs: undefined,
    commit: 9,
    applied: 9,
    startIndex: 0,
    lastIndex: 10,
    lastTerm: 3,
    configuration: {
      members: MEMBERS,
      voters: ["n1", "n2", "n3"],
      outgoing: [],
      learners: [],
    },
    configurationIndex: 1,
    membership: { version: 1, members: [], quorum: 2, tolerates: 1, change: undefined },
    machineVersion: 1,
    machineVersionKnown: 1,
    followers: [],
    connections: [],
    snapshot: {
      index: 0,
      term: 0,
      bytes: 0,
      taking: undefined,
      restoring: undefined,
      receiving: undefined,
      sending: [],
      damaged: [],
    },
    log: { state: "ok" } as unknown as ReplicaStatus["log"],
    storage: { state: "ok", stalledForMs: undefined, stalls: 0 },
    health: { state: "ok", forMs: 0, yields: 0 },
    recovery: { tornBytes: 0, rewrittenBytes: 0, records: 0, elapsedMs: 1 },
    pendingWrites: 0,
    pendingReads: 0,
    uncommittedBytes: 0,
    tailBytes: 0,
    turnDelayMaxMs: 0,
    stalls: 0,
    transfer: undefined,
    ...change,
  };
}

/** Three voters of version 7, changed as told. */
export function membershipOf(change: Partial<MembershipStatus>): MembershipStatus {
  const members = MEMBERS.map((member) => ({
    ...member,
    role: "voter" as const,
    becomes: "voter" as const,
  }));
  return { version: 7, members, quorum: 2, tolerates: 1, change: undefined, ...change };
}

/** Remembers what it was asked; answers at once, or waits for the signal as a change would. */
class FakeMembers {
  readonly asked: unknown[] = [];
  hang = false;
  current: MembershipStatus = membershipOf({});
  readonly #before: () => void;

  constructor(before: () => void) {
    this.#before = before;
  }

  list(): MembershipStatus {
    return this.current;
  }

  add(...what: unknown[]): Promise<MembershipStatus> {
    return this.#ask("add", what);
  }

  remove(...what: unknown[]): Promise<MembershipStatus> {
    return this.#ask("remove", what);
  }

  replace(...what: unknown[]): Promise<MembershipStatus> {
    return this.#ask("replace", what);
  }

  promote(...what: unknown[]): Promise<MembershipStatus> {
    return this.#ask("promote", what);
  }

  demote(...what: unknown[]): Promise<MembershipStatus> {
    return this.#ask("demote", what);
  }

  set(...what: unknown[]): Promise<MembershipStatus> {
    return this.#ask("set", what);
  }

  cancel(...what: unknown[]): Promise<MembershipStatus> {
    return this.#ask("cancel", what);
  }

  async plan(change: unknown): Promise<MembersPlan> {
    this.#before();
    this.asked.push(["plan", change]);
    const standing = { voters: ["n1", "n2", "n3"], learners: [], quorum: 2, tolerates: 1 };
    return { version: 7, before: standing, after: standing, steps: [], refused: undefined };
  }

  async #ask(name: string, what: readonly unknown[]): Promise<MembershipStatus> {
    this.#before();
    const { signal, ...options } = what.at(-1) as MemberOptions;
    this.asked.push([name, ...what.slice(0, -1), options]);
    if (!this.hang) return this.current;
    return new Promise((_resolve, reject) => {
      signal!.addEventListener("abort", () => {
        const error: Error = new QuorateError("OUTCOME_UNKNOWN", "it may yet be done");
        reject(error);
      });
    });
  }
}

/** Applies at once; remembers the options of the last call; throws or waits when told to. */
export class FakeReplica {
  readonly machine = new KvMachine();
  index = 0;
  fail: QuorateError | Error | undefined;
  hang = false;
  options: (CallOptions & ReadOptions) | undefined;
  signals: AbortSignal[] = [];
  current: ReplicaStatus = statusOf({});

  async write(command: KvCommand, options: CallOptions): Promise<unknown> {
    await this.#before(options);
    return this.machine.apply(command, { index: ++this.index, term: 1, timeMs: 0, version: 1 });
  }

  async read(query: KvQuery, options: ReadOptions): Promise<unknown> {
    await this.#before(options);
    return this.machine.query(query);
  }

  readonly leadership = {
    transfer: async (target: string | undefined, options: CallOptions): Promise<string> => {
      await this.#before(options);
      return target ?? "n3";
    },
  };

  readonly members = new FakeMembers(() => {
    if (this.fail !== undefined) throw this.fail;
  });

  async snapshot(options: CallOptions): Promise<SnapshotSummary> {
    await this.#before(options);
    return { index: 9, term: 3, bytes: 99 };
  }

  status(): ReplicaStatus {
    return this.current;
  }

  async #before(options: ReadOptions): Promise<void> {
    this.options = options;
    if (options.signal !== undefined) this.signals.push(options.signal);
    if (this.fail !== undefined) throw this.fail;
    if (!this.hang) return;
    await new Promise((_resolve, reject) => {
      options.signal!.addEventListener("abort", () => {
        const error: Error = new QuorateError("ABORTED", "the caller went away");
        reject(error);
      });
    });
  }
}
