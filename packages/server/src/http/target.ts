/**
 * Request targets: path and query, read strictly.
 *
 * The router's own decoding is not used, because a key must come through exactly: `a%2Fb` is one
 * key with a slash in it, a `+` in the path is a plus, and bytes that are not UTF-8 are refused
 * instead of being replaced. Percent-decoding gives bytes, one per char, which is already the form
 * in which the store holds keys.
 */
import type { Key } from "../store/key.ts";
import { keyToText } from "../store/key.ts";
import { HttpError } from "./http-error.ts";

/** The parameters of a query string, decoded; binary strings, as keys are. */
export type Parameters = ReadonlyMap<string, string>;

const NO_PARAMETERS: Parameters = new Map();

/** What is behind the first segment of the path, still encoded: `a%2Fb/c` of `/kv/a%2Fb/c?x`. */
export function restOfPath(url: string): string {
  const from = url.indexOf("/", 1) + 1;
  const query = url.indexOf("?", from);
  return query < 0 ? url.slice(from) : url.slice(from, query);
}

/** Percent-decodes to bytes; undefined where a `%` is not followed by two hex digits. */
export function percentDecode(text: string): string | undefined {
  let at = text.indexOf("%");
  if (at < 0) return text;
  let decoded = text.slice(0, at);
  while (at < text.length) {
    if (text[at] !== "%") {
      decoded += text[at++]!;
      continue;
    }
    const hex = text.slice(at + 1, at + 3);
    if (!/^[0-9A-Fa-f]{2}$/.test(hex)) return undefined;
    decoded += String.fromCharCode(Number.parseInt(hex, 16));
    at += 3;
  }
  return decoded;
}

/** The key of an encoded path segment. */
export function keyOfSegment(segment: string, keyBytesMax: number): Key {
  const key = percentDecode(segment);
  if (key === undefined) throw new HttpError("KEY_INVALID", notEncoded("the key"));
  return checkKey(key, keyBytesMax);
}

/** Refuses a key that is empty, too long or not text. */
export function checkKey(key: Key, keyBytesMax: number): Key {
  if (key.length === 0) {
    throw new HttpError("KEY_INVALID", "the key is empty: it needs at least one byte");
  }
  if (key.length > keyBytesMax) {
    const limit = `at most ${keyBytesMax} are allowed (keyBytesMax)`;
    throw new HttpError("KEY_INVALID", `the key has ${key.length} bytes; ${limit}`);
  }
  if (keyToText(key) === undefined) {
    throw new HttpError("KEY_INVALID", "the key is not valid UTF-8");
  }
  return key;
}

/**
 * The parameters of a URL. Unknown and repeated ones are refused: a misspelt `local` or `prefix`
 * would otherwise be answered with something else than was asked for.
 */
export function parametersOf(url: string, known: readonly string[]): Parameters {
  const start = url.indexOf("?");
  if (start < 0 || start === url.length - 1) return NO_PARAMETERS;
  const parameters = new Map<string, string>();
  for (const pair of url.slice(start + 1).split("&")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const name = queryDecode(equals < 0 ? pair : pair.slice(0, equals), "a parameter's name");
    if (!known.includes(name)) {
      const names = known.length === 0 ? "it takes none" : `it takes ${known.join(", ")}`;
      throw new HttpError("REQUEST_INVALID", `unknown parameter ${JSON.stringify(name)}: ${names}`);
    }
    if (parameters.has(name)) {
      throw new HttpError("REQUEST_INVALID", `the parameter "${name}" is given twice`);
    }
    const value = equals < 0 ? "" : pair.slice(equals + 1);
    parameters.set(name, queryDecode(value, `the parameter "${name}"`));
  }
  return parameters;
}

/** A parameter that is `true` or `false`; a bare `?local` counts as true. */
export function flagOf(parameters: Parameters, name: string): boolean {
  const value = parameters.get(name);
  if (value === undefined || value === "false") return false;
  if (value === "true" || value === "") return true;
  throw new HttpError("REQUEST_INVALID", `${name} must be true or false, not ${quoted(value)}`);
}

/** A parameter that is one of a few words. */
export function choiceOf<T extends string>(
  parameters: Parameters,
  name: string,
  choices: readonly T[],
): T | undefined {
  const value = parameters.get(name);
  const choice = choices.find((one) => one === value);
  if (value === undefined || choice !== undefined) return choice;
  const words = choices.join(", ");
  throw new HttpError("REQUEST_INVALID", `${name} must be one of ${words}, not ${quoted(value)}`);
}

/** A parameter that is a whole number within bounds. */
export function integerOf(
  parameters: Parameters,
  name: string,
  bounds: { readonly min: number; readonly max: number },
): number | undefined {
  const value = parameters.get(name);
  if (value === undefined) return undefined;
  const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
  if (number >= bounds.min && number <= bounds.max) return number;
  const range = `a whole number from ${bounds.min} to ${bounds.max}`;
  throw new HttpError("REQUEST_INVALID", `${name} must be ${range}, not ${quoted(value)}`);
}

/** Forms write a space as `+`. */
function queryDecode(text: string, what: string): string {
  const decoded = percentDecode(text.includes("+") ? text.replaceAll("+", " ") : text);
  if (decoded === undefined) throw new HttpError("REQUEST_INVALID", notEncoded(what));
  return decoded;
}

function notEncoded(what: string): string {
  return `${what} is not valid percent-encoding: "%" must be followed by two hex digits`;
}

function quoted(value: string): string {
  return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
}
