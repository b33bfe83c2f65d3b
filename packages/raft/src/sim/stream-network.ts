/**
 * The network in stream mode: the real stream transport, with its framing, handshake, queues and
 * pulses, over simulated connections (sim-connection.ts).
 *
 * - Bytes are cut and joined at random, take their time, and keep their order per connection.
 * - `lossShare` is how many connections break, per mille of segments. `duplicateShare` means
 *   nothing here.
 * - A cut from a to b severs what a dialed to b. What b dialed to a keeps the direction to a and
 *   loses the other, as everything does under a stall: half-open. Dials over a blocked direction
 *   are repeated once a second until the dialer gives up.
 * - Rules work on messages: what they keep is sent when it is released, by the process that is that
 *   member by then.
 */
import type { MemberId } from "../core/configuration.ts";
import { assert } from "../util/assert.ts";
import { QuorateError } from "../util/error.ts";
import type { Random } from "../util/random.ts";
import { LIMITS } from "../runtime/limits.ts";
import type { PeerMessage } from "../transport/peer-message.ts";
import { StreamTransport } from "../transport/stream-transport.ts";
import type { TransportHandler } from "../transport/transport.ts";
import { borrowedBytes, keptMessage } from "./kept-message.ts";
import { Path, Paths } from "./network-path.ts";
import type { NetworkOptions } from "./options.ts";
import { chance, drawDelayUs } from "./random-streams.ts";
import type { Schedule } from "./schedule.ts";
import { SimConnection } from "./sim-connection.ts";
import type { Wire } from "./sim-connection.ts";
import type { MessageRule, SimHost, SimNetwork, SimNetworkContext } from "./sim-network.ts";
import { SimStreams } from "./sim-streams.ts";
import type { StreamWorld } from "./sim-streams.ts";

/** So long after a blocked SYN it is sent again. */
const REPEAT_US = 1_000_000;
const SEGMENT_BYTES_MAX = 65_536;
/** Segments that are cut somewhere, per mille, and reads that wait for more. */
const CUT_SHARE = 200;
const JOIN_SHARE = 250;
const JOIN_US_MAX = 300;
/** More than this at a time is kept by a rule that nobody releases. */
const KEPT_MAX = 1_000_000;

/** A message that a rule keeps. */
interface KeptMessage {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly group: number;
  readonly message: PeerMessage;
}

/** Connects the processes of one simulated world by byte streams. */
export class StreamNetwork implements SimNetwork, StreamWorld, Wire {
  rule: MessageRule | undefined;
  readonly schedule: Schedule;
  readonly #context: SimNetworkContext;
  readonly #options: NetworkOptions;
  readonly #random: Random;
  readonly #paths: Paths<Path> = new Paths(() => new Path());
  readonly #listeners: Map<string, SimStreams> = new Map();
  readonly #connections: Set<SimConnection> = new Set();
  /** The latest process of each member. */
  readonly #members: Map<MemberId, SimStreamTransport> = new Map();
  readonly #streams: Set<SimStreams> = new Set();
  #kept: KeptMessage[] = [];
  #lossShare: number;
  #nextPort = 40_000;

  constructor(context: SimNetworkContext) {
    this.#context = context;
    this.schedule = context.schedule;
    this.#options = context.options;
    this.#random = context.random;
    this.#lossShare = context.options.lossShare;
  }

  get connections(): number {
    return this.#connections.size;
  }

