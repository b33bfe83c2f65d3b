/**
 * The options of a replica, checked and completed. Whatever is wrong is told at once, by the name
 * of the option, with what is wanted; nothing has been touched by then.
 */
import { isMemberId } from "../core/configuration.ts";
import type { MemberId } from "../core/configuration.ts";
import { parseAddress } from "../util/address.ts";
import { QuorateError } from "../util/error.ts";
import type {
  BootstrapStart,
  CallOptions,
  JoinStart,
  ReadOptions,
  ReplicaOptions,
  SnapshotOptions,
  StartOptions,
  StaticMember,
} from "./replica.ts";

/** The part of the options that the engine works with; everything is decided. */
export interface EngineOptions {
  readonly id: MemberId;
  readonly listen: string;
  /**
   * What others dial; undefined: the address that listening will have bound. Where it differs from
   * the one in `start.members`, the directory has to be formed already (engine.ts).
   */
  readonly advertise: string | undefined;
  readonly dataDir: string;
  readonly start: StartOptions | undefined;
  readonly electionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  readonly callTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  readonly leaseReads: boolean;
  readonly clockDriftBoundPpm: number;
  readonly segmentBytes: number;
  readonly commandBytesMax: number;
  readonly snapshot: Required<SnapshotOptions>;
}

const MIB = 1_048_576;
const TIB = MIB * MIB;
const VERSION_MAX = 2 ** 31 - 1;
const HOUR_MS = 3_600_000;
/** The longest timeout that a timer of the host can be set to. */
export const TIMEOUT_MAX_MS: number = 2 ** 31 - 1;
const MEMBERS_MAX = 255;
/** A clock that is wrong by a fifth is no clock. */
const CLOCK_DRIFT_MAX_PPM = 200_000;
const COMMAND_BYTES_MAX = 16 * MIB;
const WILDCARDS: readonly string[] = ["0.0.0.0", "::", "::0", "0:0:0:0:0:0:0:0"];

/** Checks and completes; throws OPTION_INVALID. */
export function resolveOptions<C, Q>(options: ReplicaOptions<C, Q>): EngineOptions {
  if (typeof options !== "object" || options === null) throw invalid("options are missing");
  const listen = parseAddress(text(options.listen, "listen"), { name: "listen" });
  if (options.advertise !== undefined) {
    parseAddress(text(options.advertise, "advertise"), { name: "advertise", portMin: 1 });
  }
  const start = checkStart(options.start);
  const given = options.advertise ?? (listen.port === 0 ? undefined : options.listen);
  const id = checkId(options.id ?? given);
  const advertise = options.advertise ?? listedAddress(start, id) ?? given;
  if (advertise === given && options.advertise === undefined && WILDCARDS.includes(listen.host)) {
    throw invalid(`listen "${options.listen}" is no address to dial: say "advertise", too`);
  }
  const machine = options.machine as unknown;
  if (typeof machine !== "object" || machine === null) throw invalid("machine is missing");
  const bounds = { min: 1, max: VERSION_MAX };
  bounded((machine as { version?: number }).version ?? 1, "machine.version", bounds);
  return {
    id,
    listen: options.listen,
    advertise,
    dataDir: text(options.dataDir, "dataDir"),
    start,
    leaseReads: flag(options.leaseReads ?? false, "leaseReads"),
    ...numbers(options),
    snapshot: snapshotOptions(options.snapshot ?? {}),
  };
}

/** The deadline of one call in ms from now; throws OPTION_INVALID. */
export function timeoutOf(options: CallOptions | undefined, callTimeoutMs: number): number {
  const timeoutMs = options?.timeoutMs;
  if (timeoutMs === undefined) return callTimeoutMs;
  return bounded(timeoutMs, "timeoutMs", { min: 0, max: TIMEOUT_MAX_MS, fraction: true });
}

/** What kinds of reads there are, the default first. */
export const CONSISTENCIES = ["linearizable", "lease", "local"] as const;

/** How fresh a read is to be. */
export interface ReadTerms {
  readonly consistency: (typeof CONSISTENCIES)[number];
  readonly maxStalenessMs: number | undefined;
}

