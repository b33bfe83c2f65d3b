/**
 * How commands are written into the log and onto the wire. Version 1, little-endian:
 *
 * ```
 *  offset  size  what
 *       0     1  version = 1
 *       1     1  kind: 1 put, 2 delete
 *       2     1  condition: 0 none, 1 revision, 2 absent, 3 present
 *       3     1  reserved = 0
 *       4     2  length of the key, at least 1
 *       6     2  reserved = 0
 *       8     8  the revision of condition 1, otherwise 0
 *      16     k  key
 *  16 + k     …  put: the value, up to the end; delete: nothing
 * ```
 *
 * The length of the value is the length of the command: the log knows it and guards it by a
 * checksum. Whatever is not exactly this is refused by a {@link CommandFormatError}: a command of a
 * newer version must stop the member rather than be applied as something else.
 */
import type { Codec } from "quorate";
import { NO_CONDITION } from "./command.ts";
import type { Condition, KvCommand } from "./command.ts";
import type { Key } from "./key.ts";

/** Bytes before the key. */
export const COMMAND_HEADER_BYTES = 16;

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

/** The bytes of a command; the largest has the header, the longest key and the largest value. */
export function encodeCommand(command: KvCommand): Uint8Array {
  const { key, condition } = command;
  if (key.length === 0 || key.length > COMMAND_KEY_BYTES_MAX) {
    throw new CommandFormatError(`a key of ${key.length} bytes`);
  }
  const value = command.type === "put" ? command.value : NO_VALUE;
  const bytes = Buffer.allocUnsafe(COMMAND_HEADER_BYTES + key.length + value.length);
  const revision = condition.type === "revision" ? condition.revision : 0;
  bytes[0] = VERSION;
  bytes[1] = command.type === "put" ? PUT : DELETE;
  bytes[2] = CONDITIONS.indexOf(condition.type);
  bytes[3] = 0;
  bytes.writeUInt32LE(key.length, 4);
  bytes.writeUInt32LE(revision % TWO_32, 8);
  bytes.writeUInt32LE(Math.floor(revision / TWO_32), 12);
  const written = bytes.write(key, COMMAND_HEADER_BYTES, "latin1");
  bytes.set(value, COMMAND_HEADER_BYTES + written);
  return bytes;
}

/** The command of such bytes. The value is a view of them. */
export function decodeCommand(bytes: Uint8Array): KvCommand {
  if (bytes.length < COMMAND_HEADER_BYTES) throw new CommandFormatError("shorter than its header");
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view[0] !== VERSION) {
    throw new CommandFormatError(`version ${view[0]}: this software knows version ${VERSION}`);
  }
  if (view[3] !== 0 || view.readUInt16LE(6) !== 0)
    throw new CommandFormatError("reserved bits set");
  const valueAt = COMMAND_HEADER_BYTES + view.readUInt16LE(4);
  if (valueAt === COMMAND_HEADER_BYTES || valueAt > bytes.length) {
    throw new CommandFormatError("the key is empty or ends after the command");
  }
  const key: Key = view.toString("latin1", COMMAND_HEADER_BYTES, valueAt);
  const condition = decodeCondition(view);
  if (view[1] === PUT) return { type: "put", key, value: bytes.subarray(valueAt), condition };
  if (view[1] !== DELETE) throw new CommandFormatError(`kind ${view[1]} is not known`);
  if (valueAt !== bytes.length) throw new CommandFormatError("bytes behind the key of a delete");
  return { type: "delete", key, condition };
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
