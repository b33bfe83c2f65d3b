/**
 * Entries, packed in batches.
 *
 * An entry is what the log replicates. The engine never holds one object per entry: entries travel
 * in a *batch body*, made once by the leader, whose bytes are the same in memory, on the wire and
 * on disk, and whose CRC is computed once and checked wherever the body is read. All entries of a
 * body have one term, one cluster time and consecutive indexes, so these stand once, in its head.
 *
 *   body head (40 bytes)                    entry (40 bytes + payload), back to back
 *   off size field                          off size field
 *     0  u8  format version = 1               0  u8  kind (EntryKind)
 *     1  u8  flags (bit 0: holds a            1  u8  flags = 0
 *            configuration entry)             2  u16 reserved = 0
 *     2  u16 reserved = 0                     4  u32 payload length
 *     4  u32 number of entries, >= 1          8  u64 session, 0 = none
 *     8  u64 term                            16  u64 sequence in the session
 *    16  u64 index of the first entry        24  u64 lowest sequence still unanswered
 *    24  u64 cluster time in ms              32  u64 reserved = 0
 *    32  u32 bytes of all entries            40      payload
 *    36  u32 reserved = 0
 *
 * All integers are little-endian; a u64 holds a safe integer. A body is split at entry boundaries
 * only ({@link EntryBatch.from}, {@link EntryBatch.upTo}): the part gets a head and a CRC of its
 * own.
 *
 * Ownership: the bytes of a batch are immutable once it exists. Nobody may write to them.
 */
import { assert, assertIndex } from "../util/assert.ts";
import { BytesError, readU16, readU32, readU64, writeU32, writeU64 } from "../util/bytes.ts";
import type { Checksum } from "../util/checksum.ts";

/** What an entry means. Numbers are part of the format. */
export const EntryKind = {
  /** Written by a new leader to have something of its own term to commit. */
  noop: 0,
  /** A command of the user's state machine. */
  command: 1,
  /** A cluster configuration; see configuration.ts. */
  configuration: 2,
  /** Opens or ends a session of a client; the payload is the runtime's affair. */
  session: 3,
  /** Puts a version of the user's state machine in force: u32. */
  version: 4,
} as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

/** Bytes before the payload of an entry. */
export const ENTRY_HEAD_BYTES = 40;
/** Bytes before the first entry of a body. */
export const BODY_HEAD_BYTES = 40;
/** A configuration of some twenty members; the reserve of a log (log-writer.ts) is for such. */
const ESSENTIAL_BYTES_MAX = 4_096;
const BODY_VERSION = 1;
const FLAG_CONFIGURATION = 1;

/** Entries that have no place in the log yet: what a proposal is made of. */
export interface PackedEntries {
  /** Entries back to back, in the layout above. */
  readonly bytes: Uint8Array;
  /** How many there are. */
  readonly count: number;
}

/** One entry, looked at in place. The cursor that made it overwrites it on its next step. */
export interface EntryView {
  index: number;
  kind: EntryKind;
  session: number;
  sequence: number;
  lowestUnanswered: number;
  /** A view into the batch. */
  payload: Uint8Array;
}

/** Head fields of one entry to be packed. */
export interface EntryFields {
  readonly kind: EntryKind;
  readonly payload: Uint8Array;
  readonly session?: number;
  readonly sequence?: number;
  readonly lowestUnanswered?: number;
}

/** Bytes that one entry with this payload takes in a body. */
export function packedSize(payloadBytes: number): number {
  return ENTRY_HEAD_BYTES + payloadBytes;
}

/** Writes one entry at `at` and returns the offset behind it. Overwrites every byte it spans. */
export function packEntry(into: Uint8Array, at: number, entry: EntryFields): number {
  into[at] = entry.kind;
  into[at + 1] = 0;
  into[at + 2] = 0;
  into[at + 3] = 0;
  writeU32(into, at + 4, entry.payload.length);
  writeU64(into, at + 8, entry.session ?? 0);
  writeU64(into, at + 16, entry.sequence ?? 0);
  writeU64(into, at + 24, entry.lowestUnanswered ?? 0);
  writeU64(into, at + 32, 0);
  into.set(entry.payload, at + ENTRY_HEAD_BYTES);
  return at + ENTRY_HEAD_BYTES + entry.payload.length;
}

