/**
 * The disk port on `node:fs`.
 *
 * - Data-synced writes: where the kernel's O_DSYNC can be relied on (Linux), one system call and
 *   one hop through the thread pool; elsewhere the write is followed by fdatasync, which on macOS
 *   is the F_FULLFSYNC that really reaches the medium.
 * - `sync` is fdatasync, and fsync once the file was truncated: POSIX lets fdatasync leave out a
 *   smaller size, because the data can be found without it.
 * - All operations but those of urgent files go through one lane, so they hold one thread of the
 *   pool at most (lane.ts); urgent files have one write in flight at a time by their owner's rules.
 * - One promise per operation over the callback interface: `FileHandle` adds a second one and an
 *   object per read and write.
 */
import * as fs from "node:fs";
import { constants as osConstants } from "node:os";
import { DiskError } from "./disk.ts";
import type { Disk, DiskFile, DiskLock, DiskReason, OpenOptions } from "./disk.ts";
import { Lane } from "./lane.ts";
import { findLockHolder, takeLock } from "./node-lock.ts";
import { parentOf } from "./path.ts";

const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;
const HAS_DSYNC = process.platform === "linux";
const C = fs.constants;

type Callback<T> = (error: NodeJS.ErrnoException | null, value: T) => void;

/** The real disk. One per process is meant: its lane is what keeps the thread pool free. */
export class NodeDisk implements Disk {
  readonly #lane: Lane = new Lane();

  async open(path: string, options: OpenOptions): Promise<DiskFile> {
    const flags = openFlags(options);
    const fd = await this.#call<number>(path, (done) => fs.open(path, flags, FILE_MODE, done));
    return new NodeFile(fd, path, options, this.#lane);
  }

  async list(path: string): Promise<string[]> {
    const names = await this.#call<string[]>(path, (done) => fs.readdir(path, done));
    return names.sort();
  }

  /** Level by level: Node's own recursion never comes back from a parent such as /proc. */
  async makeDirectory(path: string): Promise<void> {
    try {
      await this.#makeOne(path);
    } catch (error) {
      const isParentMissing = error instanceof DiskError && error.reason === "not-found";
      if (!isParentMissing || parentOf(path) === path) throw error;
      await this.makeDirectory(parentOf(path));
      await this.#makeOne(path);
    }
  }

  rename(from: string, to: string): Promise<void> {
    if (parentOf(from) !== parentOf(to)) {
      const message = `cannot be renamed into another directory, ${parentOf(to)}`;
      return Promise.reject(new DiskError("io", from, message));
    }
    return this.#call(from, (done) => fs.rename(from, to, done as fs.NoParamCallback));
  }

  remove(path: string): Promise<void> {
    return this.#call(path, (done) => fs.unlink(path, done as fs.NoParamCallback));
  }

  exists(path: string): Promise<boolean> {
    return this.#call<boolean>(path, (done) => {
      fs.stat(path, (error) => {
        if (error === null) done(null, true);
        else if (error.code === "ENOENT" || error.code === "ENOTDIR") done(null, false);
        else done(error, false);
      });
    });
  }

  syncDirectory(path: string): Promise<void> {
    return this.#call(path, (done) => {
      fs.open(path, C.O_RDONLY | C.O_DIRECTORY, (openError, fd) => {
        if (openError !== null) return done(openError, undefined);
        fs.fsync(fd, (syncError) => {
          fs.close(fd, (closeError) => done(syncError ?? closeError ?? null, undefined));
        });
      });
    });
  }

  lock(path: string): Promise<DiskLock> {
    return takeLock(path, this);
  }

  lockHolder(path: string): Promise<string | undefined> {
    return findLockHolder(path, this);
  }

  async #makeOne(path: string): Promise<void> {
    try {
      const options = { mode: DIRECTORY_MODE };
      await this.#call<void>(path, (done) => fs.mkdir(path, options, done as fs.NoParamCallback));
    } catch (error) {
      if (!(error instanceof DiskError) || error.reason !== "exists") throw error;
      const stats = await this.#call<fs.Stats>(path, (done) => fs.stat(path, done));
      if (!stats.isDirectory()) throw error;
    }
  }

  #call<T>(path: string, operation: (done: Callback<T>) => void): Promise<T> {
    return this.#lane.run(() => settle(path, operation));
  }
}

class NodeFile implements DiskFile {
  readonly path: string;
  readonly #fd: number;
  readonly #lane: Lane | undefined;
  readonly #writable: boolean;
  readonly #syncsWrites: boolean;
  #truncated = false;
  #inFlight = 0;
  #closing: Promise<void> | undefined;
  #whenIdle: (() => void) | undefined;