/** What the options of a read say together; throws OPTION_INVALID. */
export function readTermsOf(options: ReadOptions | undefined): ReadTerms {
  const consistency = options?.consistency ?? "linearizable";
  if (!CONSISTENCIES.includes(consistency)) {
    throw invalid(
      `consistency must be "linearizable", "lease" or "local", not ${consistency as string}`,
    );
  }
  const given = options?.maxStalenessMs;
  if (given === undefined) return { consistency, maxStalenessMs: undefined };
  if (options?.consistency !== undefined && consistency !== "lease") {
    throw invalid(
      `maxStalenessMs goes alone or with consistency "lease", not with "${consistency}": that ` +
        `says already how old an answer may be`,
    );
  }
  const bounds = { min: 0, max: TIMEOUT_MAX_MS, fraction: true };
  return { consistency, maxStalenessMs: bounded(given, "maxStalenessMs", bounds) };
}

/** Throws OPTION_INVALID where this can be no index to begin at. */
export function checkFrom(from: number | undefined): void {
  if (from !== undefined) bounded(from, "from", { min: 1, max: Number.MAX_SAFE_INTEGER });
}

/** Throws OPTION_INVALID where this can be no member. */
export function checkTarget(target: MemberId | undefined): void {
  if (target !== undefined) checkId(target, "target");
}

type Numbers = Pick<
  EngineOptions,
  | "electionTimeoutMs"
  | "heartbeatIntervalMs"
  | "callTimeoutMs"
  | "sessionTimeoutMs"
  | "clockDriftBoundPpm"
  | "segmentBytes"
  | "commandBytesMax"
>;

function numbers<C, Q>(options: ReplicaOptions<C, Q>): Numbers {
  const electionTimeoutMs = bounded(options.electionTimeoutMs ?? 1_000, "electionTimeoutMs", {
    min: 50,
    max: 60_000,
  });
  const heartbeatIntervalMs = bounded(
    options.heartbeatIntervalMs ?? Math.floor(electionTimeoutMs / 10),
    "heartbeatIntervalMs",
    { min: 1, max: Math.floor(electionTimeoutMs / 4), why: "a quarter of electionTimeoutMs" },
  );
  const callTimeoutMs = bounded(options.callTimeoutMs ?? 5_000, "callTimeoutMs", {
    min: 1,
    max: TIMEOUT_MAX_MS,
  });
  const sessionTimeoutMs = bounded(options.sessionTimeoutMs ?? HOUR_MS, "sessionTimeoutMs", {
    min: 1_000,
    max: TIMEOUT_MAX_MS,
  });
  const clockDriftBoundPpm = bounded(options.clockDriftBoundPpm ?? 10_000, "clockDriftBoundPpm", {
    min: 0,
    max: CLOCK_DRIFT_MAX_PPM,
  });
  const wantedBytes = bounded(options.segmentBytes ?? 16 * MIB, "segmentBytes", {
    min: MIB,
    max: 1_024 * MIB,
  });
  // Records are aligned to 8 bytes, and so are segments.
  const segmentBytes = wantedBytes - (wantedBytes % 8);
  const commandMax = Math.min(Math.floor(segmentBytes / 4), COMMAND_BYTES_MAX);
  const commandBytesMax = bounded(
    options.commandBytesMax ?? Math.min(2 * MIB, commandMax),
    "commandBytesMax",
    { min: 1, max: commandMax, why: "a quarter of segmentBytes and 16 MiB" },
  );
  return {
    electionTimeoutMs,
    heartbeatIntervalMs,
    callTimeoutMs,
    sessionTimeoutMs,
    clockDriftBoundPpm,
    segmentBytes,
    commandBytesMax,
  };
}

function snapshotOptions(given: SnapshotOptions): Required<SnapshotOptions> {
  if (typeof given !== "object" || given === null) throw invalid("snapshot must be an object");
  const number = (value: unknown, name: string, bounds: Bounds): number =>
    bounded(value, `snapshot.${name}`, bounds);
  return {
    automatic: flag(given.automatic ?? true, "snapshot.automatic"),
    logBytes: number(given.logBytes ?? 64 * MIB, "logBytes", { min: 1_024, max: TIB }),
    growth: number(given.growth ?? 1, "growth", { min: 0, max: 1_000, fraction: true }),
    entries: number(given.entries ?? 1_000, "entries", { min: 1, max: 1_000_000_000 }),
    sendBytesPerSecond: number(given.sendBytesPerSecond ?? 64 * MIB, "sendBytesPerSecond", {
      min: 64 * 1_024,
      max: TIB,
    }),
    progressTimeoutMs: number(given.progressTimeoutMs ?? 10_000, "progressTimeoutMs", {
      min: 100,
      max: TIMEOUT_MAX_MS,
    }),
  };
}

