/**
 * Frames: how messages follow one another on a byte stream.
 *
 *   off size field
 *     0  u32 magic, the bytes 51 72 74 65 ("Qrte")
 *     4  u8  format version = 1
 *     5  u8  kind (FrameKind)
 *     6  u16 reserved = 0
 *     8  u32 group
 *    12  u32 bytes of the message part
 *    16  u32 bytes of the body part
 *    20  u32 CRC-32 of the message part
 *    24  u32 CRC-32 of bytes 0..23
 *    28      message part (codec.ts, hello.ts)
 *    ..      body part: packed entries, which carry CRCs of their own (in the message part)
 *
 * All integers are little-endian. The head has a CRC of its own, so that a damaged length is found
 * at once and not after waiting for as many bytes as it happens to say. The body part is outside of
 * both: its batches were sealed by the leader and are checked when they are read (core/entry.ts).
 *
 * Decoding is incremental and copies a byte at most once. A frame that lies whole in the chunk that
 * the socket delivered is read in place; one that does not is assembled in one fresh buffer of its
 * exact size, allocated only after the head was proven and its length found within the bound.
 * Chunks and assembled buffers are never written again, so batches may be kept as views into them.
 * A view pins its whole chunk, though: a body smaller than half of the chunk is copied out, so that
 * what is kept never pins more than twice its size.
 *
 * Everything that is wrong throws {@link BytesError}; the decoder is useless afterwards and the
 * connection has to go.
 */
import { assert } from "../util/assert.ts";
import { BytesError, ByteWriter, readU16, readU32, writeU32 } from "../util/bytes.ts";
import type { Checksum } from "../util/checksum.ts";

/** Bytes before the message part. */
export const FRAME_HEAD_BYTES = 28;
/** The format version that is written and read. */
export const FRAME_VERSION = 1;

/** What a frame holds. Numbers are part of the format. */
export const FrameKind = {
  hello: 1,
  accept: 2,
  refusal: 3,
  pulse: 4,
  preVote: 16,
  preVoteResponse: 17,
  requestVote: 18,
  requestVoteResponse: 19,
  appendEntries: 20,
  appendEntriesResponse: 21,
  heartbeat: 22,
  heartbeatResponse: 23,
  readIndexRequest: 24,
  readIndexResponse: 25,
  timeoutNow: 26,
  commitNotice: 27,
  forward: 32,
  forwardResponse: 33,
  formation: 34,
  transferRequest: 35,
  transferResponse: 36,
  leaving: 37,
  membershipRequest: 48,
  membershipResponse: 49,
  snapshotOffer: 40,
  snapshotChunk: 41,
  snapshotReport: 42,
  joinRequest: 56,
  joinResponse: 57,
  invitation: 58,
  rolledBack: 59,
  resign: 68,
} as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

/** One frame, taken apart. The parts are views. */
export interface Frame {
  /** Not judged yet: any byte. */
  readonly kind: number;
  readonly group: number;
  /** Valid until the next frame. */
  readonly message: Uint8Array;
  /** May be kept. */
  readonly body: Uint8Array;
}

/** What {@link finishFrame} writes into the head. */
export interface FrameHead {
  readonly kind: FrameKind;
  readonly group: number;
  readonly bodyBytes: number;
}

const MAGIC = 0x65747251;
const EMPTY = new Uint8Array(0);

/** Makes room for the head; the message part is written behind it. */
export function beginFrame(writer: ByteWriter): ByteWriter {
  writer.reset();
  writer.reserve(FRAME_HEAD_BYTES);
  return writer;
}

/** Fills in the head; `writer` then holds head and message part. */
export function finishFrame(writer: ByteWriter, head: FrameHead, checksum: Checksum): void {
  const bytes = writer.view();
  writeU32(bytes, 0, MAGIC);
  bytes[4] = FRAME_VERSION;
  bytes[5] = head.kind;
  bytes[6] = 0;
  bytes[7] = 0;
  writeU32(bytes, 8, head.group);
  writeU32(bytes, 12, bytes.length - FRAME_HEAD_BYTES);
  writeU32(bytes, 16, head.bodyBytes);
  writeU32(bytes, 20, checksum(bytes.subarray(FRAME_HEAD_BYTES)));
  writeU32(bytes, 24, checksum(bytes.subarray(0, 24)));
}

/** A frame without message and body. */
export function emptyFrame(kind: FrameKind, checksum: Checksum): Uint8Array {
  const writer = beginFrame(new ByteWriter(FRAME_HEAD_BYTES));
  finishFrame(writer, { kind, group: 0, bodyBytes: 0 }, checksum);
  return writer.copy();
}

/**
 * Cuts a byte stream into frames: `push` a chunk, then call `next` until it says false; while it
 * says true the fields are the frame.
 */
export class FrameDecoder implements Frame {
  kind = 0;
  group = 0;
  message: Uint8Array = EMPTY;
  body: Uint8Array = EMPTY;
  readonly #checksum: Checksum;
  #frameBytesMax: number;
  #chunk: Uint8Array = EMPTY;
  #at = 0;
  readonly #head: Uint8Array = new Uint8Array(FRAME_HEAD_BYTES);
  #headFilled = 0;
  /** The parts of a frame that spans chunks, or undefined between frames. */
  #parts: Uint8Array | undefined;
  #partsFilled = 0;
  #messageBytes = 0;
  #messageCrc = 0;
  #frames = 0;

  constructor(checksum: Checksum, frameBytesMax: number) {
    this.#checksum = checksum;
    this.#frameBytesMax = frameBytesMax;
  }

