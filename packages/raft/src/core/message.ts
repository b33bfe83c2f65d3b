/**
 * What members of one group say to each other. Values only; the wire format is transport/codec.ts.
 *
 * The sender is not in the message: the connection it came over has proven who it is. Every message
 * carries the sender's term except `pre-vote`, which carries the term the sender *would* campaign
 * in.
 */
import type { Incarnation } from "./configuration.ts";
import type { EntryBatch } from "./entry.ts";
import type { Health } from "./health-watch.ts";

/** Asks whether a campaign could win, without raising anybody's term (thesis, 9.6). */
export interface PreVote {
  readonly type: "pre-vote";
  /** The term the sender would campaign in: its own plus one. */
  readonly term: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
}

/** The answer to a pre-vote: binds nobody. */
export interface PreVoteResponse {
  readonly type: "pre-vote-response";
  /** Granted: the asked term. Refused: the refuser's own term. */
  readonly term: number;
  readonly granted: boolean;
}

/** Figure 2, RequestVote. */
export interface RequestVote {
  readonly type: "request-vote";
  readonly term: number;
  /** The leader of the term before asked for this campaign: that it was heard is no objection. */
  readonly transfer: boolean;
  readonly incarnation: Incarnation;
  readonly lastIndex: number;
  readonly lastTerm: number;
}

/** The answer to a vote request; a grant is durable before it is sent. */
export interface RequestVoteResponse {
  readonly type: "request-vote-response";
  readonly term: number;
  readonly granted: boolean;
}

/** Figure 2, AppendEntries. Without batches it only probes (prevIndex, prevTerm). */
export interface AppendEntries {
  readonly type: "append-entries";
  readonly term: number;
  readonly prevIndex: number;
  readonly prevTerm: number;
  readonly commit: number;
  /** Consecutive, the first one starting at prevIndex + 1. */
  readonly batches: readonly EntryBatch[];
}

/** The answer to an append: how far the logs agree, or where they part. */
export interface AppendEntriesResponse {
  readonly type: "append-entries-response";
  readonly term: number;
  readonly success: boolean;
  /**
   * Success: everything up to here equals the leader's log and is durable.
   * Refusal: the prevIndex that was refused.
   */
  readonly index: number;
  /** Refusal: the highest index at which the logs may agree, and its term (fast back-off). */
  readonly hintIndex: number;
  readonly hintTerm: number;
}

/** Says that the leader is alive, how far it has committed, and opens a read round. */
export interface Heartbeat {
  readonly type: "heartbeat";
  readonly term: number;
  /** The receiver takes it only up to what it knows to be equal to the leader's log. */
  readonly commit: number;
  /** The newest read round of this term; 0 = none yet. */
  readonly round: number;
}

/**
 * How far is committed, told where no entries carry it. Nothing hangs on it: what is lost comes
 * with the next heartbeat. So it is not answered, which spares each commit a message per member:
 * only by who is not well, and to who led an earlier term, as if it were a heartbeat.
 */
export interface CommitNotice {
  readonly type: "commit-notice";
  readonly term: number;
  /** As in a heartbeat. */
  readonly commit: number;
}

/** Says that the sender still follows in this term, or that there is a later one. */
export interface HeartbeatResponse {
  readonly type: "heartbeat-response";
  readonly term: number;
  /** The round of the heartbeat that is answered. */
  readonly round: number;
  /** How well the sender can do its work (health.ts). */
  readonly health: Health;
}

/** A follower asks for an index that is safe to read at (thesis, 6.4). */
export interface ReadIndexRequest {
  readonly type: "read-index-request";
  readonly term: number;
  /** Made fresh for every attempt, unique across restarts of the asker. */
  readonly token: number;
  /** The leader may answer by its lease; else, and where it holds none, by a round. */
  readonly byLease: boolean;
}

/** The index that is safe to read at, or that there is none. */
export interface ReadIndexResponse {
  readonly type: "read-index-response";
  readonly term: number;
  readonly token: number;
  /** False where the asked member does not lead, or lost its majority while confirming. */
  readonly ok: boolean;
  readonly index: number;
}

/** The leader hands over: campaign now (thesis, 3.10). */
export interface TimeoutNow {
  readonly type: "timeout-now";
  readonly term: number;
  /** Where the leader's log ends: whoever has another log does not obey. */
  readonly lastIndex: number;
  readonly lastTerm: number;
}

/** The leader of this term leads no more, of its own accord: nobody waits for its silence. */
export interface Resign {
  readonly type: "resign";
  readonly term: number;
}

/** Every message between the cores of one group. */
export type Message =
  | PreVote
  | PreVoteResponse
  | RequestVote
  | RequestVoteResponse
  | AppendEntries
  | AppendEntriesResponse
  | Heartbeat
  | CommitNotice
  | HeartbeatResponse
  | ReadIndexRequest
  | ReadIndexResponse
  | TimeoutNow
  | Resign;

/** The name of a message kind. */
export type MessageType = Message["type"];

/** By these a leader is known, and asks to be followed: nobody else of its term sends them. */
export type Leading = AppendEntries | Heartbeat | CommitNotice;

/** Whether a message is one of a leader. */
export function isLeading(message: { readonly type: string }): message is Leading {
  const { type } = message;
  return type === "append-entries" || type === "heartbeat" || type === "commit-notice";
}
