/**
 * The file of a snapshot. All integers are little-endian.
 *
 *   off size field
 *            head
 *     0  8    magic, the bytes 51 72 74 65 53 6e 61 70 ("QrteSnap")
 *     8  u8   format version = 1
 *     9  u8   reserved = 0
 *    10  u16  reserved = 0
 *    12  u32  bytes of the head body
 *    16  u32  CRC-32 of the head body
 *    20  u32  CRC-32 of bytes 0..19
 *    24       head body
 *         u64  index: the last entry that the snapshot stands for
 *         u64  term of that entry
 *         u64  cluster time at that entry, in ms
 *         16   cluster id
 *         u64  index of the configuration in force there
 *         u32  bytes of that configuration (core/configuration.ts), joint or not
 *         u32  bytes of the engine's state (machine/engine-state.ts)
 *         ..   configuration, engine's state
 *
 *            chunk, as many as there are; all but the last hold 65,536 bytes of data
 *     0  u32  magic, the bytes 51 72 74 43 ("QrtC")
 *     4  u32  bytes of data, 1 to 65,536
 *     8  u64  where in the machine's bytes they begin
 *    16  u32  CRC-32 of the data
 *    20  u32  CRC-32 of bytes 0..19
 *    24       data
 *
 *            foot
 *     0  u32  magic, the bytes 51 72 74 46 ("QrtF")
 *     4  u32  reserved = 0
 *     8  u64  bytes of the file, foot included
 *    16  u64  bytes of the machine
 *    24  32   hash (snapshot-hash.ts) of everything before the foot
 *    56  u32  reserved = 0
 *    60  u32  CRC-32 of bytes 0..59
 *
 * The head says nothing of what follows, since it is written first; how much there was and that it
 * is all there says the foot. A chunk says its place: chunks that were mixed up are noticed at the
 * chunk, and so a part that was received can be trusted up to its last whole chunk.
 *
 * File names are `IIIIIIIIIIIIIIIIIIII-TTTTTTTTTTTTTTTTTTTT` (index and term, decimal, 20 digits)
 * with a suffix: `.snap` whole, `.new` being taken, `.part` being received, `.note` what the part
 * is of.
 *
 *            note
 *     0  8    magic, the bytes 51 72 74 65 4e 6f 74 65 ("QrteNote")
 *     8  u8   format version = 1
 *     9  u8   reserved = 0
 *    10  u16  reserved = 0
 *    12  u64  index
 *    20  u64  term
 *    28  u64  bytes of the whole file
 *    36  32   its hash
 *    68  u32  CRC-32 of bytes 0..67
 */
import { decodeConfiguration, encodeConfiguration } from "../core/configuration-codec.ts";
import {
  ByteReader,
  BytesError,
  ByteWriter,
  fromHex,
  readU16,
  readU32,
  readU64,
  toHex,
  writeU32,
  writeU64,
} from "../util/bytes.ts";
import type { Checksum } from "../util/checksum.ts";
import type { SnapshotId, SnapshotMeta } from "./snapshot.ts";

/** Bytes before the head body. */
export const HEAD_BYTES = 24;
/** Bytes before the data of a chunk. */
export const CHUNK_HEAD_BYTES = 24;
/** Data of one chunk at most. */
export const CHUNK_DATA_BYTES = 65_536;
/** Size of the foot. */
export const FOOT_BYTES = 64;
/** Size of a note. */
export const NOTE_BYTES = 72;

const VERSION = 1;
const HEAD_MAGIC_LOW = 0x65747251;
const HEAD_MAGIC_HIGH = 0x70616e53;
const NOTE_MAGIC_HIGH = 0x65746f4e;
const CHUNK_MAGIC = 0x43747251;
const FOOT_MAGIC = 0x46747251;
const NAME = /^(\d{20})-(\d{20})\.(snap|new|part|note)$/;
/** The least that a head body can have. */
const BODY_BYTES_MIN = 56;

/** What a file in the directory is. */
export type SnapshotSuffix = "snap" | "new" | "part" | "note";

/** The name of a file. */
export function snapshotName(
  at: { readonly index: number; readonly term: number },
  suffix: SnapshotSuffix,
): string {
  const digits = (value: number): string => String(value).padStart(20, "0");
  return `${digits(at.index)}-${digits(at.term)}.${suffix}`;
}

