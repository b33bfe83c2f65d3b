/**
 * The members of a test network: their options, their disks, and what came out of their cores.
 */
import { utf8 } from "../util/bytes.ts";
import { crc32 } from "../util/checksum.ts";
import type { Random } from "../util/random.ts";
import { SeededRandom } from "../util/random.ts";
import type { Configuration, IndexedConfiguration, MemberId } from "./configuration.ts";
import { decodeConfiguration } from "./configuration-codec.ts";
import type { RaftOptions, RecoveredGroup, SnapshotPoint, TermRun } from "./contract.ts";
import type { EntryBatch, PackedEntries } from "./entry.ts";
import { EntryCursor, EntryKind, packEntries } from "./entry.ts";
import type { CoreEvent, Envelope, HardState, Output, ReadOutcome } from "./output.ts";
import type { Raft } from "./raft.ts";

/** An entry that was applied; `text` is the payload of a command, else empty. */
export interface AppliedEntry {
  readonly index: number;
  readonly term: number;
  readonly kind: EntryKind;
  readonly text: string;
}

/** Options of a core, with small and quick defaults. */
export function raftOptions(id: MemberId, overrides: Partial<RaftOptions> = {}): RaftOptions {
  return {
    id,
    incarnation: incarnationOf(id),
    electionTimeoutMs: 1_000,
    heartbeatIntervalMs: 100,
    appendBytesMax: 1_048_576,
    inflightMessagesMax: 256,
    inflightBytesMax: 16_777_216,
    uncommittedBytesMax: 67_108_864,
    tailBytesMax: 33_554_432,
    tailSpareBytes: 262_144,
    readsMax: 1_024,
    leaseReads: false,
    clockDriftBoundPpm: 10_000,
    checksum: crc32,
    random: new SeededRandom(1),
    startNonce: 1_000,
    ...overrides,
  };
}

/** The incarnation that the harness gives to a member. */
export function incarnationOf(id: MemberId): string {
  return crc32(utf8(id)).toString(16).padStart(8, "0").repeat(4);
}

/** A configuration of these members, each with the harness's incarnation. */
export function configurationOf(
  voters: readonly MemberId[],
  learners: readonly MemberId[] = [],
  outgoing: readonly MemberId[] = [],
): Configuration {
  const ids = [...new Set([...voters, ...learners, ...outgoing])].sort();
  return {
    members: ids.map((id) => ({ id, address: `${id}:1`, incarnation: incarnationOf(id) })),
    voters: [...voters].sort(),
    outgoing: [...outgoing].sort(),
    learners: [...learners].sort(),
  };
}

/** Commands with these texts as payload, packed for a proposal. */
export function commands(...texts: readonly string[]): PackedEntries {
  return packEntries(texts.map((text) => ({ kind: EntryKind.command, payload: utf8(text) })));
}

/** What a member has written: hard state and batches, as a log keeps them. */
export class TestDisk {
  hardState: HardState = { term: 0, vote: undefined, commit: 0 };
  batches: EntryBatch[] = [];
  /** The log starts after it; undefined = at its beginning. */
  start: SnapshotPoint | undefined;

  get lastIndex(): number {
    return this.batches.at(-1)?.lastIndex ?? this.start?.index ?? 0;
  }

  /** Lets go of the entries up to a position. */
  release(start: SnapshotPoint): void {
    this.start = start;
    this.batches = this.batches
      .filter((batch) => batch.lastIndex > start.index)
      .map((batch) => batch.from(Math.max(batch.firstIndex, start.index + 1), crc32));
  }

  write(output: Pick<Output, "hardState" | "reset" | "entries">): void {
    if (output.hardState !== undefined) this.hardState = output.hardState;
    if (output.reset !== undefined) {
      this.start = output.reset;
      this.batches = [];
    }
    for (const batch of output.entries) {
      while (this.batches.length > 0 && this.batches.at(-1)!.lastIndex >= batch.firstIndex) {
        const last = this.batches.pop()!;
        if (last.firstIndex < batch.firstIndex) {
          this.batches.push(last.upTo(batch.firstIndex - 1, crc32));
        }
      }
      this.batches.push(batch);
    }
  }

