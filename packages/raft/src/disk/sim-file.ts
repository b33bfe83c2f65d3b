/**
 * An open file of the simulated disk. See sim-disk.ts for the rules.
 */
import { assert } from "../util/assert.ts";
import { equalBytes } from "../util/bytes.ts";
import { DiskError } from "./disk.ts";
import type { DiskFile, OpenOptions } from "./disk.ts";
import type { SimContent } from "./sim-content.ts";
import type { SimEffect, SimKind, SimRequest } from "./sim-operations.ts";

/** What an open file needs of its disk. */
export interface SimFileHost {
  start<T>(request: SimRequest, effect: SimEffect<T>): Promise<T>;
  /** Puts bytes into a content as far as there is room; throws `full` after that. */
  put(content: SimContent, bytes: Uint8Array, position: number, path: string): void;
}

/** @internal */
export class SimFile implements DiskFile {
  readonly path: string;
  readonly #host: SimFileHost;
  readonly #content: SimContent;
  readonly #options: OpenOptions;
  readonly #running: Set<Promise<unknown>> = new Set();
  #closed = false;

  constructor(host: SimFileHost, path: string, content: SimContent, options: OpenOptions) {
    this.#host = host;
    this.path = path;
    this.#content = content;
    this.#options = options;
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    const content = this.#content;
    const dataSync = this.#options.dataSync === true;
    const asked = bytes.slice();
    const put = (part: Uint8Array): void => this.#host.put(content, part, position, this.path);
    return this.#start("write", bytes.length, {
      run: () => {
        assert(equalBytes(asked, bytes), `the bytes of a write to ${this.path} were changed`);
        this.#requireWritable();
        put(asked);
        if (dataSync) content.syncRange(position, position + asked.length);
      },
      fail: (effect, reason) => {
        const half = Math.floor(asked.length / 2);
        if (dataSync && reason === "io") {
          // The cache took it; the medium did not, or not all, and nobody will try again.
          put(asked);
          const done = effect === "all" ? asked.length : effect === "some" ? half : 0;
          if (done > 0) content.syncRange(position, position + done);
          content.dropRange(position, position + asked.length);
        } else if (effect !== "none") {
          put(effect === "all" ? asked : asked.subarray(0, half));
        }
      },
      // A dying process leaves the beginning in the cache; what of it reaches the medium when the
      // power goes is drawn sector by sector, like all that was not synced.
      interrupt: (random, power) => {
        const mode = random.below(3);
        if (mode === 0) return;
        this.#requireWritable();
        const whole = power || mode === 1;
        const length = whole ? asked.length : random.below(asked.length + 1);
        content.write(asked.subarray(0, length), position);
      },
    });
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return this.#start("read", into.length, {
      run: () => {
        const count = this.#content.read(into, position);
        if (count === undefined) throw new DiskError("io", this.path, "a sector is unreadable");
        return count;
      },
    });
  }

  sync(): Promise<void> {
    const content = this.#content;
    return this.#start("sync", 0, {
      run: () => content.sync(),
      fail: (effect) => {
        if (effect === "all") content.sync();
        if (effect === "some") content.syncRange(0, Math.floor(content.size / 2));
        content.dropRange(0, content.size);
      },
    });
  }

  truncate(size: number): Promise<void> {
    return this.#start("truncate", 0, {
      run: () => {
        this.#requireWritable();
        this.#content.truncate(size);
      },
      interrupt: (random) => {
        if (random.below(2) === 0) return;
        this.#requireWritable();
        this.#content.truncate(size);
      },
    });
  }

  size(): Promise<number> {
    return this.#start("size", 0, { run: () => this.#content.size });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#running);
  }

  #start<T>(kind: SimKind, bytes: number, effect: SimEffect<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new DiskError("closed", this.path, "is closed"));
    const urgent = this.#options.urgent === true;
    const result = this.#host.start({ kind, path: this.path, bytes, urgent }, effect);
    this.#running.add(result);
    const ended = (): void => void this.#running.delete(result);
    result.then(ended, ended);
    return result;
  }

  #requireWritable(): void {
    if (this.#options.mode !== "read") return;
    throw new DiskError("access", this.path, "was opened for reading only");
  }
}
