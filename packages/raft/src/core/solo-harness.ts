/**
 * One core by itself, for tests that play the rest of the cluster by hand.
 *
 * Its log is given as one term per entry. Every output is taken right after every input and kept;
 * writes become durable at once unless the test holds them back.
 */
import { utf8 } from "../util/bytes.ts";
import { crc32 } from "../util/checksum.ts";
import type { Configuration, MemberId } from "./configuration.ts";
import type { RaftOptions, RecoveredGroup, SnapshotPoint } from "./contract.ts";
import type { EntryKind } from "./entry.ts";
import { EntryBatch, packEntries } from "./entry.ts";
import {
  commands,
  configurationOf,
  incarnationOf,
  raftOptions,
  TestDisk,
} from "./member-harness.ts";
import type { AppendEntries, AppendEntriesResponse, Message, MessageType } from "./message.ts";
import type { CoreEvent, Envelope, Output, Vote } from "./output.ts";
import { appendConfiguration } from "./propose.ts";
import { Raft } from "./raft.ts";

/** What a core starts with. */
export interface SoloOptions {
  readonly id?: MemberId;
  readonly voters?: readonly MemberId[];
  readonly learners?: readonly MemberId[];
  readonly outgoing?: readonly MemberId[];
  /** The term of each entry, the first one at index 1. */
  readonly log?: readonly number[];
  /** Default: the last term of the log. */
  readonly term?: number;
  readonly vote?: MemberId;
  readonly commit?: number;
  readonly raft?: Partial<RaftOptions>;
  /** Changes what was recovered. */
  readonly recovered?: Partial<RecoveredGroup>;
  /** Default: T and more has passed since the start, so that votes may be given. */
  readonly fresh?: boolean;
  readonly autoPersist?: boolean;
}

/** Batches of commands, one per run of equal terms, the first entry at `first`. */
export function batchesOf(terms: readonly number[], first = 1): EntryBatch[] {
  const batches: EntryBatch[] = [];
  for (let i = 0; i < terms.length;) {
    let end = i;
    while (end < terms.length && terms[end] === terms[i]) end++;
    const texts = terms.slice(i, end).map((term, k) => `${first + i + k}@${term}`);
    batches.push(batchOf(terms[i] ?? 0, first + i, ...texts));
    i = end;
  }
  return batches;
}

/** One batch of commands with these texts. */
export function batchOf(term: number, firstIndex: number, ...texts: readonly string[]): EntryBatch {
  return EntryBatch.seal(commands(...texts), { term, firstIndex, timeMs: 0, checksum: crc32 });
}

/** One batch of a single entry of any kind. */
export function entryOf(
  term: number,
  index: number,
  kind: EntryKind,
  payload: Uint8Array,
): EntryBatch {
  const entries = packEntries([{ kind, payload }]);
  return EntryBatch.seal(entries, { term, firstIndex: index, timeMs: 0, checksum: crc32 });
}

/** An append message; what is not said is empty. */
export function append(fields: Partial<AppendEntries> & { readonly term: number }): AppendEntries {
  return { type: "append-entries", prevIndex: 0, prevTerm: 0, commit: 0, batches: [], ...fields };
}

/** What a snapshot at this position stands for. */
export function pointAt(
  index: number,
  term: number,
  configuration: Configuration = configurationOf(["n1", "n2", "n3"]),
): SnapshotPoint {
  return { index, term, configuration: { index: 0, configuration }, timeMs: index };
}

/** A success of a follower. */
export function ack(term: number, index: number): AppendEntriesResponse {
  return {
    type: "append-entries-response",
    term,
    success: true,
    index,
    hintIndex: 0,
    hintTerm: 0,
  };
}

/** A refusal of a follower. */
export function refusal(
  term: number,
  index: number,
  hintIndex: number,
  hintTerm: number,
): AppendEntriesResponse {
  return { type: "append-entries-response", term, success: false, index, hintIndex, hintTerm };
}

export class Solo {
  readonly raft: Raft;
  readonly id: MemberId;
  readonly outputs: Output[] = [];
  readonly disk: TestDisk = new TestDisk();
  autoPersist: boolean;
  nowMs = 0;