/** What a name says; undefined where it is none of ours. */
export function parseSnapshotName(
  name: string,
): { readonly index: number; readonly term: number; readonly suffix: SnapshotSuffix } | undefined {
  const match = NAME.exec(name);
  if (match === null) return undefined;
  const index = Number(match[1]);
  const term = Number(match[2]);
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(term)) return undefined;
  return { index, term, suffix: match[3] as SnapshotSuffix };
}

/** Head and head body. */
export function encodeHead(meta: SnapshotMeta, checksum: Checksum): Uint8Array {
  const configuration = encodeConfiguration(meta.configuration.configuration);
  const writer = new ByteWriter(HEAD_BYTES + BODY_BYTES_MIN + meta.engine.length);
  writer.reserve(HEAD_BYTES);
  writer.u64(meta.index).u64(meta.term).u64(meta.timeMs).raw(fromHex(meta.clusterId));
  writer.u64(meta.configuration.index).u32(configuration.length).u32(meta.engine.length);
  writer.raw(configuration).raw(meta.engine);
  const bytes = writer.copy();
  writeU32(bytes, 0, HEAD_MAGIC_LOW);
  writeU32(bytes, 4, HEAD_MAGIC_HIGH);
  bytes.fill(0, 8, 12);
  bytes[8] = VERSION;
  writeU32(bytes, 12, bytes.length - HEAD_BYTES);
  writeU32(bytes, 16, checksum(bytes.subarray(HEAD_BYTES)));
  writeU32(bytes, 20, checksum(bytes.subarray(0, 20)));
  return bytes;
}

/** How many bytes the head body has; throws {@link BytesError} where this begins no snapshot. */
export function headBodyBytes(head: Uint8Array, checksum: Checksum): number {
  if (head.length < HEAD_BYTES) throw new BytesError("the head is cut");
  if (readU32(head, 0) !== HEAD_MAGIC_LOW || readU32(head, 4) !== HEAD_MAGIC_HIGH) {
    throw new BytesError("this is no snapshot");
  }
  if (checksum(head.subarray(0, 20)) !== readU32(head, 20)) {
    throw new BytesError("the head fails its CRC");
  }
  if (head[8] !== VERSION) throw new UnknownVersion(`snapshot of version ${head[8]}`);
  if (head[9] !== 0 || readU16(head, 10) !== 0) {
    throw new BytesError("reserved bytes of the head are not zero");
  }
  const bytes = readU32(head, 12);
  if (bytes < BODY_BYTES_MIN) throw new BytesError(`a head body of ${bytes} bytes`);
  return bytes;
}

/** A file of a later version of this software: not damaged. */
export class UnknownVersion extends BytesError {}

/** Reads head and head body together; throws {@link BytesError}. */
export function decodeHead(bytes: Uint8Array, checksum: Checksum): SnapshotMeta {
  const bodyBytes = headBodyBytes(bytes, checksum);
  const body = bytes.subarray(HEAD_BYTES, HEAD_BYTES + bodyBytes);
  if (body.length < bodyBytes) throw new BytesError("the head body is cut");
  if (checksum(body) !== readU32(bytes, 16)) throw new BytesError("the head body fails its CRC");
  const reader = new ByteReader(body);
  const index = reader.u64();
  const term = reader.u64();
  const timeMs = reader.u64();
  const clusterId = toHex(reader.raw(16));
  const configurationIndex = reader.u64();
  const configurationBytes = reader.u32();
  const engineBytes = reader.u32();
  const configuration = decodeConfiguration(reader.raw(configurationBytes));
  const engine = reader.raw(engineBytes).slice();
  reader.end();
  if (index === 0 || term === 0) throw new BytesError(`a snapshot at ${index}@${term}`);
  if (configurationIndex > index) throw new BytesError("a configuration from behind the snapshot");
  const inForce = { index: configurationIndex, configuration };
  return { index, term, configuration: inForce, clusterId, timeMs, engine };
}

/** Fills in the head of the chunk whose data stands behind it; returns the CRC of the data. */
export function sealChunk(chunk: Uint8Array, dataOffset: number, checksum: Checksum): number {
  const data = chunk.subarray(CHUNK_HEAD_BYTES);
  const crc = checksum(data);
  writeU32(chunk, 0, CHUNK_MAGIC);
  writeU32(chunk, 4, data.length);
  writeU64(chunk, 8, dataOffset);
  writeU32(chunk, 16, crc);
  writeU32(chunk, 20, checksum(chunk.subarray(0, 20)));
  return crc;
}

