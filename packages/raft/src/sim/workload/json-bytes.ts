/**
 * JSON text of plain results as bytes, without making the text first: every member's every result
 * is hashed, and that was a tenth of a run. What is not plain is left to `JSON.stringify`.
 *
 * Plain is: null, booleans, whole numbers, strings of ASCII that needs no escape, and objects of
 * the usual prototype that hold nothing else. For these the bytes are those of `JSON.stringify`.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const MINUS = 0x2d;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const ZERO = 0x30;

/**
 * Writes the bytes and returns the offset behind them; -1 where it is not plain or does not fit.
 */
export function writePlainJson(value: unknown, bytes: Uint8Array, at: number): number {
  switch (typeof value) {
    case "string":
      return writeString(value, bytes, at);
    case "number":
      return writeWhole(value, bytes, at);
    case "boolean":
      return writeWord(value ? "true" : "false", bytes, at);
    case "object":
      return value === null ? writeWord("null", bytes, at) : writeObject(value, bytes, at);
    default:
      return -1;
  }
}

function writeObject(value: object, bytes: Uint8Array, start: number): number {
  if (Object.getPrototypeOf(value) !== Object.prototype || "toJSON" in value) return -1;
  let at = start;
  bytes[at++] = OPEN;
  for (const key in value) {
    if (at > start + 1) bytes[at++] = COMMA;
    at = writeString(key, bytes, at);
    if (at < 0) return -1;
    bytes[at++] = COLON;
    at = writePlainJson(value[key as keyof typeof value], bytes, at);
    if (at < 0) return -1;
  }
  bytes[at++] = CLOSE;
  return at <= bytes.length ? at : -1;
}

function writeString(text: string, bytes: Uint8Array, start: number): number {
  const { length } = text;
  if (start + length + 2 > bytes.length) return -1;
  let at = start;
  bytes[at++] = QUOTE;
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x20 || unit > 0x7e || unit === QUOTE || unit === BACKSLASH) return -1;
    bytes[at++] = unit;
  }
  bytes[at++] = QUOTE;
  return at;
}

function writeWord(word: string, bytes: Uint8Array, at: number): number {
  if (at + word.length > bytes.length) return -1;
  for (let i = 0; i < word.length; i++) bytes[at + i] = word.charCodeAt(i);
  return at + word.length;
}

function writeWhole(value: number, bytes: Uint8Array, start: number): number {
  if (!Number.isSafeInteger(value) || start + 17 > bytes.length) return -1;
  let at = start;
  let left = value;
  if (value < 0) {
    bytes[at++] = MINUS;
    left = -value;
  }
  let digits = 1;
  for (let bound = 10; bound <= left; bound *= 10) digits++;
  for (let i = digits - 1; i >= 0; i--) {
    bytes[at + i] = ZERO + (left % 10);
    left = Math.floor(left / 10);
  }
  return at + digits;
}
