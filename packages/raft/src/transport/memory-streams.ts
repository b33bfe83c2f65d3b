/**
 * Byte streams in memory: the network of the simulator and of quick tests.
 *
 * Bytes are copied when they are sent, arrive in order through the clock and never synchronously,
 * and can be cut into chunks at random; so framing, handshake, queues and reconnecting run as they
 * do over TCP. Faults are set per direction of dialing: "from a to b" is the connection that a
 * dialed to b, answers included, since that is the one over which a's messages go.
 * - `cut`: such connections end at once on both sides, what was under way is lost, and new dials
 *   wait (as a SYN would be repeated) until the cut is healed or the dialer gives up.
 * - `stall`: nothing moves, nobody is told: a half-open connection. Healing delivers what waited.
 * - `delay`: every chunk takes so long.
 * Hosts are named by the addresses they listen on.
 */
import { assert } from "../util/assert.ts";
import type { Clock } from "../util/clock.ts";
import { QuorateError } from "../util/error.ts";
import type { Random } from "../util/random.ts";
import type { ByteStream, ListenEvents, StreamEvents, Streams } from "./streams.ts";

/** What a network in memory is made of. */
export interface MemoryNetworkOptions {
  readonly clock: Clock;
  /** Cuts what is delivered into chunks of random size; whole writes without it. */
  readonly fragment?: Random;
}

type Fault = "cut" | "stall";

/** Connects the hosts of one process; faults are injected here. */
export class MemoryNetwork {
  readonly clock: Clock;
  readonly fragment: Random | undefined;
  readonly #listeners: Map<string, ListenEvents> = new Map();
  readonly #faults: Map<string, Fault> = new Map();
  readonly #delays: Map<string, number> = new Map();
  readonly #connections: Set<Connection> = new Set();
  #nextPort = 40_000;

  constructor(options: MemoryNetworkOptions) {
    this.clock = options.clock;
    this.fragment = options.fragment;
  }

  /** The network as the host with this address sees it. */
  streams(host: string): Streams {
    return new MemoryStreams(this, host);
  }

