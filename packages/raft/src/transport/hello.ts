/**
 * The handshake: the first frames of every connection.
 *
 *   dialer                              listener
 *     hello  ------------------------>   judges; no common version, or refused: refusal, end
 *     judges <------------------------   accept (the chosen version and its own hello)
 *     messages ---------------------->   or a refusal, and end
 *            <------------------------   pulse, now and then (peer-link.ts)
 *
 *   kind      message part
 *   1 hello   u16 protocolMin, u16 protocolMax, 16 bytes cluster id, 16 bytes incarnation,
 *             32 bytes formation, text id, text address, text target (whom the dialer means;
 *             empty = it only asks who is there), u8 mode (HELLO_MODES), u64 configurationIndex,
 *             u32 machineVersion
 *   2 accept  u16 chosen version, then the fields of a hello with an empty target
 *   3 refusal u16 code (RefusalCode), text reason; with code 9 (removed) also 16 bytes incarnation,
 *             u64 configurationIndex
 *   4 pulse   nothing
 *
 * A hello with an empty target is a question: the listener answers by its own hello, without
 * judging anybody, and both ends close.
 *
 * These four are the same in every protocol version: bytes behind the known fields are ignored, so
 * that a later version can add to them and a member of this one still understands why it is
 * refused. The chosen version is the highest that both know. No handshake frame is larger than 1
 * KiB, so a stranger costs that much memory and no more. Texts from outside go into logs: control
 * characters are replaced.
 */
import { isMemberId } from "../core/configuration.ts";
import type { MemberId } from "../core/configuration.ts";
import { assert } from "../util/assert.ts";
import { ByteReader, BytesError, ByteWriter, fromHex, toHex, utf8 } from "../util/bytes.ts";
import type { Checksum } from "../util/checksum.ts";
import { beginFrame, finishFrame, FrameKind } from "./frame.ts";
import type { Frame } from "./frame.ts";
import { HELLO_MODES, RefusalCode } from "./transport.ts";
import type { Hello, Refusal, Removal } from "./transport.ts";

/** The oldest protocol version that this build speaks; {@link PROTOCOL_MAX} is the newest. */
export const PROTOCOL_MIN = 4;
/** The newest protocol version that this build speaks. */
export const PROTOCOL_MAX = 4;
/** No handshake frame is larger. */
export const HELLO_BYTES_MAX = 1_024;

const REASON_BYTES_MAX = 800;
const ADDRESS = /^[\x21-\x7e]{0,300}$/;
const CODES: readonly number[] = Object.values(RefusalCode);

/** A hello as it travels: with whom the dialer means to reach. */
export interface Greeting {
  readonly hello: Hello;
  /** Empty: it only asks who is there. */
  readonly target: MemberId;
}

/** What the listener answers where it agrees. */
export interface Acceptance {
  readonly version: number;
  readonly hello: Hello;
}

/** The dialer's first frame. */
export function encodeHello(greeting: Greeting, checksum: Checksum): Uint8Array {
  const writer = beginFrame(new ByteWriter());
  writeHello(writer, greeting.hello, greeting.target);
  return finish(writer, FrameKind.hello, checksum);
}

/** The listener's answer where it agrees. */
export function encodeAccept(acceptance: Acceptance, checksum: Checksum): Uint8Array {
  const writer = beginFrame(new ByteWriter()).u16(acceptance.version);
  writeHello(writer, acceptance.hello, "");
  return finish(writer, FrameKind.accept, checksum);
}

/** The last frame of a refused connection, from either side. */
export function encodeRefusal(refusal: Refusal, checksum: Checksum): Uint8Array {
  const { code, reason, removal } = refusal;
  const writer = beginFrame(new ByteWriter()).u16(code).text(cutText(reason));
  assert((removal !== undefined) === (code === RefusalCode.removed), "a removal says of whom");
  if (removal !== undefined) {
    writer.raw(exactly(16, removal.incarnation)).u64(removal.configurationIndex);
  }
  return finish(writer, FrameKind.refusal, checksum);
}

/** Reads a hello; throws {@link BytesError}. */
export function decodeHello(frame: Frame): Greeting {
  const reader = new ByteReader(frame.message);
  noBody(frame);
  return readHello(reader);
}

