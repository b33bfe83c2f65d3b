/**
 * The transport of one process in message mode; the counterpart of transport/stream-transport.ts.
 *
 * It keeps one {@link MessageLink} per peer for sending, and per peer the connection over which it
 * receives: the newest one that was greeted. What comes over any other is not taken. A frame that
 * does not decode is a defect of the library, since nothing here damages bytes: it is thrown, not
 * reported.
 */
import type { MemberId } from "../core/configuration.ts";
import { assert } from "../util/assert.ts";
import { decodeMessage, MessageEncoder } from "../transport/codec.ts";
import type { FrameDecoder } from "../transport/frame.ts";
import {
  decodeHello,
  decodeRefusal,
  encodeAccept,
  encodeRefusal,
  negotiate,
} from "../transport/hello.ts";
import type { Greeting } from "../transport/hello.ts";
import { PULSE_INTERVAL_MS, Reports, STALL_TIMEOUT_MS } from "../transport/link-context.ts";
import type { TransportLimits } from "../transport/link-context.ts";
import type { PeerMessage } from "../transport/peer-message.ts";
import { RefusalCode, refusalOf } from "../transport/transport.ts";
import type {
  Hello,
  PeerAddress,
  PeerTransportStatus,
  Refusal,
  Transport,
  TransportHandler,
} from "../transport/transport.ts";
import { LIMITS } from "../runtime/limits.ts";
import type { Connection, Packet } from "./message-connection.ts";
import { MessageContact } from "./message-contact.ts";
import { MessageLink } from "./message-link.ts";
import type { MessageLinkContext } from "./message-link.ts";
import type { MessageNetwork } from "./message-network.ts";
import type { SimProcess } from "./process.ts";
import type { SimHost } from "./sim-network.ts";

/** Messages of one process. */
export class MessageTransport implements Transport {
  readonly #network: MessageNetwork;
  readonly #host: SimHost;
  readonly #limits: Required<TransportLimits>;
  readonly #peers: Map<MemberId, MessageLink> = new Map();
  readonly #contacts: Map<string, MessageContact> = new Map();
  /** Over which connection each peer may be heard. */
  readonly #accepted: Map<MemberId, Connection> = new Map();
  /** What arrived while reading is paused. */
  #unread: Packet[] = [];
  #isPaused = false;
  #context: MessageLinkContext | undefined;
  #address: string;
  #wanted: readonly PeerAddress[] = [];
  #wantedContacts: readonly string[] = [];
  #isListening = false;
  #isGone = false;

