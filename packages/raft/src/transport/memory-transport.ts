/**
 * The transport in memory: the same handshake, frames and queues over {@link MemoryNetwork}.
 *
 * Every message is encoded and decoded, so that members share no object. On top of what the network
 * can do to connections, single messages can be dropped by a rule; the sender is told that they
 * were sent, as it would be.
 */
import type { MemberId } from "../core/configuration.ts";
import type { Checksum } from "../util/checksum.ts";
import type { Random } from "../util/random.ts";
import type { TransportLimits } from "./link-context.ts";
import type { MemoryNetwork } from "./memory-streams.ts";
import type { PeerMessage } from "./peer-message.ts";
import { StreamTransport } from "./stream-transport.ts";

/** Decides about one message; true drops it. */
export type DropRule = (to: MemberId, group: number, message: PeerMessage) => boolean;

/** What a transport in memory is made of. */
export interface MemoryTransportOptions {
  readonly network: MemoryNetwork;
  /** The address on that network; any text of the form `host:port`. */
  readonly listen: string;
  readonly random: Random;
  readonly checksum: Checksum;
  readonly limits: TransportLimits;
}

/** {@link StreamTransport} over a network in memory. */
export class MemoryTransport extends StreamTransport {
  #drop: DropRule | undefined;

  constructor(options: MemoryTransportOptions) {
    const { network, listen } = options;
    super({ ...options, clock: network.clock, streams: network.streams(listen) });
  }

  /** Drops the messages that this member sends and the rule names; undefined ends it. */
  dropWhen(rule: DropRule | undefined): void {
    this.#drop = rule;
  }

  override send(to: MemberId, group: number, message: PeerMessage): boolean {
    if (this.#drop?.(to, group, message) === true) return true;
    return super.send(to, group, message);
  }
}