  /** Batches that cover `from` up to `to`, about `bytesMax` bytes and at least one. */
  read(from: number, to: number, bytesMax: number): EntryBatch[] {
    const found: EntryBatch[] = [];
    let bytes = 0;
    for (let batch of this.batches) {
      if (batch.lastIndex < from || batch.firstIndex > to) continue;
      if (found.length > 0 && bytes + batch.byteLength > bytesMax) break;
      if (batch.firstIndex < from) batch = batch.from(from, crc32);
      if (batch.lastIndex > to) batch = batch.upTo(to, crc32);
      found.push(batch);
      bytes += batch.byteLength;
    }
    return found;
  }

  copy(): TestDisk {
    const copy = new TestDisk();
    copy.hardState = this.hardState;
    copy.batches = [...this.batches];
    copy.start = this.start;
    return copy;
  }

  /** What recovery would find here. */
  recovered(startConfiguration: Configuration): RecoveredGroup {
    const termRuns: TermRun[] = [];
    const configurations: IndexedConfiguration[] = [];
    const cursor = new EntryCursor();
    for (const batch of this.batches) {
      if (batch.term !== termRuns.at(-1)?.term) {
        termRuns.push({ index: batch.firstIndex, term: batch.term });
      }
      cursor.reset(batch);
      while (cursor.next()) {
        const { kind, index, payload } = cursor.view;
        if (kind !== EntryKind.configuration) continue;
        configurations.push({ index, configuration: decodeConfiguration(payload) });
      }
    }
    return {
      hardState: this.hardState,
      startIndex: this.start?.index ?? 0,
      startTerm: this.start?.term ?? 0,
      startConfiguration: this.start?.configuration ?? {
        index: 0,
        configuration: startConfiguration,
      },
      lastIndex: this.lastIndex,
      termRuns,
      configurations,
      lastTimeMs: this.batches.at(-1)?.timeMs ?? this.start?.timeMs ?? 0,
    };
  }
}

/** One member: a core, its disk, and what came out of it. */
export class TestNode {
  readonly id: MemberId;
  /** Undefined while crashed. */
  core: Raft | undefined;
  /** What survives a crash. */
  durable: TestDisk = new TestDisk();
  /** What was handed to the disk, durable or not: loads are served from here. */
  written: TestDisk = new TestDisk();
  /** Writes that are not durable yet, oldest first. */
  pending: Output[] = [];
  /** Messages that wait for a write, in order. */
  held: Envelope[] = [];
  /** Writes become durable at once. */
  autoPersist: boolean;
  /** Loads are answered at once. */
  autoLoad = true;
  paused = false;
  /** Since the beginning, over restarts. */
  readonly outputs: Output[] = [];
  readonly events: CoreEvent[] = [];
  readonly reads: ReadOutcome[] = [];
  /** Since the last start. */
  applied: AppliedEntry[] = [];
  readonly random: Random;

  constructor(id: MemberId, autoPersist: boolean, random: Random) {
    this.id = id;
    this.autoPersist = autoPersist;
    this.random = random;
  }

  /** The core; throws where the member is down. */
  get raft(): Raft {
    if (this.core === undefined) throw new Error(`${this.id} is down`);
    return this.core;
  }

  get isUp(): boolean {
    return this.core !== undefined;
  }

  /** Texts of the applied commands. */
  get texts(): string[] {
    return this.applied.filter((e) => e.kind === EntryKind.command).map((e) => e.text);
  }

  eventsOf<T extends CoreEvent["type"]>(type: T): Extract<CoreEvent, { type: T }>[] {
    return this.events.filter((e): e is Extract<CoreEvent, { type: T }> => e.type === type);
  }
}
