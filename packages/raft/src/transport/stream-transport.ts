/**
 * The transport over byte streams: everything that TCP, TLS and memory have in common.
 *
 * One {@link PeerLink} per peer on the list sends; one {@link AcceptedLink} per peer receives; one
 * {@link ContactLink} per contact asks who is there. A
 * peer that dials again replaces its earlier accepted connection, which may be half-open. At most
 * connectionsMax are accepted at a time: beyond, the one that has been silent longest without a
 * hello makes room, so that strangers cannot keep peers out; if all have said hello, the new one is
 * refused.
 */
import type { MemberId } from "../core/configuration.ts";
import { assert } from "../util/assert.ts";
import type { Checksum } from "../util/checksum.ts";
import type { Clock } from "../util/clock.ts";
import type { Random } from "../util/random.ts";
import { AcceptedLink } from "./accepted-link.ts";
import type { AcceptedLinkOwner } from "./accepted-link.ts";
import { MessageEncoder } from "./codec.ts";
import { PULSE_INTERVAL_MS, Reports, STALL_TIMEOUT_MS } from "./link-context.ts";
import { ContactLink } from "./contact-link.ts";
import type { LinkContext, TransportLimits } from "./link-context.ts";
import { PeerLink } from "./peer-link.ts";
import type { PeerMessage } from "./peer-message.ts";
import type { ByteStream, ListenEvents, StreamEvents, Streams } from "./streams.ts";
import { RefusalCode } from "./transport.ts";
import type {
  PeerAddress,
  PeerTransportStatus,
  Refusal,
  Transport,
  TransportHandler,
} from "./transport.ts";

/** What a transport is made of. */
export interface StreamTransportOptions {
  /** `host:port` to listen on; port 0 lets the network choose. */
  readonly listen: string;
  readonly streams: Streams;
  readonly clock: Clock;
  readonly random: Random;
  readonly checksum: Checksum;
  readonly limits: TransportLimits;
}

/** Messages between hosts over any {@link Streams}. */
export class StreamTransport implements Transport, ListenEvents, AcceptedLinkOwner {
  readonly #options: StreamTransportOptions;
  readonly #peers: Map<MemberId, PeerLink> = new Map();
  readonly #contacts: Map<string, ContactLink> = new Map();
  /** Accepted and not identified yet, the oldest first. */
  readonly #strangers: Set<AcceptedLink> = new Set();
  readonly #accepted: Map<MemberId, AcceptedLink> = new Map();
  #context: LinkContext | undefined;
  #address: string;
  #wanted: readonly PeerAddress[] = [];
  #wantedContacts: readonly string[] = [];
  #listening = false;
  #closed = false;
  #paused = false;

  constructor(options: StreamTransportOptions) {
    this.#options = options;
    this.#address = options.listen;
  }

  get address(): string {
    return this.#address;
  }

  /** Connections closed for what came over them, since the start. */
  get problems(): number {
    return this.#context?.reports.problems ?? 0;
  }

