/**
 * The network in message mode: each message is a frame of its own that is lost, held up, doubled or
 * overtaken by itself. The fast one, and the one that is hardest on the core.
 *
 * What a message costs is one task of the schedule, one buffer, and the real codec at both ends.
 * - Order. Messages of one connection keep their order, except those that draw a time from the tail
 *   of the delay: these may be overtaken. Only messages of the core, and forwards with their
 *   answers, draw from it, are doubled, or lost at random (see {@link mayBeLost}).
 * - A cut loses what leaves or arrives while it lasts. The dialer notices as the real transport
 *   does: no sign of life for stallTimeoutMs after sending. If by then both directions work again,
 *   a pulse would have come, and the connection stays. What the runtime says itself must not be
 *   missing from a connection that stays: when such a message is lost, the connection goes.
 * - A stall keeps everything, in order, until it is healed.
 * - A process that ends or dies: its kernel tells the other side once, unless the way is blocked;
 *   then the other side learns it from the next message it sends, or from the silence.
 * - Dialing, hello and answers are carried reliably, and are repeated while the way is blocked.
 * Nothing is called back synchronously.
 */
import { assert } from "../util/assert.ts";
import { QuorateError } from "../util/error.ts";
import type { Checksum } from "../util/checksum.ts";
import type { Random } from "../util/random.ts";
import type { MemberId } from "../core/configuration.ts";
import type { PeerMessage } from "../transport/peer-message.ts";
import { FrameDecoder } from "../transport/frame.ts";
import { LIMITS } from "../runtime/limits.ts";
import { Connection, mayBeLost, MessagePath } from "./message-connection.ts";
import type { Dialer, Packet } from "./message-connection.ts";
import { MessageTransport } from "./message-transport.ts";
import { Paths } from "./network-path.ts";
import type { NetworkOptions } from "./options.ts";
import { between, drawDelayUs } from "./random-streams.ts";
import type { Schedule } from "./schedule.ts";
import type { MessageRule, SimHost, SimNetwork, SimNetworkContext } from "./sim-network.ts";

/** So long after a blocked SYN, hello or answer it is sent again. */
const REPEAT_US = 1_000_000;
/** More than this at a time is no load but a loop. */
const UNDER_WAY_MAX = 1_000_000;
const THOUSAND = 1_000;
const MILLION = 1_000_000;

/** Connects the processes of one simulated world. */
export class MessageNetwork implements SimNetwork {
  rule: MessageRule | undefined;
  readonly checksum: Checksum;
  readonly #schedule: Schedule;
  readonly #options: NetworkOptions;
  readonly #random: Random;
  readonly #listeners: Map<string, MessageTransport> = new Map();
  readonly #transports: Set<MessageTransport> = new Set();
  readonly #paths: Paths<MessagePath> = new Paths(() => new MessagePath());
  /** Those whose dialer has not let go. */
  readonly #connections: Set<Connection> = new Set();
  /** What a rule keeps. */
  #kept: Packet[] = [];
  /** Left, and neither lost nor at the process it was sent to. */
  #moving = 0;
  /** Lost below this, of a million; doubled below the next, from the tail below the last. */
  #lostBelow: number;
  #twiceBelow: number;
  #tailBelow: number;
  #decoder: FrameDecoder;
  #nextPort = 40_000;

  constructor(context: SimNetworkContext) {
    this.checksum = context.checksum;
    this.#schedule = context.schedule;
    this.#options = context.options;
    this.#random = context.random;
    const { lossShare, duplicateShare, delay } = context.options;
    this.#lostBelow = lossShare * THOUSAND;
    this.#twiceBelow = this.#lostBelow + duplicateShare * THOUSAND;
    this.#tailBelow = this.#twiceBelow + delay.tailShare * THOUSAND;
    this.#decoder = this.#newDecoder();
  }

  get connections(): number {
    return this.#connections.size;
  }

