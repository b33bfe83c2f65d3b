/**
 * Recovery: reading the log and deciding where it ends. This part only reads; what it finds wrong
 * is refused with nothing changed. What it finds right is made durable by rewrite.ts.
 *
 * The records are walked from the first one on. The walk ends at the first place P without a whole
 * record that belongs there. Behind P the rest is searched, at every multiple of 8, for headers
 * that belong where they stand: their marks count too. Let M be the highest durable mark found
 * anywhere: in slots, in the headers of the walk, in headers behind P.
 *
 *   M > P          damage: something was durable at P and is not there. Refused.
 *   M <= P         torn tail (or clean end): the log ends at P. What is behind was never proven.
 *
 * Damage is further, whatever the marks say, because each of these was synced before anything
 * relied on it: a file shorter than its identity says; an identity that cannot be read; a gap in
 * the sequence of files; a full segment without a successor; a first segment without complete
 * states, unless it is number 1; entries that a group needs and no record holds (the oldest files
 * are missing); records that contradict each other.
 *
 * Why a torn tail is only ever in the newest used segment: an `end` record is durable before the
 * next segment is entered, and the mark of the first record there proves all of the segment before.
 * So an unreadable record in an older segment lies below a mark, as long as one record behind it is
 * whole.
 *
 * The states at the head of a segment count only if all of them are whole: where the log would end
 * among them, it ends before them, and they are written anew.
 *
 * What cannot be read is read again, since a disk may fail once and answer then. If it stays so, it
 * is damage where other parts of that file can be read; where nothing of it can, the disk is away,
 * and that says nothing about the log: opening fails and may be tried again.
 *
 * What cannot be known from one copy: whether the last write, proven by no mark yet, was
 * acknowledged. If it rots at once, that looks like a torn tail. `settle` closes that window when
 * the log falls idle.
 */
import type { Disk, DiskFile } from "../disk/disk.ts";
import { DiskError } from "../disk/disk.ts";
import { assertDefined } from "../util/assert.ts";
import type { Checksum } from "../util/checksum.ts";
import type { GroupLog } from "./group-log.ts";
import type { LiveBytes } from "./location-index.ts";
import { damaged, unsupported } from "./log-health.ts";
import { ORIGIN, comparePositions, laterOf } from "./position.ts";
import type { Position } from "./position.ts";
import {
  MAGIC_FIRST_BYTE,
  RECORD_HEADER_BYTES,
  RECORD_VERSION,
  RecordFlag,
  RecordKind,
  bodyIsWhole,
  emptyHeader,
  readHeader,
  recordBytes,
} from "./record.ts";
import type { RecordHeader, RecordSeal } from "./record.ts";
import { Replay } from "./replay.ts";
import type { Segment } from "./segment-pool.ts";
import {
  SEGMENT_HEAD_BYTES,
  decodeIdentity,
  decodeSlots,
  isKnownVersion,
  segmentName,
} from "./segment.ts";
import { logSeal } from "./seal.ts";

/** What recovery reads. */
export interface RecoverOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly checksum: Checksum;
}

/** Bytes of a segment as they were read. */
export interface FoundPiece {
  readonly segment: Segment;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** What recovery found. */
export interface Recovered {
  readonly logId: number;
  readonly groups: Map<number, GroupLog>;
  readonly live: LiveBytes;
  /** Oldest first, up to the one in which the log ends. */
  readonly segments: Segment[];
  /** The one behind, if it was prepared. */
  readonly prepared: Segment | undefined;
  /** Where the log ends. */
  readonly tail: Position;
  /** What is between the highest durable mark and the tail, in order. */
  readonly unproven: readonly FoundPiece[];
  /** The highest number of an opening. */
  readonly opening: number;
  /** The highest generation of a slot. */
  readonly generation: number;
  readonly records: number;
  /** How far behind the tail something of the last opening reaches. */
  readonly tornBytes: number;
}

/** Reads the log in these files. `sequences` is sorted and not empty. */
export async function recoverLog(
  options: RecoverOptions,
  sequences: readonly number[],
): Promise<Recovered> {
  const scan = new LogScan(options, assertDefined(sequences[0], "there is a segment"));
  for (const sequence of sequences) await scan.segment(sequence);
  return scan.finish();
}

const READ_BYTES_MAX = 16_777_216; // 16 MiB
/** An error of a read may pass, unlike that of a write: nothing is lost by reading again. */
const READ_ATTEMPTS = 3;
const SECTOR_BYTES = 512;

/** The walk over all files; what it has found so far can be looked at, even after it refused. */
export class LogScan {
  readonly #options: RecoverOptions;
  readonly #replay: Replay;
  readonly #segments: Segment[] = [];
  readonly #header: RecordHeader = emptyHeader();
  #bytes: Uint8Array = new Uint8Array(0);
  #logId: number | undefined;
  #seal: RecordSeal;
  #mark: Position = ORIGIN;
  /** What no mark proved when it was walked over: of most segments their last write. */
  #unproven: FoundPiece[] = [];
  #opening = 0;
  /** Opening and mark of the last record that was walked over. */
  #walkedOpening = 0;
  #walkedMark: Position = ORIGIN;
  #generation = 0;
  /** Where the next record belongs; once the walk has ended, where the log ends. */
  #at: Position;
  #walking = true;
  /** Whether the walk is among the states that a segment begins with. */
  #headIsCut = false;
  #tornEnd = 0;
  #tornOpening = 0;