  constructor(options: SoloOptions = {}) {
    const { id = "n1", voters = ["n1", "n2", "n3"], log = [], commit = 0, vote } = options;
    const { term = log.at(-1) ?? 0, raft, recovered } = options;
    this.id = id;
    this.autoPersist = options.autoPersist ?? true;
    this.disk.batches = batchesOf(log);
    this.disk.hardState = { term, vote: vote === undefined ? undefined : voteFor(vote), commit };
    const configuration = configurationOf(voters, options.learners, options.outgoing);
    const group = { ...this.disk.recovered(configuration), ...recovered };
    this.raft = new Raft(raftOptions(id, raft), group, 0);
    if (options.fresh !== true) {
      // In steps, so that it is no pause; the timer is put back, so that nothing has happened yet.
      for (let ms = 250; ms <= 1_000; ms += 250) this.raft.applied(ms, 0);
      this.nowMs = 1_000;
      this.raft.state.electionDeadlineMs = 1_000 + this.raft.state.electionTimeoutMs;
    }
    this.take();
  }

  get status(): ReturnType<Raft["status"]> {
    return this.raft.status();
  }

  /** Every message since the beginning or the last {@link forget}. */
  get messages(): Envelope[] {
    return this.outputs.flatMap((output) => output.messages);
  }

  get events(): CoreEvent[] {
    return this.outputs.flatMap((output) => output.events);
  }

  forget(): void {
    this.outputs.length = 0;
  }

  eventsOf<T extends CoreEvent["type"]>(type: T): Extract<CoreEvent, { type: T }>[] {
    return this.events.filter((e): e is Extract<CoreEvent, { type: T }> => e.type === type);
  }

  /** Messages of one kind to one member, since the beginning or the last {@link forget}. */
  sent<T extends MessageType>(type: T, to?: MemberId): Extract<Message, { type: T }>[] {
    return this.messages
      .filter((envelope) => to === undefined || envelope.to === to)
      .map((envelope) => envelope.message)
      .filter((m): m is Extract<Message, { type: T }> => m.type === type);
  }

  /** Steps a message and returns the messages that came of it. */
  step(from: MemberId, message: Message): Envelope[] {
    this.raft.step(this.nowMs, from, message);
    return this.take();
  }

  /** Lets time pass, ticking when asked for; returns the messages that came of it. */
  run(ms: number): Envelope[] {
    const until = this.nowMs + ms;
    const sent: Envelope[] = [];
    while (this.raft.nextDeadlineMs <= until) {
      this.nowMs = Math.max(this.nowMs, this.raft.nextDeadlineMs);
      this.raft.tick(this.nowMs);
      sent.push(...this.take());
    }
    this.nowMs = until;
    return sent;
  }

  propose(...texts: readonly string[]): Envelope[] {
    const result = this.raft.propose(this.nowMs, commands(...texts));
    if (!result.ok) throw new Error(`refused: ${result.reason}`);
    return this.take();
  }

  /** As leader: appends a configuration. */
  configure(configuration: Configuration): Envelope[] {
    appendConfiguration(this.raft.state, configuration);
    return this.take();
  }

  persist(output: number): Envelope[] {
    this.raft.persisted(this.nowMs, output);
    return this.take();
  }

  /** Takes outputs until there are none. */
  take(): Envelope[] {
    const sent: Envelope[] = [];
    for (;;) {
      const output = this.raft.takeOutput(this.nowMs);
      if (output === undefined) return sent;
      this.outputs.push(output);
      this.disk.write(output);
      sent.push(...output.messages);
      if (this.autoPersist) this.raft.persisted(this.nowMs, output.number);
    }
  }

  /** Runs into the election timeout. */
  timeOut(): void {
    while (this.status.role === "follower") {
      this.run(Math.max(1, this.raft.nextDeadlineMs - this.nowMs));
    }
  }

  /** Campaigns and wins with the votes of `voters`. */
  win(...voters: readonly MemberId[]): this {
    this.timeOut();
    const term = this.status.term + 1;
    for (const from of voters) this.step(from, { type: "pre-vote-response", term, granted: true });
    for (const from of voters) {
      this.step(from, { type: "request-vote-response", term, granted: true });
    }
    if (this.status.role !== "leader") throw new Error(`${this.id} is ${this.status.role}`);
    return this;
  }

  /** As leader: every given peer acknowledges everything. */
  ackAll(...peers: readonly MemberId[]): this {
    for (const from of peers) this.step(from, ack(this.status.term, this.status.lastIndex));
    return this;
  }

  /** Terms of the entries, the first one at index 1. */
  get terms(): number[] {
    const terms: number[] = [];
    for (let i = 1; i <= this.status.lastIndex; i++)
      terms.push(this.raft.state.log.termAt(i) ?? -1);
    return terms;
  }
}

function voteFor(id: MemberId): Vote {
  return { id, incarnation: incarnationOf(id) };
}

/** The bytes of a text, as the payload of an entry. */
export function payload(text: string): Uint8Array {
  return utf8(text);
}
