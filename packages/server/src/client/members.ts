/**
 * Who the members are, asked and changed through the client: what it offers, and the waiting.
 *
 * A change may take minutes. A member answers after some seconds that it goes on; from then on the
 * client asks whichever member answers how it goes, so that a change is followed even where the
 * member that was asked first, or the leader, is gone.
 */
import type { Caller } from "./caller.ts";
import type { ClientRequest, RawAnswer } from "./attempt.ts";
import { ClientError } from "./client-error.ts";
import type { ClientCallOptions } from "./client-options.ts";
import { jsonIn } from "./json-answer.ts";

/** What a member may do: vote, or only receive what is decided. */
export type ClusterRole = "voter" | "learner";

/** One member of the cluster. */
export interface ClusterMember {
  readonly id: string;
  /** Where the other members reach it. */
  readonly address: string;
  /** Its data directory; null while it was never heard of. */
  readonly incarnation: string | null;
  readonly role: ClusterRole;
  /** What the change under way makes of it; its role where there is none. */
  readonly becomes: ClusterRole | "removed";
}

/** A change of the members that is under way. */
export interface ClusterChange {
  /** `catching-up`: new voters are waited for; `joint`: old and new voters decide together. */
  readonly phase: "catching-up" | "joint";
  readonly voters: readonly string[];
  /** Who has to catch up. */
  readonly waitsFor: readonly string[];
  /** Of those, as the leader knows them, how many entries each lacks. */
  readonly lag: Readonly<Record<string, number>>;
  /** Until it is taken back; null = it is not. */
  readonly remainingMs: number | null;
}

/** The members, as the member that answered knows them. */
export interface ClusterMembers {
  /** Grows with every change; for `expectedVersion`. */
  readonly version: number;
  readonly leader: string | null;
  /** How many voters make a majority … */
  readonly quorum: number;
  /** … and how many may be away. */
  readonly tolerates: number;
  readonly members: readonly ClusterMember[];
  readonly change: ClusterChange | null;
}

/** A member as `set` wants it. */
export interface WantedClusterMember {
  readonly id: string;
  readonly address: string;
  /** Default `voter`. */
  readonly role?: ClusterRole;
}

/** A change that is only planned. */
export type PlannedChange =
  | { readonly add: NewClusterMember }
  | { readonly remove: string }
  | { readonly replace: string; readonly address?: string }
  | { readonly promote: string }
  | { readonly demote: string }
  | { readonly set: readonly WantedClusterMember[] };

/** A member that is to be added. */
export interface NewClusterMember {
  readonly address: string;
  /** Default: its address. */
  readonly id?: string;
  /** Default `voter`: it learns first, and votes once it has caught up. */
  readonly role?: ClusterRole;
}

/** Who decides, and how many of them may fail. */
export interface ClusterStanding {
  readonly voters: readonly string[];
  readonly learners: readonly string[];
  readonly quorum: number;
  readonly tolerates: number;
}

/** What a change would do. */
export interface ClusterPlan {
  readonly version: number;
  readonly before: ClusterStanding;
  readonly after: ClusterStanding;
  readonly steps: ReadonlyArray<{
    readonly type: string;
    readonly text: string;
    readonly quorum: string;
  }>;
  /** Why it would be refused; null where it would not. */
  readonly refused: { readonly reason: string; readonly detail: string } | null;
}

/** How a change is made and waited for. */
export interface ChangeOptions {
  /** How long new voters have to catch up, before the change is taken back. Default 300,000 ms. */
  readonly catchUpMs?: number | undefined;
  /** Only where this version is in force. */
  readonly expectedVersion?: number | undefined;
  /** Ends the waiting; a change that has begun goes on. */
  readonly signal?: AbortSignal | undefined;
  /** Told how it goes, now and then, where it takes long. */
  readonly onProgress?: ((members: ClusterMembers) => void) | undefined;
}

/**
 * Changes who the members are. Every change resolves when it is done, to the members as they are
 * then.
 *
 * @throws ClientError MEMBERSHIP_BUSY, MEMBERSHIP_CHANGED, MEMBERSHIP_UNSAFE, MEMBERSHIP_TIMEOUT
 * (taken back), MEMBER_UNKNOWN, MEMBER_EXISTS, NO_LEADER, UNREACHABLE, ABORTED … (not done);
 * OUTCOME_UNKNOWN, after which `list` shows what came of it.
 */
