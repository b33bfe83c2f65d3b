/**
 * Reading and writing of fixed layouts, little-endian, without a closure or an object per field.
 *
 * Integers of 64 bits are written as two halves and must be safe integers: on reading, anything
 * above 2^53 - 1 throws, as does reading past the end. Callers that read foreign bytes catch
 * {@link BytesError} and blame the sender.
 */

/** The bytes are not what the layout says: too short, or a number out of range. */
export class BytesError extends Error {
  override readonly name = "BytesError";
}

const TWO_32 = 0x1_0000_0000;

/** Reads an unsigned 16-bit integer; the caller has checked the length. */
export function readU16(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

/** Reads an unsigned 32-bit integer; the caller has checked the length. */
export function readU32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  );
}

/** Reads a u64 that must be a safe integer. */
export function readU64(bytes: Uint8Array, at: number): number {
  const high = readU32(bytes, at + 4);
  if (high > 0x1f_ffff) throw new BytesError(`u64 at ${at} is above 2^53`);
  return high * TWO_32 + readU32(bytes, at);
}

/** Writes the low 16 bits. */
export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}

/** Writes the low 32 bits. */
export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

/** Writes a safe integer of 0 or more as a u64. */
export function writeU64(bytes: Uint8Array, at: number, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new BytesError(`not a u64 of ours: ${value}`);
  writeU32(bytes, at, (value % TWO_32) | 0);
  writeU32(bytes, at + 4, Math.floor(value / TWO_32));
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 bytes of a string. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** The string behind UTF-8 bytes; throws {@link BytesError} where they are not UTF-8. */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new BytesError("not valid UTF-8", { cause });
  }
}

/** Lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += (byte < 16 ? "0" : "") + byte.toString(16);
  return text;
}

/** Bytes of a hexadecimal string; throws {@link BytesError} on anything else. */
export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text))
    throw new BytesError("not lower-case hex");
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++)
    bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** Whether two byte strings are the same. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** A growing buffer with typed writes, for layouts whose size is not known beforehand. */
export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  /** What was written so far: a view, valid until the next write or reset. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** What was written so far, as a copy that stays. */
  copy(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  reset(): void {
    this.#length = 0;
  }

  u8(value: number): this {
    // In two steps: `reserve` may replace the buffer, and the left side is evaluated first.
    const at = this.reserve(1);
    this.#bytes[at] = value;
    return this;
  }

  u16(value: number): this {
    const at = this.reserve(2);
    writeU16(this.#bytes, at, value);
    return this;
  }

  u32(value: number): this {
    const at = this.reserve(4);
    writeU32(this.#bytes, at, value);
    return this;
  }

  u64(value: number): this {
    const at = this.reserve(8);
    writeU64(this.#bytes, at, value);
    return this;
  }

  raw(bytes: Uint8Array): this {
    const at = this.reserve(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  /** A string of at most 65,535 UTF-8 bytes behind its length. */
  text(value: string): this {
    const bytes = utf8(value);
    if (bytes.length > 0xffff) throw new BytesError("text of more than 65,535 bytes");
    return this.u16(bytes.length).raw(bytes);
  }

  /** Makes room for `count` bytes and returns their offset; the caller fills them. */
  reserve(count: number): number {
    const at = this.#length;
    const need = at + count;
    if (need > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(need, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
    }
    this.#length = need;
    return at;
  }
}

/** Reads a layout front to back; every read is checked against the end. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.#at = at;
  }

  get offset(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.#bytes[this.#take(1)]!;
  }

  u16(): number {
    return readU16(this.#bytes, this.#take(2));
  }

  u32(): number {
    return readU32(this.#bytes, this.#take(4));
  }

  u64(): number {
    return readU64(this.#bytes, this.#take(8));
  }

  /** A view of the next `count` bytes, not a copy. */
  raw(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }

  text(): string {
    return fromUtf8(this.raw(this.u16()));
  }

  /** Throws unless everything was read: trailing bytes mean another layout. */
  end(): void {
    if (this.remaining !== 0) throw new BytesError(`${this.remaining} bytes too many`);
  }

  #take(count: number): number {
    const at = this.#at;
    if (count > this.#bytes.length - at) {
      throw new BytesError(`want ${count} bytes at ${at}, have ${this.#bytes.length - at}`);
    }
    this.#at = at + count;
    return at;
  }
}
