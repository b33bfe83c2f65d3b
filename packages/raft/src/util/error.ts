/**
 * The one error class of the library and the one table of its codes.
 *
 * A caller of a write needs to know one thing above all: did it happen? So each code has an
 * `outcome`. `not-done` is a promise that the call had and will have no effect, and repeating it is
 * safe. `unknown` says that it may have happened or may still happen.
 */

/** What is certain about the effect of a failed call. */
export type Outcome = "not-done" | "unknown";

/** The literal code of an error: branch on this, never on the message. */
export type ErrorCode =
  | "NO_LEADER"
  | "OVERLOADED"
  | "TIMEOUT"
  | "OUTCOME_UNKNOWN"
  | "ABORTED"
  | "CLOSED"
  | "COMMAND_TOO_LARGE"
  | "COMMAND_INVALID"
  | "QUERY_FAILED"
  | "OPTION_INVALID"
  | "MEMBER_UNKNOWN"
  | "MEMBER_NOT_VOTER"
  | "LOCK_LOST"
  | "MEMBER_EXISTS"
  | "MEMBERSHIP_BUSY"
  | "MEMBERSHIP_CHANGED"
  | "MEMBERSHIP_UNSAFE"
  | "MEMBERSHIP_TIMEOUT"
  | "DISK_FULL"
  | "STORAGE_STALLED"
  | "STORAGE_FAILED"
  | "LOG_DAMAGED"
  | "SNAPSHOT_DAMAGED"
  | "SNAPSHOT_FAILED"
  | "FORMAT_UNSUPPORTED"
  | "DATA_DIR_LOCKED"
  | "DATA_DIR_INVALID"
  | "LISTEN_FAILED"
  | "PEER_REFUSED"
  | "VERSION_UNSUPPORTED"
  | "HISTORY_COMPACTED"
  | "JOIN_FAILED"
  | "CLUSTER_EXISTS"
  | "REMOVED"
  | "REPLICA_FAILED";

/** What a code means to a caller, to HTTP and to a shell. */
export interface CodeRow {
  /** Whether the same call may succeed later without anything being repaired. */
  readonly retryable: boolean;
  readonly outcome: Outcome;
  readonly httpStatus: number;
  readonly exitCode: number;
  /** One sentence for the reference page. */
  readonly text: string;
}

