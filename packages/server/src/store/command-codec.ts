/**
 * How commands are written into the log and onto the wire. Version 1, little-endian:
 *
 * ```
 *  offset  size  what
 *       0     1  version = 1
 *       1     1  kind: 1 put, 2 delete
 *       2     1  condition: 0 none, 1 revision, 2 absent, 3 present
 *       3     1  length n of the name of the request; 0 = it has none
 *       4     2  length k of the key, at least 1
 *       6     2  reserved = 0
 *       8     8  the revision of condition 1, otherwise 0
 *      16     8  only with n > 0: the fingerprint of the request
 *             n  only with n > 0: the name, each byte 0x21 to 0x7e
 *             k  key
 *             …  put: the value, up to the end; delete: nothing
 * ```
 *
 * The length of the value is the length of the command: the log knows it and guards it by a
 * checksum. Whatever is not exactly this is refused by a {@link CommandFormatError}: a command of a
 * newer version must stop the member rather than be applied as something else.
 */
import type { Codec } from "quorate";
import { NO_CONDITION } from "./command.ts";
import type { Condition, KvCommand, RequestName } from "./command.ts";

/** The longest name of a request. */
export const REQUEST_KEY_BYTES_MAX = 255;

const HEADER_BYTES = 16;

/** Bytes of a fingerprint. */
export const FINGERPRINT_BYTES = 8;

/** The most bytes before the key. */
export const COMMAND_HEADER_BYTES_MAX: number =
  HEADER_BYTES + FINGERPRINT_BYTES + REQUEST_KEY_BYTES_MAX;

/** The longest key that the format can hold; the limit of a server may be lower. */
export const COMMAND_KEY_BYTES_MAX = 65_535;

const VERSION = 1;
const PUT = 1;
const DELETE = 2;
const CONDITIONS = ["none", "revision", "absent", "present"] as const;
const NO_VALUE = new Uint8Array(0);
const TWO_32 = 0x1_0000_0000;

/** These bytes are not a command of this version. */
export class CommandFormatError extends Error {
  override readonly name = "CommandFormatError";
}

/** The codec of {@link KvCommand}. */
export const kvCodec: Codec<KvCommand> = { encode: encodeCommand, decode: decodeCommand };

/** Whether this can name a request: 1 to 255 visible characters of ASCII. */
export function isRequestKey(text: string): boolean {
  return /^[!-~]{1,255}$/.test(text);
}

/** The bytes of a command; the largest has the header, the longest key and the largest value. */
export function encodeCommand(command: KvCommand): Uint8Array {
  const { key, condition, request } = command;
  if (key.length === 0 || key.length > COMMAND_KEY_BYTES_MAX) {
    throw new CommandFormatError(`a key of ${key.length} bytes`);
  }
  const value = command.type === "put" ? command.value : NO_VALUE;
  const keyAt = HEADER_BYTES + nameBytes(request);
  const bytes = Buffer.allocUnsafe(keyAt + key.length + value.length);
  const revision = condition.type === "revision" ? condition.revision : 0;
  bytes[0] = VERSION;
  bytes[1] = command.type === "put" ? PUT : DELETE;
  bytes[2] = CONDITIONS.indexOf(condition.type);
  bytes[3] = request?.key.length ?? 0;
  bytes.writeUInt32LE(key.length, 4);
  bytes.writeUInt32LE(revision % TWO_32, 8);
  bytes.writeUInt32LE(Math.floor(revision / TWO_32), 12);
  if (request !== undefined) bytes.write(request.fingerprint + request.key, HEADER_BYTES, "latin1");
  const written = bytes.write(key, keyAt, "latin1");
  bytes.set(value, keyAt + written);
  return bytes;
}

/** How many bytes the name of a request takes; refuses one that the format cannot hold. */
function nameBytes(request: RequestName | undefined): number {
  if (request === undefined) return 0;
  if (!isRequestKey(request.key) || request.fingerprint.length !== FINGERPRINT_BYTES) {
    throw new CommandFormatError("the name of a request is 1 to 255 of visible ASCII");
  }
  return FINGERPRINT_BYTES + request.key.length;
}

/** The command of such bytes. The value is a view of them. */
export function decodeCommand(bytes: Uint8Array): KvCommand {
  if (bytes.length < HEADER_BYTES) throw new CommandFormatError("shorter than its header");
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view[0] !== VERSION) {
    throw new CommandFormatError(`version ${view[0]}: this software knows version ${VERSION}`);
  }
  if (view.readUInt16LE(6) !== 0) throw new CommandFormatError("reserved bits set");
  const named = view[3]!;
  const keyAt = HEADER_BYTES + (named === 0 ? 0 : FINGERPRINT_BYTES + named);
  const valueAt = keyAt + view.readUInt16LE(4);
  if (valueAt === keyAt || valueAt > bytes.length) {
    throw new CommandFormatError("the key is empty or ends after the command");
  }
  const head = {
    key: view.toString("latin1", keyAt, valueAt),
    condition: decodeCondition(view),
    ...(named === 0 ? {} : { request: decodeName(view, keyAt) }),
  };
  if (view[1] === PUT) return { type: "put", ...head, value: bytes.subarray(valueAt) };
  if (view[1] !== DELETE) throw new CommandFormatError(`kind ${view[1]} is not known`);
  if (valueAt !== bytes.length) throw new CommandFormatError("bytes behind the key of a delete");
  return { type: "delete", ...head };
}

function decodeName(view: Buffer, end: number): RequestName {
  const from = HEADER_BYTES + FINGERPRINT_BYTES;
  const key = view.toString("latin1", from, end);
  if (!isRequestKey(key))
    throw new CommandFormatError("the name of the request is no visible ASCII");
  return { key, fingerprint: view.toString("latin1", HEADER_BYTES, from) };
}

function decodeCondition(view: Buffer): Condition {
  const high = view.readUInt32LE(12);
  const revision = high * TWO_32 + view.readUInt32LE(8);
  const type = CONDITIONS[view[2]!];
  if (type === undefined) throw new CommandFormatError(`condition ${view[2]} is not known`);
  if (type === "revision") {
    if (!Number.isSafeInteger(revision)) throw new CommandFormatError("revision above 2^53");
    return { type, revision };
  }
  if (revision !== 0) throw new CommandFormatError("a revision that no condition wants");
  return type === "none" ? NO_CONDITION : { type };
}