/** What stands at some place behind the head. */
export type Piece =
  | { readonly kind: "chunk"; readonly data: Uint8Array }
  | { readonly kind: "foot" };

/**
 * Reads the chunk at the beginning of `bytes`, or finds that there a foot begins. Throws
 * {@link BytesError} where it is neither, or not whole.
 */
export function readPiece(bytes: Uint8Array, dataOffset: number, checksum: Checksum): Piece {
  if (bytes.length < CHUNK_HEAD_BYTES) throw new BytesError("it ends without a foot");
  const magic = readU32(bytes, 0);
  if (magic === FOOT_MAGIC) return { kind: "foot" };
  if (magic !== CHUNK_MAGIC || checksum(bytes.subarray(0, 20)) !== readU32(bytes, 20)) {
    throw new BytesError("no chunk begins here");
  }
  const length = readU32(bytes, 4);
  if (length < 1 || length > CHUNK_DATA_BYTES) throw new BytesError(`a chunk of ${length} bytes`);
  if (readU64(bytes, 8) !== dataOffset) throw new BytesError("a chunk from another place");
  const data = bytes.subarray(CHUNK_HEAD_BYTES, CHUNK_HEAD_BYTES + length);
  if (data.length < length) throw new BytesError("a chunk is cut");
  if (checksum(data) !== readU32(bytes, 16)) throw new BytesError("a chunk fails its CRC");
  return { kind: "chunk", data };
}

/** What the foot says. */
export interface Foot {
  readonly fileBytes: number;
  readonly dataBytes: number;
  readonly hash: string;
}

/** The end of the file. */
export function encodeFoot(foot: Foot, checksum: Checksum): Uint8Array {
  const bytes = new Uint8Array(FOOT_BYTES);
  writeU32(bytes, 0, FOOT_MAGIC);
  writeU64(bytes, 8, foot.fileBytes);
  writeU64(bytes, 16, foot.dataBytes);
  bytes.set(fromHex(foot.hash), 24);
  writeU32(bytes, 60, checksum(bytes.subarray(0, 60)));
  return bytes;
}

/** Reads a foot; throws {@link BytesError}. */
export function decodeFoot(bytes: Uint8Array, checksum: Checksum): Foot {
  if (bytes.length < FOOT_BYTES || readU32(bytes, 0) !== FOOT_MAGIC) {
    throw new BytesError("it does not end with a foot");
  }
  if (checksum(bytes.subarray(0, 60)) !== readU32(bytes, 60)) {
    throw new BytesError("the foot fails its CRC");
  }
  if (readU32(bytes, 4) !== 0 || readU32(bytes, 56) !== 0) {
    throw new BytesError("reserved bytes of the foot are not zero");
  }
  return {
    fileBytes: readU64(bytes, 8),
    dataBytes: readU64(bytes, 16),
    hash: toHex(bytes.subarray(24, 56)),
  };
}

/** What a part is of. */
export function encodeNote(id: SnapshotId, checksum: Checksum): Uint8Array {
  const writer = new ByteWriter(NOTE_BYTES).u32(HEAD_MAGIC_LOW).u32(NOTE_MAGIC_HIGH);
  writer.u8(VERSION).u8(0).u16(0).u64(id.index).u64(id.term).u64(id.bytes).raw(fromHex(id.hash));
  return writer.u32(checksum(writer.view())).copy();
}

/** Reads a note; undefined where it is none. */
export function decodeNote(bytes: Uint8Array, checksum: Checksum): SnapshotId | undefined {
  if (bytes.length !== NOTE_BYTES || checksum(bytes.subarray(0, 68)) !== readU32(bytes, 68)) {
    return undefined;
  }
  const isOurs = readU32(bytes, 0) === HEAD_MAGIC_LOW && readU32(bytes, 4) === NOTE_MAGIC_HIGH;
  if (!isOurs || readU32(bytes, 8) !== VERSION) return undefined;
  try {
    return {
      index: readU64(bytes, 12),
      term: readU64(bytes, 20),
      bytes: readU64(bytes, 28),
      hash: toHex(bytes.subarray(36, 68)),
    };
  } catch (error) {
    if (error instanceof BytesError) return undefined;
    throw error;
  }
}
