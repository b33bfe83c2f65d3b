/**
 * The log port: one write-ahead log per host, shared by all its groups.
 *
 * Contract
 * - `append` takes everything that was gathered for any number of groups and makes it durable by
 *   one data-synced write; it resolves when that is done. At most one append may be in flight.
 *   Writes are kept in the order given. A batch ends everything its group had from its first index
 *   on.
 * - When an append or sync fails, the log is *poisoned*: that append and every later one rejects
 *   with STORAGE_FAILED, and nothing may be acknowledged again. It is never retried.
 * - A lack of space is not a failure: it appears only while the next segment is being prepared. The
 *   append stays pending, `state` is `full`, and it goes on by itself when space is back. The state
 *   shows before an append must wait, and a reserve remains for votes and releases. `close` ends a
 *   waiting append with DISK_FULL; whether a part of it was written is then unknown.
 * - `read` returns durable or pending batches of one group, consecutive, the first one cut so that
 *   it starts at `from`, the last one so that it does not pass `to`; about `bytesMax` bytes and at
 *   least one batch; none at all where `from` is not in the log (released, or behind its end). It
 *   rejects with LOG_DAMAGED where a body no longer matches its CRC. It runs beside appends.
 * - `settle` is to be called when nothing has been appended for a while: it writes the durable mark
 *   into the segment header. Harmless at any time.
 * - `release` says that a group no longer needs entries up to and including `index` (they are in a
 *   snapshot, written durably as `start`). Whole segments that no group needs are recycled.
 * - `close` waits for what is in flight and settles; afterwards everything rejects with CLOSED.
 */
import type { RecoveredGroup, SnapshotPoint } from "../core/contract.ts";
import type { EntryBatch } from "../core/entry.ts";
import type { HardState } from "../core/output.ts";

/** What one group wants to have durable; in the order `hardState`, `reset`, `entries`. */
export interface LogWrite {
  readonly group: number;
  /** Undefined where term and vote have not changed since the last one. */
  readonly hardState: HardState | undefined;
  /**
   * The group's log starts anew, behind a snapshot that is durable: without entries but for those
   * of this write.
   */
  readonly reset?: SnapshotPoint | undefined;
  /** In order; the first one may overlap and so end what was there. */
  readonly entries: readonly EntryBatch[];
  /** A hint that is stored beside the entries. */
  readonly commit: number;
}

/** A look at the log, for status pages. */
export interface LogStatus {
  /** `full`: waiting for space. `failed`: poisoned. */
  readonly state: "ok" | "full" | "failed";
  readonly segments: number;
  readonly bytes: number;
  /** Data-synced writes since opening, and what they carried. */
  readonly writes: number;
  readonly bytesWritten: number;
  /** How long the newest write took, and a moving average, in ms. */
  readonly lastWriteMs: number;
  readonly averageWriteMs: number;
}

/** What opening the log found, beyond the groups themselves. */
export interface RecoveryReport {
  /** Bytes of a torn tail that were cut; 0 where the log ended cleanly. */
  readonly tornBytes: number;
  /** Bytes above the proven mark that were written and synced again. */
  readonly rewrittenBytes: number;
  readonly records: number;
  readonly elapsedMs: number;
}

/** One write-ahead log for all groups of a host; the contract is at the top of this file. */
export interface Log {
  readonly recovery: RecoveryReport;
  /** What was recovered of a group at opening; EMPTY_GROUP for one that was never written. */
  recovered(group: number): RecoveredGroup;
  append(writes: readonly LogWrite[]): Promise<void>;
  read(group: number, from: number, to: number, bytesMax: number): Promise<EntryBatch[]>;
  settle(): Promise<void>;
  release(group: number, index: number): Promise<void>;
  status(): LogStatus;
  /** Called whenever `status().state` changes; replaces an earlier listener. */
  onStateChange(listener: (state: LogStatus["state"]) => void): void;
  close(): Promise<void>;
}
