/**
 * How a machine on disk says that a transaction could not be made for want of space: by the error
 * that it throws or rejects with, or by what that has as its cause.
 *
 * It is a promise as well: nothing of the transaction is there, and the machine is as it was before
 * the call. So the same call may be made again, and is, when there may be space.
 */
import { DiskError } from "../disk/disk.ts";

/** Codes of the operating system, of databases in wide use, and our own. */
const CODES: readonly unknown[] = ["ENOSPC", "EDQUOT", "MDB_MAP_FULL", "SQLITE_FULL", "DISK_FULL"];
const CAUSES_MAX = 8;

/** Whether an error says that there is no space. */
export function isNoSpace(error: unknown): boolean {
  let cause = error;
  for (let i = 0; i < CAUSES_MAX && cause instanceof Error; i++) {
    if (cause instanceof DiskError && cause.reason === "full") return true;
    if (CODES.includes((cause as { readonly code?: unknown }).code)) return true;
    cause = cause.cause;
  }
  return false;
}
