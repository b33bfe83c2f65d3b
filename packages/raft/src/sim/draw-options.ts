/**
 * The options of one run, drawn from a seed.
 *
 * What is drawn must leave the cluster a chance: messages and syncs of ordinary length fit several
 * times into an election timeout, or no leader could ever be elected and nothing would be tested.
 * Everything beyond that is the affair of the nemeses, which are taken away at the healing.
 *
 * Each part has a stream of its own (random-streams.ts): a change in how one is drawn leaves the
 * others of every seed as they are. Still, a seed alone means another run after such a change; what
 * is kept of a failure is the options.
 */
import type { Random } from "../util/random.ts";
import { NEMESES } from "./nemesis/catalogue.ts";
import type {
  ClientOptions,
  ClockOptions,
  DelayOptions,
  DiskOptions,
  NemesisOptions,
  NetworkOptions,
  SimOptions,
  SnapshotRunOptions,
} from "./options.ts";
import { traitsOf } from "./profiles.ts";
import type { Profile, Traits } from "./profiles.ts";
import { RandomStreams, between, chance, pick } from "./random-streams.ts";

const KIB = 1_024;
/** How often those act that come at random times, in ms: before it is shared among all that act. */
const EVERY_MS: readonly number[] = [150, 400, 800, 1_500, 3_000];
/** A run with so many nemeses has each at its drawn rate; one with more has each less often. */
const NEMESES_AT_FULL_RATE = 3;
/** At most so many occasions are taken, per mille: rare occasions often, frequent ones seldom. */
const SHARE_MAX: Readonly<Record<string, number>> = {
  "after-election": 1_000,
  "after-vote": 700,
  "after-ack": 120,
  "after-append": 120,
  "after-commit": 150,
  "read-in-flight": 300,
};
/** Of no use in a cluster to which nobody can come. */
const NEED_SPARES: readonly string[] = ["comings", "roles", "after-configuration"];
/** Bounds of the library that may be set low: between which values. */
const LOW_LIMITS: Readonly<Record<string, readonly [min: number, max: number]>> = {
  appendBytesMax: [200, 8 * KIB],
  inflightMessagesMax: [1, 4],
  inflightBytesMax: [500, 16 * KIB],
  uncommittedBytesMax: [1_000, 32 * KIB],
  tailBytesMax: [200, 8 * KIB],
  readsMax: [2, 16],
  tailSpareBytes: [0, 8 * KIB],
};

/** Nothing that is drawn as fast takes longer. */
const FAST_MAX_US = 1_000;
/** So many segments a log can surely fill and prepare. */
const SEGMENTS_PER_SECOND = { slow: 2, fast: 40 } as const;
/** What a command takes beside its value. */
const COMMAND_BYTES = 150;
/** How far clocks may go wrong at all, and where leases rest on them. */
const DRIFT_MAX_PPM = 100_000;
const LEASE_DRIFTS_PPM: readonly number[] = [1_000, 10_000, 50_000, DRIFT_MAX_PPM];

/** Never in a run, now and then, or between any two calls. */
const SESSION_TIMEOUTS_MS: readonly number[] = [3_600_000, 3_600_000, 2_000, 1_000];

/** How hard clients work: few operations for long, or many for a short time. */
interface Load {
  readonly faultyMaxMs: number;
  readonly thinkMaxMs: readonly number[];
  readonly openPerSecond: readonly number[];
}

const LOADS: readonly Load[] = [
  { faultyMaxMs: 20_000, thinkMaxMs: [200, 400], openPerSecond: [2, 10] },
  { faultyMaxMs: 20_000, thinkMaxMs: [60, 120, 200], openPerSecond: [5, 20, 40] },
  { faultyMaxMs: 12_000, thinkMaxMs: [20, 60], openPerSecond: [20, 60] },
  { faultyMaxMs: 4_000, thinkMaxMs: [2, 5, 10], openPerSecond: [100, 300] },
];

