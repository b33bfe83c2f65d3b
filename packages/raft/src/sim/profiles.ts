/**
 * What runs are drawn from: one table per profile, in which a profile says only how it differs from
 * `swarm`.
 *
 * A swarm is many runs that each have *some* of the troubles and sizes, rather than all runs having
 * a little of each: a fault that is always there hides what happens without it. Shares are per
 * mille.
 */

/** The names of the profiles. */
export const PROFILES = [
  "swarm",
  "calm",
  "elections",
  "disks",
  "network",
  "reads",
  "streams",
  "pauses",
  "comings",
  "snapshots",
] as const;

/** The name of a profile. */
export type Profile = (typeof PROFILES)[number];

/** What a profile likes. Where several values stand, one is drawn. */
export interface Traits {
  readonly members: readonly number[];
  /** Places for members that come later. */
  readonly spares: readonly number[];
  readonly electionTimeoutMaxMs: number;
  readonly streamsShare: number;
  readonly slowNetworkShare: number;
  /** How many runs lose and duplicate messages. */
  readonly lossyShare: number;
  readonly slowDiskShare: number;
  /** How many runs have some bounds of the library set low. */
  readonly lowLimitsShare: number;
  /** How many runs have timers that fire late. */
  readonly lateTimersShare: number;
  /** How many runs have no fault of any kind. */
  readonly quietShare: number;
  /** How likely each nemesis is; drawn once per run, so that some have few and others many. */
  readonly nemesisShares: readonly number[];
  /** Those that are likelier in this profile, and how likely. */
  readonly favourites: Readonly<Record<string, number>>;
  readonly readShares: readonly number[];
  readonly segmentKib: readonly number[];
  /** Bytes of values at most; where the log takes them (an eighth of a segment). */
  readonly valueBytes: readonly number[];
  /** How many runs have clients that do not wait for answers, so that writes are batched. */
  readonly openShare: number;
  /** How many runs have leases. */
  readonly leasesShare: number;
  /** How many runs take snapshots again and again. */
  readonly snapshotsShare: number;
  /** How many runs have machines on disk. */
  readonly onDiskShare: number;
}

const SWARM: Traits = {
  members: [1, 2, 3, 3, 3, 5],
  spares: [0],
  electionTimeoutMaxMs: 1_000,
  streamsShare: 200,
  slowNetworkShare: 400,
  lossyShare: 500,
  slowDiskShare: 400,
  lowLimitsShare: 400,
  lateTimersShare: 300,
  quietShare: 50,
  nemesisShares: [80, 200, 333, 600],
  favourites: {},
  readShares: [100, 300, 500, 800],
  segmentKib: [8, 16, 32, 64, 128, 256],
  valueBytes: [8, 64, 512, 4_096],
  openShare: 400,
  leasesShare: 300,
  snapshotsShare: 500,
  onDiskShare: 250,
};

/** Several, and members that are many enough to disagree. */
const DISAGREEING: readonly number[] = [3, 3, 3, 5];

const DIFFERENCES: Readonly<Record<Profile, Partial<Traits>>> = {
  swarm: {
    spares: [0, 0, 0, 0, 0, 0, 0, 3],
    favourites: { comings: 700, roles: 400, "after-configuration": 400 },
  },
  calm: { lossyShare: 0, lateTimersShare: 0, quietShare: 1_000, nemesisShares: [0] },
  elections: {
    members: [...DISAGREEING, 2, 1],
    electionTimeoutMaxMs: 300,
    streamsShare: 0,
    slowNetworkShare: 500,
    lossyShare: 600,
    slowDiskShare: 700,
    // One message at a time, of one batch: what is said together is hard to tear apart.
    lowLimitsShare: 700,
    quietShare: 0,
    nemesisShares: [0, 100],
    favourites: {
      "after-election": 700,
      "after-vote": 800,
      "after-append": 700,
      "after-ack": 500,
      "after-commit": 300,
      crash: 300,
    },
  },
  disks: {
    slowDiskShare: 600,
    quietShare: 0,
    nemesisShares: [0, 100],
    favourites: {
      "crash-at-disk": 600,
      crash: 500,
      "disk-stall": 400,
      "slow-disk": 400,
      "disk-error": 500,
      "disk-full": 400,
      "bit-rot": 400,
    },
    readShares: [50, 100, 300],
    // Large writes can be torn, and small segments are often prepared, ended and begun.
    segmentKib: [8, 16, 32, 64],
    valueBytes: [64, 1_024, 4_096, 8_192],
    openShare: 700,
  },
  network: {
    members: DISAGREEING,
    slowNetworkShare: 700,
    lossyShare: 800,
    quietShare: 0,
    nemesisShares: [0, 100],
    favourites: {
      partition: 600,
      flapping: 500,
      "slow-link": 500,
      "stall-link": 500,
      reset: 400,
      "after-append": 300,
    },
  },
  reads: {
    members: DISAGREEING,
    electionTimeoutMaxMs: 400,
    slowNetworkShare: 600,
    quietShare: 0,
    nemesisShares: [0, 100],
    favourites: {
      "read-in-flight": 900,
      pause: 500,
      partition: 400,
      "slow-link": 400,
      "stall-link": 300,
      "after-election": 300,
    },
    readShares: [600, 800, 900],
    leasesShare: 500,
  },
  streams: { streamsShare: 1_000, favourites: { reset: 500, "stall-link": 400, flapping: 400 } },
  pauses: {
    lateTimersShare: 800,
    quietShare: 0,
    nemesisShares: [0, 100],
    favourites: { pause: 900, "clock-skew": 500, "read-in-flight": 300, "after-election": 300 },
    leasesShare: 500,
  },
  comings: {
    members: [1, 2, 3, 3, 3],
    spares: [2, 3, 4, 6],
    electionTimeoutMaxMs: 400,
    quietShare: 0,
    nemesisShares: [0, 100, 200],
    favourites: {
      comings: 1_000,
      roles: 700,
      "after-configuration": 600,
      crash: 400,
      "crash-at-disk": 300,
      partition: 400,
      restart: 300,
      transfer: 300,
      pause: 200,
    },
  },
  snapshots: {
    members: DISAGREEING,
    electionTimeoutMaxMs: 400,
    quietShare: 0,
    nemesisShares: [0, 100, 200],
    favourites: {
      "after-snapshot": 900,
      crash: 500,
      "crash-at-disk": 400,
      partition: 500,
      reset: 300,
      pause: 300,
      "bit-rot": 200,
    },
    readShares: [50, 100, 300],
    segmentKib: [8, 16, 32],
    valueBytes: [64, 512, 4_096],
    openShare: 700,
    snapshotsShare: 1_000,
    onDiskShare: 400,
  },
};

/** What a profile likes, complete. */
export function traitsOf(profile: Profile): Traits {
  return { ...SWARM, ...DIFFERENCES[profile] };
}