  constructor(network: MessageNetwork, host: SimHost) {
    this.#network = network;
    this.#host = host;
    this.#address = host.address;
    this.#limits = {
      ...LIMITS,
      pulseIntervalMs: PULSE_INTERVAL_MS,
      stallTimeoutMs: STALL_TIMEOUT_MS,
      ...host.limits,
    };
  }

  get address(): string {
    return this.#address;
  }

  get process(): SimProcess {
    return this.#host.process;
  }

  get stallTimeoutMs(): number {
    return this.#limits.stallTimeoutMs;
  }

  /** Closed or dead: nothing is called back any more. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** Messages that wait because reading is paused. */
  get unread(): number {
    return this.#unread.length;
  }

  async listen(handler: TransportHandler): Promise<void> {
    assert(this.#context === undefined, "listen is called once");
    if (this.#isGone) return;
    // Code that was on its way here when its process died: nothing of it may be seen.
    if (this.#host.process.isDead) return new Promise(() => {});
    const { network, host, limits } = {
      network: this.#network,
      host: this.#host,
      limits: this.#limits,
    };
    this.#address = network.bind(host.address, this);
    this.#context = {
      network,
      host,
      address: this.#address,
      handler,
      limits,
      encoder: new MessageEncoder(network.checksum),
      reports: new Reports(host.clock, handler),
    };
    // As a socket would: what calls back comes after the promise has told that it listens.
    await Promise.resolve();
    if (this.#isGone) return;
    this.#isListening = true;
    this.setPeers(this.#wanted);
    this.setContacts(this.#wantedContacts);
  }

  /** Before `listen` has resolved the list is only remembered. */
  setPeers(peers: readonly PeerAddress[]): void {
    this.#wanted = peers;
    const context = this.#context;
    if (!this.#isListening || this.#isGone || context === undefined) return;
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
      const link = new MessageLink(peer, context);
      this.#peers.set(peer.id, link);
      link.dial();
    }
  }

  /** Before `listen` has resolved the list is only remembered. */
  setContacts(addresses: readonly string[]): void {
    this.#wantedContacts = addresses;
    const context = this.#context;
    if (!this.#isListening || this.#isGone || context === undefined) return;
    for (const [address, contact] of this.#contacts) {
      if (addresses.includes(address)) continue;
      this.#contacts.delete(address);
      contact.stop();
    }
    for (const address of addresses) {
      if (this.#contacts.has(address)) continue;
      const contact = new MessageContact(address, context);
      this.#contacts.set(address, contact);
      contact.dial();
    }
  }

  send(to: MemberId, group: number, message: PeerMessage): boolean {
    return this.#peers.get(to)?.send(group, message) ?? false;
  }

  flush(): void {
    for (const link of this.#peers.values()) link.flush();
  }

  turnAway(peer: MemberId, refusal: Refusal): void {
    const connection = this.#accepted.get(peer);
    if (connection === undefined) return;
    this.#accepted.delete(peer);
    this.#network.answer(connection, encodeRefusal(refusal, this.#network.checksum));
  }

  status(): readonly PeerTransportStatus[] {
    return [...this.#peers.values()].map((link) => link.status());
  }

  /** What arrives from now on waits, and counts against the queues of those who sent it. */
  pauseReads(): void {
    this.#isPaused = true;
  }

  resumeReads(): void {
    this.#isPaused = false;
    const unread = this.#unread;
    this.#unread = [];
    for (const packet of unread) this.deliver(packet);
  }

  async close(): Promise<void> {
    this.#network.left(this);
  }

  /** @internal The process closes its transport, or is dead. Calls nothing back. */
  end(): void {
    this.#isGone = true;
    this.#isListening = false;
    this.#context?.reports.mute();
    for (const link of this.#peers.values()) link.stop();
    this.#peers.clear();
    for (const contact of this.#contacts.values()) contact.stop();
    this.#contacts.clear();
    this.#accepted.clear();
    this.#unread = [];
  }

  /** @internal Whether messages of this connection are taken. */
  hears(connection: Connection): boolean {
    return connection.peer !== undefined && this.#accepted.get(connection.peer) === connection;
  }

  /** @internal A dialer says hello. */
  greeted(connection: Connection, frame: FrameDecoder): void {
    const context = this.#context;
    if (this.#isGone || context === undefined) return;
    const { handler, network, reports } = context;
    const greeting = decodeHello(frame);
    const ours = handler.hello();
    const judged = this.#judge(ours, greeting, handler);
    // The host may close the transport over what it heard.
    if (this.isGone) return;
    const peer = greeting.hello.id;
    if (typeof judged !== "number") {
      network.answer(connection, encodeRefusal(judged, network.checksum));
      reports.refused({ peer, by: "us", ...judged });
      return;
    }
    if (greeting.target === "") {
      network.answer(connection, encodeAccept({ version: judged, hello: ours }, network.checksum));
      return;
    }
    const earlier = this.#accepted.get(peer);
    connection.peer = peer;
    this.#accepted.set(peer, connection);
    network.answer(connection, encodeAccept({ version: judged, hello: ours }, network.checksum));
    if (earlier !== undefined) network.hangUp(earlier, "closed by the other side");
    this.#peers.get(peer)?.hurry();
  }

  /** @internal A dialer to whom we agreed does not agree to us. */
  refused(connection: Connection, frame: FrameDecoder): void {
    const { peer } = connection;
    if (this.#isGone || peer === undefined || !this.hears(connection)) return;
    this.#accepted.delete(peer);
    this.#context?.reports.refused({ peer, by: "them", ...decodeRefusal(frame) });
  }

  /** @internal A message has come into the process. */
  deliver(packet: Packet): void {
    const { connection } = packet;
    if (this.#isGone || connection.isSevered || !this.hears(connection)) return;
    if (this.#isPaused) {
      this.#unread.push(packet);
      return;
    }
    connection.bytes -= packet.bytes.length;
    const frame = this.#network.read(packet.bytes);
    const message = decodeMessage(frame, this.#network.checksum);
    const from = connection.peer!;
    this.#host.delivered(from, message);
    this.#context!.handler.message(from, frame.group, message);
  }

  /** The protocol version to speak, or why not. */
  #judge(ours: Hello, greeting: Greeting, handler: TransportHandler): number | Refusal {
    const version = negotiate(ours, greeting.hello);
    if (typeof version !== "number" || greeting.target === "") return version;
    const verdict = handler.judge(greeting.hello, undefined, greeting.target);
    if (!verdict.accept) return refusalOf(verdict);
    if (greeting.target !== ours.id) {
      const reason = `${greeting.hello.id} dialed ${greeting.target}, but this is ${ours.id}`;
      return { code: RefusalCode.identity, reason };
    }
    return version;
  }
}
