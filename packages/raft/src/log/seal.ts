/**
 * The seed of a log: what ties the CRCs of its record headers to this log and no other.
 */
import { writeU64 } from "../util/bytes.ts";
import type { Checksum } from "../util/checksum.ts";
import type { RecordSeal } from "./record.ts";

/** The seal of the log with that id. */
export function logSeal(checksum: Checksum, logId: number): RecordSeal {
  const id = new Uint8Array(8);
  writeU64(id, 0, logId);
  return { checksum, seed: checksum(id) };
}