/** Packs a few entries; the hot path packs into a buffer of its own instead. */
export function packEntries(entries: readonly EntryFields[]): PackedEntries {
  let size = 0;
  for (const entry of entries) size += packedSize(entry.payload.length);
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const entry of entries) at = packEntry(bytes, at, entry);
  return { bytes, count: entries.length };
}

/**
 * Checks that foreign bytes are exactly `count` well-formed entries; throws {@link BytesError}.
 * Returns whether a configuration is among them.
 */
export function validatePacked(bytes: Uint8Array, count: number): boolean {
  let at = 0;
  let seen = 0;
  let hasConfiguration = false;
  while (at < bytes.length) {
    if (bytes.length - at < ENTRY_HEAD_BYTES) throw new BytesError("entry head is cut");
    if (bytes[at]! > EntryKind.version) throw new BytesError(`entry kind ${bytes[at]}`);
    if (bytes[at] === EntryKind.configuration) hasConfiguration = true;
    for (let field = 8; field < 32; field += 8) readU64(bytes, at + field);
    if (bytes[at + 1] !== 0 || readU16(bytes, at + 2) !== 0 || readU64(bytes, at + 32) !== 0) {
      throw new BytesError("reserved bytes of an entry are not zero");
    }
    const end = at + ENTRY_HEAD_BYTES + readU32(bytes, at + 4);
    if (end > bytes.length) throw new BytesError("entry payload is cut");
    at = end;
    seen++;
  }
  if (seen !== count) throw new BytesError(`${seen} entries where ${count} were announced`);
  return hasConfiguration;
}

/** What a body is sealed with. */
export interface Seal {
  readonly term: number;
  readonly firstIndex: number;
  readonly timeMs: number;
  readonly checksum: Checksum;
}

/** A batch of consecutive entries of one term: immutable, shared by log, wire and apply. */
export class EntryBatch {
  readonly term: number;
  readonly firstIndex: number;
  readonly count: number;
  readonly timeMs: number;
  readonly hasConfiguration: boolean;
  /** Head and entries: what is written and sent as it is. */
  readonly body: Uint8Array;
  /** CRC-32 of {@link body}. */
  readonly crc: number;

  private constructor(body: Uint8Array, crc: number) {
    this.body = body;
    this.crc = crc;
    this.count = readU32(body, 4);
    this.term = readU64(body, 8);
    this.firstIndex = readU64(body, 16);
    this.timeMs = readU64(body, 24);
    this.hasConfiguration = (body[1]! & FLAG_CONFIGURATION) !== 0;
  }

  get lastIndex(): number {
    return this.firstIndex + this.count - 1;
  }

  /** Size of the body, head included. */
  get byteLength(): number {
    return this.body.length;
  }

  /**
   * Gives packed entries their place in the log. Copies them: the caller's buffer stays its own.
   */
  static seal(entries: PackedEntries, seal: Seal): EntryBatch {
    assert(entries.count >= 1, "a batch holds at least one entry");
    assertIndex(seal.firstIndex, "firstIndex");
    assertIndex(seal.term, "term");
    const body = new Uint8Array(BODY_HEAD_BYTES + entries.bytes.length);
    body.set(entries.bytes, BODY_HEAD_BYTES);
    body[0] = BODY_VERSION;
    body[1] = holdsConfiguration(entries) ? FLAG_CONFIGURATION : 0;
    writeU32(body, 4, entries.count);
    writeU64(body, 8, seal.term);
    writeU64(body, 16, seal.firstIndex);
    writeU64(body, 24, seal.timeMs);
    writeU32(body, 32, entries.bytes.length);
    return new EntryBatch(body, seal.checksum(body));
  }

  /**
   * Reads a body from disk or wire and checks everything about it; throws {@link BytesError}.
   * The bytes are kept, not copied: they must not change afterwards.
   */
  static read(body: Uint8Array, crc: number, checksum: Checksum): EntryBatch {
    if (body.length < BODY_HEAD_BYTES) throw new BytesError("batch body is cut");
    if (checksum(body) !== crc) throw new BytesError("batch body fails its CRC");
    if (body[0] !== BODY_VERSION) throw new BytesError(`batch body of version ${body[0]}`);
    const batch = new EntryBatch(body, crc);
    if (batch.count < 1) throw new BytesError("batch without entries");
    if (readU32(body, 32) !== body.length - BODY_HEAD_BYTES) {
      throw new BytesError("batch length and body disagree");
    }
    if (readU16(body, 2) !== 0 || readU32(body, 36) !== 0) {
      throw new BytesError("reserved bytes of a batch are not zero");
    }
    if (batch.firstIndex < 1 || !Number.isSafeInteger(batch.lastIndex)) {
      throw new BytesError(`batch from index ${batch.firstIndex}`);
    }
    const hasConfiguration = validatePacked(body.subarray(BODY_HEAD_BYTES), batch.count);
    if (body[1] !== (hasConfiguration ? FLAG_CONFIGURATION : 0)) {
      throw new BytesError(`batch flags ${body[1]} do not fit its entries`);
    }
    return batch;
  }