  get underWay(): number {
    let count = this.#kept.length;
    for (const connection of this.#connections) count += connection.segments;
    return count;
  }

  transport(host: SimHost): StreamTransport {
    const streams = new SimStreams(this, host.process, host.address);
    const transport = new SimStreamTransport(this, host, { streams, context: this.#context });
    this.#streams.add(streams);
    this.#members.set(host.id, transport);
    return transport;
  }

  died(address: string): void {
    for (const streams of this.#streams) if (streams.address === address) streams.end();
  }

  cut(from: string, to: string): void {
    this.#paths.get(from, to).fault = "cut";
    for (const connection of this.#connections) {
      const isSevered = connection.from === from && connection.to === to && connection.isUp;
      if (isSevered) connection.sever("connection lost");
    }
  }

  stall(from: string, to: string): void {
    this.#paths.get(from, to).fault = "stall";
  }

  slow(from: string, to: string, extraUs: number): void {
    this.#paths.get(from, to).extraUs = extraUs;
  }

  heal(from: string, to: string): void {
    this.#paths.get(from, to).fault = undefined;
    for (const connection of this.#connections) connection.wake();
  }

  healAll(): void {
    this.#lossShare = 0;
    this.healPaths();
  }

  healPaths(): void {
    for (const path of this.#paths.all()) {
      path.fault = undefined;
      path.extraUs = 0;
    }
    for (const connection of this.#connections) connection.wake();
  }

  reset(a: string, b: string): void {
    for (const connection of this.#connections) {
      const { from, to } = connection;
      const isBetween = (from === a && to === b) || (from === b && to === a);
      if (isBetween) connection.sever("connection reset");
    }
  }

  release(which?: (from: MemberId, to: MemberId, message: PeerMessage) => boolean): void {
    const kept = this.#kept;
    this.#kept = [];
    for (const one of kept) {
      const { from, to, group, message } = one;
      if (which !== undefined && !which(from, to, message)) this.#kept.push(one);
      else this.#members.get(from)?.sendNow(to, group, message);
    }
  }

  // ---- for transports

  /** @internal */
  keep(from: MemberId, to: MemberId, group: number, message: PeerMessage): void {
    const own = keptMessage(message, new Uint8Array(borrowedBytes(message)));
    this.#kept.push({ from, to, group, message: own });
    assert(this.#kept.length < KEPT_MAX, "what is kept of messages is bounded");
  }

  /** @internal */
  bind(address: string, streams: SimStreams): string {
    const bound = address.endsWith(":0") ? `${address.slice(0, -1)}${this.#nextPort++}` : address;
    if (this.#listeners.has(bound)) {
      const text = `${bound} cannot be bound: it is in use; stop what listens there or use another`;
      throw new QuorateError("LISTEN_FAILED", text);
    }
    this.#listeners.set(bound, streams);
    return bound;
  }

  /** @internal */
  unbind(streams: SimStreams): void {
    this.#streams.delete(streams);
    const { address } = streams;
    if (this.#listeners.get(address) === streams) this.#listeners.delete(address);
  }

  /** @internal */
  dial(streams: SimStreams, to: string): SimConnection {
    const from = streams.address;
    const paths = { out: this.#paths.get(from, to), back: this.#paths.get(to, from) };
    const connection = new SimConnection(this, { from, to }, paths);
    this.#connections.add(connection);
    this.#carry(connection, connection.out, () => this.#connect(connection));
    return connection;
  }

  // ---- for connections

  /** @internal */
  segment(bytes: number): number {
    const whole = Math.min(bytes, SEGMENT_BYTES_MAX);
    return chance(this.#random, CUT_SHARE) ? 1 + this.#random.below(whole) : whole;
  }

  /** @internal */
  delayUs(path: Path, bytes: number): number {
    const { delay, bytesPerSecond } = this.#options;
    const transferUs = path.transferUs(this.schedule.nowUs, bytes, bytesPerSecond);
    return drawDelayUs(this.#random, delay) + path.extraUs + transferUs;
  }

  /** @internal */
  breaks(): boolean {
    return chance(this.#random, this.#lossShare);
  }

  /** @internal */
  readDelayUs(): number {
    return chance(this.#random, JOIN_SHARE) ? 1 + this.#random.below(JOIN_US_MAX) : 0;
  }

  /** @internal */
  over(connection: SimConnection): void {
    this.#connections.delete(connection);
  }

  /** The SYN is there: the kernel answers, whether the process runs or not. */
  #connect(connection: SimConnection): void {
    const { dialer } = connection;
    const process = dialer.process!;
    const listener = this.#listeners.get(connection.to);
    if (listener === undefined) {
      this.#carry(connection, connection.back, () => {
        connection.finish();
        dialer.lose("connection refused");
      });
      return;
    }
    connection.isUp = true;
    listener.accept(connection);
    this.#carry(connection, connection.back, () => {
      process.enter(() => {
        if (!dialer.isGone && !connection.isOver) dialer.events?.opened();
      });
    });
  }

  /** Carries what makes a connection: repeated while the way is blocked and the dialer waits. */
  #carry(connection: SimConnection, path: Path, arrive: () => void): void {
    this.schedule.after(this.delayUs(path, 0), () => {
      if (connection.isOver || connection.dialer.isGone) return;
      if (path.fault === undefined) arrive();
      else this.schedule.after(REPEAT_US, () => this.#carry(connection, path, arrive));
    });
  }
}

/** The real transport, with somebody who watches and decides about its messages. */
class SimStreamTransport extends StreamTransport {
  readonly #network: StreamNetwork;
  readonly #host: SimHost;

  constructor(
    network: StreamNetwork,
    host: SimHost,
    parts: { readonly streams: SimStreams; readonly context: SimNetworkContext },
  ) {
    super({
      listen: host.address,
      streams: parts.streams,
      clock: host.clock,
      random: host.random,
      checksum: parts.context.checksum,
      limits: { ...LIMITS, ...host.limits },
    });
    this.#network = network;
    this.#host = host;
  }

  override listen(handler: TransportHandler): Promise<void> {
    const { delivered } = this.#host;
    const watched: TransportHandler = {
      hello: () => handler.hello(),
      judge: (remote, dialed, target) => handler.judge(remote, dialed, target),
      contacted: (address, remote) => handler.contacted(address, remote),
      contactFailed: (address, reason) => handler.contactFailed(address, reason),
      connected: (peer, remote) => handler.connected(peer, remote),
      disconnected: (peer, reason) => handler.disconnected(peer, reason),
      refused: (report) => handler.refused(report),
      problem: (address, reason) => handler.problem(address, reason),
      message: (from, group, message) => {
        delivered(from, message);
        handler.message(from, group, message);
      },
    };
    return super.listen(watched);
  }

  override send(to: MemberId, group: number, message: PeerMessage): boolean {
    const network = this.#network;
    const decision = network.rule?.(this.#host.id, to, message) ?? "pass";
    if (decision === "pass") return this.#send(to, group, message);
    if (decision === "twice") {
      return this.#send(to, group, message) && this.#send(to, group, message);
    }
    if (decision === "hold") network.keep(this.#host.id, to, group, message);
    // The sender is told that it was sent, as it would be.
    this.#host.sent(to, message);
    return true;
  }

  /** @internal What a rule has kept leaves. */
  sendNow(to: MemberId, group: number, message: PeerMessage): void {
    if (!this.#host.process.isDead && super.send(to, group, message)) this.flush();
  }

  #send(to: MemberId, group: number, message: PeerMessage): boolean {
    const isTaken = super.send(to, group, message);
    if (isTaken) this.#host.sent(to, message);
    return isTaken;
  }
}
