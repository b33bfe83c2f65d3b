/**
 * What a failed disk operation outside the log means to the caller: the identity file, the
 * directory itself. The log speaks for itself.
 */
import { DiskError } from "../disk/disk.ts";
import { QuorateError } from "../util/error.ts";

/** Our error for a disk's error; anything else as it is. `what` could not be done. */
export function storageError(error: unknown, what: string): unknown {
  if (!(error instanceof DiskError)) return error;
  const options = { cause: error, outcome: "not-done" } as const;
  const message = `${what}: ${error.message}`;
  switch (error.reason) {
    case "full":
      return new QuorateError("DISK_FULL", `${message}. Make space and start again`, options);
    case "access":
      return new QuorateError("DATA_DIR_INVALID", message, options);
    default:
      return new QuorateError("STORAGE_FAILED", message, options);
  }
}