/**
 * Draws the options of the run with this seed. The same seed and profile give the same options.
 *
 * @example
 * ```ts
 * const options = drawOptions(42, "elections");
 * ```
 */
export function drawOptions(seed: number, profile: Profile = "swarm"): SimOptions {
  return drawFrom(seed, traitsOf(profile));
}

/** As {@link drawOptions}, for traits that are no profile. */
export function drawFrom(seed: number, traits: Traits): SimOptions {
  const streams = new RandomStreams(seed);
  const random = streams.stream("options");
  const members = pick(random, traits.members);
  const isQuiet = chance(random, traits.quietShare);
  const load = pick(random, LOADS);
  const electionTimeoutMs = between(random, 150, pick(random, [300, traits.electionTimeoutMaxMs]));
  const heartbeatShare = pick(random, [4, 8, 10, 10, 20]);
  const segmentBytes = pick(random, traits.segmentKib) * KIB;
  const faultyMs = between(random, 2_000, load.faultyMaxMs);
  const leases = drawLeases(streams.stream("options leases"), traits);
  const spares = pick(streams.stream("options spares"), traits.spares);
  const drawing: Drawing = { traits, isQuiet, electionTimeoutMs, hasSpares: spares > 0 };
  const limits = drawLimits(streams.stream("options limits"), traits);
  const network = drawNetwork(streams.stream("options network"), drawing);
  const disk = drawDisk(streams.stream("options disk"), drawing);
  const clients = drawClients(streams.stream("options clients"), {
    traits,
    load,
    segmentBytes,
    leases,
    staleness: drawStaleness(streams.stream("options staleness"), electionTimeoutMs),
  });
  return {
    seed: seed >>> 0,
    members,
    ...(spares === 0 ? {} : { spares }),
    electionTimeoutMs,
    heartbeatIntervalMs: Math.max(1, Math.floor(electionTimeoutMs / heartbeatShare)),
    leaseReads: leases.leaseReads,
    segmentBytes,
    sessionTimeoutMs: pick(streams.stream("options sessions"), SESSION_TIMEOUTS_MS),
    snapshots: drawSnapshots(streams.stream("options snapshots"), traits),
    ...drawOnDisk(streams.stream("options machine"), traits),
    limits,
    faultyMs,
    network,
    disk,
    clock: drawClock(streams.stream("options clock"), drawing, leases),
    nemeses: isQuiet ? [] : drawNemeses(streams, drawing),
    clients: bearable(clients, { limits, network, disk, segmentBytes }),
  };
}

function drawOnDisk(random: Random, traits: Traits): Pick<SimOptions, "onDisk"> {
  const onDisk = pick(random, [1, 1, 4, 20, 100]);
  return chance(random, traits.onDiskShare) ? { onDisk } : {};
}

function drawSnapshots(random: Random, traits: Traits): SnapshotRunOptions | undefined {
  if (!chance(random, traits.snapshotsShare)) return undefined;
  return {
    logBytes: pick(random, [1_024, 1_024, 4_096, 32_768]),
    entries: pick(random, [1, 5, 20, 100]),
    growth: pick(random, [0, 0.5, 1]),
    bytesPerSecond: pick(random, [65_536, 1_048_576, 67_108_864]),
  };
}

/**
 * Open clients call whatever comes back; more of them than a cluster can ever serve would look like
 * a cluster that never recovers. Low bounds let few entries through per round trip and sync, and
 * a segment takes some ten writes and syncs, one after the other, before the next one can begin.
 */
