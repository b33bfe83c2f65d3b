/**
 * What arrived and has not been stepped: filled by socket callbacks, emptied by the next turn.
 *
 * It has no bound of its own, since what is in it was already read; the host pauses the sockets
 * when {@link Inbox.bytes} passes the limit. Parallel arrays, used again and again: no object
 * per message.
 */
import type { Incarnation, MemberId } from "../core/configuration.ts";
import type { PeerMessage } from "../transport/peer-message.ts";

/** What a small message costs, roughly. */
const MESSAGE_BYTES = 128;

/** How a message came. */
export interface Arrival {
  /** When what it came with began to arrive. */
  readonly atMs: number;
  /** The directory of its sender, as that said when it connected. */
  readonly incarnation: Incarnation;
}

/** Takes one message; `incarnation`: the directory of its sender. */
export type InboxReader = (
  from: MemberId,
  group: number,
  message: PeerMessage,
  incarnation: Incarnation,
) => void;

/** The queue of one host. */
export class Inbox {
  #from: MemberId[] = [];
  #incarnations: Incarnation[] = [];
  #groups: number[] = [];
  #messages: PeerMessage[] = [];
  /** About what the waiting messages hold in memory. */
  bytes = 0;

  get isEmpty(): boolean {
    return this.#messages.length === 0;
  }

  // eslint-disable-next-line max-params -- as it is read
  push(from: MemberId, group: number, message: PeerMessage, incarnation: Incarnation): void {
    this.#from.push(from);
    this.#incarnations.push(incarnation);
    this.#groups.push(group);
    this.#messages.push(message);
    this.bytes += bytesOf(message);
  }

  /** Hands over everything that waits now, in order. */
  drain(read: InboxReader): void {
    const from = this.#from;
    const incarnations = this.#incarnations;
    const groups = this.#groups;
    const messages = this.#messages;
    if (messages.length === 0) return;
    // What arrives while reading belongs to the next turn.
    this.#from = [];
    this.#incarnations = [];
    this.#groups = [];
    this.#messages = [];
    this.bytes = 0;
    for (let i = 0; i < messages.length; i++) {
      read(from[i]!, groups[i]!, messages[i]!, incarnations[i]!);
    }
  }
}

function bytesOf(message: PeerMessage): number {
  if (message.type === "forward") return MESSAGE_BYTES + message.entries.length;
  if (message.type !== "append-entries") return MESSAGE_BYTES;
  let bytes = MESSAGE_BYTES;
  for (const batch of message.batches) bytes += MESSAGE_BYTES + batch.byteLength;
  return bytes;
}
