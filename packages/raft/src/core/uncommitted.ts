/**
 * How many bytes a leader has appended and not committed: what bounds the proposals it accepts.
 *
 * Last index and size of each batch, side by side, oldest first; nothing per entry.
 */
export class UncommittedBytes {
  #lastIndexes: number[] = [];
  #sizes: number[] = [];
  #head = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add(lastIndex: number, bytes: number): void {
    this.#lastIndexes.push(lastIndex);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
  }

  /** Everything up to `index` is committed. */
  releaseUpTo(index: number): void {
    const indexes = this.#lastIndexes;
    while (this.#head < indexes.length && indexes[this.#head]! <= index) {
      this.#bytes -= this.#sizes[this.#head++]!;
    }
    if (this.#head === indexes.length) this.clear();
    else if (this.#head > 1_024 && this.#head * 2 > indexes.length) this.#compact();
  }

  clear(): void {
    this.#lastIndexes.length = 0;
    this.#sizes.length = 0;
    this.#head = 0;
    this.#bytes = 0;
  }

  #compact(): void {
    this.#lastIndexes = this.#lastIndexes.slice(this.#head);
    this.#sizes = this.#sizes.slice(this.#head);
    this.#head = 0;
  }
}
