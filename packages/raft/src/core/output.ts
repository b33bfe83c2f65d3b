/**
 * What the core wants done: values that carry their rules of ordering as data.
 *
 * Outputs are numbered from 1. The caller
 *  1. sends every message with `after === 0` at once, in order;
 *  2. persists `hardState`, `reset` and `entries` (in this order) of outputs strictly in the order
 *     of their numbers, and calls `persisted(n)` when output n and all before it are durable (one
 *     call may cover many);
 *  3. sends a message with `after === n` only once `persisted(n)` is due, and not before the
 *     messages to the same member that precede it in the same or an earlier output with a smaller
 *     `after`;
 *  4. applies committed entries up to `commit` in index order and reports `applied(index)`;
 *  5. answers a read of `reads` from its own machine once it has applied `index`;
 *  6. serves `loads` from its log and answers each by `loaded` (or `loadFailed`);
 *  7. gives every peer of `snapshots` its newest snapshot and answers by `snapshotSent` or
 *     `snapshotFailed`;
 *  8. where there is a `reset`, restores the machine from that snapshot and goes on applying behind
 *     it.
 *
 * Nothing here may be changed by the receiver; batches are shared and immutable.
 */
import type { Configuration, Incarnation, MemberId } from "./configuration.ts";
import type { SnapshotPoint } from "./contract.ts";
import type { EntryBatch } from "./entry.ts";
import type { Health } from "./health-watch.ts";
import type { Message } from "./message.ts";

/** For whom this member voted: the id alone could be two directories. */
export interface Vote {
  readonly id: MemberId;
  readonly incarnation: Incarnation;
}

/** What must be durable before anything that depends on it is said. */
export interface HardState {
  readonly term: number;
  readonly vote: Vote | undefined;
  /** A hint: recovering an older commit index is harmless. */
  readonly commit: number;
}

/** A message, to whom, and what it waits for. */
export interface Envelope {
  readonly to: MemberId;
  readonly message: Message;
  /** 0: may leave at once. n: only once output n is durable. */
  readonly after: number;
}

/** The end of a read: the index to wait for, or the reason why there is none. */
export interface ReadOutcome {
  /** The number that `readIndex` was called with. */
  readonly context: number;
  readonly index: number;
  /** `ok`, or why the read must be tried again or refused. */
  readonly status: "ok" | "no-leader" | "leadership-lost";
}

/** Entries that have left memory and are wanted from the log, to be sent to a peer. */
export interface LoadRequest {
  readonly peer: MemberId;
  /** The term in which they were asked for: an answer of another term is dropped. */
  readonly term: number;
  readonly from: number;
  readonly to: number;
  /** About how many bytes; at least one batch is always loaded. */
  readonly bytesMax: number;
}

/** A peer needs entries that have left the log: it must be given a snapshot. */
export interface SnapshotRequest {
  readonly peer: MemberId;
  /** The term in which it is asked for. */
  readonly term: number;
}

/** The roles of a member. `pre-candidate` asks whether it could win. */
export type Role = "follower" | "pre-candidate" | "candidate" | "leader";

/**
 * What changed, for observers. Every transition of a role, term, vote, leader or commit is here.
 */
export type CoreEvent =
  | {
      readonly type: "role";
      readonly role: Role;
      readonly previous: Role;
      readonly term: number;
      readonly reason: string;
    }
  | { readonly type: "term"; readonly term: number; readonly previous: number }
  | { readonly type: "vote"; readonly term: number; readonly candidate: MemberId }
  | {
      readonly type: "vote-received";
      readonly term: number;
      readonly from: MemberId;
      readonly granted: boolean;
      readonly pre: boolean;
    }
  | { readonly type: "leader"; readonly leader: MemberId | undefined; readonly term: number }
  | { readonly type: "commit"; readonly index: number; readonly term: number }
  | {
      readonly type: "configuration";
      readonly index: number;
      readonly configuration: Configuration;
    }
  /** The newest committed configuration is another one. */
  | {
      readonly type: "configuration-committed";
      readonly index: number;
      readonly configuration: Configuration;
    }
  /** The leader has appended a configuration, and why. */
  | {
      readonly type: "membership";
      readonly index: number;
      readonly term: number;
      readonly reason: string;
    }
  | { readonly type: "truncated"; readonly from: number; readonly term: number }
  /** Entries up to `index` left the log. */
  | { readonly type: "compacted"; readonly index: number; readonly term: number }
  /** A snapshot of the leader's took the place of the log. */
  | { readonly type: "reset"; readonly index: number; readonly term: number }
  /** The leader of a term has committed an entry of that term: it may serve reads now. */
  | { readonly type: "ready"; readonly term: number }
  /** Leadership is handed over: begun, told to the target, over (done or given up). */
  | {
      readonly type: "transfer";
      readonly phase: "started" | "handed-over" | "ended";
      readonly target: MemberId;
      readonly term: number;
      readonly reason: string;
    }
  /** A follower denies an entry that it has acknowledged in this term: its log was rolled back. */
  | {
      readonly type: "peer-denied";
      readonly peer: MemberId;
      readonly index: number;
      readonly term: number;
    }
  /** This member can do its work again, or cannot (health.ts). */
  | {
      readonly type: "health";
      readonly health: Health;
      readonly previous: Health;
      readonly reason: string;
    }
  | {
      readonly type: "peer-state";
      readonly peer: MemberId;
      readonly state: "probe" | "replicate" | "snapshot";
      readonly reason: string;
    };

/** One batch of consequences; see the rules at the top of this file. */
export interface Output {
  readonly number: number;
  /** To be persisted; undefined where term and vote did not change. */
  readonly hardState: HardState | undefined;
  /** To be persisted before `entries`: the log starts anew behind a snapshot that is durable. */
  readonly reset: SnapshotPoint | undefined;
  /**
   * To be persisted in this order. A batch ends everything that was in the log from its first index
   * on: a truncation needs no record of its own.
   */
  readonly entries: readonly EntryBatch[];
  readonly messages: readonly Envelope[];
  /** Everything up to here is committed and may be applied. */
  readonly commit: number;
  readonly reads: readonly ReadOutcome[];
  readonly loads: readonly LoadRequest[];
  readonly snapshots: readonly SnapshotRequest[];
  readonly events: readonly CoreEvent[];
}