  constructor(fd: number, path: string, options: OpenOptions, lane: Lane) {
    this.#fd = fd;
    this.path = path;
    this.#lane = options.urgent === true ? undefined : lane;
    this.#writable = options.mode !== "read";
    this.#syncsWrites = options.dataSync === true && !HAS_DSYNC;
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    if (!this.#writable) return this.#refuseWrite();
    if (bytes.length === 0) return this.#start((done) => done(null, undefined));
    return this.#start((done) => {
      const written = this.#syncsWrites ? syncAfter(this.#fd, done) : done;
      writeFrom(this.#fd, { bytes, position, at: 0 }, written);
    });
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return this.#start<number>((done) => {
      if (into.length === 0) done(null, 0);
      else readFrom(this.#fd, { bytes: into, position, at: 0 }, done);
    });
  }

  sync(): Promise<void> {
    return this.#start((done) => {
      const ended: fs.NoParamCallback = (error) => done(error, undefined);
      if (this.#truncated) fs.fsync(this.#fd, ended);
      else fs.fdatasync(this.#fd, ended);
      this.#truncated = false;
    });
  }

  truncate(size: number): Promise<void> {
    if (!this.#writable) return this.#refuseWrite();
    return this.#start((done) => {
      this.#truncated = true;
      fs.ftruncate(this.#fd, size, (error) => done(error, undefined));
    });
  }

  size(): Promise<number> {
    return this.#start<number>((done) => {
      fs.fstat(this.#fd, (error, stats) => done(error, error === null ? stats.size : 0));
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    await settle(this.path, (done) =>
      fs.close(this.#fd, (error) => done(error ?? null, undefined)),
    );
  }

  #start<T>(operation: (done: Callback<T>) => void): Promise<T> {
    if (this.#closing !== undefined) {
      return Promise.reject(new DiskError("closed", this.path, "is closed"));
    }
    this.#inFlight++;
    const counted = (): Promise<T> =>
      settle(this.path, (done) => {
        operation((error, value) => {
          done(error, value);
          if (--this.#inFlight === 0) this.#whenIdle?.();
        });
      });
    return this.#lane === undefined ? counted() : this.#lane.run(counted);
  }

  #refuseWrite(): Promise<never> {
    if (this.#closing !== undefined) {
      return Promise.reject(new DiskError("closed", this.path, "is closed"));
    }
    const message = "was opened for reading only";
    return Promise.reject(new DiskError("access", this.path, message));
  }
}

interface Transfer {
  readonly bytes: Uint8Array;
  readonly position: number;
  /** How much is done. */
  at: number;
}

/** Writes the rest; a kernel may write short, most of all just before the disk is full. */
function writeFrom(fd: number, todo: Transfer, done: Callback<void>): void {
  const { bytes, position, at } = todo;
  fs.write(fd, bytes, at, bytes.length - at, position + at, (error, count) => {
    if (error !== null) return done(error, undefined);
    if (count === 0) return done(new Error("the kernel wrote nothing"), undefined);
    todo.at += count;
    if (todo.at === bytes.length) done(null, undefined);
    else writeFrom(fd, todo, done);
  });
}

function readFrom(fd: number, todo: Transfer, done: Callback<number>): void {
  const { bytes, position, at } = todo;
  fs.read(fd, bytes, at, bytes.length - at, position + at, (error, count) => {
    if (error !== null) return done(error, 0);
    todo.at += count;
    if (count === 0 || todo.at === bytes.length) done(null, todo.at);
    else readFrom(fd, todo, done);
  });
}

function syncAfter(fd: number, done: Callback<void>): Callback<void> {
  return (error) => {
    if (error !== null) done(error, undefined);
    else fs.fdatasync(fd, (syncError) => done(syncError, undefined));
  };
}

function settle<T>(path: string, operation: (done: Callback<T>) => void): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    operation((error, value) => {
      if (error === null || error === undefined) resolve(value);
      else reject(toDiskError(error, path));
    });
  });
}

function openFlags({ mode, dataSync }: OpenOptions): number {
  const synced = dataSync === true && HAS_DSYNC ? C.O_DSYNC : 0;
  if (mode === "read") return C.O_RDONLY;
  if (mode === "write") return C.O_RDWR | synced;
  return C.O_RDWR | C.O_CREAT | C.O_EXCL | synced;
}

const REASONS: Readonly<Record<string, DiskReason>> = {
  ENOENT: "not-found",
  EEXIST: "exists",
  ENOSPC: "full",
  EDQUOT: "full",
  EACCES: "access",
  EPERM: "access",
  EROFS: "access",
};

/** @internal The error of the port for one of the operating system. */
export function toDiskError(error: NodeJS.ErrnoException, path: string): DiskError {
  // libuv has no name of its own for a quota that is used up.
  const overQuota = error.errno === -osConstants.errno.EDQUOT;
  const reason = overQuota ? "full" : (REASONS[error.code ?? ""] ?? "io");
  const what = error.syscall === undefined ? "" : `${error.syscall}: `;
  return new DiskError(reason, path, `${what}${error.code ?? error.message}`, error);
}
