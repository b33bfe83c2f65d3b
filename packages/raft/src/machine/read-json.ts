/** Reading back what a machine's `snapshot()` gave as one value. */
import { fromUtf8 } from "../util/bytes.ts";

/**
 * All pieces as one.
 *
 * @example
 * ```ts
 * async restore(chunks: AsyncIterable<Uint8Array>) { this.#load(await readBytes(chunks)); }
 * ```
 */
export async function readBytes(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of chunks) {
    pieces.push(piece);
    length += piece.length;
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/**
 * The value that `snapshot()` returned, where it was a plain one.
 *
 * @throws SyntaxError where the pieces are no JSON.
 * @example
 * ```ts
 * async restore(chunks: AsyncIterable<Uint8Array>) { this.#total = await readJson(chunks); }
 * ```
 */
export async function readJson<T = unknown>(chunks: AsyncIterable<Uint8Array>): Promise<T> {
  return JSON.parse(fromUtf8(await readBytes(chunks))) as T;
}
