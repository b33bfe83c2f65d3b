/**
 * Whether the log may still promise anything.
 *
 *   ok ⇄ full        waiting for space; nothing is lost
 *   any → failed     poisoned, for good
 *   any → closed
 *
 * After a failed write or sync nothing can be concluded about the medium: the kernel may have
 * marked the pages clean with their content lost, so that a second sync succeeds and proves
 * nothing. So the first failure is kept and everything after it ends with it.
 */
import { DiskError } from "../disk/disk.ts";
import { InvariantViolation } from "../util/assert.ts";
import { QuorateError, messageOf } from "../util/error.ts";
import type { LogStatus } from "./log.ts";

/** The state of one log, shared by its parts. */
export class LogHealth {
  #state: LogStatus["state"] = "ok";
  #failure: unknown;
  #closed = false;
  #listener: (state: LogStatus["state"]) => void = () => {};
  #onFailure: () => void = () => {};

  get state(): LogStatus["state"] {
    return this.#state;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get failed(): boolean {
    return this.#state === "failed";
  }

  /** Throws what ended the log, if something did. */
  check(): void {
    if (this.failed) throw this.failure();
    if (this.#closed) throw new QuorateError("CLOSED", "the log is closed");
  }

  /** The error with which everything ends after a failure. */
  failure(): Error {
    const cause = this.#failure;
    const why = messageOf(cause);
    const message = `a write failed, and the log acknowledges nothing any more: ${why}`;
    return new QuorateError("STORAGE_FAILED", message, { cause });
  }

  /** Poisons the log; only the first cause is kept. Returns what the caller is to throw. */
  fail(cause: unknown): Error {
    if (!this.failed) {
      this.#failure = cause;
      this.#enter("failed");
      this.#onFailure();
    }
    return cause instanceof InvariantViolation ? cause : this.failure();
  }

  setFull(full: boolean): void {
    if (!this.failed) this.#enter(full ? "full" : "ok");
  }

  close(): void {
    this.#closed = true;
  }

  /** For the part of the log where others may be waiting. */
  onFailure(task: () => void): void {
    this.#onFailure = task;
  }

  onStateChange(listener: (state: LogStatus["state"]) => void): void {
    this.#listener = listener;
  }

  #enter(state: LogStatus["state"]): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#listener(state);
  }
}

/** LOG_DAMAGED, with the place in fields. */
export class LogDamage extends QuorateError {
  readonly path: string;
  readonly offset: number;
  readonly why: string;

  constructor(path: string, offset: number, why: string, cause?: unknown) {
    super(
      "LOG_DAMAGED",
      `${path}: damaged at offset ${offset}: ${why}. Nothing was changed or cut. Put back the ` +
        "file as it was, or replace this member by one with an empty directory",
      { cause },
    );
    this.path = path;
    this.offset = offset;
    this.why = why;
  }
}

/** The log cannot be believed. Names the place and the remedy; nothing was changed. */
export function damaged(path: string, offset: number, why: string, cause?: unknown): LogDamage {
  return new LogDamage(path, offset, why, cause);
}

/** The file is of a version that this software does not know. */
export function unsupported(path: string, what: string, version: number): QuorateError {
  return new QuorateError(
    "FORMAT_UNSUPPORTED",
    `${path}: ${what} of format version ${version}, which this version of the software cannot ` +
      "read. Nothing was changed. Use the newer version",
  );
}

/** A disk error while the log is being opened, when nothing has been promised yet. */
export function openingFailed(error: unknown): unknown {
  if (!(error instanceof DiskError)) return error;
  switch (error.reason) {
    case "full":
      return new QuorateError(
        "DISK_FULL",
        `the log cannot be opened: ${error.message}. Make space and start this member again`,
        { cause: error },
      );
    case "access":
    case "locked":
      return new QuorateError("DATA_DIR_INVALID", `the log cannot be opened: ${error.message}`, {
        cause: error,
      });
    default:
      return new QuorateError(
        "STORAGE_FAILED",
        `the log cannot be opened: ${error.message}. Nothing was lost by that: start this member ` +
          "again once its disk answers",
        { cause: error, outcome: "not-done" },
      );
  }
}
