/**
 * Values: bytes, text or JSON on the way in; bytes with ways to read them on the way out.
 */
import { optionInvalid } from "./client-error.ts";

/** What can be written: bytes as they are, text as UTF-8, or `{ json }` as JSON text. */
export type Value = Uint8Array | string | { readonly json: unknown };

/** What a key holds. */
export interface Item {
  readonly key: string;
  readonly value: Uint8Array;
  /** The revision at which it was written; for `ifRevision` and `compareAndSet`. */
  readonly revision: number;
  /** The value as text; bytes that are not UTF-8 become replacement characters. */
  text(): string;
  /** The value as JSON. Throws a SyntaxError where it is none. */
  json(): unknown;
  /** The value as JSON, as what `check` makes of it: a parse function of a schema, for instance. */
  json<T>(check: (value: unknown) => T): T;
}

/** The bytes of a value; throws OPTION_INVALID where it is none. */
export function bytesOf(value: Value): Uint8Array {
  if (typeof value === "string") return new TextEncoder().encode(value);
  if (value instanceof Uint8Array) return value;
  const text = isJson(value) ? (JSON.stringify(value.json) as string | undefined) : undefined;
  if (text === undefined) {
    throw optionInvalid(
      "a value must be text, a Uint8Array, or { json: … } with what JSON can hold",
    );
  }
  return new TextEncoder().encode(text);
}

/** An {@link Item} of its parts. */
export function itemOf(key: string, value: Uint8Array, revision: number): Item {
  const text = (): string => new TextDecoder().decode(value);
  const json = (check: (value: unknown) => unknown = (parsed) => parsed): unknown =>
    check(JSON.parse(text()));
  return { key, value, revision, text, json: json };
}

/** The bytes of base64. */
export function fromBase64(text: string): Uint8Array {
  const chars = atob(text);
  const bytes = new Uint8Array(chars.length);
  for (let i = 0; i < chars.length; i++) bytes[i] = chars.charCodeAt(i);
  return bytes;
}

function isJson(value: unknown): value is { readonly json: unknown } {
  return typeof value === "object" && value !== null && "json" in value;
}
