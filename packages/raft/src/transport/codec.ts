/**
 * The wire form of every message between members: the message and body part of a frame (frame.ts).
 *
 *   kind                        message part                                          body part
 *   16 pre-vote                 u64 term, u64 lastIndex, u64 lastTerm                 -
 *   17 pre-vote-response        u64 term, u8 granted                                  -
 *   18 request-vote             u64 term, u8 transfer, 16 bytes incarnation,          -
 *                               u64 lastIndex, u64 lastTerm
 *   19 request-vote-response    u64 term, u8 granted                                  -
 *   20 append-entries           u64 term, u64 prevIndex, u64 prevTerm, u64 commit,    bodies, back
 *                               u32 batches, then per batch u32 bytes, u32 CRC-32     to back
 *   21 append-entries-response  u64 term, u8 success, u64 index, u64 hintIndex,       -
 *                               u64 hintTerm
 *   22 heartbeat                u64 term, u64 commit, u64 round                       -
 *   23 heartbeat-response       u64 term, u64 round, u8 health                        -
 *   24 read-index-request       u64 term, u64 token, u8 byLease                       -
 *   25 read-index-response      u64 term, u64 token, u8 ok, u64 index                 -
 *   26 timeout-now              u64 term, u64 lastIndex, u64 lastTerm                 -
 *   27 commit-notice            u64 term, u64 commit                                  -
 *   32 forward                  u64 request, u32 deadlineMs, u32 count, u32 CRC-32    entries
 *                               of the body
 *   33 forward-response         u64 request, u8 status, u64 firstIndex, u64 term,     -
 *                               text leader (empty = not known)
 *   34 formation                u32 CRC-32 of the body                                configuration
 *   35 transfer-request         u64 request, text target (empty = the best)           -
 *   36 transfer-response        u64 request, u8 status                                -
 *   37 leaving                  u64 lastRequest                                       -
 *   48, 49                      changes of membership: membership-codec.ts
 *   56 … 59                     how members come and go: join-codec.ts
 *   68 resign                   u64 term                                              -
 *
 * Little-endian; u64 holds a safe integer; a flag is 0 or 1; text is a u16 length and UTF-8.
 * `status` of 33: 0 appended, 1 not-leader, 2 overloaded, 3 expired, 4 transferring, 5 full; that
 * of 36: 0 started, 1 not-leader, 2 unknown-member, 3 not-voter, 4 no-other-voter, 5 unreachable,
 * 6 busy, 7 unhealthy. `health`: 0 ok, 1 late, 2 full, 3 stalled.
 *
 * Decoding is strict: a message is whole, exact and possible, or {@link BytesError} says what is
 * wrong with it. What passes is well-formed, not true: whether a term or an index makes sense now
 * is for the core to judge.
 */
import { isMemberId } from "../core/configuration.ts";
import { decodeConfiguration } from "../core/configuration-codec.ts";
import { ENTRY_HEAD_BYTES, EntryBatch, EntryKind, validatePacked } from "../core/entry.ts";
import type { Health } from "../core/health-watch.ts";
import type { AppendEntries, PreVote, RequestVote, TimeoutNow } from "../core/message.ts";
import { unreachable } from "../util/assert.ts";
import { ByteReader, BytesError, ByteWriter, fromHex, readU32, toHex } from "../util/bytes.ts";
import type { Checksum } from "../util/checksum.ts";
import { beginFrame, finishFrame, FrameKind } from "./frame.ts";
import type { Frame } from "./frame.ts";
import { readMembership, writeMembership } from "./membership-codec.ts";
import { readInvitation, readJoin, writeJoin } from "./join-codec.ts";
import type { Forward, ForwardResponse, PeerMessage, TransferResponse } from "./peer-message.ts";
import { readChunk, readSnapshot, writeChunk, writeSnapshot } from "./snapshot-codec.ts";

