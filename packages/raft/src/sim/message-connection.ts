/**
 * What travels in message mode, and over what.
 *
 * A {@link Connection} is one dial of one process to another. It is over for its dialer as soon as
 * that lets go of it; what is under way by then still arrives, as bytes in a kernel would, until
 * the accepting process is gone or the same peer has connected anew.
 */
import type { MemberId } from "../core/configuration.ts";
import type { PeerMessage } from "../transport/peer-message.ts";
import type { FrameDecoder } from "../transport/frame.ts";
import type { MessageTransport } from "./message-transport.ts";
import { Path } from "./network-path.ts";
import type { SimHost } from "./sim-network.ts";

/** One direction between two hosts. */
export class MessagePath extends Path {
  /** What waits for the end of a stall, in its order. */
  held: Packet[] = [];
}

/** Who dials: a link that stays, or somebody who only asks. */
export interface Dialer {
  /** Whom it means to reach; empty for whoever is there. */
  readonly id: MemberId;
  readonly host: SimHost;
  uses(connection: Connection): boolean;
  opened(connection: Connection): void;
  answered(connection: Connection, frame: FrameDecoder): void;
  ended(connection: Connection, reason: string): void;
  stalled(connection: Connection): void;
}

/** One dial, and what became of it. */
export class Connection {
  readonly dialer: Dialer;
  readonly from: string;
  readonly to: string;
  /** The way of the messages. */
  readonly out: MessagePath;
  /** The way of the answers. */
  readonly back: MessagePath;
  /** Who accepted it; undefined while it is being made. */
  acceptor: MessageTransport | undefined;
  /** Who the acceptor was told that we are, once it agreed. */
  peer: MemberId | undefined;
  /** Bytes taken from the dialer that have not reached the acceptor's code. */
  bytes = 0;
  /** When the latest message that keeps its order arrives, and its tie. */
  lastUs = 0;
  lastTie = 0;
  /** Nothing arrives any more. */
  isSevered = false;
  /** The dialer waits for a sign of life. */
  isSuspected = false;
  /** Something was lost that only a new connection brings again. */
  isDoomed = false;
  /** The dialer is being told of the end. */
  isHangingUp = false;

  constructor(
    dialer: Dialer,
    ends: { from: string; to: string },
    paths: [MessagePath, MessagePath],
  ) {
    this.dialer = dialer;
    this.from = ends.from;
    this.to = ends.to;
    [this.out, this.back] = paths;
  }

  /** Whether nothing moves in at least one direction: no sign of life comes. */
  get isSilent(): boolean {
    return (
      this.out.fault !== undefined ||
      this.back.fault !== undefined ||
      this.acceptor?.process.isPaused === true
    );
  }
}

/** One message on its way. */
export interface Packet {
  connection: Connection;
  /** The whole frame. */
  readonly bytes: Uint8Array;
  /** The sender's own object: for rules and observers, never for the receiver. */
  readonly message: PeerMessage;
}

const TOLD_ONCE: ReadonlySet<PeerMessage["type"]> = new Set([
  "formation",
  "transfer-request",
  "transfer-response",
  "leaving",
  "join-request",
  "join-response",
  "invitation",
  "rolled-back",
]);

/**
 * Whether a message may be overtaken, come twice or be lost by itself: those of the core, and
 * forwarded commands with their answers, which sessions sort out. What is told once per connection
 * may not.
 */
export function mayBeLost(message: PeerMessage): boolean {
  return !TOLD_ONCE.has(message.type);
}
