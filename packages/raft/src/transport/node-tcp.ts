/**
 * Byte streams over TCP: the only file of the transport that knows Node's network.
 *
 * - Nagle's delay is off (a turn's messages already leave together), TCP keep-alive is on, so that
 *   an idle connection to a vanished host ends some day; a busy one ends by missing pulses
 *   (peer-link.ts).
 * - Every socket has an error listener from birth to death, so no socket error is ever unhandled.
 * - Name look-ups block a thread of Node's pool, which the log's syncs need too, so at most one is
 *   in flight per host of ours; the others wait in line, those for the same name share one. Literal
 *   addresses need none. A name with several addresses is tried as Node does (RFC 8305).
 * - Destroying is immediate; a stream that is ended lingers until its bytes have arrived, at most
 *   one second, and at most {@link LINGERING_MAX} at a time.
 *
 * TLS will be another {@link SocketFactory}.
 */
import { lookup as dnsLookup } from "node:dns";
import type { LookupAddress } from "node:dns";
import { connect, createServer } from "node:net";
import type { LookupFunction, Server, Socket } from "node:net";
import { formatAddress, parseAddress } from "../util/address.ts";
import type { Checksum } from "../util/checksum.ts";
import type { Clock } from "../util/clock.ts";
import { messageOf, QuorateError } from "../util/error.ts";
import type { Random } from "../util/random.ts";
import type { TransportLimits } from "./link-context.ts";
import { StreamTransport } from "./stream-transport.ts";
import type { ByteStream, ListenEvents, StreamEvents, Streams } from "./streams.ts";

const KEEP_ALIVE_MS = 15_000;
const LINGER_MS = 1_000;
const LINGERING_MAX = 64;

/** Makes sockets: the seam for TLS. */
export interface SocketFactory {
  connect(host: string, port: number, lookup: LookupFunction): Socket;
  /** The event after which a dialed socket can be used. */
  readonly connectedEvent: "connect" | "secureConnect";
  /** `onSocket` is called with sockets that can be used. */
  createServer(onSocket: (socket: Socket) => void): Server;
}

/** Plain TCP. */
export const PLAIN_TCP: SocketFactory = {
  connect: (host, port, lookup) => connect({ host, port, lookup, noDelay: true }),
  connectedEvent: "connect",
  createServer: (onSocket) => createServer({ noDelay: true }, onSocket),
};

/** What a TCP transport is made of. */
export interface TcpTransportOptions {
  /** `host:port` to listen on, IPv6 in brackets; port 0 lets the system choose. */
  readonly listen: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly checksum: Checksum;
  readonly limits: TransportLimits;
  /** Default: {@link PLAIN_TCP}. */
  readonly sockets?: SocketFactory;
  /** How names are resolved. Default: the system's resolver. */
  readonly resolve?: Resolve;
}

/** The transport over TCP. */
export class TcpTransport extends StreamTransport {
  constructor(options: TcpTransportOptions) {
    super({ ...options, streams: new TcpStreams(options) });
  }
}

/** Resolves a name to all of its addresses. */
export type Resolve = (
  host: string,
  done: (error: Error | null, addresses: LookupAddress[]) => void,
) => void;

const systemResolve: Resolve = (host, done) => {
  dnsLookup(host, { all: true }, done);
};

type Waiter = (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void;

/** One look-up at a time; whoever asks for a name that is waited for already shares the answer. */
class LookupLine {
  readonly #resolve: Resolve;
  readonly #waiters: Map<string, Waiter[]> = new Map();
  #busy = false;

  constructor(resolve: Resolve) {
    this.#resolve = resolve;
  }

  readonly lookup: LookupFunction = (host, options, done) => {
    this.#ask(host, (error, addresses) => {
      const [first] = addresses;
      if (error !== null || first === undefined) {
        done(error ?? new Error(`no address for ${host}`), []);
      } else if (options.all === true) done(null, addresses);
      else done(null, first.address, first.family);
    });
  };

  #ask(host: string, waiter: Waiter): void {
    const waiters = this.#waiters.get(host);
    if (waiters !== undefined) {
      waiters.push(waiter);
      return;
    }
    this.#waiters.set(host, [waiter]);
    this.#next();
  }

  #next(): void {
    const [host] = this.#waiters.keys();
    if (this.#busy || host === undefined) return;
    this.#busy = true;
    this.#resolve(host, (error, addresses) => {
      const waiters = this.#waiters.get(host) ?? [];
      this.#waiters.delete(host);
      this.#busy = false;
      // Before the waiters: one of them may ask again.
      this.#next();
      for (const waiter of waiters) waiter(error, addresses ?? []);
    });
  }
}

