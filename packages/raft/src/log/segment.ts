/**
 * The segment: one file of fixed size, with a head of three sectors before its records.
 *
 *   sector 0, identity              sectors 1 and 2, slots of the durable mark
 *   off size field                  off size field
 *     0  8   magic "QUOR-LOG"         0  u32  magic "MARK"
 *     8  u16 format version = 1       4  u16  format version = 1
 *    10  u16 reserved = 0             6  u16  reserved = 0
 *    12  u32 size of the file         8  u64  sequence number of the segment
 *    16  u64 sequence number         16  u64  id of the log
 *    24  u64 id of the log           24  u64  generation
 *    32      zeros                   32  u64  durable mark: segment
 *   508  u32 CRC-32 of 0 to 507      40  u32  durable mark: offset
 *                                    44  u32  opening that wrote this
 *                                    48       zeros
 *                                   508  u32  CRC-32 of 0 to 507
 *
 * A file named `<20 digits>.log` has its full size and a good identity: both are synced before it
 * gets that name. So a file that is shorter, or whose identity cannot be read, was damaged. `.new`
 * is a file in the making, `.spare` one that waits to be used again.
 *
 * Slots are written in turn, the newer generation counts: a torn write of one leaves the other.
 * Each stands in a sector of its own, the unit in which a medium writes.
 */
import { readU16, readU32, readU64, utf8, writeU16, writeU32, writeU64 } from "../util/bytes.ts";
import type { Checksum } from "../util/checksum.ts";
import type { Position } from "./position.ts";

const SECTOR_BYTES = 512;
const VERSION = 1;
const CRC_AT = SECTOR_BYTES - 4;
const IDENTITY_MAGIC = utf8("QUOR-LOG");
const SLOT_MAGIC = 0x4b_52_41_4d; // "MARK"

/** Identity and two slots; records begin behind them. */
export const SEGMENT_HEAD_BYTES: number = 3 * SECTOR_BYTES;
/** Bytes of one slot of the durable mark: a sector. */
export const SLOT_BYTES: number = SECTOR_BYTES;

/** The smallest and the largest segment. Offsets are u32; a buffer must hold a whole segment. */
export const SEGMENT_BYTES_MIN = 4_096;
/** The largest segment. */
export const SEGMENT_BYTES_MAX = 1_073_741_824; // 1 GiB

/** Who a segment is. */
export interface SegmentIdentity {
  readonly version: number;
  readonly sequence: number;
  readonly size: number;
  readonly logId: number;
}

/** A mark that was put into a slot. */
export interface MarkSlot {
  readonly version: number;
  readonly sequence: number;
  readonly logId: number;
  readonly generation: number;
  readonly mark: Position;
  readonly opening: number;
}

/** The head of a segment that was never used: its identity and two empty slots. */
export function encodeSegmentHead(
  identity: Omit<SegmentIdentity, "version">,
  checksum: Checksum,
): Uint8Array {
  const head = new Uint8Array(SEGMENT_HEAD_BYTES);
  head.set(IDENTITY_MAGIC, 0);
  writeU16(head, 8, VERSION);
  writeU32(head, 12, identity.size);
  writeU64(head, 16, identity.sequence);
  writeU64(head, 24, identity.logId);
  writeU32(head, CRC_AT, checksum(head.subarray(0, CRC_AT)));
  return head;
}

/** Reads the identity in the first sector; undefined where it is not whole. */
export function decodeIdentity(head: Uint8Array, checksum: Checksum): SegmentIdentity | undefined {
  if (head.length < SECTOR_BYTES) return undefined;
  for (let i = 0; i < IDENTITY_MAGIC.length; i++) {
    if (head[i] !== IDENTITY_MAGIC[i]) return undefined;
  }
  if (readU32(head, CRC_AT) !== checksum(head.subarray(0, CRC_AT))) return undefined;
  return {
    version: readU16(head, 8),
    size: readU32(head, 12),
    sequence: readU64(head, 16),
    logId: readU64(head, 24),
  };
}

/** Whether this software can read a segment or slot of that version. */
export function isKnownVersion(version: number): boolean {
  return version === VERSION;
}

/** Where the slot of a generation is. */
export function slotOffset(generation: number): number {
  return SECTOR_BYTES * (1 + (generation % 2));
}

/** Writes a slot into `into`, which is one sector and overwritten as a whole. */
export function encodeSlot(
  into: Uint8Array,
  slot: Omit<MarkSlot, "version">,
  checksum: Checksum,
): void {
  into.fill(0);
  writeU32(into, 0, SLOT_MAGIC);
  writeU16(into, 4, VERSION);
  writeU64(into, 8, slot.sequence);
  writeU64(into, 16, slot.logId);
  writeU64(into, 24, slot.generation);
  writeU64(into, 32, slot.mark.segment);
  writeU32(into, 40, slot.mark.offset);
  writeU32(into, 44, slot.opening);
  writeU32(into, CRC_AT, checksum(into.subarray(0, CRC_AT)));
}

/** The slots of a segment head that are whole and belong to this segment of this log. */
export function decodeSlots(
  head: Uint8Array,
  owner: { readonly sequence: number; readonly logId: number },
  checksum: Checksum,
): MarkSlot[] {
  const slots: MarkSlot[] = [];
  for (let at = SECTOR_BYTES; at < SEGMENT_HEAD_BYTES; at += SECTOR_BYTES) {
    const sector = head.subarray(at, at + SECTOR_BYTES);
    if (readU32(sector, 0) !== SLOT_MAGIC) continue;
    if (readU32(sector, CRC_AT) !== checksum(sector.subarray(0, CRC_AT))) continue;
    const slot: MarkSlot = {
      version: readU16(sector, 4),
      sequence: readU64(sector, 8),
      logId: readU64(sector, 16),
      generation: readU64(sector, 24),
      mark: { segment: readU64(sector, 32), offset: readU32(sector, 40) },
      opening: readU32(sector, 44),
    };
    if (slot.sequence === owner.sequence && slot.logId === owner.logId) slots.push(slot);
  }
  return slots;
}

/** What the ending of a file name in the log directory says. */
export type SegmentSuffix = "log" | "new" | "spare";

/** `<20 digits>.<suffix>`. */
export function segmentName(sequence: number, suffix: SegmentSuffix): string {
  return `${String(sequence).padStart(20, "0")}.${suffix}`;
}

/** The parts of a file name of ours; undefined for any other name. */
export function parseSegmentName(
  name: string,
): { readonly sequence: number; readonly suffix: SegmentSuffix } | undefined {
  const match = /^(\d{20})\.(log|new|spare)$/.exec(name);
  if (match === null) return undefined;
  const sequence = Number(match[1]);
  if (!Number.isSafeInteger(sequence) || sequence < 1) return undefined;
  return { sequence, suffix: match[2] as SegmentSuffix };
}
