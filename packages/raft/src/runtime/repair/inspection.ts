/**
 * What looking at a data directory finds: the facts, and what is wrong with a remedy for each.
 */
import type { Configuration, Incarnation, MemberId } from "../../core/configuration.ts";
import type { ClusterId } from "../../transport/transport.ts";
import type { IdentityState } from "../identity.ts";

/**
 * How the directory stands.
 *
 * - `healthy`: a member starts on it.
 * - `empty`: no member has been here; one starts on it if told how to begin.
 * - `damaged`: a member refuses to start on it, or must not be started; the findings say why.
 */
export type DirectoryHealth = "healthy" | "empty" | "damaged";

/** Which finding this is: branch on this, never on the text. */
export type FindingCode =
  | "ABSENT"
  | "UNREADABLE"
  | "IN_USE"
  | "OTHER_MEMBER"
  | "IDENTITY_LOST"
  | "IDENTITY_DAMAGED"
  | "FORMAT_NEWER"
  | "NOT_TOGETHER"
  | "LOG_LOST"
  | "LOG_DAMAGED"
  | "LOG_TORN"
  | "SNAPSHOT_LOST"
  | "SNAPSHOT_DAMAGED"
  | "NOT_STARTED"
  | "FORMING"
  | "JOINING"
  | "REMOVED"
  | "RECOVERY_UNFINISHED"
  | "OTHER_INCARNATION"
  | "NOT_A_MEMBER"
  | "LEFTOVER"
  | "FOREIGN_FILE";

/** Something worth saying about a directory. */
export interface Finding {
  readonly code: FindingCode;
  /** `damage`: no member starts here. `warning`: one starts, and something is odd. */
  readonly severity: "damage" | "warning" | "note";
  /** The file or directory that it is about. */
  readonly path: string;
  /** Where in the file, where that is known. */
  readonly offset?: number;
  /** What was found, as a sentence. */
  readonly problem: string;
  /** What to do about it, as a sentence; empty where nothing needs to be done. */
  readonly remedy: string;
}

/** Who the directory says that it is. */
export interface InspectedIdentity {
  readonly id: MemberId;
  readonly incarnation: Incarnation;
  readonly state: IdentityState;
  /** Undefined before there is one. */
  readonly clusterId: ClusterId | undefined;
  /** The ids that the cluster had before a lost quorum was recovered from, oldest first. */
  readonly formerClusters: readonly ClusterId[];
}

/** A configuration that the log holds. */
export interface InspectedConfiguration {
  readonly index: number;
  readonly configuration: Configuration;
}

/** What the log holds, as far as it could be read. */
export interface InspectedLog {
  readonly term: number;
  readonly vote: { readonly id: MemberId; readonly incarnation: Incarnation } | undefined;
  /** Entries up to here were known to be committed; more may be. */
  readonly commit: number;
  /** The log starts after this index. */
  readonly startIndex: number;
  readonly startTerm: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** Cluster time of the last entry, in ms. */
  readonly lastTimeMs: number;
  /** Where each term begins. */
  readonly terms: readonly { readonly index: number; readonly term: number }[];
  /** The one at the start of the log, then those in it; the last one is in force. */
  readonly configurations: readonly InspectedConfiguration[];
  readonly files: readonly InspectedLogFile[];
  /** Bytes of all files of the log directory. */
  readonly bytes: number;
  readonly records: number;
  /** The highest place that is proven durable. */
  readonly durable: { readonly segment: number; readonly offset: number };
  /** Where the log ends, or where reading had to end. */
  readonly end: { readonly segment: number; readonly offset: number };
  /** Bytes of an unfinished write behind the end. */
  readonly tornBytes: number;
  /** Bytes that nothing proves durable; a start writes them again. */
  readonly unprovenBytes: number;
  /** Whether the log could be read to its end. */
  readonly isWhole: boolean;
}

/** One file of the log directory. */
export interface InspectedLogFile {
  readonly name: string;
  /** `log`: a segment. `new`, `spare`: one in the making, one to be used again. */
  readonly kind: "log" | "new" | "spare" | "foreign";
  readonly bytes: number;
  /** Whole records from the head of the file on. */
  readonly records: number;
  /** Whole records behind the first place without one. */
  readonly recordsBehind: number;
}

/** One file of the snapshot directory. */
export interface InspectedSnapshot {
  readonly name: string;
  /** `snap`: a finished one. `new`, `part`, `note`: one being taken or received. */
  readonly kind: "snap" | "new" | "part" | "note" | "foreign";
  readonly bytes: number;
  /** Whether every byte was read and is right; false for what is not finished. */
  readonly isWhole: boolean;
  /** The last entry that it stands for. */
  readonly index: number | undefined;
  readonly term: number | undefined;
  /** Cluster time at that entry, in ms. */
  readonly timeMs: number | undefined;
  readonly configuration: InspectedConfiguration | undefined;
}

/** What {@link inspectDataDir} found. */
export interface Inspection {
  readonly path: string;
  readonly health: DirectoryHealth;
  /** Who has it open, in words; undefined where nobody does. */
  readonly inUse: string | undefined;
  /** Undefined where there is none, or none that can be read. */
  readonly identity: InspectedIdentity | undefined;
  /** Undefined where there is none. */
  readonly log: InspectedLog | undefined;
  /** Every file of the snapshot directory. */
  readonly snapshots: readonly InspectedSnapshot[];
  /** What is worth saying, the worst first. */
  readonly findings: readonly Finding[];
}