  get underWay(): number {
    let count = this.#moving + this.#kept.length;
    for (const transport of this.#transports) count += transport.unread;
    return count;
  }

  transport(host: SimHost): MessageTransport {
    return new MessageTransport(this, host);
  }

  died(address: string): void {
    for (const transport of this.#transports) {
      if (transport.address === address) this.left(transport);
    }
  }

  cut(from: string, to: string): void {
    const path = this.#paths.get(from, to);
    path.fault = "cut";
    for (const packet of path.held.splice(0)) {
      this.#moving--;
      this.#lose(packet);
    }
  }

  stall(from: string, to: string): void {
    this.#paths.get(from, to).fault = "stall";
  }

  slow(from: string, to: string, extraUs: number): void {
    this.#paths.get(from, to).extraUs = extraUs;
  }

  heal(from: string, to: string): void {
    this.#heal(this.#paths.get(from, to));
  }

  healPaths(): void {
    for (const path of this.#paths.all()) {
      path.extraUs = 0;
      this.#heal(path);
    }
  }

  healAll(): void {
    this.healPaths();
    this.#tailBelow -= this.#twiceBelow;
    this.#lostBelow = 0;
    this.#twiceBelow = 0;
  }

  reset(a: string, b: string): void {
    for (const connection of this.#connections) {
      const { from, to } = connection;
      if ((from === a && to === b) || (from === b && to === a)) this.#reset(connection);
    }
  }

  release(which?: (from: MemberId, to: MemberId, message: PeerMessage) => boolean): void {
    const kept = this.#kept;
    this.#kept = [];
    for (const packet of kept) {
      const { dialer } = packet.connection;
      if (which !== undefined && !which(dialer.host.id, dialer.id, packet.message)) {
        this.#kept.push(packet);
        continue;
      }
      this.#goOn(packet);
    }
  }

  // ---- for transports and links

  /** @internal Binds a listener; the address differs where the port was 0. */
  bind(address: string, transport: MessageTransport): string {
    const bound = address.endsWith(":0") ? `${address.slice(0, -1)}${this.#nextPort++}` : address;
    if (this.#listeners.has(bound)) {
      const text = `${bound} cannot be bound: it is in use; stop what listens there or use another`;
      throw new QuorateError("LISTEN_FAILED", text);
    }
    this.#listeners.set(bound, transport);
    this.#transports.add(transport);
    return bound;
  }

  /** @internal A transport is closed, or its process dead. */
  left(transport: MessageTransport): void {
    const { address } = transport;
    if (this.#listeners.get(address) === transport) this.#listeners.delete(address);
    this.#transports.delete(transport);
    transport.end();
    for (const connection of this.#connections) {
      if (connection.acceptor === transport) this.hangUp(connection, "closed by the other side");
    }
  }

  /** @internal Connects; how it goes is told to the link. */
  dial(link: Dialer, from: string, to: string): Connection {
    const paths: [MessagePath, MessagePath] = [
      this.#paths.get(from, to),
      this.#paths.get(to, from),
    ];
    const connection = new Connection(link, { from, to }, paths);
    this.#connections.add(connection);
    this.#carry(connection, connection.out, () => {
      connection.acceptor = this.#listeners.get(to);
      this.#carry(connection, connection.back, () => {
        if (connection.acceptor !== undefined) {
          link.host.process.enter(() => link.opened(connection));
          return;
        }
        link.host.process.enter(() => link.ended(connection, "connection refused"));
      });
    });
    return connection;
  }

  /** @internal The dialer lets go; what is under way may still arrive. */
  abandon(connection: Connection): void {
    this.#connections.delete(connection);
  }

  /** @internal The dialer's hello. */
  greet(connection: Connection, hello: Uint8Array): void {
    this.#carry(connection, connection.out, () => {
      const { acceptor } = connection;
      if (acceptor === undefined || acceptor.isGone) {
        this.hangUp(connection, "closed by the other side");
        return;
      }
      acceptor.process.enter(() => {
        if (this.#connections.has(connection)) acceptor.greeted(connection, this.read(hello));
      });
    });
  }

  /** @internal What the acceptor says to a hello. */
  answer(connection: Connection, bytes: Uint8Array): void {
    const { dialer } = connection;
    this.#carry(connection, connection.back, () => {
      dialer.host.process.enter(() => {
        if (dialer.uses(connection)) dialer.answered(connection, this.read(bytes));
      });
    });
  }

  /** @internal The dialer does not agree to who answered. Said once. */
  refuse(connection: Connection, bytes: Uint8Array): void {
    const { acceptor, out } = connection;
    this.#schedule.after(drawDelayUs(this.#random, this.#options.delay) + out.extraUs, () => {
      if (out.fault !== undefined || acceptor === undefined || acceptor.isGone) return;
      acceptor.process.enter(() => acceptor.refused(connection, this.read(bytes)));
    });
  }

  /** @internal The acceptor's end is closed: the dialer is told, once, if the way is free. */
  hangUp(connection: Connection, reason: string): void {
    if (connection.isHangingUp || !this.#connections.has(connection)) return;
    const { back, dialer } = connection;
    connection.isHangingUp = true;
    this.#schedule.after(drawDelayUs(this.#random, this.#options.delay) + back.extraUs, () => {
      connection.isHangingUp = false;
      if (back.fault === undefined) {
        dialer.host.process.enter(() => dialer.ended(connection, reason));
      }
    });
  }

  /** @internal A message leaves. */
  leave(packet: Packet): void {
    const { rule } = this;
    if (rule !== undefined) {
      const { dialer } = packet.connection;
      const decision = rule(dialer.host.id, dialer.id, packet.message);
      if (decision === "drop") {
        packet.connection.bytes -= packet.bytes.length;
        return;
      }
      if (decision === "hold") {
        this.#kept.push(packet);
        this.#checkBound();
        return;
      }
      if (decision === "twice") this.#double(packet);
    }
    this.#launch(packet);
  }

  /** @internal Reads a frame; the fields are valid until the next one is read. */
  read(bytes: Uint8Array): FrameDecoder {
    this.#decoder.push(bytes);
    assert(this.#decoder.next(), "a frame is whole");
    return this.#decoder;
  }

  // ---- the way of a message

  /** Decides what becomes of a message that leaves. */
  #launch(packet: Packet): void {
    const { connection } = packet;
    const { out } = connection;
    if (connection.isSilent) this.#suspect(connection);
    if (out.fault === "cut") {
      this.#lose(packet);
      return;
    }
    // One draw decides about all rare things.
    const roll = this.#tailBelow === 0 ? MILLION : this.#random.below(MILLION);
    if (roll >= this.#tailBelow || !mayBeLost(packet.message)) {
      this.#carryInOrder(packet);
      return;
    }
    if (roll < this.#lostBelow) {
      this.#lose(packet);
      return;
    }
    if (roll < this.#twiceBelow) {
      this.#double(packet);
      this.#carryInOrder(packet);
      return;
    }
    const { maxUs, tailMaxUs } = this.#options.delay;
    this.#carryLate(packet, between(this.#random, maxUs, tailMaxUs));
  }

  /** Nothing that leaves later arrives before it. */
  #carryInOrder(packet: Packet): void {
    const { connection } = packet;
    const { minUs, maxUs } = this.#options.delay;
    const delayUs = between(this.#random, minUs, maxUs) + this.#transferUs(packet);
    const nowUs = this.#schedule.nowUs;
    const atUs = Math.max(connection.lastUs, nowUs + delayUs + connection.out.extraUs);
    this.#moving++;
    const arrive = (): void => this.#arrive(packet);
    if (atUs === connection.lastUs) {
      this.#schedule.at(atUs, arrive, connection.lastTie);
      return;
    }
    connection.lastUs = atUs;
    connection.lastTie = this.#schedule.at(atUs, arrive).tie;
  }

  /** Others may overtake it; it overtakes nobody. */
  #carryLate(packet: Packet, delayUs: number): void {
    const { connection } = packet;
    const dueUs = this.#schedule.nowUs + delayUs + this.#transferUs(packet);
    this.#moving++;
    this.#schedule.at(Math.max(connection.lastUs, dueUs + connection.out.extraUs) + 1, () =>
      this.#arrive(packet),
    );
  }

  #transferUs(packet: Packet): number {
    const { bytesPerSecond } = this.#options;
    if (bytesPerSecond === 0) return 0;
    const { out } = packet.connection;
    return out.transferUs(this.#schedule.nowUs, packet.bytes.length, bytesPerSecond);
  }

  #double(packet: Packet): void {
    const { minUs, maxUs, tailMaxUs } = this.#options.delay;
    packet.connection.bytes += packet.bytes.length;
    const delayUs = between(this.#random, minUs, Math.max(maxUs, tailMaxUs));
    this.#carryLate({ ...packet }, delayUs);
  }

  /** A message is at the host it was sent to. */
  #arrive(packet: Packet): void {
    const { connection } = packet;
    const { acceptor, out } = connection;
    if (out.fault === "stall" && !connection.isSevered) {
      out.held.push(packet);
      this.#checkBound();
      this.#suspect(connection);
      return;
    }
    this.#moving--;
    if (connection.isSevered) return;
    if (out.fault === "cut") {
      this.#suspect(connection);
      this.#lose(packet);
      return;
    }
    if (acceptor === undefined || acceptor.isGone || !acceptor.hears(connection)) {
      // If the dialer cannot be told, it notices the silence.
      connection.isDoomed = true;
      this.#suspect(connection);
      this.#lose(packet);
      this.hangUp(connection, "connection reset");
      return;
    }
    if (acceptor.process.isPaused) this.#suspect(connection);
    acceptor.process.enter(() => acceptor.deliver(packet), "message");
  }

  #lose(packet: Packet): void {
    const { connection } = packet;
    connection.bytes -= packet.bytes.length;
    if (mayBeLost(packet.message)) return;
    connection.isDoomed = true;
    this.#suspect(connection);
  }

  /** The dialer has sent something that is not answered now: later it looks again. */
  #suspect(connection: Connection): void {
    if (connection.isSuspected || connection.isSevered) return;
    connection.isSuspected = true;
    const { dialer, acceptor } = connection;
    const { process } = dialer.host;
    const look = (): void => {
      connection.isSuspected = false;
      if (connection.isSilent || connection.isDoomed) dialer.stalled(connection);
    };
    const waitUs = (acceptor?.stallTimeoutMs ?? LIMITS.stallTimeoutMs) * THOUSAND;
    this.#schedule.after(waitUs, () => {
      if (this.#connections.has(connection)) process.enter(look);
    });
  }

  /** What a rule has kept goes on, over the connection that is up by then. */
  #goOn(packet: Packet): void {
    const { from, to, dialer } = packet.connection;
    if (!this.#connections.has(packet.connection)) {
      const size = packet.bytes.length;
      for (const other of this.#connections) {
        const isSame = other.from === from && other.to === to && other.dialer.id === dialer.id;
        if (!isSame || other.peer === undefined) continue;
        other.bytes += size;
        packet.connection = other;
        break;
      }
    }
    if (this.#connections.has(packet.connection)) this.#carryInOrder(packet);
  }

  // ---- everything else

  /** Carries something reliably: repeated while the way is blocked and the dialer waits. */
  #carry(connection: Connection, path: MessagePath, arrive: () => void): void {
    const delayUs = drawDelayUs(this.#random, this.#options.delay) + path.extraUs;
    this.#schedule.after(delayUs, () => {
      if (connection.isSevered || !this.#connections.has(connection)) return;
      if (path.fault === undefined) arrive();
      else this.#schedule.after(REPEAT_US, () => this.#carry(connection, path, arrive));
    });
  }

  #reset(connection: Connection): void {
    connection.isSevered = true;
    const { dialer } = connection;
    this.#schedule.after(0, () => {
      dialer.host.process.enter(() => dialer.ended(connection, "connection reset"));
    });
  }

  #heal(path: MessagePath): void {
    path.fault = undefined;
    const held = path.held;
    path.held = [];
    for (const packet of held) {
      this.#moving--;
      if (!packet.connection.isSevered) this.#carryInOrder(packet);
    }
  }

  #checkBound(): void {
    // Asked only where something is put aside: what is on its way is bounded by the queues.
    const count = this.#moving + this.#kept.length;
    assert(count < UNDER_WAY_MAX, "what is kept of messages is bounded");
  }

  #newDecoder(): FrameDecoder {
    return new FrameDecoder(this.checksum, LIMITS.frameBytesMax);
  }
}
