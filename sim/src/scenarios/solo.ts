/**
 * One core whose cluster is played by hand: what scenarios use that need an answer to come at
 * exactly one moment, which no network brings about often enough.
 *
 * The core is n1. Every output is carried out at once: what it writes is durable, unless the
 * scenario holds that back, and what it sends is kept in `sent`.
 */
import {
  EMPTY_GROUP,
  EntryBatch,
  EntryKind,
  Raft,
  SeededRandom,
  crc32,
  packEntries,
  votersOnly,
} from "quorate/core";
import type {
  Configuration,
  EntryFields,
  MemberId,
  Message,
  Output,
  ReadOutcome,
  RecoveredGroup,
  TermRun,
} from "quorate/core";

/** T of the core, in ms. */
export const TIMEOUT_MS = 1_000;
const HEARTBEAT_MS = 100;
/** Steps in which time passes: below T/2, or the core would take it for a pause. */
const STEP_MS = 250;

/** What the core finds at its start. */
export interface SoloStart {
  readonly members: number;
  /** The term of each entry behind the configuration, which is entry 1 of term 1. */
  readonly terms?: readonly number[];
  readonly commit?: number;
  /** Default: that of the last entry. */
  readonly term?: number;
  /** Default false. */
  readonly leaseReads?: boolean;
}

/** A core and everything that it said. */
export class Solo {
  readonly raft: Raft;
  readonly outputs: Output[] = [];
  readonly sent: { readonly to: MemberId; readonly message: Message }[] = [];
  readonly reads: ReadOutcome[] = [];
  /** Whether writes become durable as soon as they are handed out. */
  isDiskFast = true;
  nowMs = 0;

  constructor(start: SoloStart) {
    const options = {
      id: "n1",
      incarnation: incarnationOf(1),
      electionTimeoutMs: TIMEOUT_MS,
      heartbeatIntervalMs: HEARTBEAT_MS,
      appendBytesMax: 65_536,
      inflightMessagesMax: 64,
      inflightBytesMax: 1_048_576,
      uncommittedBytesMax: 1_048_576,
      tailBytesMax: 1_048_576,
      tailSpareBytes: 65_536,
      readsMax: 64,
      leaseReads: start.leaseReads ?? false,
      clockDriftBoundPpm: 10_000,
      checksum: crc32,
      random: new SeededRandom(1),
      startNonce: 1_000,
    };
    this.raft = new Raft(options, recoveredOf(start), 0);
    // Longer than T: so that it may vote and campaign.
    for (let ms = STEP_MS; ms <= TIMEOUT_MS; ms += STEP_MS) this.raft.applied(ms, 0);
    this.nowMs = TIMEOUT_MS;
  }

  get role(): string {
    return this.raft.status().role;
  }

  get commit(): number {
    return this.raft.status().commit;
  }

  /** A message arrives. */
  hears(from: MemberId, message: Message): void {
    this.raft.step(this.nowMs, from, message);
    this.act();
  }

  /** Time passes. */
  waits(ms: number): void {
    for (let left = ms; left > 0; left -= STEP_MS) {
      this.nowMs += Math.min(left, STEP_MS);
      this.raft.tick(this.nowMs);
      this.act();
    }
  }

  /** Carries out what the core wants. */
  act(): void {
    for (;;) {
      const output = this.raft.takeOutput(this.nowMs);
      if (output === undefined) return;
      this.outputs.push(output);
      for (const { to, message } of output.messages) this.sent.push({ to, message });
      this.reads.push(...output.reads);
      if (this.isDiskFast) this.raft.persisted(this.nowMs, output.number);
    }
  }

  /**
   * Lets silence pass until it campaigns and has won the pre-votes of `peers`; returns the term.
   */
  campaigns(peers: readonly MemberId[]): number {
    const before = this.raft.status().term;
    for (let i = 0; i < 20 && this.role !== "pre-candidate"; i++) this.waits(STEP_MS);
    const term = before + 1;
    for (const peer of peers) this.hears(peer, { type: "pre-vote-response", term, granted: true });
    return term;
  }

  /** Becomes leader by the votes of `peers`; returns the term. */
  leads(peers: readonly MemberId[]): number {
    const term = this.campaigns(peers);
    for (const peer of peers) this.hears(peer, voteOf(term));
    return term;
  }

  /** Appends so many commands as leader; returns the last index. */
  appends(count: number): number {
    const texts = Array.from({ length: count }, (_, i) => `command ${i}`);
    const result = this.raft.propose(this.nowMs, packEntries(texts.map(commandOf)));
    if (!result.ok) throw new Error(`the core does not append: ${result.reason}`);
    this.act();
    return result.firstIndex + count - 1;
  }

  /** The newest message of that type that was sent to anybody. */
  newest<T extends Message["type"]>(type: T): Extract<Message, { readonly type: T }> {
    const found = this.sent.findLast(({ message }) => message.type === type);
    if (found === undefined) throw new Error(`no ${type} was sent`);
    return found.message as Extract<Message, { readonly type: T }>;
  }
}

/** A granted vote. */
export function voteOf(term: number): Message {
  return { type: "request-vote-response", term, granted: true };
}

/** A success of a follower. */
export function ackOf(term: number, index: number): Message {
  return { type: "append-entries-response", term, success: true, index, hintIndex: 0, hintTerm: 0 };
}

/** Commands of one term as another leader would send them. */
export function batchOf(term: number, firstIndex: number, count: number): EntryBatch {
  const texts = Array.from({ length: count }, (_, i) => `${firstIndex + i} of term ${term}`);
  const entries = packEntries(texts.map(commandOf));
  return EntryBatch.seal(entries, { term, firstIndex, timeMs: 0, checksum: crc32 });
}

function commandOf(text: string): EntryFields {
  return { kind: EntryKind.command, payload: new TextEncoder().encode(text) };
}

function recoveredOf({ members, terms = [], commit = 1, term }: SoloStart): RecoveredGroup {
  const termRuns: TermRun[] = [{ index: 1, term: 1 }];
  terms.forEach((of, i) => {
    if (of !== termRuns.at(-1)!.term) termRuns.push({ index: i + 2, term: of });
  });
  return {
    ...EMPTY_GROUP,
    hardState: { term: term ?? terms.at(-1) ?? 1, vote: undefined, commit },
    lastIndex: terms.length + 1,
    termRuns,
    configurations: [{ index: 1, configuration: configurationOf(members) }],
  };
}

function configurationOf(members: number): Configuration {
  return votersOnly(
    Array.from({ length: members }, (_, i) => ({
      id: `n${i + 1}`,
      address: `n${i + 1}:9091`,
      incarnation: incarnationOf(i + 1),
    })),
  );
}

function incarnationOf(number: number): string {
  return String(number).padStart(32, "0");
}
