/**
 * Commands as JSON text in UTF-8: the default codec. Slow next to a codec made for one kind of
 * command, but readable in a log dump and right for anything that JSON can hold.
 *
 * What JSON cannot hold is refused when it is written, where that shows: `undefined`, functions,
 * symbols, bigints and cycles. What it changes in silence is the caller's affair: `NaN` becomes
 * `null`, a `Date` its text, a `Map` an empty object.
 */
import { fromUtf8, utf8 } from "../util/bytes.ts";
import type { Codec } from "./state-machine.ts";

/**
 * The codec that is used where none is named.
 *
 * @example
 * ```ts
 * const codec = jsonCodec<Command>();
 * ```
 */
export function jsonCodec<T>(): Codec<T> {
  return {
    encode(value: T): Uint8Array {
      const text = JSON.stringify(value) as string | undefined;
      if (text === undefined) throw new TypeError(`JSON cannot hold a ${typeof value}`);
      return utf8(text);
    },
    decode(bytes: Uint8Array): T {
      return JSON.parse(fromUtf8(bytes)) as T;
    },
  };
}
