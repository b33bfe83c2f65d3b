/**
 * The transport port: messages between hosts, in order per connection as a rule, maybe never.
 *
 * Contract
 * - Every host dials every peer and sends over the connections it dialed; it receives over those it
 *   accepted. So a lost direction looks like what it is.
 * - Before anything else both sides say {@link Hello} and judge the other's; a refusal is told to
 *   the other side in a sentence, reported on both, and the connection is closed. Garbage, cut,
 *   oversized or foreign frames close that one connection with a reported reason and have no other
 *   effect.
 * - `send` encodes into the peer's bounded queue and never blocks; false means that the queue is
 *   full or the peer not connected and the message was dropped (and counted). Messages of one turn
 *   leave together, in order, at `flush`. What was queued when a connection ends is lost.
 * - A message that was sent may be lost, and those of the cores, forwards and their answers may
 *   also come twice or be overtaken: receivers sort that out. But only within its connection:
 *   nothing arrives after the connection has ended, or from an earlier process.
 * - `handler.message` is called from socket callbacks and must only queue. The batches of a message
 *   are views into a receive buffer that is never written again: they may be kept.
 * - Reconnecting is the transport's own affair: at once, then with a randomised backoff up to a
 *   bound; addresses are resolved anew at every dial, at most one look-up in flight per host.
 * - `setContacts` is for addresses of which nobody knows yet who is behind them. Each is dialed and
 *   asked who it is; the listener answers with its hello, judges nobody, and the connection ends
 *   there: nothing else is ever sent over it. A contact is asked again every backoffMaxMs or so,
 *   for as long as it is on the list, and each answer or failure is told.
 * - `turnAway` ends what a peer has dialed and tells it why; it may dial again and is judged anew.
 * - A peer may have several addresses: they are tried in turn, and one that works is kept.
 * - A connection that sent something and hears no sign of life for stallTimeoutMs (3 s) has ended:
 *   half-open ones are not left to TCP, which takes minutes.
 * - `setPeers` may call `disconnected` before it returns, for connections that it ends.
 * - `close` ends every connection and the listener and resolves when they are gone; idempotent.
 *   Nothing is called back afterwards.
 */
import type { Incarnation, MemberId } from "../core/configuration.ts";
import type { PeerMessage } from "./peer-message.ts";

/** A cluster id: 32 lower-case hex digits. */
export type ClusterId = string;

/** No cluster yet. */
export const NO_CLUSTER: ClusterId = "0".repeat(32);
/** No static member list. */
export const NO_FORMATION: string = "0".repeat(64);

/** What each side says of itself first. */
export interface Hello {
  readonly protocolMin: number;
  readonly protocolMax: number;
  readonly clusterId: ClusterId;
  readonly id: MemberId;
  readonly incarnation: Incarnation;
  /** Where the sender can be dialed. */
  readonly address: string;
  /** SHA-256 of the static member list while forming (64 hex digits), else NO_FORMATION. */
  readonly formation: string;
  /** How it wants to become a member; `member` where it is one, or forms by a list. */
  readonly mode: HelloMode;
  /**
   * The index of the newest committed configuration that it holds, or by which it was invited; 0
   * where there is none.
   */
  readonly configurationIndex: number;
  /** The highest version of the user's state machine that its code knows. */
  readonly machineVersion: number;
}

/** How an unformed member wants to become one. The order is part of the wire format. */
export const HELLO_MODES = ["member", "join", "wait", "bootstrap"] as const;
/** One of {@link HELLO_MODES}. */
export type HelloMode = (typeof HELLO_MODES)[number];

/** Why a peer is refused. Numbers are part of the wire format. */
export const RefusalCode = {
  protocol: 1,
  cluster: 2,
  unknownMember: 3,
  incarnation: 4,
  memberList: 5,
  self: 6,
  identity: 7,
  overloaded: 8,
  removed: 9,
} as const;
export type RefusalCode = (typeof RefusalCode)[keyof typeof RefusalCode];

