/**
 * The record: what the log is made of. A local header, then a body, then zeros up to the next
 * multiple of 8. Records stand back to back from the end of the segment head on.
 *
 *   off size field
 *     0  u32  magic "QREC"
 *     4  u32  CRC-32 of bytes 8 to 63, continued from the log's seed
 *     8  u8   format version = 1
 *     9  u8   kind (RecordKind)
 *    10  u8   flags (RecordFlag)
 *    11  u8   reserved = 0
 *    12  u32  bytes of the body
 *    16  u64  sequence number of the segment
 *    24  u32  offset of this record in the segment
 *    28  u32  group
 *    32  u64  durable mark: segment
 *    40  u32  durable mark: offset
 *    44  u32  CRC-32 of the body
 *    48  u64  commit index of the group when this was written, a hint
 *    56  u32  opening: which opening of the log wrote this, from 1 on
 *    60  u32  reserved = 0
 *    64       body
 *
 * All integers are little-endian. The seed is made of the log's id, so that a record of another log
 * is nothing but noise.
 *
 * Why the header names its own place: segments are recycled without being cleared, so they are full
 * of old records whose CRCs are right. A record counts only where its (segment, offset) says that
 * it belongs. An old vote can not come back to life.
 *
 * The durable mark: everything before it was durable when this record was handed to the disk. As
 * one write is in flight at a time, the mark of a record is the place where its own write begins.
 * So a record either begins a write (its mark is its own place) or has the mark of the one before
 * it.
 *
 * Why it names its opening: a torn write leaves leftovers behind the cut. They are in the right
 * segment, at the right offset, and may be whole; once new records end exactly where such a
 * leftover begins, it would look like their successor. Each opening of the log takes a number above
 * all that are found, and makes it durable before it writes a record. Recovery demands of the
 * records one after another that
 *   (a) one that begins a write has no lower opening than the one before it;
 *   (b) any other has the same opening and the same mark as the one before it.
 * A leftover stands behind a cut T, in a write that began at or before T, and was never
 * acknowledged.
 *  - If a later opening wrote something durable at T, the leftover follows records of a higher
 *    opening: refused by (a) and (b).
 *  - If a later opening wrote at T and that write was torn as well, nothing that opening wrote was
 *    acknowledged, and what is found at T is a mix of sectors. The records taken from it are all of
 *    one write: a first one begins it, and (b) ties all others to its opening. So they are a
 *    beginning of what that opening wanted to write, never an entry of one behind an entry of the
 *    other, which would break Raft's log matching without anybody noticing.
 *  - If nothing was written at T since, the log ends there, because what stands there is not whole.
 */
import { readU32, readU64, writeU32, writeU64 } from "../util/bytes.ts";
import type { Checksum } from "../util/checksum.ts";

/** Bytes before the body of a record. */
export const RECORD_HEADER_BYTES = 64;
/** The format version that is written. */
export const RECORD_VERSION = 1;
const MAGIC = 0x43_45_52_51; // "QREC", read as a little-endian u32
/** For a quick look at many places. */
export const MAGIC_FIRST_BYTE = 0x51;

/** What a record is. Numbers are part of the format. */
export const RecordKind = {
  /** A batch body. Ends everything that its group had from the first index on. */
  entries: 1,
  /** The state of a group; see state-record.ts. */
  state: 2,
  /** A state; the group's log starts anew after its start position, without entries. */
  reset: 3,
  /** A batch body that is in the log already, written again so that its old segment can go. */
  moved: 4,
  /** No body. The last record of a full segment: the log goes on in the next one. */
  end: 5,
} as const;
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind];

/** Bits of the flags field. */
export const RecordFlag = {
  /** One of the states that a segment begins with. */
  head: 1,
  /** The last one of them. */
  headEnd: 2,
} as const;

