/**
 * A cluster that only exists on paper: views that a test sets as it likes, and an invariant that is
 * told of every step. The steps do to the views what world and probe do; whether they make sense is
 * up to the test.
 */
import { expect } from "vitest";
import type { RaftStatus, RecoveredGroup, TermRun } from "../../core/contract.ts";
import { EMPTY_GROUP } from "../../core/contract.ts";
import type { MemberId } from "../../core/configuration.ts";
import { EntryBatch, EntryKind, packEntries } from "../../core/entry.ts";
import type { Message } from "../../core/message.ts";
import type { CoreEvent, HardState, Output, Role, Vote } from "../../core/output.ts";
import { utf8 } from "../../util/bytes.ts";
import { crc32 } from "../../util/checksum.ts";
import type {
  AppliedCommand,
  CoreView,
  DeathKind,
  DurableView,
  MemberView,
  Observer,
  SimOperation,
} from "../observer.ts";
import { SimViolation } from "../observer.ts";
import { ShadowLog } from "../shadow-log.ts";
import type { Invariant, InvariantContext } from "./invariant.ts";

/** What a paper core shows. */
export class PaperCore implements CoreView {
  term = 0;
  vote: Vote | undefined;
  role: Role = "follower";
  leader: MemberId | undefined;
  isReady = false;
  commit = 0;
  appliedIndex = 0;
  readonly log: ShadowLog = new ShadowLog(crc32);
  /** What `status` says beyond this. */
  more: Partial<RaftStatus> = {};
  pending: Output[] = [];
  outputs = 0;

  status(): RaftStatus {
    const { term, role, leader, commit, log } = this;
    return {
      id: "",
      role,
      term,
      leader,
      leaderSinceMs: undefined,
      ready: this.isReady,
      leaseEndMs: undefined,
      commit,
      applied: this.appliedIndex,
      persisted: log.lastIndex,
      startIndex: log.startIndex,
      lastIndex: log.lastIndex,
      lastTerm: log.lastTerm,
      configuration: EMPTY_GROUP.startConfiguration.configuration,
      configurationIndex: 1,
      committedConfiguration: EMPTY_GROUP.startConfiguration,
      caughtUp: [],
      clusterTimeMs: 0,
      peers: [],
      uncommittedBytes: 0,
      tailBytes: 0,
      transfer: undefined,
      health: { state: "ok", sinceMs: 0, stalledSinceMs: undefined, stalls: 0, yields: 0 },
      ...this.more,
    };
  }
}

/** A paper member. */
export class PaperMember implements MemberView {
  readonly id: MemberId;
  readonly number: number;
  life = 0;
  state: MemberView["state"] = "down";
  readonly incarnation = undefined;
  core: PaperCore | undefined;
  readonly durable: {
    -readonly [K in keyof DurableView]: DurableView[K];
  } = { term: 0, vote: undefined, log: new ShadowLog(crc32) };

  constructor(number: number) {
    this.number = number;
    this.id = `n${number + 1}`;
  }

  get live(): PaperCore {
    if (this.core === undefined) throw new Error(`${this.id} has no core`);
    return this.core;
  }
}

/** What an output of a paper core holds; everything has a default. */
export interface PaperOutput {
  readonly term?: number;
  readonly vote?: MemberId;
  readonly entries?: readonly EntryBatch[];
  readonly commit?: number;
  readonly events?: readonly CoreEvent[];
}

/** A vote for a member by that name. */
export function voteFor(id: MemberId): Vote {
  return { id, incarnation: id.padStart(32, "0") };
}

/** Commands from `firstIndex` on; the empty text stands for the entry that opens a term. */
export function batch(firstIndex: number, term: number, ...texts: readonly string[]): EntryBatch {
  const entries = packEntries(
    texts.map((text) => ({
      kind: text === "" ? EntryKind.noop : EntryKind.command,
      payload: utf8(text),
    })),
  );
  return EntryBatch.seal(entries, { term, firstIndex, timeMs: 0, checksum: crc32 });
}

/** The event of becoming leader. */
export function elected(term: number): CoreEvent {
  return { type: "role", role: "leader", previous: "candidate", term, reason: "paper" };
}

/** The event of an advance of the commit index. */
export function committed(index: number, term: number): CoreEvent {
  return { type: "commit", index, term };
}

/** An acknowledgement of entries. */
export function ack(term: number, index: number): Message {
  return {
    type: "append-entries-response",
    term,
    success: true,
    index,
    hintIndex: 0,
    hintTerm: 0,
  };
}

/** An append without entries. */
export function append(term: number): Message {
  return { type: "append-entries", term, prevIndex: 0, prevTerm: 0, commit: 0, batches: [] };
}

/** Asking for votes. */
export function requestVote(term: number): Message {
  return {
    type: "request-vote",
    term,
    transfer: false,
    incarnation: "0".repeat(32),
    lastIndex: 0,
    lastTerm: 0,
  };
}

/** A granted vote. */
export function grant(term: number): Message {
  return { type: "request-vote-response", term, granted: true };
}

/** What recovery would find of these runs of terms, each `[first index, term]`. */
export function found(
  state: Partial<HardState>,
  lastIndex: number,
  ...runs: readonly (readonly [number, number])[]
): RecoveredGroup {
  const termRuns: TermRun[] = runs.map(([index, term]) => ({ index, term }));
  const hardState = { term: 1, vote: undefined, commit: 0, ...state };
  return { ...EMPTY_GROUP, hardState, lastIndex, termRuns };
}

