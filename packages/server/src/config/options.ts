/**
 * Every option of a member in one table. It makes the flags and help of `quorate start`, the
 * environment variables, the keys of the configuration file, the checks (schema.ts) and the
 * reference page (reference-page.ts). An option that is not here does not exist.
 */

/** What kind of value an option has. */
export type OptionType =
  | "id"
  | "text"
  | "address"
  | "addresses"
  | "members"
  | "origins"
  | "integer"
  | "choice"
  | "flag";

/** One option. */
export interface OptionRow {
  readonly type: OptionType;
  /** As commander writes it: `--name <value>`. */
  readonly flag: string;
  /** What it is, as a sentence without its end. */
  readonly text: string;
  readonly default?: string | number | boolean;
  /** What holds without it, where that is no fixed value. */
  readonly otherwise?: string;
  readonly min?: number;
  readonly max?: number;
  readonly choices?: readonly string[];
}

/** The options of `quorate start`, by their name in the configuration file. */
export const START_OPTIONS = {
  id: {
    type: "id",
    flag: "--id <id>",
    text: "who this member is: 1 to 64 of A-Z a-z 0-9 . _ : [ ] -",
    otherwise: "the address that the others dial",
  },
  listen: {
    type: "address",
    flag: "--listen <host:port>",
    text: "where to listen for the other members",
    default: "127.0.0.1:9091",
  },
  advertise: {
    type: "address",
    flag: "--advertise <host:port>",
    text: "where the other members reach this one, where that differs from listen",
    otherwise: "listen",
  },
  data: {
    type: "text",
    flag: "--data <directory>",
    text: "the directory that is this member's memory; made if absent",
    otherwise: "./data/<id>",
  },
  members: {
    type: "members",
    flag: "--members <list>",
    text: "how an empty directory begins: as n1=host:port,n2=host:port,…, the same list on each",
    otherwise: "the directory says who is a member",
  },
  bootstrap: {
    type: "flag",
    flag: "--bootstrap",
    text: "how an empty directory begins: as a new cluster of one",
    default: false,
  },
  contacts: {
    type: "addresses",
    flag: "--contacts <list>",
    text: "with --bootstrap: members that there may be, asked first; if one is in a cluster, the start is refused",
    otherwise: "nobody is asked",
  },
  join: {
    type: "addresses",
    flag: "--join <list>",
    text: "how an empty directory begins: by asking these members, host:port,…, to be taken; later, where they may be found",
    otherwise: "nobody is asked",
  },
  joinAs: {
    type: "choice",
    flag: "--join-as <role>",
    text: "with --join: what to become",
    default: "voter",
    choices: ["voter", "learner"],
  },
  joinTimeoutMs: {
    type: "integer",
    flag: "--join-timeout <ms>",
    text: "with --join: how long to ask before giving up",
    default: 60_000,
    min: 1,
    max: 86_400_000,
  },
  wait: {
    type: "flag",
    flag: "--wait",
    text: "how an empty directory begins: by waiting until the leader of a cluster adds this member",
    default: false,
  },
  http: {
    type: "address",
    flag: "--http <host:port>",
    text: "where to serve HTTP",
    otherwise: "the host of listen, its port + 1000",
  },
  electionTimeoutMs: {
    type: "integer",
    flag: "--election-timeout <ms>",
    text: "T: a silent leader is replaced after T to 1.5 T",
    default: 1_000,
    min: 50,
    max: 60_000,
  },
  heartbeatIntervalMs: {
    type: "integer",
    flag: "--heartbeat-interval <ms>",
    text: "how often a leader makes itself heard; at most a quarter of the election timeout",
    otherwise: "a tenth of the election timeout",
    min: 1,
    max: 15_000,
  },
  callTimeoutMs: {
    type: "integer",
    flag: "--call-timeout <ms>",
    text: "deadline of a request that names none",
    default: 5_000,
    min: 1,
    max: 60_000,
  },
  leaseReads: {
    type: "flag",
    flag: "--lease-reads",
    text: "while leading, answer reads of consistency lease without asking a majority; rests on clocks",
    default: false,
  },
  clockDriftBoundPpm: {
    type: "integer",
    flag: "--clock-drift-bound <ppm>",
    text: "how far the rate of any member's clock may be from real time, in parts per million",
    default: 10_000,
    min: 0,
    max: 200_000,
  },
  store: {
    type: "choice",
    flag: "--store <where>",
    text: "where the keys are: in memory, or on disk (LMDB), where they may be more than memory holds and a start does not read them",
    choices: ["memory", "disk"],
    otherwise: "what the directory has; memory in a new one",
  },
  keyBytesMax: {
    type: "integer",
    flag: "--key-bytes-max <bytes>",
    text: "the longest key that is taken; with --store disk 4,000 at most",
    default: 4_000,
    min: 1,
    max: 8_192,
  },
  valueBytesMax: {
    type: "integer",
    flag: "--value-bytes-max <bytes>",
    text: "the largest value that is taken; a segment must have room for four",
    default: 1_048_576,
    min: 1,
    max: 8_388_608,
  },
  segmentBytes: {
    type: "integer",
    flag: "--segment-bytes <bytes>",
    text: "size of one file of the log",
    default: 16_777_216,
    min: 1_048_576,
    max: 1_073_741_824,
  },
  snapshotManual: {
    type: "flag",
    flag: "--snapshot-manual",
    text: "take snapshots only when asked to (quorate snapshot, POST /snapshot): the log grows until then",
    default: false,
  },
  snapshotLogBytes: {
    type: "integer",
    flag: "--snapshot-log-bytes <bytes>",
    text: "a snapshot is due after so many bytes of applied log",
    default: 67_108_864,
    min: 1_024,
    max: 1_099_511_627_776,
  },
  snapshotGrowthPercent: {
    type: "integer",
    flag: "--snapshot-growth <percent>",
    text: "… and after so much log in relation to the newest snapshot, so that a large state is not written again for a little log",
    default: 100,
    min: 0,
    max: 100_000,
  },
  snapshotEntries: {
    type: "integer",
    flag: "--snapshot-entries <number>",
    text: "… and not before so many entries",
    default: 1_000,
    min: 1,
    max: 1_000_000_000,
  },
  snapshotSendBytesPerSecond: {
    type: "integer",
    flag: "--snapshot-send-rate <bytes>",
    text: "bytes per second that this member sends of snapshots, to all others together",
    default: 67_108_864,
    min: 65_536,
    max: 1_099_511_627_776,
  },
  snapshotProgressTimeoutMs: {
    type: "integer",
    flag: "--snapshot-progress-timeout <ms>",
    text: "a snapshot on its way that does not move for so long is given up, and the log that was kept for it may go",
    default: 10_000,
    min: 100,
    max: 86_400_000,
  },
  httpConnectionsMax: {
    type: "integer",
    flag: "--http-connections-max <number>",
    text: "HTTP connections at a time; more are refused",
    default: 4_096,
    min: 1,
    max: 65_535,
  },
  corsOrigins: {
    type: "origins",
    flag: "--cors-origin <list>",
    text: "origins whose web pages may read and write here, as https://app.example,http://127.0.0.1:10091; a member's own pages always may",
    otherwise: "no other page may write",
  },
  insecure: {
    type: "flag",
    flag: "--insecure",
    text: "allow listening beyond this machine although nothing is authenticated or encrypted",
    default: false,
  },
  logLevel: {
    type: "choice",
    flag: "--log-level <level>",
    text: "the least important log lines to write",
    default: "info",
    choices: ["trace", "debug", "info", "warn", "error", "fatal", "silent"],
  },
  logFormat: {
    type: "choice",
    flag: "--log-format <format>",
    text: "auto is pretty in a terminal, JSON otherwise",
    default: "auto",
    choices: ["auto", "pretty", "json"],
  },
} as const;