const KIND: Readonly<Record<PeerMessage["type"], FrameKind>> = {
  "pre-vote": FrameKind.preVote,
  "pre-vote-response": FrameKind.preVoteResponse,
  "request-vote": FrameKind.requestVote,
  "request-vote-response": FrameKind.requestVoteResponse,
  "append-entries": FrameKind.appendEntries,
  "append-entries-response": FrameKind.appendEntriesResponse,
  heartbeat: FrameKind.heartbeat,
  "heartbeat-response": FrameKind.heartbeatResponse,
  "read-index-request": FrameKind.readIndexRequest,
  "read-index-response": FrameKind.readIndexResponse,
  "timeout-now": FrameKind.timeoutNow,
  "commit-notice": FrameKind.commitNotice,
  forward: FrameKind.forward,
  "forward-response": FrameKind.forwardResponse,
  formation: FrameKind.formation,
  "transfer-request": FrameKind.transferRequest,
  "transfer-response": FrameKind.transferResponse,
  leaving: FrameKind.leaving,
  "membership-request": FrameKind.membershipRequest,
  "membership-response": FrameKind.membershipResponse,
  "join-request": FrameKind.joinRequest,
  "join-response": FrameKind.joinResponse,
  invitation: FrameKind.invitation,
  "rolled-back": FrameKind.rolledBack,
  "snapshot-offer": FrameKind.snapshotOffer,
  "snapshot-chunk": FrameKind.snapshotChunk,
  "snapshot-report": FrameKind.snapshotReport,
  resign: FrameKind.resign,
};

const HEALTHS = ["ok", "late", "full", "stalled"] as const;
const STATUSES = [
  "appended",
  "not-leader",
  "overloaded",
  "expired",
  "transferring",
  "full",
] as const;
const TRANSFER_STATUSES = [
  "started",
  "not-leader",
  "unknown-member",
  "not-voter",
  "no-other-voter",
  "unreachable",
  "busy",
  "unhealthy",
] as const;
const U32_MAX = 0xffff_ffff;
const NO_BATCHES: readonly EntryBatch[] = [];
const EMPTY = new Uint8Array(0);

/**
 * Encodes one message after another without an object per message: after `encode` its fields are
 * the frame, until the next call.
 */
export class MessageEncoder {
  /** Body parts that are immutable and may be sent as they are. */
  batches: readonly EntryBatch[] = NO_BATCHES;
  /** A body part that belongs to the caller and has to be copied. */
  tail: Uint8Array = EMPTY;
  readonly #writer: ByteWriter = new ByteWriter(1024);
  readonly #checksum: Checksum;

  constructor(checksum: Checksum) {
    this.#checksum = checksum;
  }

  /** Head and message part. */
  get front(): Uint8Array {
    return this.#writer.view();
  }