/** Reads an acceptance of `offered`, our own hello; throws {@link BytesError}. */
export function decodeAccept(frame: Frame, offered: Hello): Acceptance {
  const reader = new ByteReader(frame.message);
  noBody(frame);
  const version = reader.u16();
  if (version < offered.protocolMin || version > offered.protocolMax) {
    throw new BytesError(`accepted in protocol version ${version}, which was not offered`);
  }
  return { version, hello: readHello(reader).hello };
}

/** Reads a refusal; throws {@link BytesError}. */
export function decodeRefusal(frame: Frame): Refusal {
  const reader = new ByteReader(frame.message);
  noBody(frame);
  const code = reader.u16();
  // A code of a later version still comes with a sentence, which is what people read.
  const known = CODES.includes(code) ? (code as RefusalCode) : RefusalCode.protocol;
  const reason = clean(reader.text());
  return known === RefusalCode.removed
    ? { code: known, reason, removal: readRemoval(reader) }
    : { code: known, reason };
}

function readRemoval(reader: ByteReader): Removal {
  return { incarnation: toHex(reader.raw(16)), configurationIndex: reader.u64() };
}

/** The highest version that both speak, or the refusal. */
export function negotiate(ours: Hello, theirs: Hello): number | Refusal {
  const version = Math.min(ours.protocolMax, theirs.protocolMax);
  if (version >= Math.max(ours.protocolMin, theirs.protocolMin)) return version;
  const reason =
    `${theirs.id} speaks protocol versions ${theirs.protocolMin} to ${theirs.protocolMax}, ` +
    `${ours.id} speaks ${ours.protocolMin} to ${ours.protocolMax}: upgrade the older one`;
  return { code: RefusalCode.protocol, reason };
}

function writeHello(writer: ByteWriter, hello: Hello, target: MemberId): void {
  writer.u16(hello.protocolMin).u16(hello.protocolMax);
  writer.raw(exactly(16, hello.clusterId)).raw(exactly(16, hello.incarnation));
  writer.raw(exactly(32, hello.formation));
  writer.text(hello.id).text(hello.address).text(target);
  writer.u8(HELLO_MODES.indexOf(hello.mode)).u64(hello.configurationIndex);
  writer.u32(hello.machineVersion);
}

function readHello(reader: ByteReader): Greeting {
  const protocolMin = reader.u16();
  const protocolMax = reader.u16();
  if (protocolMin < 1 || protocolMax < protocolMin) {
    throw new BytesError(`protocol versions ${protocolMin} to ${protocolMax}`);
  }
  const clusterId = toHex(reader.raw(16));
  const incarnation = toHex(reader.raw(16));
  const formation = toHex(reader.raw(32));
  const id = reader.text();
  const address = reader.text();
  const target = reader.text();
  if (!isMemberId(id)) throw new BytesError("hello from what cannot be a member id");
  if (!ADDRESS.test(address)) throw new BytesError("hello with what cannot be an address");
  if (target !== "" && !isMemberId(target)) {
    throw new BytesError("hello to what cannot be a member id");
  }
  const mode = HELLO_MODES[reader.u8()];
  if (mode === undefined) throw new BytesError("hello of a mode that is not known");
  const configurationIndex = reader.u64();
  const machineVersion = reader.u32();
  const who = { clusterId, id, incarnation, address, formation };
  const where = { mode, configurationIndex, machineVersion };
  return { hello: { protocolMin, protocolMax, ...who, ...where }, target };
}

function finish(writer: ByteWriter, kind: FrameKind, checksum: Checksum): Uint8Array {
  finishFrame(writer, { kind, group: 0, bodyBytes: 0 }, checksum);
  assert(writer.length <= HELLO_BYTES_MAX, "a handshake frame is at most 1 KiB");
  return writer.copy();
}

function exactly(count: number, hex: string): Uint8Array {
  const bytes = fromHex(hex);
  assert(bytes.length === count, () => `want ${count} bytes as hex, not "${hex}"`);
  return bytes;
}

function noBody(frame: Frame): void {
  if (frame.body.length > 0) throw new BytesError(`a body in a frame of kind ${frame.kind}`);
}

function clean(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, "?");
}

/** At most {@link REASON_BYTES_MAX} bytes of UTF-8, ending with a whole character. */
function cutText(text: string): string {
  const bytes = utf8(text);
  if (bytes.length <= REASON_BYTES_MAX) return text;
  // A streaming decoder keeps a cut character back instead of replacing it.
  return new TextDecoder().decode(bytes.subarray(0, REASON_BYTES_MAX), { stream: true });
}