function bearable(
  clients: ClientOptions,
  {
    limits,
    network,
    disk,
    segmentBytes,
  }: Pick<SimOptions, "limits" | "network" | "disk" | "segmentBytes">,
): ClientOptions {
  const hasSlowDisk = disk.write.maxUs > FAST_MAX_US;
  const isSlow = network.delay.maxUs > FAST_MAX_US || hasSlowDisk;
  const isLow = Object.keys(limits).length > 0;
  const open = isLow ? Math.min(clients.open, 1) : clients.open;
  const bytesPerSecond = segmentBytes * SEGMENTS_PER_SECOND[hasSlowDisk ? "slow" : "fast"];
  const bytesEach = COMMAND_BYTES + Math.floor(clients.valueBytesMax / 2);
  const perSecondMax = Math.floor(bytesPerSecond / (bytesEach * Math.max(1, open)));
  const lowMax = isSlow ? 4 : 40;
  const most = Math.max(1, isLow ? Math.min(lowMax, perSecondMax) : perSecondMax);
  return { ...clients, open, openPerSecond: Math.min(clients.openPerSecond, most) };
}

/** What the parts have in common. */
interface Drawing {
  readonly traits: Traits;
  readonly isQuiet: boolean;
  readonly electionTimeoutMs: number;
  readonly hasSpares: boolean;
}

/** Whether there are leases, and how far clocks may go wrong. */
interface Leases {
  readonly leaseReads: boolean;
  readonly driftBoundPpm: number;
  readonly leaseReadShare: number;
}

function drawLeases(random: Random, traits: Traits): Leases {
  const leaseReads = chance(random, traits.leasesShare);
  const driftBoundPpm = pick(random, LEASE_DRIFTS_PPM);
  const leaseReadShare = pick(random, [300, 600, 900]);
  // Without leases they are asked for now and then, and are reads like all others.
  return leaseReads
    ? { leaseReads, driftBoundPpm, leaseReadShare }
    : { leaseReads, driftBoundPpm: DRIFT_MAX_PPM, leaseReadShare: pick(random, [0, 0, 100]) };
}

type Staleness = Pick<ClientOptions, "staleReadShare" | "stalenessMaxMs">;

function drawStaleness(random: Random, electionTimeoutMs: number): Staleness {
  return {
    staleReadShare: pick(random, [0, 100, 400]),
    stalenessMaxMs: pick(random, [20, 100, electionTimeoutMs, 3 * electionTimeoutMs]),
  };
}

function drawLimits(random: Random, traits: Traits): Record<string, number> {
  const limits: Record<string, number> = {};
  if (!chance(random, traits.lowLimitsShare)) return limits;
  for (const [name, [min, max]] of Object.entries(LOW_LIMITS)) {
    // Drawn in any case, so that each is the same whether the others are there or not.
    const value = between(random, min, max);
    if (chance(random, 400)) limits[name] = value;
  }
  return limits;
}

function drawNetwork(random: Random, drawing: Drawing): NetworkOptions {
  const { traits, isQuiet, electionTimeoutMs } = drawing;
  const isStreams = chance(random, traits.streamsShare);
  const isSlow = chance(random, traits.slowNetworkShare);
  const isLossy = !isQuiet && chance(random, traits.lossyShare);
  const timeoutUs = electionTimeoutMs * 1_000;
  const delay: DelayOptions = isSlow
    ? {
        minUs: between(random, 200, 2_000),
        maxUs: between(random, 2_000, Math.floor(timeoutUs / 12)),
        tailShare: between(random, 0, isStreams ? 3 : 20),
        tailMaxUs: between(random, Math.floor(timeoutUs / 4), timeoutUs),
      }
    : { minUs: 50, maxUs: between(random, 100, 1_000), tailShare: 0, tailMaxUs: 1_000 };
  // A broken connection costs far more than a lost message.
  const loss = between(random, 0, isStreams ? 5 : pick(random, [20, 100, 300]));
  const duplicates = between(random, 0, pick(random, [20, 200]));
  const rate = between(random, 500_000, 5_000_000);
  return {
    mode: isStreams ? "streams" : "messages",
    delay,
    lossShare: isLossy ? loss : 0,
    duplicateShare: isLossy ? duplicates : 0,
    bytesPerSecond: isSlow && chance(random, 250) ? rate : 0,
  };
}