  /** Sets another bound, from the next frame on. */
  limit(frameBytesMax: number): void {
    this.#frameBytesMax = frameBytesMax;
  }

  /** Bytes held for frames that are not complete. */
  get heldBytes(): number {
    return this.#headFilled + (this.#parts?.length ?? 0);
  }

  /** Takes a chunk that nobody will write to again. The one before must be used up. */
  push(chunk: Uint8Array): void {
    assert(this.#at === this.#chunk.length, "a chunk is pushed after the last one was used up");
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** Moves to the next complete frame; false where more bytes are needed first. */
  next(): boolean {
    if (this.#parts !== undefined) return this.#assemble(this.#parts);
    const size = this.#takeHead();
    if (size === undefined) return this.#release();
    this.#headFilled = 0;
    if (size <= this.#chunk.length - this.#at) return this.#inPlace(size);
    this.#parts = new Uint8Array(size);
    this.#partsFilled = 0;
    return this.#assemble(this.#parts);
  }

  /** How many bytes follow the next head, once it is all there. */
  #takeHead(): number | undefined {
    const available = this.#chunk.length - this.#at;
    if (this.#headFilled === 0 && available >= FRAME_HEAD_BYTES) {
      this.#at += FRAME_HEAD_BYTES;
      return this.#readHead(this.#chunk, this.#at - FRAME_HEAD_BYTES);
    }
    if (available === 0) return undefined;
    const count = Math.min(available, FRAME_HEAD_BYTES - this.#headFilled);
    this.#head.set(this.#chunk.subarray(this.#at, this.#at + count), this.#headFilled);
    this.#headFilled += count;
    this.#at += count;
    if (this.#headFilled === FRAME_HEAD_BYTES) return this.#readHead(this.#head, 0);
    // Somebody who says three wrong bytes and waits shall not have to be waited for.
    this.#checkMagic(this.#head.subarray(0, this.#headFilled));
    return undefined;
  }

  /** Judges the head that lies there and returns how many bytes follow it. */
  #readHead(bytes: Uint8Array, at: number): number {
    const judged = bytes.subarray(at, at + 24);
    this.#checkMagic(judged);
    if (judged[4] !== FRAME_VERSION) {
      throw new BytesError(`frame of format version ${judged[4]}, known is ${FRAME_VERSION}`);
    }
    if (this.#checksum(judged) !== readU32(bytes, at + 24)) {
      throw new BytesError("frame head fails its CRC");
    }
    if (readU16(judged, 6) !== 0) {
      throw new BytesError("reserved bytes of a frame head are not zero");
    }
    this.kind = judged[5]!;
    this.group = readU32(judged, 8);
    this.#messageBytes = readU32(judged, 12);
    this.#messageCrc = readU32(judged, 20);
    const size = this.#messageBytes + readU32(judged, 16);
    if (size > this.#frameBytesMax - FRAME_HEAD_BYTES) {
      throw new BytesError(
        `frame of ${FRAME_HEAD_BYTES + size} bytes, allowed are ${this.#frameBytesMax}`,
      );
    }
    return size;
  }

  #checkMagic(start: Uint8Array): void {
    for (let i = 0; i < Math.min(4, start.length); i++) {
      if (start[i] !== ((MAGIC >>> (8 * i)) & 0xff)) throw new BytesError(this.#foreign(start));
    }
  }

  #foreign(start: Uint8Array): string {
    const bytes = [...start.subarray(0, 8)];
    const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    if (this.#frames > 0) return `no frame starts with ${hex}`;
    return `not a Quorate peer: first bytes ${hex}${guess(bytes)}`;
  }

  /** The frame lies whole in the chunk. */
  #inPlace(size: number): boolean {
    const start = this.#at;
    this.#at += size;
    this.message = this.#chunk.subarray(start, start + this.#messageBytes);
    this.body = size === this.#messageBytes ? EMPTY : this.#bodyFrom(start + this.#messageBytes);
    return this.#checkMessage();
  }

  /** The body part up to here, in a buffer that is worth keeping for it. */
  #bodyFrom(start: number): Uint8Array {
    const body = this.#chunk.subarray(start, this.#at);
    return 2 * body.length >= body.buffer.byteLength ? body : body.slice();
  }

  /** The frame spans chunks: goes on filling its own buffer. */
  #assemble(parts: Uint8Array): boolean {
    const count = Math.min(parts.length - this.#partsFilled, this.#chunk.length - this.#at);
    parts.set(this.#chunk.subarray(this.#at, this.#at + count), this.#partsFilled);
    this.#partsFilled += count;
    this.#at += count;
    if (this.#partsFilled < parts.length) return this.#release();
    this.#parts = undefined;
    this.message = parts.subarray(0, this.#messageBytes);
    this.body = parts.subarray(this.#messageBytes);
    return this.#checkMessage();
  }

  #checkMessage(): boolean {
    if (this.#checksum(this.message) !== this.#messageCrc) {
      throw new BytesError("frame message fails its CRC");
    }
    this.#frames++;
    return true;
  }

  /** Lets go of what is used up, so that an idle connection holds no memory. */
  #release(): false {
    this.#chunk = EMPTY;
    this.#at = 0;
    this.message = EMPTY;
    this.body = EMPTY;
    return false;
  }
}

/** The usual strangers at a port. */
function guess(bytes: readonly number[]): string {
  const text = String.fromCharCode(...bytes);
  if (/^(?:GET|PUT|POST|HEAD|DELETE|OPTIONS|PRI|PATCH) /.test(text)) {
    return " (this looks like HTTP; the HTTP port is another one)";
  }
  if (bytes[0] === 0x16 && bytes[1] === 0x03) return " (this looks like TLS)";
  return "";
}
