/**
 * The wire form of what members say while one sends a snapshot to another; codec.ts has the rest.
 *
 *   kind               message part                                                  body part
 *   40 snapshot-offer  u64 term, u64 transfer, u64 index, u64 snapshotTerm,          -
 *                      u64 bytes, 32 bytes hash; all numbers at least 1
 *   41 snapshot-chunk  u64 transfer, u64 offset, u32 CRC-32 of the body              bytes of the
 *                                                                                    file, 1 to
 *                                                                                    1 MiB
 *   42 snapshot-report u64 transfer, u8 status (0 ready, 1 again, 2 finishing,       -
 *                      3 installed, 4 busy, 5 refused, 6 failed, 7 damaged),
 *                      u64 offset
 */
import { BytesError, ByteReader, fromHex, toHex } from "../util/bytes.ts";
import type { ByteWriter } from "../util/bytes.ts";
import type { Checksum } from "../util/checksum.ts";
import { FrameKind } from "./frame.ts";
import type { Frame } from "./frame.ts";
import type { PeerMessage, SnapshotChunk, SnapshotOffer, SnapshotReport } from "./peer-message.ts";

const STATUSES = [
  "ready",
  "again",
  "finishing",
  "installed",
  "busy",
  "refused",
  "failed",
  "damaged",
] as const;
const CHUNK_BYTES_MAX = 1_048_576; // 1 MiB

/** Writes the message part. */
export function writeSnapshot(writer: ByteWriter, message: SnapshotOffer | SnapshotReport): void {
  if (message.type === "snapshot-report") {
    writer.u64(message.transfer).u8(STATUSES.indexOf(message.status)).u64(message.offset);
    return;
  }
  writer.u64(message.term).u64(message.transfer).u64(message.index).u64(message.snapshotTerm);
  writer.u64(message.bytes).raw(fromHex(message.hash));
}

/** Reads the message part of those without a body; throws {@link BytesError}. */
export function readSnapshot(reader: ByteReader, kind: number): PeerMessage {
  if (kind === FrameKind.snapshotReport) {
    const transfer = reader.u64();
    const code = reader.u8();
    const status = STATUSES[code];
    if (status === undefined) throw new BytesError(`snapshot-report with status ${code}`);
    return { type: "snapshot-report", transfer, status, offset: reader.u64() };
  }
  const offer: SnapshotOffer = {
    type: "snapshot-offer",
    term: reader.u64(),
    transfer: reader.u64(),
    index: reader.u64(),
    snapshotTerm: reader.u64(),
    bytes: reader.u64(),
    hash: toHex(reader.raw(32)),
  };
  const { term, index, snapshotTerm, bytes } = offer;
  if (index === 0 || snapshotTerm === 0 || snapshotTerm > term || bytes === 0) {
    throw new BytesError(`offer of snapshot ${index}@${snapshotTerm}, ${bytes} bytes`);
  }
  return offer;
}

/** Writes the message part of a chunk. */
export function writeChunk(writer: ByteWriter, message: SnapshotChunk, checksum: Checksum): void {
  writer.u64(message.transfer).u64(message.offset).u32(checksum(message.data));
}

/** Reads a chunk; throws {@link BytesError}. */
export function readChunk(frame: Frame, checksum: Checksum): SnapshotChunk {
  const reader = new ByteReader(frame.message);
  const transfer = reader.u64();
  const offset = reader.u64();
  const crc = reader.u32();
  reader.end();
  const data = frame.body;
  if (data.length < 1 || data.length > CHUNK_BYTES_MAX) {
    throw new BytesError(`snapshot-chunk of ${data.length} bytes`);
  }
  if (checksum(data) !== crc) throw new BytesError("snapshot-chunk fails its CRC");
  return { type: "snapshot-chunk", transfer, offset, data };
}
