/**
 * What members say to each other besides the messages of the core.
 */
import type { Configuration, MemberId } from "../core/configuration.ts";
import type { MembershipChange, MembershipRefusal } from "../core/membership-change.ts";
import type { Message } from "../core/message.ts";

/** Commands that a member without leadership hands to the leader: one hop, never passed on. */
export interface Forward {
  readonly type: "forward";
  /** The asker's number for this request. */
  readonly request: number;
  /** How much time the caller still gives, from the moment of sending. */
  readonly deadlineMs: number;
  /** Packed entries (core/entry.ts), all commands. */
  readonly entries: Uint8Array;
  readonly count: number;
}

/**
 * Where forwarded commands were appended, or that they were not. The asker then waits for its own
 * log to commit (index, term): so the result needs no second way back, and the asker has applied
 * what it reports as done.
 */
export interface ForwardResponse {
  readonly type: "forward-response";
  readonly request: number;
  /** `full`: the leader, or too many of the others, have no space. */
  readonly status: "appended" | "not-leader" | "overloaded" | "expired" | "transferring" | "full";
  readonly firstIndex: number;
  readonly term: number;
  /** Where the answerer believes the leader to be; empty where it does not know. */
  readonly leader: MemberId;
}

/** A formed member tells one that is still forming what was agreed: a configuration payload. */
export interface Formation {
  readonly type: "formation";
  readonly configuration: Uint8Array;
}

/** A member asks the one that it believes to lead to hand leadership over. */
export interface TransferRequest {
  readonly type: "transfer-request";
  /** The asker's number for this request. */
  readonly request: number;
  /** Who is to lead; empty = whoever suits best. */
  readonly target: MemberId;
}

/** Whether leadership is being handed over now. That it happened is seen by who leads then. */
export interface TransferResponse {
  readonly type: "transfer-response";
  readonly request: number;
  readonly status:
    | "started"
    | "not-leader"
    | "unknown-member"
    | "not-voter"
    | "no-other-voter"
    | "unreachable"
    | "busy"
    | "unhealthy";
}

/**
 * The sender stops in an orderly way and takes no forwarded command any more. So commands that the
 * receiver sent to it with a larger number than `lastRequest` were not taken and never will be; the
 * others have been answered, though the answer may still be on its way.
 */
export interface Leaving {
  readonly type: "leaving";
  /** The largest number of a forward that ever came from the receiver; 0 = none. */
  readonly lastRequest: number;
}

/**
 * A member that is not one yet asks to become one. Who it is stands in its hello; the answer comes
 * over the connection that the asked member dials back, so that its address is known to work.
 */
export interface JoinRequest {
  readonly type: "join-request";
  /** The asker's number for this request. */
  readonly request: number;
  readonly role: "voter" | "learner";
}

/** What became of a {@link JoinRequest}. */
export interface JoinResponse {
  readonly type: "join-response";
  readonly request: number;
  /**
   * `accepted`: it is, or is being made, a member. `later`: ask again. `not-leader`: ask `leader`,
   * if one is named. `refused`: it will never be, for the reason given.
   */
  readonly status: "accepted" | "later" | "not-leader" | "refused";
  /** Whom to ask instead; empty where that is not known. */
  readonly leader: MemberId;
  readonly leaderAddress: string;
  /** A sentence for people. */
  readonly reason: string;
}

/** A member tells one that waits: this committed configuration of our cluster names you. */
export interface Invitation {
  readonly type: "invitation";
  /** The index of the configuration. */
  readonly index: number;
  readonly configuration: Uint8Array;
}

/** The leader of `term` tells a member that it has acknowledged `index` in it, and denies that. */
export interface RolledBack {
  readonly type: "rolled-back";
  readonly term: number;
  readonly index: number;
}

/** What may be asked of another member: what the leader finds out by itself is not asked for. */
export type RequestedChange = Exclude<MembershipChange, { type: "bind" | "address" }>;

/** A member asks the one that it believes to lead to change the members, or what that would do. */
export interface MembershipRequest {
  readonly type: "membership-request";
  /** The asker's number for this request. */
  readonly request: number;
  /** Stands in the configurations of the change, so that the asker sees what became of it. */
  readonly token: number;
  readonly planOnly: boolean;
  /** The entry of the configuration that is to be changed; undefined = any. */
  readonly expectedIndex: number | undefined;
  readonly change: RequestedChange;
}

/** Whether a change has begun. How it ended is seen by the configurations. */
export interface MembershipResponse {
  readonly type: "membership-response";
  readonly request: number;
  readonly status: "begun" | "unchanged" | "planned" | MembershipRefusal;
  /** Begun: the entry of its first configuration. Else that of the configuration in force. */
  readonly index: number;
  /** A sentence for people. */
  readonly detail: string;
  /** Planned: the configuration in force, and what would follow it. */
  readonly before: Configuration | undefined;
  readonly next: Configuration | undefined;
}

/** The leader has a snapshot for a member that needs what has left the log. */
export interface SnapshotOffer {
  readonly type: "snapshot-offer";
  /** The term in which it leads. */
  readonly term: number;
  /** The leader's number for this transfer. */
  readonly transfer: number;
  readonly index: number;
  /** Term of the entry at `index`. */
  readonly snapshotTerm: number;
  /** Length and hash of the file: together with the position they say which one it is. */
  readonly bytes: number;
  readonly hash: string;
}

/** Bytes of the snapshot's file. */
export interface SnapshotChunk {
  readonly type: "snapshot-chunk";
  readonly transfer: number;
  readonly offset: number;
  readonly data: Uint8Array;
}

/** How far the receiver of a snapshot is. */
export interface SnapshotReport {
  readonly type: "snapshot-report";
  readonly transfer: number;
  /**
   * `ready`: written up to `offset`; `again`: something is missing from there on; `finishing`: all
   * is here and is being checked; `installed`: what it stands for is committed there; `busy`: not
   * now; `refused`: not from this sender; `failed`: the receiver's disk did; `damaged`: what
   * arrived is not what was offered.
   */
  readonly status:
    | "ready"
    | "again"
    | "finishing"
    | "installed"
    | "busy"
    | "refused"
    | "failed"
    | "damaged";
  readonly offset: number;
}

/** Everything that crosses between two hosts, for some group. */
export type PeerMessage =
  | Message
  | Forward
  | ForwardResponse
  | Formation
  | TransferRequest
  | TransferResponse
  | Leaving
  | JoinRequest
  | JoinResponse
  | Invitation
  | RolledBack
  | MembershipRequest
  | MembershipResponse
  | SnapshotOffer
  | SnapshotChunk
  | SnapshotReport;