  /** Makes the frame of a message and returns its size in bytes. */
  encode(group: number, message: PeerMessage): number {
    const writer = beginFrame(this.#writer);
    this.batches = NO_BATCHES;
    this.tail = EMPTY;
    this.#writeMessage(writer, message);
    let bodyBytes = this.tail.length;
    for (const batch of this.batches) bodyBytes += batch.byteLength;
    finishFrame(writer, { kind: KIND[message.type], group, bodyBytes }, this.#checksum);
    return writer.length + bodyBytes;
  }

  #writeMessage(writer: ByteWriter, message: PeerMessage): void {
    switch (message.type) {
      case "append-entries":
        this.batches = message.batches;
        return writeAppend(writer, message);
      case "forward":
        this.tail = message.entries;
        writer.u64(message.request).u32(wholeMs(message.deadlineMs));
        writer.u32(message.count).u32(this.#checksum(message.entries));
        return;
      case "formation":
        this.tail = message.configuration;
        writer.u32(this.#checksum(message.configuration));
        return;
      case "invitation":
        this.tail = message.configuration;
        writer.u64(message.index).u32(this.#checksum(message.configuration));
        return;
      case "snapshot-chunk":
        this.tail = message.data;
        return writeChunk(writer, message, this.#checksum);
      case "snapshot-offer":
      case "snapshot-report":
        return writeSnapshot(writer, message);
      default:
        return writeSmall(writer, message);
    }
  }
}

/** The frame of a message in one piece, for what is not the hot path. */
export function encodeFrame(group: number, message: PeerMessage, checksum: Checksum): Uint8Array {
  const encoder = new MessageEncoder(checksum);
  const bytes = new Uint8Array(encoder.encode(group, message));
  bytes.set(encoder.front);
  let at = encoder.front.length;
  for (const batch of encoder.batches) {
    bytes.set(batch.body, at);
    at += batch.byteLength;
  }
  bytes.set(encoder.tail, at);
  return bytes;
}

/** Reads the message in a frame; throws {@link BytesError} that says what is wrong with it. */
export function decodeMessage(frame: Frame, checksum: Checksum): PeerMessage {
  switch (frame.kind) {
    case FrameKind.appendEntries:
      return readAppend(frame, checksum);
    case FrameKind.forward:
      return readForward(frame, checksum);
    case FrameKind.formation:
      return readFormation(frame, checksum);
    case FrameKind.invitation:
      return readInvitation(frame, checksum);
    case FrameKind.snapshotChunk:
      return readChunk(frame, checksum);
    default:
      if (frame.body.length > 0) throw new BytesError(`a body in a frame of kind ${frame.kind}`);
      return readSmall(frame);
  }
}

type SmallMessage = Exclude<
  PeerMessage,
  {
    type: "append-entries" | "forward" | "formation" | "invitation" | `snapshot-${string}`;
  }
>;

function writeSmall(writer: ByteWriter, message: SmallMessage): void {
  switch (message.type) {
    case "pre-vote":
    case "timeout-now":
      writer.u64(message.term).u64(message.lastIndex).u64(message.lastTerm);
      return;
    case "request-vote":
      writer.u64(message.term).u8(message.transfer ? 1 : 0);
      writer.raw(fromHex(message.incarnation));
      writer.u64(message.lastIndex).u64(message.lastTerm);
      return;
    case "pre-vote-response":
    case "request-vote-response":
      writer.u64(message.term).u8(message.granted ? 1 : 0);
      return;
    case "append-entries-response":
      writer.u64(message.term).u8(message.success ? 1 : 0);
      writer.u64(message.index).u64(message.hintIndex).u64(message.hintTerm);
      return;
    case "heartbeat":
      writer.u64(message.term).u64(message.commit).u64(message.round);
      return;
    case "commit-notice":
      writer.u64(message.term).u64(message.commit);
      return;
    case "heartbeat-response":
      writer.u64(message.term).u64(message.round).u8(HEALTHS.indexOf(message.health));
      return;
    case "resign":
      writer.u64(message.term);
      return;
    case "read-index-request":
      writer
        .u64(message.term)
        .u64(message.token)
        .u8(message.byLease ? 1 : 0);
      return;
    case "read-index-response":
      writer
        .u64(message.term)
        .u64(message.token)
        .u8(message.ok ? 1 : 0)
        .u64(message.index);
      return;
    case "forward-response":
      writer.u64(message.request).u8(STATUSES.indexOf(message.status));
      writer.u64(message.firstIndex).u64(message.term).text(message.leader);
      return;
    case "transfer-request":
      writer.u64(message.request).text(message.target);
      return;
    case "transfer-response":
      writer.u64(message.request).u8(TRANSFER_STATUSES.indexOf(message.status));
      return;
    case "leaving":
      writer.u64(message.lastRequest);
      return;
    case "membership-request":
    case "membership-response":
      return writeMembership(writer, message);
    case "join-request":
    case "join-response":
    case "rolled-back":
      return writeJoin(writer, message);
    default:
      unreachable(message);
  }
}

function readSmall(frame: Frame): PeerMessage {
  const reader = new ByteReader(frame.message);
  const message = readFields(reader, frame.kind);
  reader.end();
  return message;
}

/** Arguments are evaluated in the order of the layout. */
function readFields(reader: ByteReader, kind: number): PeerMessage {
  switch (kind) {
    case FrameKind.preVote:
      return checkLast<PreVote>({
        type: "pre-vote",
        term: campaignTerm(reader),
        lastIndex: reader.u64(),
        lastTerm: reader.u64(),
      });
    case FrameKind.preVoteResponse:
      return { type: "pre-vote-response", term: reader.u64(), granted: flag(reader) };
    case FrameKind.requestVote:
      return checkLast<RequestVote>({
        type: "request-vote",
        term: campaignTerm(reader),
        transfer: flag(reader),
        incarnation: toHex(reader.raw(16)),
        lastIndex: reader.u64(),
        lastTerm: reader.u64(),
      });
    case FrameKind.requestVoteResponse:
      return { type: "request-vote-response", term: reader.u64(), granted: flag(reader) };
    case FrameKind.appendEntriesResponse:
      return {
        type: "append-entries-response",
        term: reader.u64(),
        success: flag(reader),
        index: reader.u64(),
        hintIndex: reader.u64(),
        hintTerm: reader.u64(),
      };
    case FrameKind.heartbeat:
      return {
        type: "heartbeat",
        term: campaignTerm(reader),
        commit: reader.u64(),
        round: reader.u64(),
      };
    case FrameKind.commitNotice:
      return { type: "commit-notice", term: campaignTerm(reader), commit: reader.u64() };
    case FrameKind.heartbeatResponse:
      return {
        type: "heartbeat-response",
        term: reader.u64(),
        round: reader.u64(),
        health: readHealth(reader),
      };
    case FrameKind.readIndexRequest:
      return {
        type: "read-index-request",
        term: reader.u64(),
        token: reader.u64(),
        byLease: flag(reader),
      };
    case FrameKind.readIndexResponse:
      return {
        type: "read-index-response",
        term: reader.u64(),
        token: reader.u64(),
        ok: flag(reader),
        index: reader.u64(),
      };
    default:
      return readEndFields(reader, kind);
  }
}

/** Those with which a leader ends its leadership. */
function readEndFields(reader: ByteReader, kind: number): PeerMessage {
  switch (kind) {
    case FrameKind.timeoutNow:
      return checkLast<TimeoutNow>({
        type: "timeout-now",
        term: campaignTerm(reader),
        lastIndex: reader.u64(),
        lastTerm: reader.u64(),
      });
    case FrameKind.resign:
      return { type: "resign", term: campaignTerm(reader) };
    default:
      return readRuntimeFields(reader, kind);
  }
}

/** Those that the runtimes say to each other beside their cores. */
function readRuntimeFields(reader: ByteReader, kind: number): PeerMessage {
  switch (kind) {
    case FrameKind.forwardResponse:
      return readForwardResponse(reader);
    case FrameKind.transferRequest:
      return {
        type: "transfer-request",
        request: reader.u64(),
        target: memberOrNone(reader, "transfer-request names a target"),
      };
    case FrameKind.transferResponse:
      return readTransferResponse(reader);
    case FrameKind.leaving:
      return { type: "leaving", lastRequest: reader.u64() };
    case FrameKind.membershipRequest:
    case FrameKind.membershipResponse:
      return readMembership(reader, kind);
    case FrameKind.snapshotOffer:
    case FrameKind.snapshotReport:
      return readSnapshot(reader, kind);
    default:
      return readJoin(reader, kind);
  }
}

function readForwardResponse(reader: ByteReader): ForwardResponse {
  const request = reader.u64();
  const code = reader.u8();
  const status = STATUSES[code];
  if (status === undefined) throw new BytesError(`forward-response with status ${code}`);
  const firstIndex = reader.u64();
  const term = reader.u64();
  const leader = memberOrNone(reader, "forward-response names a leader");
  return { type: "forward-response", request, status, firstIndex, term, leader };
}

function readTransferResponse(reader: ByteReader): TransferResponse {
  const request = reader.u64();
  const code = reader.u8();
  const status = TRANSFER_STATUSES[code];
  if (status === undefined) throw new BytesError(`transfer-response with status ${code}`);
  return { type: "transfer-response", request, status };
}

function readHealth(reader: ByteReader): Health {
  const code = reader.u8();
  const health = HEALTHS[code];
  if (health === undefined) throw new BytesError(`heartbeat-response with health ${code}`);
  return health;
}

/** A member id, or the empty text for nobody. */
function memberOrNone(reader: ByteReader, what: string): string {
  const id = reader.text();
  if (id !== "" && !isMemberId(id)) throw new BytesError(`${what} that cannot be a member id`);
  return id;
}

function writeAppend(writer: ByteWriter, message: AppendEntries): void {
  writer.u64(message.term).u64(message.prevIndex).u64(message.prevTerm).u64(message.commit);
  writer.u32(message.batches.length);
  for (const batch of message.batches) writer.u32(batch.byteLength).u32(batch.crc);
}

function readAppend(frame: Frame, checksum: Checksum): AppendEntries {
  const reader = new ByteReader(frame.message);
  const term = campaignTerm(reader);
  const prevIndex = reader.u64();
  const prevTerm = reader.u64();
  const commit = reader.u64();
  const count = reader.u32();
  checkPosition(prevIndex, prevTerm, term);
  // Before anything is made for `count` of them: as many must have been announced.
  if (count * 8 !== reader.remaining) throw new BytesError("batches and their list disagree");
  const batches: EntryBatch[] = [];
  let at = 0;
  let nextIndex = prevIndex + 1;
  let lastTerm = prevTerm;
  for (let i = 0; i < count; i++) {
    const end = at + reader.u32();
    if (end > frame.body.length) throw new BytesError("batch body is cut");
    const batch = EntryBatch.read(frame.body.subarray(at, end), reader.u32(), checksum);
    checkBatch(batch, nextIndex, lastTerm, term);
    batches.push(batch);
    at = end;
    nextIndex = batch.lastIndex + 1;
    lastTerm = batch.term;
  }
  if (at !== frame.body.length) throw new BytesError(`${frame.body.length - at} bytes too many`);
  return { type: "append-entries", term, prevIndex, prevTerm, commit, batches };
}

/** Batches are consecutive, and terms never fall along a log nor pass the leader's. */
function checkBatch(batch: EntryBatch, index: number, termMin: number, termMax: number): void {
  if (batch.firstIndex !== index) {
    throw new BytesError(`batch ${batch.toString()} where index ${index} should come`);
  }
  if (batch.term < termMin || batch.term > termMax) {
    throw new BytesError(`batch ${batch.toString()} between terms ${termMin} and ${termMax}`);
  }
  if (!Number.isSafeInteger(batch.lastIndex + 1))
    throw new BytesError(`batch ${batch.toString()} ends nowhere`);
}

function readForward(frame: Frame, checksum: Checksum): Forward {
  const reader = new ByteReader(frame.message);
  const request = reader.u64();
  const deadlineMs = reader.u32();
  const count = reader.u32();
  const crc = reader.u32();
  reader.end();
  const entries = frame.body;
  if (checksum(entries) !== crc) throw new BytesError("forwarded entries fail their CRC");
  if (count === 0) throw new BytesError("forward without entries");
  validatePacked(entries, count);
  for (let at = 0; at < entries.length; at += ENTRY_HEAD_BYTES + readU32(entries, at + 4)) {
    // A configuration or no-op comes from a leader alone; smuggled in here it would take effect.
    if (entries[at] === EntryKind.command || entries[at] === EntryKind.session) continue;
    throw new BytesError("forwarded entry is no command");
  }
  return { type: "forward", request, deadlineMs, entries, count };
}

function readFormation(frame: Frame, checksum: Checksum): PeerMessage {
  const reader = new ByteReader(frame.message);
  const crc = reader.u32();
  reader.end();
  if (checksum(frame.body) !== crc) throw new BytesError("formation fails its CRC");
  decodeConfiguration(frame.body);
  return { type: "formation", configuration: frame.body };
}

function flag(reader: ByteReader): boolean {
  const value = reader.u8();
  if (value > 1) throw new BytesError(`flag of value ${value}`);
  return value === 1;
}

/** Nobody leads or campaigns in term 0. */
function campaignTerm(reader: ByteReader): number {
  const term = reader.u64();
  if (term === 0) throw new BytesError("term 0 has no leader and no candidate");
  return term;
}

function checkLast<T extends PreVote | RequestVote | TimeoutNow>(message: T): T {
  checkPosition(message.lastIndex, message.lastTerm, message.term);
  return message;
}

/** Index 0 is before the log and has term 0; nothing else has. */
function checkPosition(index: number, term: number, termMax: number): void {
  if ((index === 0) !== (term === 0) || term > termMax || index === Number.MAX_SAFE_INTEGER) {
    throw new BytesError(`no entry can be ${index}@${term} in term ${termMax}`);
  }
}

/** Rounded down: the deadline must not grow on the way. */
function wholeMs(deadlineMs: number): number {
  return Math.max(0, Math.min(U32_MAX, Math.floor(deadlineMs)));
}