  constructor(options: RecoverOptions, first: number) {
    this.#options = options;
    this.#seal = logSeal(options.checksum, 0);
    this.#replay = new Replay(first);
    this.#at = { segment: first, offset: SEGMENT_HEAD_BYTES };
  }

  /** The groups as far as the walk has come. */
  get groups(): ReadonlyMap<number, GroupLog> {
    return this.#replay.groups;
  }

  /** The highest durable mark found so far. */
  get mark(): Position {
    return this.#mark;
  }

  /** How far the walk has come. */
  get at(): Position {
    return this.#at;
  }

  /** Reads the file with that number, the next one. */
  async segment(sequence: number): Promise<void> {
    const segment = await this.#load(sequence);
    this.#segments.push(segment);
    const bytes = this.#bytes;
    this.#readSlots(segment, bytes);
    let searchFrom = SEGMENT_HEAD_BYTES;
    if (this.#walking && this.#at.segment === sequence) {
      if (this.#walk(segment, bytes)) return;
      searchFrom = this.#at.offset;
    }
    this.#walking = false;
    this.#search(segment, bytes, searchFrom);
    this.#requireProven();
  }

  /** All files were read: decides where the log ends. */
  finish(): Recovered {
    const tail = this.#tail();
    const tailAt = this.#segments.findIndex((segment) => segment.sequence === tail.segment);
    if (tailAt < 0) throw damaged(this.#path(tail.segment), 0, "this file is missing");
    const { path } = this.#segments[tailAt]!;
    this.#requireProven();
    const first = this.#segments[0]!;
    if (first.sequence > 1 && !this.#replay.headIsComplete) {
      throw damaged(
        path,
        this.#at.offset,
        "the states that the first segment begins with are not whole",
      );
    }
    const beyond = this.#segments[tailAt + 2];
    if (beyond !== undefined) {
      throw damaged(beyond.path, 0, `this file exists although the log ends in ${path}`);
    }
    this.#requireEntries(first);
    return {
      logId: assertDefined(this.#logId, "a segment was read"),
      groups: this.#replay.groups,
      live: this.#replay.live,
      segments: this.#segments.slice(0, tailAt + 1),
      prepared: this.#segments[tailAt + 1],
      tail,
      unproven: this.#unproven.flatMap((piece) => cut(piece, this.#mark, tail)),
      opening: this.#opening,
      generation: this.#generation,
      records: this.#replay.records,
      tornBytes: this.#tornOpening === this.#opening ? Math.max(0, this.#tornEnd - tail.offset) : 0,
    };
  }

  /**
   * Where the log ends. States at the head of a segment are taken all or not at all: they repeat
   * what the older segments say, and a segment that had only some of them could never stand alone.
   */
  #tail(): Position {
    if (!this.#headIsCut) return this.#at;
    return { segment: this.#at.segment, offset: SEGMENT_HEAD_BYTES };
  }

  /** The walk has ended: no mark may lie behind its end. More may be found, but none is needed. */
  #requireProven(): void {
    const { segment, offset } = this.#at;
    if (comparePositions(this.#mark, this.#at) <= 0) return;
    const mark = `offset ${this.#mark.offset} of segment ${this.#mark.segment}`;
    const why = `no whole record here, although the log was durable up to ${mark}`;
    throw damaged(this.#path(segment), offset, why);
  }

  /** Walks over records; true where the segment is full and the log goes on in the next one. */
  #walk(segment: Segment, bytes: Uint8Array): boolean {
    const header = this.#header;
    let offset = this.#at.offset;
    while (this.#isWhole(segment, bytes, offset)) {
      const from = offset + RECORD_HEADER_BYTES;
      const why = this.#replay.apply(header, bytes.subarray(from, from + header.bodyBytes));
      if (why !== undefined) throw damaged(segment.path, offset, why);
      this.#note(header);
      this.#walkedOpening = header.opening;
      this.#walkedMark = { segment: header.markSegment, offset: header.markOffset };
      offset += recordBytes(header.bodyBytes);
      if ((header.flags & RecordFlag.head) !== 0) {
        this.#headIsCut = (header.flags & RecordFlag.headEnd) === 0;
      }
      if (header.kind === RecordKind.end) {
        this.#keepUnproven(segment, bytes, offset);
        this.#at = { segment: segment.sequence + 1, offset: SEGMENT_HEAD_BYTES };
        return true;
      }
    }
    this.#keepUnproven(segment, bytes, offset);
    this.#at = { segment: segment.sequence, offset };
    return false;
  }

  /** The buffer is needed for the next segment, and what was read once may read otherwise later. */
  #keepUnproven(segment: Segment, bytes: Uint8Array, end: number): void {
    const { sequence } = segment;
    const all = { segment, offset: SEGMENT_HEAD_BYTES, bytes: bytes.subarray(SEGMENT_HEAD_BYTES) };
    const kept = this.#unproven.filter((piece) => piece.segment.sequence >= this.#mark.segment);
    for (const piece of cut(all, this.#mark, { segment: sequence, offset: end })) {
      kept.push({ ...piece, bytes: piece.bytes.slice() });
    }
    this.#unproven = kept;
  }

  /**
   * Whether the next record of the log stands here; its header is then read. It either begins a
   * write, or goes on with the write of the record before it: see record.ts for why.
   */
  #isWhole(segment: Segment, bytes: Uint8Array, offset: number): boolean {
    const header = this.#header;
    if (!this.#belongs(segment, bytes, offset)) return false;
    const beginsWrite =
      header.markSegment === header.segment && header.markOffset === header.offset;
    const follows = beginsWrite
      ? header.opening >= this.#walkedOpening
      : header.opening === this.#walkedOpening &&
        header.markSegment === this.#walkedMark.segment &&
        header.markOffset === this.#walkedMark.offset;
    return follows && bodyIsWhole(bytes, offset, header, this.#seal);
  }

  /** Whether a whole header stands here that says that it belongs here. */
  #belongs(segment: Segment, bytes: Uint8Array, offset: number): boolean {
    const header = this.#header;
    if (!readHeader(bytes, offset, header, this.#seal)) return false;
    if (header.segment !== segment.sequence || header.offset !== offset) return false;
    if (header.version !== RECORD_VERSION) {
      throw unsupported(segment.path, "a record", header.version);
    }
    return true;
  }

  /** Looks behind the end of the walk for headers, for what their marks prove. */
  #search(segment: Segment, bytes: Uint8Array, from: number): void {
    const header = this.#header;
    const last = bytes.length - RECORD_HEADER_BYTES;
    const magic = MAGIC_FIRST_BYTE;
    for (let offset = from; offset <= last; offset += 8) {
      // Two million places in a segment of 16 MiB: one comparison for nearly all of them.
      if (bytes[offset] !== magic || !this.#belongs(segment, bytes, offset)) continue;
      this.#note(header);
      if (segment.sequence !== this.#at.segment || header.opening < this.#tornOpening) continue;
      this.#tornOpening = header.opening;
      this.#tornEnd = Math.min(offset + recordBytes(header.bodyBytes), bytes.length);
    }
  }

  #note(header: Readonly<RecordHeader>): void {
    this.#mark = laterOf(this.#mark, { segment: header.markSegment, offset: header.markOffset });
    if (header.opening > this.#opening) this.#opening = header.opening;
  }

  #readSlots(segment: Segment, bytes: Uint8Array): void {
    const owner = { sequence: segment.sequence, logId: this.#logId ?? 0 };
    for (const slot of decodeSlots(bytes, owner, this.#options.checksum)) {
      if (!isKnownVersion(slot.version)) throw unsupported(segment.path, "a mark", slot.version);
      this.#mark = laterOf(this.#mark, slot.mark);
      this.#opening = Math.max(this.#opening, slot.opening);
      this.#generation = Math.max(this.#generation, slot.generation);
    }
  }

  /** Reads the whole file into the buffer and checks who it is. */
  async #load(sequence: number): Promise<Segment> {
    const path = this.#path(sequence);
    const before = this.#segments.at(-1);
    if (before !== undefined && before.sequence !== sequence - 1) {
      throw damaged(this.#path(before.sequence + 1), 0, "this file is missing");
    }
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#read(path, (file) => this.#loadFrom(file, sequence));
      } catch (error) {
        if (!(error instanceof DiskError) || error.reason !== "io") throw error;
        if (attempt < READ_ATTEMPTS) continue;
        // A disk that is away says nothing about what is on it.
        if (!(await this.#answers(path))) throw error;
        throw damaged(path, 0, `a part of the file cannot be read: ${error.message}`, error);
      }
    }
  }

  /** Whether anything of a file can be read: its first or its last sector. */
  async #answers(path: string): Promise<boolean> {
    const sector = new Uint8Array(SECTOR_BYTES);
    const isReadable = (at: (size: number) => number): Promise<boolean> =>
      this.#read(path, async (file) => file.read(sector, at(await file.size()))).then(
        () => true,
        () => false,
      );
    return (await isReadable(() => 0)) || isReadable((size) => Math.max(0, size - SECTOR_BYTES));
  }

  async #read<T>(path: string, use: (file: DiskFile) => Promise<T>): Promise<T> {
    const file = await this.#options.disk.open(path, { mode: "read" });
    try {
      return await use(file);
    } finally {
      await file.close();
    }
  }

  async #loadFrom(file: DiskFile, sequence: number): Promise<Segment> {
    const { path } = file;
    const fileBytes = await file.size();
    const head = new Uint8Array(SEGMENT_HEAD_BYTES);
    await file.read(head, 0);
    const identity = decodeIdentity(head, this.#options.checksum);
    if (identity === undefined) throw damaged(path, 0, "the identity of the segment is not whole");
    if (!isKnownVersion(identity.version)) throw unsupported(path, "a segment", identity.version);
    const { size, logId } = identity;
    if (identity.sequence !== sequence)
      throw damaged(path, 16, `this is segment ${identity.sequence}`);
    this.#logId ??= logId;
    this.#seal = logSeal(this.#options.checksum, this.#logId);
    if (logId !== this.#logId) throw damaged(path, 24, "this segment belongs to another log");
    if (fileBytes < size)
      throw damaged(path, fileBytes, `the file ends here, its head says ${size}`);
    if (this.#bytes.length !== size) this.#bytes = new Uint8Array(size);
    for (let at = 0; at < size; at += READ_BYTES_MAX) {
      const piece = this.#bytes.subarray(at, Math.min(size, at + READ_BYTES_MAX));
      const count = await file.read(piece, at);
      if (count < piece.length) throw damaged(path, at + count, "the file ends here");
    }
    return { sequence, size, path, pins: 0 };
  }

  /** Every group must have all entries that its state speaks of. */
  #requireEntries(first: Segment): void {
    for (const group of this.#replay.groups.values()) {
      const missing = group.firstMissing();
      if (missing === undefined) continue;
      const path = first.sequence > 1 ? this.#path(first.sequence - 1) : first.path;
      throw damaged(
        path,
        0,
        `entry ${missing} of group ${group.id} is missing, and with it this file`,
      );
    }
  }

  #path(sequence: number): string {
    return `${this.#options.directory}/${segmentName(sequence, "log")}`;
  }
}

/** What of a piece is in [from, to): nothing, or one piece. */
function cut(piece: FoundPiece, from: Position, to: Position): FoundPiece[] {
  const { segment, offset, bytes } = piece;
  const { sequence } = segment;
  if (sequence < from.segment || sequence > to.segment) return [];
  const begin = sequence === from.segment ? Math.max(0, from.offset - offset) : 0;
  const end = sequence === to.segment ? Math.min(bytes.length, to.offset - offset) : bytes.length;
  if (begin >= end) return [];
  return [{ segment, offset: offset + begin, bytes: bytes.subarray(begin, end) }];
}