/** The header of one record. Whoever reads many keeps one and has it overwritten. */
export interface RecordHeader {
  version: number;
  kind: RecordKind;
  flags: number;
  bodyBytes: number;
  segment: number;
  offset: number;
  group: number;
  markSegment: number;
  markOffset: number;
  bodyCrc: number;
  commit: number;
  opening: number;
}

/** A header to be read into. */
export function emptyHeader(): RecordHeader {
  return {
    version: 0,
    kind: RecordKind.end,
    flags: 0,
    bodyBytes: 0,
    segment: 0,
    offset: 0,
    group: 0,
    markSegment: 0,
    markOffset: 0,
    bodyCrc: 0,
    commit: 0,
    opening: 0,
  };
}

/** Bytes that a record with this body takes. */
export function recordBytes(bodyBytes: number): number {
  return RECORD_HEADER_BYTES + ((bodyBytes + 7) & ~7);
}

/** What a header is sealed and checked with. */
export interface RecordSeal {
  readonly checksum: Checksum;
  /** CRC-32 of the log's id: the CRCs of headers continue from it. */
  readonly seed: number;
}

/** Writes a header of the current version at `at`. */
export function writeHeader(
  into: Uint8Array,
  at: number,
  header: Readonly<RecordHeader>,
  seal: RecordSeal,
): void {
  writeU32(into, at, MAGIC);
  into[at + 8] = RECORD_VERSION;
  into[at + 9] = header.kind;
  into[at + 10] = header.flags;
  into[at + 11] = 0;
  writeU32(into, at + 12, header.bodyBytes);
  writeU64(into, at + 16, header.segment);
  writeU32(into, at + 24, header.offset);
  writeU32(into, at + 28, header.group);
  writeU64(into, at + 32, header.markSegment);
  writeU32(into, at + 40, header.markOffset);
  writeU32(into, at + 44, header.bodyCrc);
  writeU64(into, at + 48, header.commit);
  writeU32(into, at + 56, header.opening);
  writeU32(into, at + 60, 0);
  writeU32(into, at + 4, headerCrc(into, at, seal));
}

/**
 * Reads the header at `at` into `header`; false where there is no whole one. Says nothing about
 * whether it belongs there, nor about the body. The version may be one that is not known here.
 */
export function readHeader(
  bytes: Uint8Array,
  at: number,
  header: RecordHeader,
  seal: RecordSeal,
): boolean {
  if (at + RECORD_HEADER_BYTES > bytes.length || readU32(bytes, at) !== MAGIC) return false;
  if (readU32(bytes, at + 4) !== headerCrc(bytes, at, seal)) return false;
  header.version = bytes[at + 8]!;
  header.kind = bytes[at + 9] as RecordKind;
  header.flags = bytes[at + 10]!;
  header.bodyBytes = readU32(bytes, at + 12);
  header.segment = readU64(bytes, at + 16);
  header.offset = readU32(bytes, at + 24);
  header.group = readU32(bytes, at + 28);
  header.markSegment = readU64(bytes, at + 32);
  header.markOffset = readU32(bytes, at + 40);
  header.bodyCrc = readU32(bytes, at + 44);
  header.commit = readU64(bytes, at + 48);
  header.opening = readU32(bytes, at + 56);
  return true;
}

/** Whether the body behind the header at `at` is whole, padding included. */
export function bodyIsWhole(
  bytes: Uint8Array,
  at: number,
  header: Readonly<RecordHeader>,
  seal: RecordSeal,
): boolean {
  const from = at + RECORD_HEADER_BYTES;
  const to = from + header.bodyBytes;
  const end = at + recordBytes(header.bodyBytes);
  if (end > bytes.length) return false;
  for (let i = to; i < end; i++) if (bytes[i] !== 0) return false;
  return seal.checksum(bytes.subarray(from, to)) === header.bodyCrc;
}

function headerCrc(bytes: Uint8Array, at: number, seal: RecordSeal): number {
  return seal.checksum(bytes.subarray(at + 8, at + RECORD_HEADER_BYTES), seal.seed);
}