/** What either side says before it ends a connection. */
export interface Refusal {
  readonly code: RefusalCode;
  readonly reason: string;
  /** Only with code `removed`: what was removed, and by which committed configuration. */
  readonly removal?: Removal;
}

/** That a data directory is no member any more. */
export interface Removal {
  readonly incarnation: Incarnation;
  /** The index of a committed configuration without it. */
  readonly configurationIndex: number;
}

/** Whether a peer may go on, or why not. */
export type Verdict = { readonly accept: true } | ({ readonly accept: false } & Refusal);

/** What a verdict says to the other side. */
export function refusalOf(verdict: { readonly accept: false } & Refusal): Refusal {
  const { accept: _, ...refusal } = verdict;
  return refusal;
}

/** The host's side of the transport. None of these may throw or block. */
export interface TransportHandler {
  /** What to say of ourselves now. */
  hello(): Hello;
  /**
   * Judges the other side. `dialed` is the peer that we meant to reach, if we dialed; `target` is
   * whom the other one meant to reach, if it did.
   */
  judge(remote: Hello, dialed: MemberId | undefined, target?: MemberId): Verdict;
  /** A contact has said who it is. */
  contacted(address: string, remote: Hello): void;
  /** A contact could not be reached, or did not answer as it should. */
  contactFailed(address: string, reason: string): void;
  /** Our connection to `peer` is open: what is sent now can arrive. */
  connected(peer: MemberId, remote: Hello): void;
  /** Our connection to `peer` has ended. */
  disconnected(peer: MemberId, reason: string): void;
  /** A connection was refused, by us or by them. At most once a minute per peer and code. */
  refused(report: RefusalReport): void;
  /** A connection was closed for what came over it, or a dial failed in a new way. */
  problem(address: string, reason: string): void;
  message(from: MemberId, group: number, message: PeerMessage): void;
}

/** Who refused whom, and why. */
export interface RefusalReport {
  /** Who, as far as known: a member id or an address. */
  readonly peer: string;
  readonly by: "us" | "them";
  readonly code: RefusalCode;
  readonly reason: string;
  /** Only with code `removed`. */
  readonly removal?: Removal;
}

/** A peer to keep a connection to. */
export interface PeerAddress {
  readonly id: MemberId;
  /** `host:port`; IPv6 hosts in brackets. */
  readonly address: string;
  /** Where else it may be, tried in turn where the first one does not lead to it. */
  readonly others?: readonly string[];
}

/** The connection to one peer, for status pages. */
export interface PeerTransportStatus {
  readonly id: MemberId;
  readonly address: string;
  readonly connected: boolean;
  readonly queuedBytes: number;
  readonly dropped: number;
  readonly sentBytes: number;
  readonly lastProblem: string | undefined;
}

/** The way to the other hosts; the contract is at the top of this file. */
export interface Transport {
  /** Binds the listener; rejects with LISTEN_FAILED, naming address and cause. */
  listen(handler: TransportHandler): Promise<void>;
  /** The bound address: differs from the configured one where that had port 0. */
  readonly address: string;
  /** Whom to be connected to, oneself excluded; replaces the earlier list. */
  setPeers(peers: readonly PeerAddress[]): void;
  /** Whom to ask who they are; replaces the earlier list. */
  setContacts(addresses: readonly string[]): void;
  /**
   * Queues a message; false: it will not leave. It is encoded before this returns. Batches are
   * shared, since nobody ever changes one; all other bytes belong to the caller again.
   */
  send(to: MemberId, group: number, message: PeerMessage): boolean;
  flush(): void;
  /** Ends the connection that `peer` has dialed, if there is one, and tells it why. */
  turnAway(peer: MemberId, refusal: Refusal): void;
  status(): readonly PeerTransportStatus[];
  close(): Promise<void>;
}
