/**
 * The disk half of the floor: one preallocated file, written round and round, each write
 * data-synced by the kernel before it completes (O_DSYNC). Zeros are written once at the start, so
 * that no later write has to allocate a block or convert an extent.
 */
import { closeSync, constants, fsyncSync, openSync, write, writeSync } from "node:fs";

/** A file that takes batches. At most one write is in flight. */
export class FloorFile {
  readonly #fd: number;
  readonly #bytes: number;
  #position = 0;

  constructor(path: string, bytes: number) {
    const prepared = openSync(path, "w", 0o600);
    const zeros = new Uint8Array(1 << 20);
    for (let at = 0; at < bytes; at += zeros.length)
      writeSync(prepared, zeros, 0, zeros.length, at);
    fsyncSync(prepared);
    closeSync(prepared);
    this.#fd = openSync(path, constants.O_RDWR | constants.O_DSYNC);
    this.#bytes = bytes;
  }

  /** Writes a batch durably, then calls `done`. */
  append(batch: Uint8Array, done: () => void): void {
    if (batch.length > this.#bytes) throw new Error("a batch larger than the file");
    if (this.#position + batch.length > this.#bytes) this.#position = 0;
    const position = this.#position;
    this.#position = (position + batch.length + 7) & ~7;
    write(this.#fd, batch, 0, batch.length, position, (error, written) => {
      if (error) throw error;
      if (written !== batch.length) throw new Error(`short write: ${written} of ${batch.length}`);
      done();
    });
  }

  close(): void {
    closeSync(this.#fd);
  }
}