  /** The entries from `index` on; the batch itself where that is all of it. */
  from(index: number, checksum: Checksum): EntryBatch {
    assert(
      index >= this.firstIndex && index <= this.lastIndex,
      () => `no entry ${index} in ${this.toString()}`,
    );
    if (index === this.firstIndex) return this;
    return this.#part(index, this.lastIndex, checksum);
  }

  /** The entries up to and including `index`; the batch itself where that is all of it. */
  upTo(index: number, checksum: Checksum): EntryBatch {
    assert(
      index >= this.firstIndex && index <= this.lastIndex,
      () => `no entry ${index} in ${this.toString()}`,
    );
    if (index === this.lastIndex) return this;
    return this.#part(this.firstIndex, index, checksum);
  }

  toString(): string {
    return `[${this.firstIndex}..${this.lastIndex}]@${this.term}`;
  }

  #part(from: number, to: number, checksum: Checksum): EntryBatch {
    const start = this.#offsetOf(from);
    const end = to === this.lastIndex ? this.body.length : this.#offsetOf(to + 1);
    const entries = { bytes: this.body.subarray(start, end), count: to - from + 1 };
    return EntryBatch.seal(entries, {
      term: this.term,
      firstIndex: from,
      timeMs: this.timeMs,
      checksum,
    });
  }

  #offsetOf(index: number): number {
    let at = BODY_HEAD_BYTES;
    for (let i = this.firstIndex; i < index; i++) {
      at += ENTRY_HEAD_BYTES + readU32(this.body, at + 4);
    }
    return at;
  }
}

/**
 * Whether a batch is what a cluster needs to go on at all, and small: the entry that opens a term,
 * or a configuration. Such a batch is taken where there is no space for anything else.
 */
export function isEssential(batch: EntryBatch): boolean {
  const kind = batch.body[BODY_HEAD_BYTES];
  if (kind !== EntryKind.noop && kind !== EntryKind.configuration) return false;
  return batch.count === 1 && batch.byteLength <= ESSENTIAL_BYTES_MAX;
}

function holdsConfiguration(entries: PackedEntries): boolean {
  const { bytes } = entries;
  let at = 0;
  while (at < bytes.length) {
    if (bytes[at] === EntryKind.configuration) return true;
    at += ENTRY_HEAD_BYTES + readU32(bytes, at + 4);
  }
  return false;
}

/** Walks the entries of one batch after another without an object per entry. */
export class EntryCursor {
  readonly view: EntryView = {
    index: 0,
    kind: EntryKind.noop,
    session: 0,
    sequence: 0,
    lowestUnanswered: 0,
    payload: new Uint8Array(0),
  };
  #body: Uint8Array = new Uint8Array(0);
  #at = 0;
  #next = 0;

  /** Puts the cursor before entry `from` of `batch`. */
  reset(batch: EntryBatch, from: number = batch.firstIndex): this {
    this.#body = batch.body;
    this.#at = BODY_HEAD_BYTES;
    this.#next = batch.firstIndex;
    while (this.#next < from) {
      this.#at += ENTRY_HEAD_BYTES + readU32(this.#body, this.#at + 4);
      this.#next++;
    }
    return this;
  }

  /** Moves to the next entry, into {@link view}; false at the end of the batch. */
  next(): boolean {
    const at = this.#at;
    const body = this.#body;
    if (at >= body.length) return false;
    const end = at + ENTRY_HEAD_BYTES + readU32(body, at + 4);
    const view = this.view;
    view.index = this.#next++;
    view.kind = body[at] as EntryKind;
    view.session = readU64(body, at + 8);
    view.sequence = readU64(body, at + 16);
    view.lowestUnanswered = readU64(body, at + 24);
    view.payload = body.subarray(at + ENTRY_HEAD_BYTES, end);
    this.#at = end;
    return true;
  }
}
