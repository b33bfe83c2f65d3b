/**
 * Results of `apply` as bytes: what the engine keeps to answer a repeated write, and what a
 * snapshot carries of it.
 *
 *   tag  value            behind the tag
 *    0   undefined        -
 *    1   null             -
 *    2   false            -
 *    3   true             -
 *    4   number           f64, little-endian; so NaN, -0 and the infinities are kept
 *    5   bigint           u32 length, decimal text
 *    6   string           u32 length, UTF-8
 *    7   string           u32 units, UTF-16: one that UTF-8 cannot hold (lone surrogates)
 *    8   Uint8Array       u32 length, bytes
 *    9   array            u32 length, values; a hole becomes undefined
 *   10   plain object     u32 properties, each a string (6 or 7) and a value
 *   11   Map              u32 size, keys and values in turn
 *   12   Set              u32 size, values
 *   13   Date             f64 of its time
 *
 * A plain object has the prototype `Object.prototype` or none; its own enumerable string keys
 * count, in their order, and a key `__proto__` is a key like any other. Everything else (functions,
 * symbols, classes, other views, cycles, what is nested too deep or too large) has no encoding:
 * {@link encodeValue} says so and never throws, whatever getters do.
 *
 * Encoding depends on the value alone: every member comes to the same bytes, and to the same
 * verdict.
 */
import type { ByteReader, ByteWriter } from "../util/bytes.ts";
import { BytesError, fromUtf8, utf8 } from "../util/bytes.ts";

const TAG = {
  undefined: 0,
  null: 1,
  false: 2,
  true: 3,
  number: 4,
  bigint: 5,
  utf8: 6,
  utf16: 7,
  bytes: 8,
  array: 9,
  object: 10,
  map: 11,
  set: 12,
  date: 13,
} as const;

/** Deeper than this counts as a cycle. */
const DEPTH_MAX = 64;

/**
 * Appends the encoding of `value` to `writer`; false where it has none, or one of more than
 * `bytesMax` bytes. What was written until then is the caller's to throw away.
 */
export function encodeValue(writer: ByteWriter, value: unknown, bytesMax: number): boolean {
  try {
    return write(writer, value, { endMax: writer.length + bytesMax, depth: 0 });
  } catch {
    // A getter or a proxy of the user's: what it throws is no business of consensus.
    return false;
  }
}

/** Reads one value; throws {@link BytesError} where there is none. */
export function decodeValue(reader: ByteReader): unknown {
  return read(reader, 0);
}

interface Bounds {
  readonly endMax: number;
  depth: number;
}

function write(writer: ByteWriter, value: unknown, bounds: Bounds): boolean {
  switch (typeof value) {
    case "undefined":
      writer.u8(TAG.undefined);
      break;
    case "boolean":
      writer.u8(value ? TAG.true : TAG.false);
      break;
    case "number":
      writer.u8(TAG.number);
      writeF64(writer, value);
      break;
    case "bigint":
      writeText(writer.u8(TAG.bigint), value.toString());
      break;
    case "string":
      if (writer.length + value.length > bounds.endMax) return false;
      writeString(writer, value);
      break;
    case "object":
      if (value === null) writer.u8(TAG.null);
      else if (!writeObject(writer, value, bounds)) return false;
      break;
    default:
      return false;
  }
  return writer.length <= bounds.endMax;
}

function writeObject(writer: ByteWriter, value: object, bounds: Bounds): boolean {
  if (bounds.depth === DEPTH_MAX) return false;
  bounds.depth++;
  const isWhole = writeMembers(writer, value, bounds);
  bounds.depth--;
  return isWhole;
}

function writeMembers(writer: ByteWriter, value: object, bounds: Bounds): boolean {
  if (Array.isArray(value)) return writeArray(writer, value, bounds);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) {
    return writeProperties(writer, value as Record<string, unknown>, bounds);
  }
  // By prototype: what was derived from these is a class of the user's.
  if (prototype === Uint8Array.prototype || isNodeBuffer(value)) {
    return writeBytes(writer, value as Uint8Array, bounds);
  }
  if (prototype === Map.prototype) return writeMap(writer, value as Map<unknown, unknown>, bounds);
  if (prototype === Set.prototype) return writeSet(writer, value as Set<unknown>, bounds);
  if (prototype !== Date.prototype) return false;
  writer.u8(TAG.date);
  writeF64(writer, (value as Date).getTime());
  return true;
}

/** Node's own Uint8Array; it comes back as a plain one. */
function isNodeBuffer(value: object): boolean {
  return value instanceof Uint8Array && value.constructor.name === "Buffer";
}

function writeBytes(writer: ByteWriter, value: Uint8Array, bounds: Bounds): boolean {
  if (writer.length + value.length > bounds.endMax) return false;
  writer.u8(TAG.bytes).u32(value.length).raw(value);
  return true;
}

function writeArray(writer: ByteWriter, value: readonly unknown[], bounds: Bounds): boolean {
  // A value takes a byte at least: nothing is walked that cannot fit.
  if (writer.length + value.length > bounds.endMax) return false;
  writer.u8(TAG.array).u32(value.length);
  for (let i = 0; i < value.length; i++) if (!write(writer, value[i], bounds)) return false;
  return true;
}

