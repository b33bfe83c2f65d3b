/**
 * Chunks of bytes, read in pieces of other sizes. Holds what is asked for and one chunk more.
 */

/** See the top of the file. */
export class ByteStream {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** Whether nothing is left. */
  async isAtEnd(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return true;
      this.#rest = next.value;
    }
    return false;
  }

  /** The next so many bytes, in memory of their own; throws where there are fewer. */
  async take(length: number): Promise<Uint8Array> {
    // Grown as bytes come: a length is only a claim.
    const parts: Uint8Array[] = [];
    for (let missing = length; missing > 0;) {
      if (await this.isAtEnd()) throw new TypeError(`a snapshot that ends ${missing} bytes early`);
      const part = this.#rest.slice(0, missing);
      this.#rest = this.#rest.subarray(part.length);
      parts.push(part);
      missing -= part.length;
    }
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }
}
