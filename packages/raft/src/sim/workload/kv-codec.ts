/**
 * Commands of the key-value machine as bytes.
 *
 * Layout: u8 type, then its texts. A text is a u32, twice its length plus 1 where it is wide, then
 * its units: one byte each where all are ASCII, else two. So every text of JavaScript survives,
 * lone surrogates included, which UTF-8 would replace. An absent text is the u32 of all ones.
 */
import type { Codec } from "../../machine/state-machine.ts";
import { BytesError, fromUtf8, readU32, writeU32 } from "../../util/bytes.ts";
import type { KvCommand } from "./kv-machine.ts";

const PUT = 1;
const APPEND = 2;
const CAS = 3;
const DELETE = 4;
const TYPES = { put: PUT, append: APPEND, cas: CAS, delete: DELETE } as const;

const ABSENT = 0xffff_ffff;
/** Texts up to this length are cheaper to handle unit by unit than by a call into the engine. */
const SHORT = 24;

const encoder = new TextEncoder();

/** The codec of {@link KvCommand}. */
export const kvCodec: Codec<KvCommand> = {
  encode(command: KvCommand): Uint8Array {
    const value = "value" in command ? command.value : undefined;
    const expected = "expected" in command ? command.expected : undefined;
    const bytes = new Uint8Array(1 + sizeOf(command.key) + sizeOf(value) + sizeOf(expected));
    bytes[0] = TYPES[command.type];
    let at = writeText(bytes, 1, command.key);
    at = writeText(bytes, at, value);
    writeText(bytes, at, expected);
    return bytes;
  },

  decode(bytes: Uint8Array): KvCommand {
    const reader = new TextReader(bytes, 1);
    const key = reader.text();
    let command: KvCommand;
    switch (bytes[0]) {
      case PUT:
        command = { type: "put", key, value: reader.text() };
        break;
      case APPEND:
        command = { type: "append", key, value: reader.text() };
        break;
      case CAS: {
        const value = reader.text();
        command = { type: "cas", key, expected: reader.textOrNull(), value };
        break;
      }
      case DELETE:
        command = { type: "delete", key };
        break;
      default:
        throw new BytesError(`no command has the type ${bytes[0]}`);
    }
    reader.end();
    return command;
  },
};

function isWide(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return true;
  return false;
}

function sizeOf(text: string | null | undefined): number {
  if (text === undefined) return 0;
  if (text === null) return 4;
  return 4 + (isWide(text) ? 2 * text.length : text.length);
}

/** Writes a text and returns the offset behind it; undefined is not written. */
function writeText(bytes: Uint8Array, at: number, text: string | null | undefined): number {
  if (text === undefined) return at;
  if (text === null) {
    writeU32(bytes, at, ABSENT);
    return at + 4;
  }
  const wide = isWide(text);
  writeU32(bytes, at, 2 * text.length + (wide ? 1 : 0));
  let to = at + 4;
  if (!wide && text.length > SHORT) {
    encoder.encodeInto(text, bytes.subarray(to));
    return to + text.length;
  }
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    bytes[to++] = unit;
    if (wide) bytes[to++] = unit >>> 8;
  }
  return to;
}

class TextReader {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  text(): string {
    const text = this.textOrNull();
    if (text === null) throw new BytesError("a text is absent that has to be there");
    return text;
  }

  textOrNull(): string | null {
    const head = readU32(this.#bytes, this.#take(4));
    if (head === ABSENT) return null;
    const length = head >>> 1;
    return head % 2 === 1 ? this.#wide(length) : this.#ascii(length);
  }

  end(): void {
    const left = this.#bytes.length - this.#at;
    if (left !== 0) throw new BytesError(`${left} bytes too many`);
  }

  #ascii(length: number): string {
    const start = this.#take(length);
    const end = start + length;
    if (length > SHORT) return fromUtf8(this.#bytes.subarray(start, end));
    let text = "";
    for (let at = start; at < end; at++) text += String.fromCharCode(this.#bytes[at]!);
    return text;
  }

  #wide(length: number): string {
    const end = this.#take(2 * length) + 2 * length;
    let text = "";
    for (let at = end - 2 * length; at < end; at += 2) {
      text += String.fromCharCode(this.#bytes[at]! | (this.#bytes[at + 1]! << 8));
    }
    return text;
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