/** A story that an invariant is told. */
export class Story implements InvariantContext {
  readonly members: readonly PaperMember[];
  readonly majority: number;
  readonly #invariant: Invariant;
  readonly #observer: Observer;
  #nowUs = 0;
  #operations = 0;

  /** Members that have just formed: one entry of term 1, which is committed. */
  constructor(invariant: Invariant, members = 3) {
    this.members = Array.from({ length: members }, (_, i) => new PaperMember(i));
    this.majority = Math.floor(members / 2) + 1;
    this.#invariant = invariant;
    this.#observer = invariant.watch(this);
    for (const member of this.members) this.start(member, found({ commit: 1 }, 1, [1, 1]));
  }

  nowUs(): number {
    return this.#nowUs;
  }

  /** Member n1, n2, … */
  n(number: number): PaperMember {
    const member = this.members[number - 1];
    if (member === undefined) throw new Error(`no member n${number}`);
    return member;
  }

  pass(us: number): void {
    this.#nowUs += us;
  }

  start(member: PaperMember, recovered: RecoveredGroup): void {
    member.life++;
    this.#observer.started?.(member);
    this.#observer.recovered?.(member, recovered);
    const { hardState } = recovered;
    const { durable } = member;
    durable.term = hardState.term;
    durable.vote = hardState.vote;
    durable.log.recover(recovered, durable.log);
    const core = new PaperCore();
    core.term = hardState.term;
    core.vote = hardState.vote;
    core.commit = hardState.commit;
    core.log.copy(durable.log);
    member.core = core;
    member.state = "up";
  }

  /** Comes back with exactly what was durable. */
  restart(member: PaperMember): void {
    this.crash(member);
    const { term, vote, log } = member.durable;
    const termRuns: TermRun[] = [];
    for (let index = 1; index <= log.lastIndex; index++) {
      const own = log.termAt(index)!;
      if (termRuns.at(-1)?.term !== own) termRuns.push({ index, term: own });
    }
    const hardState = { term, vote, commit: 0 };
    this.start(member, { ...EMPTY_GROUP, hardState, lastIndex: log.lastIndex, termRuns });
  }

  crash(member: PaperMember, how: DeathKind = "power"): void {
    member.core = undefined;
    member.state = "down";
    this.#observer.died?.(member, how);
  }

  output(member: PaperMember, paper: PaperOutput): void {
    const core = member.live;
    const term = paper.term ?? core.term;
    const vote = paper.vote === undefined ? undefined : voteFor(paper.vote);
    const isNew = paper.term !== undefined || vote !== undefined;
    const output: Output = {
      number: ++core.outputs,
      hardState: isNew ? { term, vote, commit: core.commit } : undefined,
      reset: undefined,
      entries: paper.entries ?? [],
      messages: [],
      commit: paper.commit ?? core.commit,
      reads: [],
      loads: [],
      snapshots: [],
      events: paper.events ?? [],
    };
    if (isNew) Object.assign(core, { term, vote });
    for (const entries of output.entries) core.log.append(entries);
    core.commit = Math.max(core.commit, output.commit);
    for (const event of output.events) if (event.type === "role") core.role = event.role;
    core.pending.push(output);
    this.#observer.output?.(member, output);
  }

  /** Everything that the core has handed out is durable, or everything up to `output`. */
  persist(member: PaperMember, output: number = member.live.outputs): void {
    const core = member.live;
    const done = core.pending.filter((pending) => pending.number <= output);
    core.pending = core.pending.filter((pending) => pending.number > output);
    for (const { hardState, entries } of done) {
      if (hardState !== undefined) {
        member.durable.term = hardState.term;
        member.durable.vote = hardState.vote;
      }
      for (const one of entries) member.durable.log.append(one);
    }
    this.#observer.persisted?.(member, output);
  }

  /** An output that is durable at once. */
  write(member: PaperMember, paper: PaperOutput): void {
    this.output(member, paper);
    this.persist(member);
  }

  /** All members write the same. */
  writeAll(paper: PaperOutput): void {
    for (const member of this.members) this.write(member, paper);
  }

  send(member: PaperMember, to: PaperMember, message: Message): void {
    this.#observer.sent?.(member, to.id, message);
  }

  apply(member: PaperMember, index: number, command: Partial<AppliedCommand> = {}): void {
    this.#observer.applied?.(member, {
      index,
      term: member.live.log.termAt(index) ?? 0,
      timeMs: 0,
      operation: index,
      commandHash: index,
      resultHash: index,
      ...command,
    });
    member.live.appliedIndex = index;
  }

  call(member: PaperMember, kind: SimOperation["kind"], number?: number): SimOperation {
    const operation: SimOperation = {
      number: number ?? ++this.#operations,
      client: "c1",
      member,
      kind,
      input: undefined,
      calledUs: this.#nowUs,
      maxStalenessUs: 0,
      outcome: "open",
      result: undefined,
      error: undefined,
      returnedUs: -1,
    };
    this.#observer.called?.(operation);
    return operation;
  }

  settle(operation: SimOperation, outcome: SimOperation["outcome"]): void {
    operation.outcome = outcome;
    this.#observer.settled?.(operation);
  }

  end(): void {
    this.#observer.ended?.();
  }

  /** Expects that this breaks the invariant, with all of these words in the message. */
  breaks(act: () => void, ...words: readonly string[]): void {
    let thrown: unknown;
    try {
      act();
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(SimViolation);
    const violation = thrown as SimViolation;
    expect(violation.invariant).toBe(this.#invariant.name);
    for (const word of words) expect(violation.message).toContain(word);
  }
}
