/**
 * An open file of the simulated disk. See sim-disk.ts for the rules.
 */
import { assert } from "../util/assert.ts";
import type { Random } from "../util/random.ts";
import { DiskError } from "./disk.ts";
import type { DiskFile, DiskReason, OpenOptions } from "./disk.ts";
import { isKept } from "./sim-bytes.ts";
import type { SimContent } from "./sim-content.ts";
import type { SimEffect, SimKind, SimRequest } from "./sim-operations.ts";

/** What an open file needs of its disk. */
export interface SimFileHost {
  start<T>(request: SimRequest, effect: SimEffect<T>): Promise<T>;
  /** A copy of bytes as they are now, for the time of a write. */
  keep(bytes: Uint8Array): Uint8Array;
  /** Where a write does not fit, puts what does into the cache and throws `full`. */
  requireRoom(content: SimContent, bytes: Uint8Array, position: number, path: string): void;
}

/** @internal */
export class SimFile implements DiskFile {
  readonly path: string;
  readonly #host: SimFileHost;
  readonly #content: SimContent;
  readonly #options: OpenOptions;
  /** Operations that have not ended. */
  #running = 0;
  #closed = false;
  #onIdle: (() => void)[] = [];

  constructor(host: SimFileHost, path: string, content: SimContent, options: OpenOptions) {
    this.#host = host;
    this.path = path;
    this.#content = content;
    this.#options = options;
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    const dataSync = this.#options.dataSync === true;
    return this.#start("write", bytes.length, new Write(this, bytes, position), dataSync);
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return this.#start("read", into.length, new Read(this, into, position));
  }

  sync(): Promise<void> {
    return this.#start("sync", 0, new Sync(this));
  }

  truncate(size: number): Promise<void> {
    return this.#start("truncate", 0, new Truncate(this, size));
  }

  size(): Promise<number> {
    return this.#start("size", 0, new Size(this));
  }

  close(): Promise<void> {
    this.#closed = true;
    if (this.#running === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  // ---- For the operations ----

  get content(): SimContent {
    return this.#content;
  }

  get isDataSynced(): boolean {
    return this.#options.dataSync === true;
  }

  /** Puts bytes as far as there is room; `through` to the medium. Throws `full` after that. */
  put(bytes: Uint8Array, position: number, through: boolean = false): void {
    const content = this.#content;
    this.#host.requireRoom(content, bytes, position, this.path);
    if (through) content.writeThrough(bytes, position);
    else content.write(bytes, position);
  }

  keep(bytes: Uint8Array): Uint8Array {
    return this.#host.keep(bytes);
  }

  requireWritable(): void {
    if (this.#options.mode !== "read") return;
    throw new DiskError("access", this.path, "was opened for reading only");
  }

  ended(): void {
    this.#running--;
    if (this.#running > 0 || this.#onIdle.length === 0) return;
    const waiting = this.#onIdle;
    this.#onIdle = [];
    for (const resolve of waiting) resolve();
  }

  #start<T>(
    kind: SimKind,
    bytes: number,
    effect: SimEffect<T>,
    dataSync: boolean = false,
  ): Promise<T> {
    if (this.#closed) return Promise.reject(new DiskError("closed", this.path, "is closed"));
    this.#running++;
    const urgent = this.#options.urgent === true;
    const creates = false;
    return this.#host.start({ kind, path: this.path, bytes, urgent, dataSync, creates }, effect);
  }
}

/** An operation of an open file. */
abstract class FileEffect {
  protected readonly file: SimFile;

  constructor(file: SimFile) {
    this.file = file;
  }

  ended(): void {
    this.file.ended();
  }
}

class Write extends FileEffect implements SimEffect<void> {
  readonly #bytes: Uint8Array;
  /** As they were when the write began. */
  readonly #asked: Uint8Array;
  readonly #position: number;

  constructor(file: SimFile, bytes: Uint8Array, position: number) {
    super(file);
    this.#bytes = bytes;
    this.#asked = file.keep(bytes);
    this.#position = position;
  }

  run(): void {
    const { file } = this;
    const asked = this.#asked;
    assert(isKept(asked, this.#bytes), `the bytes of a write to ${file.path} were changed`);
    file.requireWritable();
    file.put(asked, this.#position, file.isDataSynced);
  }

  fail(effect: "none" | "some" | "all", reason: DiskReason): void {
    const { file } = this;
    const asked = this.#asked;
    const position = this.#position;
    const half = Math.floor(asked.length / 2);
    if (file.isDataSynced && reason === "io") {
      // The cache took it; the medium did not, or not all, and nobody will try again.
      file.put(asked, position);
      const done = effect === "all" ? asked.length : effect === "some" ? half : 0;
      if (done > 0) file.content.syncRange(position, position + done);
      file.content.dropRange(position, position + asked.length);
    } else if (effect !== "none") {
      file.put(effect === "all" ? asked : asked.subarray(0, half), position);
    }
  }

  /**
   * A dying process leaves the beginning in the cache; what of it reaches the medium when the power
   * goes is drawn sector by sector, like all that was not synced.
   */
  interrupt(random: Random, power: boolean): void {
    const mode = random.below(3);
    if (mode === 0) return;
    this.file.requireWritable();
    const asked = this.#asked;
    const whole = power || mode === 1;
    const length = whole ? asked.length : random.below(asked.length + 1);
    this.file.content.write(asked.subarray(0, length), this.#position);
  }
}

class Read extends FileEffect implements SimEffect<number> {
  readonly #into: Uint8Array;
  readonly #position: number;

  constructor(file: SimFile, into: Uint8Array, position: number) {
    super(file);
    this.#into = into;
    this.#position = position;
  }

  run(): number {
    const { content, path } = this.file;
    const count = content.read(this.#into, this.#position);
    if (count === undefined) throw new DiskError("io", path, "a sector is unreadable");
    return count;
  }
}

class Sync extends FileEffect implements SimEffect<void> {
  run(): void {
    this.file.content.sync();
  }

  fail(effect: "none" | "some" | "all"): void {
    const { content } = this.file;
    if (effect === "all") content.sync();
    if (effect === "some") content.syncRange(0, Math.floor(content.size / 2));
    content.dropRange(0, content.size);
  }
}

class Truncate extends FileEffect implements SimEffect<void> {
  readonly #size: number;

  constructor(file: SimFile, size: number) {
    super(file);
    this.#size = size;
  }

  run(): void {
    this.file.requireWritable();
    this.file.content.truncate(this.#size);
  }

  interrupt(random: Random): void {
    if (random.below(2) === 1) this.run();
  }
}

class Size extends FileEffect implements SimEffect<number> {
  run(): number {
    return this.file.content.size;
  }
}
