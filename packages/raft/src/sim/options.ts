/**
 * Everything that a run is made from, as plain JSON: together with the code it *is* the run. A seed
 * alone would stand for another run as soon as the generator changes; so what is kept of a failure
 * is these options.
 *
 * Shares are per mille, times are microseconds where they say `Us` and milliseconds where they say
 * `Ms`. Integers only.
 */

/** A time that is usually between min and max, and with a small share much longer. */
export interface DelayOptions {
  readonly minUs: number;
  readonly maxUs: number;
  /** How often it is from the tail instead, per mille, */
  readonly tailShare: number;
  /** and how long that may be. */
  readonly tailMaxUs: number;
}

/** The network between members. */
export interface NetworkOptions {
  /**
   * `messages`: each message is encoded, carried and decoded by itself; it may be lost, duplicated
   * and overtaken. `streams`: the real framing over connections that are cut into chunks, stall,
   * and break.
   */
  readonly mode: "messages" | "streams";
  readonly delay: DelayOptions;
  /** Lost messages, per mille (messages); connections that break, per mille of chunks (streams). */
  readonly lossShare: number;
  /** Messages that arrive twice, per mille; of those between cores, of forwards and answers. */
  readonly duplicateShare: number;
  /** Bytes per second of a slow link; 0 = as fast as its delay. */
  readonly bytesPerSecond: number;
}

/** The disk of each member. */
export interface DiskOptions {
  readonly write: DelayOptions;
  readonly other: DelayOptions;
}

/** The clocks of the members. */
export interface ClockOptions {
  /** Each runs faster or slower by up to this many parts per million. */
  readonly rateSpreadPpm: number;
  /** What members are told that clocks keep to. No nemesis makes them break it. */
  readonly driftBoundPpm: number;
  /** Timers that fire late, per mille, and by how much at most. */
  readonly lateShare: number;
  readonly lateMaxUs: number;
  /** What a turn of the event loop takes until it comes. */
  readonly turnUs: number;
}

/** One kind of trouble and how often it comes. */
export interface NemesisOptions {
  /** The name of a nemesis; see nemesis/catalogue.ts. */
  readonly kind: string;
  /** Mean time between two, in ms of virtual time; for state-aware ones the share is used. */
  readonly everyMs: number;
  /** How long what it does lasts: up to this, in ms. */
  readonly lastsMs: number;
  /** State-aware: how many of the occasions are taken, per mille. */
  readonly share: number;
}

/** The clients. */
export interface ClientOptions {
  /** Clients that wait for each answer. */
  readonly closed: number;
  /** Clients that do not wait: so many operations each per second. */
  readonly open: number;
  readonly openPerSecond: number;
  /** How long a closed client thinks before its next operation. */
  readonly thinkMaxMs: number;
  /** Deadline of a call, drawn up to this. */
  readonly timeoutMaxMs: number;
  /** How many different keys; few are hot. */
  readonly keys: number;
  /** Reads, per mille of operations; and of these, local ones. */
  readonly readShare: number;
  readonly localReadShare: number;
  /** Of the other reads: those by lease, and those that may be old by up to so many ms. */
  readonly leaseReadShare: number;
  readonly staleReadShare: number;
  readonly stalenessMaxMs: number;
  /** Bytes of a value: up to this. */
  readonly valueBytesMax: number;
}

/** Snapshots, with bounds far below what the options of a replica are meant for. */
export interface SnapshotRunOptions {
  readonly logBytes: number;
  readonly entries: number;
  readonly growth: number;
  readonly bytesPerSecond: number;
}

/** The options of one run. */
export interface SimOptions {
  /** Decides everything that is not said below. 32 bits. */
  readonly seed: number;
  /** Those that form the cluster, by a list. */
  readonly members: number;
  /** Places for members that come later, each for one directory; absent: none. */
  readonly spares?: number;
  readonly electionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  /** Whether leaders keep leases. */
  readonly leaseReads: boolean;
  readonly segmentBytes: number;
  /** After so long without a write the sessions of members expire. Default: an hour. */
  readonly sessionTimeoutMs?: number;
  /** When members take snapshots, and how fast they send them; undefined = hardly ever. */
  readonly snapshots?: SnapshotRunOptions | undefined;
  /**
   * Machines are on the disks of their members and gather so many changes before they store them;
   * absent: in memory.
   */
  readonly onDisk?: number;
  /** Bounds of the library that are set lower for this run; names as in `LIMITS`. */
  readonly limits: Readonly<Record<string, number>>;
  /** How long there is trouble. After it everything is healed and progress is demanded. */
  readonly faultyMs: number;
  readonly network: NetworkOptions;
  readonly disk: DiskOptions;
  readonly clock: ClockOptions;
  readonly nemeses: readonly NemesisOptions[];
  readonly clients: ClientOptions;
}