  /** Accepted connections, and the bytes they hold for frames that are not complete. */
  get inbound(): { readonly connections: number; readonly heldBytes: number } {
    let heldBytes = 0;
    for (const link of this.#accepted.values()) heldBytes += link.heldBytes;
    for (const link of this.#strangers) heldBytes += link.heldBytes;
    return { connections: this.#accepted.size + this.#strangers.size, heldBytes };
  }

  async listen(handler: TransportHandler): Promise<void> {
    assert(this.#context === undefined, "listen is called once");
    const { checksum, clock, limits, random, streams } = this.#options;
    this.#context = {
      streams,
      clock,
      random,
      checksum,
      handler,
      limits: { pulseIntervalMs: PULSE_INTERVAL_MS, stallTimeoutMs: STALL_TIMEOUT_MS, ...limits },
      encoder: new MessageEncoder(checksum),
      reports: new Reports(clock, handler),
    };
    this.#address = await streams.listen(this.#options.listen, this);
    if (this.#closed) return;
    this.#listening = true;
    this.setPeers(this.#wanted);
    this.setContacts(this.#wantedContacts);
  }

  /** Before `listen` has resolved the list is only remembered. */
  setPeers(peers: readonly PeerAddress[]): void {
    this.#wanted = peers;
    const context = this.#context;
    if (!this.#listening || this.#closed || context === undefined) return;
    const wanted = new Map(peers.map((peer) => [peer.id, peer]));
    for (const link of this.#peers.values()) {
      const peer = wanted.get(link.id);
      if (peer !== undefined && link.readdress(peer)) continue;
      this.#peers.delete(link.id);
      const reason = peer === undefined ? "no longer a peer" : "its address changed";
      if (link.stop()) context.handler.disconnected(link.id, reason);
    }
    for (const peer of wanted.values()) {
      if (this.#peers.has(peer.id)) continue;
      const link = new PeerLink(peer, context);
      this.#peers.set(peer.id, link);
      link.dial();
    }
  }

  /** Before `listen` has resolved the list is only remembered. */
  setContacts(addresses: readonly string[]): void {
    this.#wantedContacts = addresses;
    const context = this.#context;
    if (!this.#listening || this.#closed || context === undefined) return;
    for (const [address, link] of this.#contacts) {
      if (addresses.includes(address)) continue;
      this.#contacts.delete(address);
      link.stop();
    }
    for (const address of addresses) {
      if (this.#contacts.has(address)) continue;
      const link = new ContactLink(address, context);
      this.#contacts.set(address, link);
      link.dial();
    }
  }

  send(to: MemberId, group: number, message: PeerMessage): boolean {
    return this.#peers.get(to)?.send(group, message) ?? false;
  }

  flush(): void {
    for (const link of this.#peers.values()) link.flush();
  }

  turnAway(peer: MemberId, refusal: Refusal): void {
    this.#accepted.get(peer)?.turnAway(refusal);
  }

  status(): readonly PeerTransportStatus[] {
    return [...this.#peers.values()].map((link) => link.status());
  }

  /**
   * Stops reading from all peers, so that what they send waits in their queues. A chunk that was
   * already read is still delivered.
   */
  pauseReads(): void {
    this.#paused = true;
    for (const link of this.#accepted.values()) link.pause();
  }

  resumeReads(): void {
    this.#paused = false;
    for (const link of this.#accepted.values()) link.resume();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#context?.reports.mute();
    for (const link of this.#peers.values()) link.stop();
    for (const link of this.#contacts.values()) link.stop();
    for (const link of this.#strangers) link.stop();
    for (const link of this.#accepted.values()) link.stop();
    this.#peers.clear();
    this.#contacts.clear();
    this.#strangers.clear();
    this.#accepted.clear();
    await this.#options.streams.close();
  }

  /** @internal */
  accepted(stream: ByteStream, remote: string): StreamEvents {
    const context = this.#context;
    assert(context !== undefined, "connections are accepted only while listening");
    const link = new AcceptedLink(stream, remote, { context, owner: this });
    if (this.#closed) {
      link.stop();
      return link;
    }
    this.#strangers.add(link);
    this.#makeRoom(link, context);
    return link;
  }

  /** @internal */
  trouble(reason: string): void {
    this.#context?.reports.problem(this.#address, reason);
  }

  /** @internal */
  greeted(link: AcceptedLink): void {
    const id = link.peer;
    assert(id !== undefined, "a greeted connection has a peer");
    this.#strangers.delete(link);
    this.#accepted.get(id)?.stop();
    this.#accepted.set(id, link);
    if (this.#paused) link.pause();
    this.#peers.get(id)?.hurry();
  }

  /** @internal */
  ended(link: AcceptedLink): void {
    this.#strangers.delete(link);
    if (link.peer !== undefined && this.#accepted.get(link.peer) === link) {
      this.#accepted.delete(link.peer);
    }
  }

  #makeRoom(newest: AcceptedLink, context: LinkContext): void {
    const max = context.limits.connectionsMax;
    if (this.#accepted.size + this.#strangers.size <= max) return;
    const [oldest] = this.#strangers;
    const reason = `${max} connections are open already`;
    if (oldest !== undefined && oldest !== newest) {
      oldest.shed(`no hello yet, and ${reason}`);
      return;
    }
    newest.turnAway({ code: RefusalCode.overloaded, reason });
    this.trouble(reason);
  }
}