export interface ClientMembers {
  /** Who the members are, and what change is under way. */
  list(options?: ClientCallOptions): Promise<ClusterMembers>;
  /** Adds a member, which may be started before or after that. */
  add(member: NewClusterMember, options?: ChangeOptions): Promise<ClusterMembers>;
  remove(id: string, options?: ChangeOptions): Promise<ClusterMembers>;
  /** Gives the place of a member to a new, empty directory under the same id. */
  replace(
    id: string,
    options?: ChangeOptions & { readonly address?: string | undefined },
  ): Promise<ClusterMembers>;
  /** Makes a learner a voter, once it has caught up. */
  promote(id: string, options?: ChangeOptions): Promise<ClusterMembers>;
  /** Makes a voter a learner. */
  demote(id: string, options?: ChangeOptions): Promise<ClusterMembers>;
  /** Makes the members exactly these, as one change. */
  set(members: readonly WantedClusterMember[], options?: ChangeOptions): Promise<ClusterMembers>;
  /** Takes back the change that waits for its new voters. */
  cancel(options?: ChangeOptions): Promise<ClusterMembers>;
  /** What a change would do, or why it would be refused; changes nothing. */
  plan(change: PlannedChange, options?: ClientCallOptions): Promise<ClusterPlan>;
}

/** A member answers after so long at the latest, with a change that goes on … */
const ANSWER_MS = 2_000;
/** … and is given up after so long; then the others are asked what became of it. */
const REQUEST_MS = 10_000;
/** Between two questions how it goes. */
const LOOK_MS = 300;
const CATCH_UP_MS = 300_000;
/** Cluster time stands still while nobody leads: so much longer a change is followed. */
const GRACE_MS = 60_000;

interface Wish {
  readonly method: ClientRequest<unknown>["method"];
  readonly path: string;
  readonly body?: unknown;
  /** Whether new voters may have to catch up. */
  readonly isPatient: boolean;
  /** Whether it came about, once nothing is under way. */
  readonly isDone: (now: ClusterMembers) => boolean;
}

/** {@link ClientMembers} over HTTP. */
export class HttpMembers implements ClientMembers {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  list(options: ClientCallOptions = {}): Promise<ClusterMembers> {
    const request: ClientRequest<ClusterMembers> = {
      method: "GET",
      path: "/members",
      isBounded: false,
      repeat: "freely",
      // Only the leader knows how far others are behind.
      prefers: "leader",
      read: membersIn,
    };
    return this.#caller.call(request, options);
  }

  add(member: NewClusterMember, options: ChangeOptions = {}): Promise<ClusterMembers> {
    const { id = member.address, role = "voter" } = member;
    const isDone = (now: ClusterMembers): boolean => roleOf(now, id) === role;
    const wish = { method: "POST", path: "/members", body: member } as const;
    return this.#change({ ...wish, isPatient: true, isDone }, options);
  }

  remove(id: string, options: ChangeOptions = {}): Promise<ClusterMembers> {
    const isDone = (now: ClusterMembers): boolean => roleOf(now, id) === undefined;
    return this.#change({ ...wishOf("DELETE", id), isPatient: false, isDone }, options);
  }

