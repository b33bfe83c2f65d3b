/**
 * The disk port: the few file operations that a log needs, with their durability said plainly.
 *
 * Contract
 * - Paths are absolute, `/`-separated strings. A directory must exist before anything is made in
 *   it.
 * - `write` puts all bytes at `position` or rejects; it never writes short. It is durable when it
 *   returns only if the file was opened with `dataSync`; otherwise after `sync`. The caller must
 *   not touch `bytes` until the promise settles; the disk keeps no reference afterwards.
 * - `read` fills `into` from `position` and returns how many bytes there were; fewer only at the
 *   end of the file.
 * - `sync` makes data and size of that file durable. If `write` on a data-synced file or `sync`
 *   rejects, nothing may be concluded about what is on the medium, ever: the page may be marked
 *   clean with its content lost, so a later sync that succeeds proves nothing.
 * - Creation, renaming and removal of names are durable only after `syncDirectory` of the
 *   directory. `rename` replaces the target in one step, and stays within one directory.
 * - Errors are {@link DiskError} with a `reason`; `full` only for a lack of space or quota.
 * - An operation on a closed file rejects. `close` is idempotent and waits for what is in flight.
 * - Operations of a file opened as `urgent` never queue behind others (the log's own writes). All
 *   others together have at most one operation in flight, in the order of the calls: the thread
 *   pool behind a real disk is small and one of its threads must stay free for the log.
 * - Files are made with mode 0600, directories with 0700.
 */
export interface Disk {
  open(path: string, options: OpenOptions): Promise<DiskFile>;
  /** The names in a directory, sorted. */
  list(path: string): Promise<string[]>;
  /** Makes a directory and its parents. Those that are there already are fine. */
  makeDirectory(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file; rejects with `not-found` where there is none. */
  remove(path: string): Promise<void>;
  exists(path: string): Promise<boolean>;
  syncDirectory(path: string): Promise<void>;
  /**
   * Takes the lock file at `path` for this process, or rejects with `locked`, naming the holder.
   * It ends with `release` or with the process, however that ends.
   */
  lock(path: string): Promise<DiskLock>;
  /**
   * Who holds the lock file at `path`, in words; undefined where nobody does. Changes nothing, so
   * it says what was true a moment ago and protects from nothing.
   */
  lockHolder(path: string): Promise<string | undefined>;
}

/** How a file is opened. */
export interface OpenOptions {
  /** `read`: must exist. `write`: must exist, read and write. `create`: must not exist yet. */
  readonly mode: "read" | "write" | "create";
  /** Every write is durable when it returns (O_DSYNC). */
  readonly dataSync?: boolean;
  /** Never waits for other operations; for the log's own writes. */
  readonly urgent?: boolean;
}

/** An open file. */
export interface DiskFile {
  readonly path: string;
  write(bytes: Uint8Array, position: number): Promise<void>;
  read(into: Uint8Array, position: number): Promise<number>;
  sync(): Promise<void>;
  /** Cuts or extends (with zeros) to `size`. */
  truncate(size: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** A held lock. */
export interface DiskLock {
  release(): Promise<void>;
}

/** Why a disk operation failed. */
export type DiskReason = "not-found" | "exists" | "full" | "access" | "locked" | "closed" | "io";

/** The error of every disk operation. */
export class DiskError extends Error {
  override readonly name = "DiskError";
  readonly reason: DiskReason;
  readonly path: string;

  constructor(reason: DiskReason, path: string, message: string, cause?: unknown) {
    super(`${path}: ${message}`, cause === undefined ? undefined : { cause });
    this.reason = reason;
    this.path = path;
  }
}