function checkStart(start: StartOptions | undefined): StartOptions | undefined {
  if (start === undefined) return undefined;
  const fields = start as {
    bootstrap?: unknown;
    members?: unknown;
    join?: unknown;
    wait?: unknown;
  };
  const { bootstrap, members, join, wait } = fields;
  const ways = [bootstrap, members, join, wait].filter((way) => way !== undefined);
  if (ways.length !== 1) throw invalid(WAYS);
  if (bootstrap === true) {
    const { contacts } = start as BootstrapStart;
    if (contacts !== undefined) checkAddresses(contacts, "start.contacts");
  } else if (Array.isArray(members)) checkMembers(members as StaticMember[]);
  else if (Array.isArray(join)) checkJoin(start as JoinStart);
  else if (wait !== true) throw invalid(WAYS);
  return start;
}

const WAYS =
  "start must be { bootstrap: true }, { members: [{ id, address }, …] }, " +
  '{ join: ["host:port", …] } or { wait: true }';

function checkJoin({ join, as, timeoutMs }: JoinStart): void {
  checkAddresses(join, "start.join");
  if (join.length === 0) throw invalid("start.join must name at least one address");
  if (as !== undefined && as !== "voter" && as !== "learner") {
    throw invalid(`start.as must be "voter" or "learner", not ${JSON.stringify(as)}`);
  }
  if (timeoutMs !== undefined) {
    bounded(timeoutMs, "start.timeoutMs", { min: 1, max: TIMEOUT_MAX_MS });
  }
}

function checkAddresses(addresses: readonly string[], name: string): void {
  if (!Array.isArray(addresses) || addresses.length > MEMBERS_MAX) {
    throw invalid(`${name} must be a list of at most ${MEMBERS_MAX} addresses`);
  }
  for (const address of addresses) parseAddress(text(address, name), { name, portMin: 1 });
}

function checkMembers(members: readonly StaticMember[]): void {
  if (members.length < 1 || members.length > MEMBERS_MAX) {
    throw invalid(`start.members must have 1 to ${MEMBERS_MAX} members, not ${members.length}`);
  }
  const ids = new Set<string>();
  const addresses = new Set<string>();
  for (const member of members) {
    const id = checkId((member as Partial<StaticMember> | null)?.id, "id in start.members");
    const name = `address of ${id} in start.members`;
    const address = text(member.address, name);
    parseAddress(address, { name, portMin: 1 });
    if (ids.has(id)) throw invalid(`start.members names ${id} twice`);
    if (addresses.has(address)) throw invalid(`start.members names the address ${address} twice`);
    ids.add(id);
    addresses.add(address);
  }
}

/** Our own address in a static list: the others will dial that one, until they hear of another. */
export function listedAddress(start: StartOptions | undefined, id: MemberId): string | undefined {
  if (start === undefined || !("members" in start)) return undefined;
  const own = start.members.find((member) => member.id === id);
  if (own === undefined) {
    const ids = start.members.map((member) => member.id).join(", ");
    throw invalid(`start.members (${ids}) does not name this member, ${id}`);
  }
  return own.address;
}

function checkId(id: unknown, name = "id"): MemberId {
  if (id === undefined && name === "id") {
    throw invalid("id is missing: it cannot be the address where listen has port 0");
  }
  if (typeof id !== "string" || !isMemberId(id)) {
    throw invalid(
      `${name} must be 1 to 64 of A-Z a-z 0-9 . _ : [ ] -, not ${JSON.stringify(id) ?? "missing"}`,
    );
  }
  return id;
}

function text(value: unknown, name: string): string {
  if (typeof value !== "string" || value === "") throw invalid(`${name} must be a string`);
  return value;
}

function flag(value: unknown, name: string): boolean {
  if (typeof value !== "boolean") throw invalid(`${name} must be true or false`);
  return value;
}

interface Bounds {
  readonly min: number;
  readonly max: number;
  readonly fraction?: boolean;
  readonly why?: string;
}

function bounded(value: unknown, name: string, bounds: Bounds): number {
  const { min, max } = bounds;
  const isNumber = typeof value === "number" && value >= min && value <= max;
  if (isNumber && (bounds.fraction === true || Number.isInteger(value))) return value;
  const why = bounds.why === undefined ? "" : ` (${bounds.why})`;
  throw invalid(
    `${name} must be ${bounds.fraction === true ? "a number" : "an integer"} from ${min} to ` +
      `${max}${why}, not ${String(value)}`,
  );
}

function invalid(message: string): QuorateError {
  return new QuorateError("OPTION_INVALID", message);
}