function drawDisk(random: Random, { traits, electionTimeoutMs }: Drawing): DiskOptions {
  const timeoutUs = electionTimeoutMs * 1_000;
  if (!chance(random, traits.slowDiskShare)) {
    const maxUs = between(random, 50, 1_000);
    return {
      write: { minUs: 20, maxUs, tailShare: between(random, 0, 10), tailMaxUs: 10 * maxUs },
      other: { minUs: 5, maxUs: between(random, 5, 100), tailShare: 0, tailMaxUs: 100 },
    };
  }
  const maxUs = between(random, 2_000, Math.floor(timeoutUs / 8));
  return {
    write: {
      minUs: between(random, 100, 2_000),
      maxUs,
      tailShare: between(random, 0, 20),
      tailMaxUs: between(random, maxUs, Math.floor(timeoutUs / 2)),
    },
    other: {
      minUs: 20,
      maxUs: between(random, 100, 3_000),
      tailShare: between(random, 0, 10),
      tailMaxUs: between(random, 3_000, 20_000),
    },
  };
}

function drawClock(random: Random, drawing: Drawing, leases: Leases): ClockOptions {
  const { traits, isQuiet, electionTimeoutMs } = drawing;
  const { driftBoundPpm } = leases;
  const isLate = !isQuiet && chance(random, traits.lateTimersShare);
  const lateShare = between(random, 1, 50);
  const lateMaxUs = between(random, 1_000, 500 * electionTimeoutMs);
  return {
    rateSpreadPpm: Math.min(driftBoundPpm, pick(random, [0, 100, 5_000, 50_000])),
    driftBoundPpm,
    lateShare: isLate ? lateShare : 0,
    lateMaxUs: isLate ? lateMaxUs : 0,
    turnUs: between(random, 5, pick(random, [20, 100])),
  };
}

function drawNemeses(streams: RandomStreams, drawing: Drawing): NemesisOptions[] {
  const { traits, electionTimeoutMs } = drawing;
  const share = pick(streams.stream("options nemeses"), traits.nemesisShares);
  const drawn: NemesisOptions[] = [];
  for (const { kind } of NEMESES) {
    // Where members come and go, no disk can be promised to be one too many.
    if (drawing.hasSpares ? kind === "bit-rot" : NEED_SPARES.includes(kind)) continue;
    const random = streams.stream(`options ${kind}`);
    if (!chance(random, Math.max(share, traits.favourites[kind] ?? 0))) continue;
    drawn.push({
      kind,
      everyMs: pick(random, EVERY_MS),
      lastsMs: between(random, 20, pick(random, [1, 3, 6]) * electionTimeoutMs),
      share: between(random, 1, SHARE_MAX[kind] ?? 1_000),
    });
  }
  // Trouble upon trouble keeps a cluster down, and one that is down is hard to harm.
  const crowd = Math.max(drawn.length, NEMESES_AT_FULL_RATE);
  return drawn.map((nemesis) => ({
    ...nemesis,
    everyMs: Math.floor((nemesis.everyMs * crowd) / NEMESES_AT_FULL_RATE),
  }));
}

function drawClients(
  random: Random,
  from: {
    readonly traits: Traits;
    readonly load: Load;
    readonly segmentBytes: number;
    readonly leases: Leases;
    readonly staleness: Staleness;
  },
): ClientOptions {
  const { traits, load, segmentBytes, leases, staleness } = from;
  return {
    closed: between(random, 1, 8),
    open: chance(random, traits.openShare) ? between(random, 1, 3) : 0,
    openPerSecond: pick(random, load.openPerSecond),
    thinkMaxMs: pick(random, load.thinkMaxMs),
    timeoutMaxMs: pick(random, [60, 300, 1_000, 1_000, 3_000]),
    keys: pick(random, [1, 4, 16, 64]),
    readShare: pick(random, traits.readShares),
    localReadShare: pick(random, [0, 100, 400]),
    leaseReadShare: leases.leaseReadShare,
    ...staleness,
    // The largest command that the log takes is a quarter of a segment.
    valueBytesMax: Math.min(pick(random, traits.valueBytes), Math.floor(segmentBytes / 8)),
  };
}