function writeProperties(
  writer: ByteWriter,
  value: Record<string, unknown>,
  bounds: Bounds,
): boolean {
  const keys = Object.keys(value);
  writer.u8(TAG.object).u32(keys.length);
  for (const key of keys) {
    writeString(writer, key);
    if (!write(writer, value[key], bounds)) return false;
  }
  return true;
}

function writeMap(writer: ByteWriter, value: Map<unknown, unknown>, bounds: Bounds): boolean {
  writer.u8(TAG.map).u32(value.size);
  for (const [key, member] of value) {
    if (!write(writer, key, bounds) || !write(writer, member, bounds)) return false;
  }
  return true;
}

function writeSet(writer: ByteWriter, value: Set<unknown>, bounds: Bounds): boolean {
  writer.u8(TAG.set).u32(value.size);
  for (const member of value) if (!write(writer, member, bounds)) return false;
  return true;
}

function writeString(writer: ByteWriter, value: string): void {
  if (!isLone(value)) {
    writeText(writer.u8(TAG.utf8), value);
    return;
  }
  writer.u8(TAG.utf16).u32(value.length);
  for (let i = 0; i < value.length; i++) writer.u16(value.charCodeAt(i));
}

function writeText(writer: ByteWriter, value: string): void {
  // Short and plain, as most are: without an array of its own.
  const { length } = value;
  if (length <= SHORT && isAscii(value)) {
    writer.u32(length);
    for (let i = 0; i < length; i++) writer.u8(value.charCodeAt(i));
    return;
  }
  const bytes = utf8(value);
  writer.u32(bytes.length).raw(bytes);
}

const SHORT = 32;

function isAscii(value: string): boolean {
  for (let i = 0; i < value.length; i++) if (value.charCodeAt(i) > 0x7f) return false;
  return true;
}

/** Whether a surrogate stands alone: UTF-8 would make another character of it. */
function isLone(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const unit = value.charCodeAt(i);
    if (unit < 0xd800 || unit > 0xdfff) continue;
    const next = value.charCodeAt(i + 1);
    if (unit > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) return true;
    i++;
  }
  return false;
}

/** Only to make one of a given time: nobody here asks what time it is. */
const DateOf = Date;
const F64 = new DataView(new ArrayBuffer(8));

function writeF64(writer: ByteWriter, value: number): void {
  // One NaN for all of them: its bits could differ from engine to engine.
  F64.setFloat64(0, Number.isNaN(value) ? Number.NaN : value, true);
  writer.u32(F64.getUint32(0, true)).u32(F64.getUint32(4, true));
}

function readF64(reader: ByteReader): number {
  F64.setUint32(0, reader.u32(), true);
  F64.setUint32(4, reader.u32(), true);
  return F64.getFloat64(0, true);
}

// eslint-disable-next-line complexity -- a row per tag
function read(reader: ByteReader, depth: number): unknown {
  if (depth > DEPTH_MAX) throw new BytesError("a value is nested too deep");
  const tag = reader.u8();
  switch (tag) {
    case TAG.undefined:
      return undefined;
    case TAG.null:
      return null;
    case TAG.false:
    case TAG.true:
      return tag === TAG.true;
    case TAG.number:
      return readF64(reader);
    case TAG.bigint:
      return readBigint(fromUtf8(reader.raw(reader.u32())));
    case TAG.utf8:
    case TAG.utf16:
      return readString(reader, tag);
    case TAG.bytes:
      return reader.raw(reader.u32()).slice();
    case TAG.array:
      return readList(reader, depth);
    case TAG.object:
      return readProperties(reader, depth);
    case TAG.map:
      return readMap(reader, depth);
    case TAG.set:
      return new Set(readList(reader, depth));
    case TAG.date:
      return new DateOf(readF64(reader));
    default:
      throw new BytesError(`a value of tag ${tag}`);
  }
}

function readList(reader: ByteReader, depth: number): unknown[] {
  const values: unknown[] = [];
  for (let left = countOf(reader, 1); left > 0; left--) values.push(read(reader, depth + 1));
  return values;
}

function readProperties(reader: ByteReader, depth: number): unknown {
  const entries: Array<[string, unknown]> = [];
  for (let left = countOf(reader, 6); left > 0; left--) {
    const tag = reader.u8();
    entries.push([readString(reader, tag), read(reader, depth + 1)]);
  }
  // Defines and does not assign: `__proto__` becomes a key.
  return Object.fromEntries(entries);
}

function readMap(reader: ByteReader, depth: number): Map<unknown, unknown> {
  const map = new Map<unknown, unknown>();
  for (let left = countOf(reader, 2); left > 0; left--) {
    const key = read(reader, depth + 1);
    map.set(key, read(reader, depth + 1));
  }
  return map;
}

function readString(reader: ByteReader, tag: number): string {
  if (tag === TAG.utf8) return fromUtf8(reader.raw(reader.u32()));
  if (tag !== TAG.utf16) throw new BytesError(`a key of tag ${tag}`);
  let text = "";
  for (let left = countOf(reader, 2); left > 0; left--) text += String.fromCharCode(reader.u16());
  return text;
}

function readBigint(text: string): bigint {
  if (!/^-?\d+$/.test(text)) throw new BytesError("a bigint that is none");
  return BigInt(text);
}

/** A number of things that take so many bytes each at least: they must be there. */
function countOf(reader: ByteReader, bytesEach: number): number {
  const count = reader.u32();
  if (count * bytesEach > reader.remaining) throw new BytesError(`${count} values that are cut`);
  return count;
}
