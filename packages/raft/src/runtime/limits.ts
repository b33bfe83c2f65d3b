/**
 * Every bound of the library in one place. A full queue refuses; nothing grows without one of
 * these.
 */
/** Defaults and bounds; times in ms, sizes in bytes. */
export const LIMITS = {
  /** Entries of one batch: what is gathered in one turn is cut here. */
  batchBytesMax: 1_048_576, // 1 MiB
  /** Entries of one append message. */
  appendBytesMax: 1_048_576, // 1 MiB
  inflightMessagesMax: 256,
  inflightBytesMax: 16_777_216, // 16 MiB
  /** Appended and not committed: proposals are refused beyond. */
  uncommittedBytesMax: 67_108_864, // 64 MiB
  /** Durable entries kept in memory for peers that are a little behind. */
  tailBytesMax: 33_554_432, // 32 MiB
  /** Kept when everybody has them. Little: what stays for long costs the garbage collector much. */
  tailSpareBytes: 262_144, // 256 KiB
  /** Calls that wait, per member. */
  pendingWritesMax: 131_072,
  pendingReadsMax: 131_072,
  /** Feeds of changes that are open at a time. */
  changeFeedsMax: 1_024,
  /** Commands gathered for the next turn, or on their way to the leader. */
  gatheredBytesMax: 33_554_432, // 32 MiB
  /** Received and not stepped yet, all peers together; beyond, sockets are paused. */
  inboxBytesMax: 67_108_864, // 64 MiB
  /** Queued for one peer. */
  sendQueueBytesMax: 33_554_432, // 32 MiB
  /** One frame on the wire. */
  frameBytesMax: 20_971_520, // 20 MiB
  /** Peer connections accepted at a time, and those that have not said hello yet. */
  connectionsMax: 1_024,
  /** Peers that are no members as far as we know (acquaintances.ts); how long they may be away. */
  visitorsMax: 64,
  visitorMs: 30_000,
  helloTimeoutMs: 5_000,
  dialTimeoutMs: 3_000,
  /**
   * A receiver gives a sign of life this often; a sender that hears none for so long dials anew.
   */
  pulseIntervalMs: 1_000,
  stallTimeoutMs: 3_000,
  backoffMinMs: 20,
  backoffMaxMs: 1_000,
  /** How long new voters have to catch up, by default and at most, in ms of cluster time. */
  catchUpMs: 300_000,
  catchUpMaxMs: 2_147_483_647,
  /** Bytes of a snapshot in one message, and on their way to one peer. */
  snapshotChunkBytes: 65_536, // 64 KiB
  snapshotWindowMinBytes: 131_072, // 128 KiB
  snapshotWindowMaxBytes: 4_194_304, // 4 MiB
  /** What a machine on disk gets in one transaction; fewer where it takes longer than a slice. */
  diskBatchEntriesMax: 1_024,
  diskBatchEntriesMin: 16,
  diskBatchBytesMax: 1_048_576, // 1 MiB
  /** A slice of applying, before the loop gets its turn again. */
  applySliceMs: 5,
  /** Kept of the newest inputs, for the report of a violated invariant. */
  lastInputsKept: 64,
} as const;