  /** Ends connections from a to b and lets none come up. */
  cut(from: string, to: string): void {
    this.#faults.set(path(from, to), "cut");
    for (const connection of this.#on(from, to)) connection.sever("connection lost");
  }

  /** Lets nothing move on the connections that a dialed to b, and tells nobody. */
  stall(from: string, to: string): void {
    this.#faults.set(path(from, to), "stall");
  }

  /** Ends a cut or stall. */
  heal(from: string, to: string): void {
    this.#faults.delete(path(from, to));
    for (const connection of this.#on(from, to)) connection.wake();
  }

  /** Ends every cut, stall and delay. */
  healAll(): void {
    this.#faults.clear();
    this.#delays.clear();
    for (const connection of this.#connections) connection.wake();
  }

  /** Sets how long each chunk takes from a to b, and its answers back. */
  delay(from: string, to: string, delayMs: number): void {
    this.#delays.set(path(from, to), delayMs);
  }

  /** Connections that exist or are being dialed. */
  get connections(): number {
    return this.#connections.size;
  }

  /** @internal */
  bind(address: string, events: ListenEvents): string {
    const bound = address.endsWith(":0") ? `${address.slice(0, -1)}${this.#nextPort++}` : address;
    if (this.#listeners.has(bound)) {
      const text = `${bound} cannot be bound: it is in use; stop what listens there or use another`;
      throw new QuorateError("LISTEN_FAILED", text);
    }
    this.#listeners.set(bound, events);
    return bound;
  }

  /** @internal */
  unbind(address: string, events: ListenEvents): void {
    if (this.#listeners.get(address) === events) this.#listeners.delete(address);
  }

  /** @internal */
  listener(address: string): ListenEvents | undefined {
    return this.#listeners.get(address);
  }

  /** @internal */
  fault(from: string, to: string): Fault | undefined {
    return this.#faults.get(path(from, to));
  }

  /** @internal */
  delayMs(from: string, to: string): number {
    return this.#delays.get(path(from, to)) ?? 0;
  }

  /** @internal */
  add(connection: Connection): void {
    this.#connections.add(connection);
  }

  /** @internal */
  remove(connection: Connection): void {
    this.#connections.delete(connection);
  }

  #on(from: string, to: string): Connection[] {
    return [...this.#connections].filter((c) => c.from === from && c.to === to);
  }
}

function path(from: string, to: string): string {
  return `${from} ${to}`;
}

/** One host's view. */
class MemoryStreams implements Streams {
  readonly #network: MemoryNetwork;
  #host: string;
  readonly #own: Set<MemoryStream> = new Set();
  #events: ListenEvents | undefined;
  #closed = false;

  constructor(network: MemoryNetwork, host: string) {
    this.#network = network;
    this.#host = host;
  }

  async listen(address: string, events: ListenEvents): Promise<string> {
    const own: ListenEvents = {
      accepted: (stream, remote) => {
        assert(stream instanceof MemoryStream, "a network in memory has its own streams");
        this.#track(stream);
        return events.accepted(stream, remote);
      },
      trouble: (reason) => events.trouble(reason),
    };
    this.#host = this.#network.bind(address, own);
    this.#events = own;
    return this.#host;
  }

  dial(address: string, events: StreamEvents): ByteStream {
    const connection = new Connection(this.#network, this.#host, address);
    connection.dialer.events = events;
    this.#track(connection.dialer);
    connection.start();
    return connection.dialer;
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    if (this.#events !== undefined) this.#network.unbind(this.#host, this.#events);
    for (const stream of this.#own) stream.destroy();
    this.#own.clear();
    return Promise.resolve();
  }

  #track(stream: MemoryStream): void {
    for (const old of this.#own) if (old.gone) this.#own.delete(old);
    this.#own.add(stream);
  }
}

/** Two streams back to back. */
class Connection {
  readonly from: string;
  readonly to: string;
  readonly dialer: MemoryStream;
  /** Whether the listener has accepted it. */
  up = false;
  readonly #network: MemoryNetwork;
  readonly #acceptor: MemoryStream;

  constructor(network: MemoryNetwork, from: string, to: string) {
    this.#network = network;
    this.from = from;
    this.to = to;
    this.dialer = new MemoryStream(network, this);
    this.#acceptor = new MemoryStream(network, this);
    this.dialer.other = this.#acceptor;
    this.#acceptor.other = this.dialer;
  }

  get held(): boolean {
    return this.#network.fault(this.from, this.to) !== undefined;
  }

  get delayMs(): number {
    return this.#network.delayMs(this.from, this.to);
  }

  start(): void {
    this.#network.add(this);
    this.#network.clock.setTimer(this.delayMs, () => this.#connect());
  }

  /** After a heal: what waited goes on. */
  wake(): void {
    if (!this.up) this.#network.clock.soon(() => this.#connect());
    this.dialer.pump();
    this.#acceptor.pump();
  }

  /** Ends both sides, each of which is told. */
  sever(reason: string): void {
    if (!this.up) return;
    this.dialer.lose(reason);
    this.#acceptor.lose(reason);
    this.over();
  }

  over(): void {
    this.#network.remove(this);
  }

  #connect(): void {
    if (this.up || this.dialer.gone || this.held) return;
    this.up = true;
    const listener = this.#network.listener(this.to);
    if (listener === undefined) {
      this.over();
      this.dialer.lose("connection refused");
      return;
    }
    this.#acceptor.events = listener.accepted(this.#acceptor, this.from);
    this.dialer.events?.opened();
  }
}

/** What is under way: bytes, or the end of the stream. */
interface Parcel {
  readonly bytes: Uint8Array | undefined;
  readonly dueMs: number;
}

/** One end of a connection. */
class MemoryStream implements ByteStream {
  events: StreamEvents | undefined;
  other: MemoryStream | undefined;
  readonly #network: MemoryNetwork;
  readonly #connection: Connection;
  /** On its way to the other end. */
  #parcels: Parcel[] = [];
  #unsentBytes = 0;
  #paused = false;
  #ended = false;
  #pumping = false;

  constructor(network: MemoryNetwork, connection: Connection) {
    this.#network = network;
    this.#connection = connection;
  }

  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  /** Whether this end is of no use any more. */
  get gone(): boolean {
    return this.#ended;
  }

  write(chunks: readonly Uint8Array[]): void {
    if (this.#ended) return;
    for (const bytes of this.#cut(chunks)) {
      this.#unsentBytes += bytes.length;
      this.#post(bytes);
    }
    this.pump();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.other?.pump();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.events = undefined;
    if (!this.#connection.up || this.other?.gone === true) this.#connection.over();
    this.#post(undefined);
    this.pump();
  }

  destroy(): void {
    if (this.#ended) return;
    this.#parcels = [];
    this.#unsentBytes = 0;
    this.end();
  }

  /** Ends without a word to the other side; tells ours. */
  lose(reason: string): void {
    const events = this.events;
    this.#ended = true;
    this.#parcels = [];
    this.#unsentBytes = 0;
    if (events === undefined) return;
    this.#network.clock.soon(() => {
      // Unless this side ended it in the meantime.
      if (this.events !== events) return;
      this.events = undefined;
      events.closed(reason);
    });
  }

  /** Delivers what is due, later. */
  pump(): void {
    const [first] = this.#parcels;
    if (this.#pumping || first === undefined || this.#connection.held) return;
    this.#pumping = true;
    const waitMs = first.dueMs - this.#network.clock.nowMs();
    const deliver = (): void => {
      this.#pumping = false;
      this.#deliver();
    };
    if (waitMs > 0) this.#network.clock.setTimer(waitMs, deliver);
    else this.#network.clock.soon(deliver);
  }

  #deliver(): void {
    const { other } = this;
    if (other === undefined) return;
    const nowMs = this.#network.clock.nowMs();
    for (let next = this.#parcels[0]; next !== undefined; next = this.#parcels[0]) {
      if (other.events === undefined || this.#connection.held || next.dueMs > nowMs) break;
      if (other.#paused && next.bytes !== undefined) return;
      this.#parcels.shift();
      if (next.bytes === undefined) {
        this.#connection.over();
        other.lose("closed by the other side");
        return;
      }
      this.#unsentBytes -= next.bytes.length;
      other.events.received(next.bytes);
    }
    if (other.events !== undefined) this.pump();
  }

  #post(bytes: Uint8Array | undefined): void {
    const last = this.#parcels.at(-1)?.dueMs ?? 0;
    const dueMs = Math.max(last, this.#network.clock.nowMs() + this.#connection.delayMs);
    this.#parcels.push({ bytes, dueMs });
  }

  /** Copies the chunks into one, and cuts that where fragmenting is asked for. */
  #cut(chunks: readonly Uint8Array[]): Uint8Array[] {
    let size = 0;
    for (const chunk of chunks) size += chunk.length;
    const whole = new Uint8Array(size);
    let at = 0;
    for (const chunk of chunks) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    const { fragment } = this.#network;
    if (fragment === undefined) return [whole];
    const parts: Uint8Array[] = [];
    for (let from = 0; from < size;) {
      const to = Math.min(size, from + 1 + fragment.below(Math.max(1, fragment.below(size))));
      parts.push(whole.slice(from, to));
      from = to;
    }
    return parts;
  }
}