class TcpStreams implements Streams {
  readonly #clock: Clock;
  readonly #sockets: SocketFactory;
  readonly #lookups: LookupLine;
  readonly #open: Set<Socket> = new Set();
  /** Ended and not gone, the oldest first. */
  readonly #lingering: Set<Socket> = new Set();
  #server: Server | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: TcpTransportOptions) {
    this.#clock = options.clock;
    this.#sockets = options.sockets ?? PLAIN_TCP;
    this.#lookups = new LookupLine(options.resolve ?? systemResolve);
  }

  async listen(address: string, events: ListenEvents): Promise<string> {
    const { host, port } = parseAddress(address, { name: "listen address" });
    const server = this.#sockets.createServer((socket) => this.#accept(socket, events));
    this.#server = server;
    await listening(server, { host, port }, address);
    // Out of file descriptors, for example: later connections may succeed.
    server.on("error", (error) => events.trouble(`cannot accept connections: ${describe(error)}`));
    const bound = server.address();
    const boundPort = typeof bound === "object" && bound !== null ? bound.port : port;
    return formatAddress({ host, port: boundPort });
  }

  dial(address: string, events: StreamEvents): ByteStream {
    let socket: Socket;
    try {
      const { host, port } = parseAddress(address, { name: "peer address", portMin: 1 });
      socket = this.#sockets.connect(host, port, this.#lookups.lookup);
    } catch (error) {
      return new FailedStream(messageOf(error), events, this.#clock);
    }
    const stream = this.#wrap(socket);
    stream.events = events;
    socket.once(this.#sockets.connectedEvent, () => stream.events?.opened());
    return stream;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const gone = [...this.#open].map(
      (socket) =>
        new Promise<void>((resolve) => {
          socket.once("close", () => resolve());
          socket.destroy();
        }),
    );
    const server = this.#server;
    if (server?.listening === true) {
      gone.push(
        new Promise((resolve) => {
          server.close(() => resolve());
        }),
      );
    } else server?.close();
    await Promise.all(gone);
  }

  #accept(socket: Socket, events: ListenEvents): void {
    const stream = this.#wrap(socket);
    if (this.#closing !== undefined) {
      stream.destroy();
      return;
    }
    const { remoteAddress, remotePort } = socket;
    const remote =
      remoteAddress === undefined
        ? "an address already gone"
        : formatAddress({ host: remoteAddress, port: remotePort ?? 0 });
    stream.events = events.accepted(stream, remote);
  }

  #wrap(socket: Socket): TcpStream {
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#open.add(socket);
    socket.once("close", () => this.#open.delete(socket));
    return new TcpStream(socket, () => this.#linger(socket));
  }

  /** Lets an ended socket deliver its last bytes, for a while. */
  #linger(socket: Socket): void {
    const timer = this.#clock.setTimer(LINGER_MS, () => socket.destroy());
    this.#lingering.add(socket);
    socket.once("close", () => {
      timer.cancel();
      this.#lingering.delete(socket);
    });
    const [oldest] = this.#lingering;
    if (this.#lingering.size > LINGERING_MAX) oldest?.destroy();
  }
}

class TcpStream implements ByteStream {
  /** Undefined where nothing is to be called back: before it is handed over, and after its end. */
  events: StreamEvents | undefined;
  readonly #socket: Socket;
  readonly #linger: () => void;
  #reason = "closed by the other side";

  constructor(socket: Socket, linger: () => void) {
    this.#socket = socket;
    this.#linger = linger;
    socket.on("error", (error) => {
      this.#reason = describe(error);
    });
    // Node hands every chunk over for good: it reads each into memory of its own.
    socket.on("data", (chunk: Uint8Array) => this.events?.received(chunk));
    socket.once("close", () => {
      const { events } = this;
      this.events = undefined;
      events?.closed(this.#reason);
    });
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  write(chunks: readonly Uint8Array[]): void {
    const socket = this.#socket;
    if (chunks.length > 1) socket.cork();
    for (const chunk of chunks) socket.write(chunk);
    if (chunks.length > 1) socket.uncork();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.events = undefined;
    // Unread bytes would turn the end into a reset, which can overtake what was written last.
    this.#socket.resume();
    this.#socket.end();
    this.#linger();
  }

  destroy(): void {
    this.events = undefined;
    this.#socket.destroy();
  }
}

/** A dial that failed before there was a socket. */
class FailedStream implements ByteStream {
  readonly unsentBytes = 0;
  #events: StreamEvents | undefined;

  constructor(reason: string, events: StreamEvents, clock: Clock) {
    this.#events = events;
    clock.soon(() => this.#events?.closed(reason));
  }

  write(): void {}

  pause(): void {}

  resume(): void {}

  end(): void {
    this.#events = undefined;
  }

  destroy(): void {
    this.#events = undefined;
  }
}

/** Resolves once bound; rejects with LISTEN_FAILED, also where the server is closed meanwhile. */
function listening(
  server: Server,
  to: { readonly host: string; readonly port: number },
  address: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      server.removeListener("error", settle);
      server.removeListener("listening", settle);
      server.removeListener("close", closed);
      if (error === undefined) resolve();
      else reject(listenFailed(address, error));
    };
    const closed = (): void => {
      settle(new Error("the transport was closed"));
      // A host name may still be on its way to an address.
      server.on("error", () => {}).once("listening", () => server.close());
    };
    server.once("error", settle);
    server.once("listening", settle);
    server.once("close", closed);
    server.listen({ host: to.host, port: to.port });
  });
}

const LISTEN_HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: "another process listens there; stop it or choose another port",
  EADDRNOTAVAIL: "this machine has no such address; use one of its own, or 0.0.0.0 for all",
  EACCES: "ports below 1024 need a privilege; choose a higher port",
  ENOTFOUND: "the host name does not resolve",
};

function listenFailed(address: string, cause: NodeJS.ErrnoException): QuorateError {
  const hint = LISTEN_HINTS[cause.code ?? ""] ?? "check the listen address";
  const text = `${address} cannot be bound (${describe(cause)}): ${hint}`;
  return new QuorateError("LISTEN_FAILED", text, { cause });
}

/** One line; an error of several attempts is named by its first. */
function describe(error: NodeJS.ErrnoException): string {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
  if (error.message === "" && first !== undefined) return messageOf(first);
  return error.message === "" ? (error.code ?? "unknown error") : error.message;
}
