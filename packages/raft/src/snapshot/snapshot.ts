/**
 * The snapshot port: whole states of one group on disk, each under the position that it stands for.
 *
 * Contract
 * - A snapshot is named by (index, term) alone. It is whole or not there: it is written under
 *   another name, synced, renamed, and its directory synced, before `finish` resolves.
 * - `list` holds what opening found whole by its form, and what was finished since, newest first.
 *   Whether every byte is right only reading it tells: `verify`, `read` and a transfer check all
 *   of them, and what is wrong is SNAPSHOT_DAMAGED, naming the file.
 * - What a crash left half-made is removed at opening, but for the newest part of a snapshot that
 *   was being received: that can be gone on with.
 * - `prune` keeps the newest two, or those from an index on, and whatever is being read. It never
 *   touches a snapshot that is newer than one it keeps.
 * - All file operations go through the disk's common lane, in pieces of 64 KiB and with a sync
 *   every few MiB, so that the log keeps its thread and its syncs stay short.
 * - Lack of space is DISK_FULL, any other failure of the disk SNAPSHOT_FAILED. Neither concerns
 *   what was there before: a snapshot is no log, another one can be taken.
 */
import type { IndexedConfiguration } from "../core/configuration.ts";

/** What a snapshot stands for, beside the bytes of the machine. */
export interface SnapshotMeta {
  readonly index: number;
  readonly term: number;
  /** In force at `index`, joint or not. */
  readonly configuration: IndexedConfiguration;
  /** 32 lower-case hex digits. */
  readonly clusterId: string;
  /** Cluster time at `index`, in ms. */
  readonly timeMs: number;
  /** What the engine itself replicates (machine/engine-state.ts), as of `index`. */
  readonly engine: Uint8Array;
}

/** Which snapshot: two with the same four fields are the same, byte for byte. */
export interface SnapshotId {
  readonly index: number;
  readonly term: number;
  /** Size of the file. */
  readonly bytes: number;
  /** Over all of it: 64 lower-case hex digits. */
  readonly hash: string;
}

/** A snapshot that is being taken. One call at a time. */
export interface SnapshotWriter {
  /** Bytes of the machine's state so far. */
  readonly bytes: number;
  /** Takes a copy; what it returns, if anything, is to be awaited before the next call. */
  write(data: Uint8Array): Promise<void> | undefined;
  /** Makes it durable and part of `list`. */
  finish(): Promise<SnapshotId>;
  /** Leaves nothing behind. Harmless at any time, never rejects. */
  abort(): Promise<void>;
}

/** A snapshot that is being read by the machine. */
export interface SnapshotReader {
  readonly meta: SnapshotMeta;
  /** The machine's bytes, each piece checked before it is given, the whole at the end. */
  chunks(): AsyncGenerator<Uint8Array, void, undefined>;
  close(): Promise<void>;
}

/** The bytes of a snapshot's file, for sending. It stays as long as this is open. */
export interface SnapshotSource {
  readonly id: SnapshotId;
  /** Fills `into` from `offset`; fewer bytes only at the end. */
  read(into: Uint8Array, offset: number): Promise<number>;
  close(): Promise<void>;
}

/** A snapshot that is being received. */
export interface SnapshotPart {
  readonly id: SnapshotId;
  /** So many bytes are here; the next ones follow. */
  readonly offset: number;
  /** Appends bytes of the file. One call at a time; `data` must not change until it resolves. */
  append(data: Uint8Array): Promise<void>;
  /** Checks all of it, makes it durable and part of `list`. If it is wrong, nothing of it stays. */
  finish(): Promise<SnapshotMeta>;
  /** Keeps what is here, for another time. Never rejects. */
  leave(): Promise<void>;
}

/** A file that is no whole snapshot, and why. */
export interface DamagedSnapshot {
  readonly path: string;
  readonly reason: string;
}

/** The snapshots of one group; the contract is at the top of this file. */
export interface SnapshotStore {
  readonly list: readonly SnapshotId[];
  /** What opening found of them that cannot be whole. */
  readonly damaged: readonly DamagedSnapshot[];
  create(meta: SnapshotMeta): Promise<SnapshotWriter>;
  /** Reads and checks all of it. */
  verify(id: SnapshotId): Promise<SnapshotMeta>;
  read(id: SnapshotId): Promise<SnapshotReader>;
  source(id: SnapshotId): Promise<SnapshotSource>;
  /** Goes on with a part of exactly this snapshot, or begins anew. At most one at a time. */
  receive(id: SnapshotId): Promise<SnapshotPart>;
  /** It was found to be wrong: not in `list` any more. */
  discredit(id: SnapshotId, reason: string): void;
  /** Lets go of all but the newest two; of those below `keptFrom`, where that is given. */
  prune(keptFrom?: number): Promise<void>;
}