/** Every code, with what it means to a caller, to HTTP and to a shell. */
export const ERROR_CODES: Readonly<Record<ErrorCode, CodeRow>> = {
  NO_LEADER: {
    retryable: true,
    outcome: "not-done",
    httpStatus: 503,
    exitCode: 4,
    text: "No leader is known, or a majority cannot be reached; nothing was done.",
  },
  OVERLOADED: {
    retryable: true,
    outcome: "not-done",
    httpStatus: 503,
    exitCode: 4,
    text: "A bounded queue is full; nothing was done. Try again a little later.",
  },
  TIMEOUT: {
    retryable: true,
    outcome: "not-done",
    httpStatus: 504,
    exitCode: 4,
    text: "The deadline passed before the call took effect; nothing was or will be done.",
  },
  OUTCOME_UNKNOWN: {
    retryable: false,
    outcome: "unknown",
    httpStatus: 504,
    exitCode: 5,
    text: "The write was handed on and its fate is not known: it may have happened or may yet.",
  },
  ABORTED: {
    retryable: true,
    outcome: "not-done",
    httpStatus: 499,
    exitCode: 4,
    text: "The caller's signal ended the call before it took effect.",
  },
  CLOSED: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 503,
    exitCode: 4,
    text: "This replica is closed or closing.",
  },
  COMMAND_TOO_LARGE: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 413,
    exitCode: 2,
    text: "The encoded command is larger than the limit.",
  },
  COMMAND_INVALID: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 400,
    exitCode: 2,
    text: "The command could not be encoded.",
  },
  QUERY_FAILED: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 500,
    exitCode: 1,
    text: "The state machine threw while answering a query.",
  },
  OPTION_INVALID: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 400,
    exitCode: 2,
    text: "An option is missing, malformed, out of bounds or at odds with another.",
  },
  MEMBER_UNKNOWN: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 404,
    exitCode: 2,
    text: "There is no member of that name in the cluster.",
  },
  MEMBER_NOT_VOTER: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 409,
    exitCode: 2,
    text: "Only a voter can do that, and the named member is none, or there is no other one.",
  },
  LOCK_LOST: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 409,
    exitCode: 9,
    text: "A lock is not held any more: its time has passed, or it was released.",
  },
  MEMBER_EXISTS: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 409,
    exitCode: 2,
    text: "A member has that id, address or directory already.",
  },
  MEMBERSHIP_BUSY: {
    retryable: true,
    outcome: "not-done",
    httpStatus: 409,
    exitCode: 4,
    text: "Another change of the members is under way; wait for it, or cancel it.",
  },
  MEMBERSHIP_CHANGED: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 409,
    exitCode: 2,
    text: "The members are not those of the expected version any more; nothing was done.",
  },
  MEMBERSHIP_UNSAFE: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 409,
    exitCode: 2,
    text: "The voters that would be left could decide nothing; the message says who is missing.",
  },
  MEMBERSHIP_TIMEOUT: {
    retryable: true,
    outcome: "not-done",
    httpStatus: 504,
    exitCode: 4,
    text: "The new voters did not catch up in time, and the change was taken back.",
  },
  DISK_FULL: {
    retryable: true,
    outcome: "not-done",
    httpStatus: 507,
    exitCode: 4,
    text: "There is no space on the disk of this member, of the leader or of too many others: read-only.",
  },
  STORAGE_STALLED: {
    retryable: true,
    outcome: "not-done",
    httpStatus: 503,
    exitCode: 4,
    text: "The disk of this member does not answer: what goes through its log has to be asked of another.",
  },
  STORAGE_FAILED: {
    retryable: false,
    outcome: "unknown",
    httpStatus: 500,
    exitCode: 6,
    text: "A write or sync failed. The store is poisoned and acknowledges nothing again.",
  },
  LOG_DAMAGED: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 500,
    exitCode: 6,
    text: "The log is damaged below what was known durable; nothing was changed or cut.",
  },
  SNAPSHOT_DAMAGED: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 500,
    exitCode: 6,
    text: "A snapshot is damaged, and there is no older one with the log that follows it.",
  },
  SNAPSHOT_FAILED: {
    retryable: true,
    outcome: "not-done",
    httpStatus: 500,
    exitCode: 1,
    text: "A snapshot could not be taken; what was there before is as it was.",
  },
  FORMAT_UNSUPPORTED: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 500,
    exitCode: 6,
    text: "A file was written by a newer version of this software.",
  },
  DATA_DIR_LOCKED: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 500,
    exitCode: 6,
    text: "Another process has this data directory open.",
  },
  DATA_DIR_INVALID: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 500,
    exitCode: 6,
    text: "The data directory is incomplete, unreadable or belongs to another member or cluster.",
  },
  LISTEN_FAILED: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 500,
    exitCode: 7,
    text: "The listening address could not be bound.",
  },
  PEER_REFUSED: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 500,
    exitCode: 7,
    text: "A peer of another cluster, list, version or incarnation was met.",
  },
  VERSION_UNSUPPORTED: {
    retryable: false,
    outcome: "unknown",
    httpStatus: 500,
    exitCode: 8,
    text: "The cluster uses a version of the state machine that this member's code does not know.",
  },
  HISTORY_COMPACTED: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 410,
    exitCode: 2,
    text: "The log no longer holds what was asked for; `firstIndex` says where it begins.",
  },
  JOIN_FAILED: {
    retryable: true,
    outcome: "not-done",
    httpStatus: 503,
    exitCode: 7,
    text: "No member could be joined until the deadline; the message says what each contact said.",
  },
  CLUSTER_EXISTS: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 409,
    exitCode: 7,
    text: "A new cluster was to be made, but there is one that this member belongs to or may join.",
  },
  REMOVED: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 410,
    exitCode: 6,
    text: "This data directory is no member of its cluster any more, and never will be again.",
  },
  REPLICA_FAILED: {
    retryable: false,
    outcome: "unknown",
    httpStatus: 500,
    exitCode: 8,
    text: "The replica stopped: the state machine threw in apply, or an invariant was violated.",
  },
};

const BRAND: unique symbol = Symbol.for("quorate.error") as never;

/** Options of {@link QuorateError}. */
export interface QuorateErrorOptions {
  /** The underlying error, if there is one. */
  readonly cause?: unknown;
  /** Overrides the outcome of the table where a call site knows better. */
  readonly outcome?: Outcome;
  /** The member believed to lead, where that is known. */
  readonly leader?: string | undefined;
  /** HISTORY_COMPACTED: the first index that is still there. */
  readonly firstIndex?: number | undefined;
}

/**
 * Every operating error that the library throws or rejects with.
 *
 * @example
 * ```ts
 * try {
 *   await node.write(add(1));
 * } catch (error) {
 *   if (QuorateError.is(error) && error.outcome === "not-done") retryLater();
 *   else throw error;
 * }
 * ```
 */
export class QuorateError extends Error {
  override readonly name = "QuorateError";
  /** Which error this is. */
  readonly code: ErrorCode;
  /** Whether the same call may succeed later without a repair. */
  readonly retryable: boolean;
  /** `not-done`: certainly without effect. `unknown`: it may have happened or may yet. */
  readonly outcome: Outcome;
  /** The member believed to lead, where that is known. */
  readonly leader: string | undefined;
  /** HISTORY_COMPACTED: the first index that is still there; undefined otherwise. */
  readonly firstIndex: number | undefined;

  constructor(code: ErrorCode, message: string, options: QuorateErrorOptions = {}) {
    super(
      `[${code}] ${message}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = code;
    const row: CodeRow = ERROR_CODES[code];
    this.retryable = row.retryable;
    this.outcome = options.outcome ?? row.outcome;
    this.leader = options.leader;
    this.firstIndex = options.firstIndex;
  }

  static {
    // On the prototype: on each error it would cost as much as the rest of it.
    Object.defineProperty(this.prototype, BRAND, { value: true });
  }

  /** Recognises our errors across copies of the package. */
  static is(value: unknown): value is QuorateError {
    return typeof value === "object" && value !== null && BRAND in value;
  }
}

/** What an unknown thrown value says, for a message. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