/** The table with its rows as what they have in common. */
export const OPTION_ROWS: ReadonlyMap<OptionName, OptionRow> = new Map(
  Object.entries(START_OPTIONS) as [OptionName, OptionRow][],
);

/** The name of an option. */
export type OptionName = keyof typeof START_OPTIONS;

type Table = typeof START_OPTIONS;
type ValueOf<T> = T extends "integer" ? number : T extends "flag" ? boolean : string;

/** What was given, or the default, for every option. */
export type OptionValues = {
  readonly [K in OptionName]:
    | ValueOf<Table[K]["type"]>
    | (Table[K] extends { readonly default: unknown } ? never : undefined);
};

/** The environment variable of an option: QUORATE_ELECTION_TIMEOUT_MS. */
export function variableOf(name: OptionName): string {
  return `QUORATE_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** `--name` without its value. */
export function flagOf(name: OptionName): string {
  return START_OPTIONS[name].flag.split(" ", 1)[0]!;
}

/** What holds when the option is not given, for people. */
export function defaultText(row: OptionRow): string {
  if (row.otherwise !== undefined) return row.otherwise;
  return typeof row.default === "boolean" ? (row.default ? "on" : "off") : String(row.default);
}

/** The values that an option takes, for people; undefined where any text of the kind will do. */
export function boundsText(row: OptionRow): string | undefined {
  if (row.choices !== undefined) return row.choices.join(", ");
  return row.min === undefined ? undefined : `${row.min} to ${row.max}`;
}