  async replace(
    id: string,
    options: ChangeOptions & { readonly address?: string | undefined } = {},
  ): Promise<ClusterMembers> {
    const { address } = options;
    const old = (await this.list()).members.find((member) => member.id === id)?.incarnation;
    const isDone = ({ members }: ClusterMembers): boolean =>
      members.some((one) => one.id === id && one.role === "voter" && one.incarnation !== old);
    const body = address === undefined ? {} : { address };
    return this.#change(
      { ...wishOf("POST", id, "replace"), body, isPatient: true, isDone },
      options,
    );
  }

  promote(id: string, options: ChangeOptions = {}): Promise<ClusterMembers> {
    const isDone = (now: ClusterMembers): boolean => roleOf(now, id) === "voter";
    return this.#change({ ...wishOf("POST", id, "promote"), isPatient: true, isDone }, options);
  }

  demote(id: string, options: ChangeOptions = {}): Promise<ClusterMembers> {
    const isDone = (now: ClusterMembers): boolean => roleOf(now, id) === "learner";
    return this.#change({ ...wishOf("POST", id, "demote"), isPatient: false, isDone }, options);
  }

  set(
    members: readonly WantedClusterMember[],
    options: ChangeOptions = {},
  ): Promise<ClusterMembers> {
    const isDone = (now: ClusterMembers): boolean =>
      now.members.length === members.length &&
      members.every(({ id, role = "voter" }) => roleOf(now, id) === role);
    const wish = { method: "PUT", path: "/members", body: members } as const;
    return this.#change({ ...wish, isPatient: true, isDone }, options);
  }

  cancel(options: ChangeOptions = {}): Promise<ClusterMembers> {
    const wish = { method: "POST", path: "/members/cancel" } as const;
    return this.#change({ ...wish, isPatient: false, isDone: () => true }, options);
  }

  plan(change: PlannedChange, options: ClientCallOptions = {}): Promise<ClusterPlan> {
    const request: ClientRequest<ClusterPlan> = {
      method: "POST",
      path: "/members/plan",
      body: jsonBytes(change),
      isBounded: true,
      repeat: "freely",
      read: (answer) => jsonIn(answer, ["version", "before", "after", "steps"]) as ClusterPlan,
    };
    return this.#caller.call(request, options);
  }

  /** Asks for it; where nobody says what came of that, looks whether it is under way or done. */
  async #begin(wish: Wish, options: ChangeOptions): Promise<ClusterMembers> {
    const { signal } = options;
    try {
      const request = requestOf(wish, options);
      return await this.#caller.call(request, { signal, timeoutMs: REQUEST_MS });
    } catch (error) {
      const isOpen = ClientError.is(error) && error.code === "OUTCOME_UNKNOWN";
      if (!isOpen || signal?.aborted === true) throw error;
      const members = await this.list({ signal });
      if (members.change === null && !wish.isDone(members)) throw error;
      return members;
    }
  }

  async #change(wish: Wish, options: ChangeOptions): Promise<ClusterMembers> {
    const { signal, onProgress, catchUpMs = CATCH_UP_MS } = options;
    const endMs = performance.now() + catchUpMs + GRACE_MS;
    let members = await this.#begin(wish, options);
    const { version } = members;
    while (members.change !== null || members.version < version) {
      // Another member may not know of the change yet.
      if (members.version >= version) onProgress?.(members);
      await wait(LOOK_MS, signal);
      if (signal?.aborted === true || performance.now() > endMs) throw stillGoing(signal);
      members = await this.list({ signal });
    }
    if (wish.isDone(members)) return members;
    const text = "the change was taken back: it was cancelled, or new voters did not catch up";
    throw new ClientError("MEMBERSHIP_TIMEOUT", text, { outcome: "not-done", retryable: false });
  }
}

function wishOf(
  method: Wish["method"],
  id: string,
  action?: string,
): Pick<Wish, "method" | "path"> {
  const path = `/members/${encodeURIComponent(id)}${action === undefined ? "" : `/${action}`}`;
  return { method, path };
}

function requestOf(wish: Wish, options: ChangeOptions): ClientRequest<ClusterMembers> {
  const query = new URLSearchParams();
  const { catchUpMs, expectedVersion } = options;
  query.set("timeoutMs", String(wish.isPatient ? ANSWER_MS : REQUEST_MS - ANSWER_MS));
  if (catchUpMs !== undefined && wish.isPatient) query.set("catchUpMs", String(catchUpMs));
  if (expectedVersion !== undefined) query.set("expectedVersion", String(expectedVersion));
  return {
    method: wish.method,
    path: `${wish.path}?${query.toString()}`,
    ...(wish.body === undefined ? {} : { body: jsonBytes(wish.body) }),
    isBounded: false,
    repeat: "never",
    read: membersIn,
  };
}

function membersIn(answer: RawAnswer): ClusterMembers {
  return jsonIn(answer, ["version", "members", "change"]) as ClusterMembers;
}

function roleOf({ members }: ClusterMembers, id: string): ClusterRole | undefined {
  return members.find((member) => member.id === id)?.role;
}

function jsonBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function stillGoing(signal: AbortSignal | undefined): ClientError {
  const text = "the change has begun and goes on: list the members to see what becomes of it";
  const cause: unknown = signal?.reason;
  return new ClientError("OUTCOME_UNKNOWN", text, { outcome: "unknown", retryable: false, cause });
}

function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    if (signal?.aborted === true) end();
    else signal?.addEventListener("abort", end);
  });
}
