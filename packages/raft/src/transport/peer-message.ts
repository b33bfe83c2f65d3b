/**
 * What members say to each other besides the messages of the core.
 */
import type { MemberId } from "../core/configuration.ts";
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
  readonly status: "appended" | "not-leader" | "overloaded" | "expired";
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

/** Everything that crosses between two hosts, for some group. */
export type PeerMessage = Message | Forward | ForwardResponse | Formation;
