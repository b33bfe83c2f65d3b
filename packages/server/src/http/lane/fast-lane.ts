/**
 * The fast lane: connections that send nothing but plain requests (plain-request.ts) are served
 * right on their sockets, for a third of what the same costs through Node's HTTP server and a
 * framework. With the first bytes that are anything else a connection goes over to that server, for
 * good, with those bytes put back. What a request means is in the handlers, for both.
 *
 * A connection has one request in hand at a time: what comes meanwhile waits, and its
 * socket is not read. A request that has begun and not ended within a few seconds is left to the
 * HTTP server, which bounds the time of slow clients; so is everything while the member closes.
 */
import type { Server } from "node:http";
import type { Socket } from "node:net";
import type { Answer } from "../answer.ts";
import type { KvHandlers, KvRequest } from "../kv-handlers.ts";
import { LaneConnection } from "./lane-connection.ts";
import { answerBytes } from "./write-answer.ts";
import type { PlainRequest } from "./plain-request.ts";

/** What the lane is made of. */
export interface FastLaneOptions {
  readonly handlers: KvHandlers;
  readonly valueBytesMax: number;
  /** Makes an answer of what a handler throws. */
  readonly answerError: (error: unknown, request: PlainRequest) => Answer;
  /** Headers of every answer, beside those of the protocol, as who leads is known. */
  readonly commonHeaders: () => Readonly<Record<string, string>>;
  readonly leader: () => string | undefined;
  readonly isClosing: () => boolean;
  readonly nowMs: () => number;
  /** How long a connection may be open without having said anything. */
  readonly headersTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
}

/** How often connections are looked at that are idle, or wait for the rest of a request. */
const SWEEP_MS = 2_000;
/** Beyond what was announced: a request that was sent in the last moment shall find it open. */
const KEEP_ALIVE_MARGIN_MS = 1_000;
/** How old a head may be that is still sent. */
const HEAD_MS_MAX = 500;

/** All connections of a server that are in the lane. */
export class FastLane {
  readonly #options: FastLaneOptions;
  readonly #server: Server;
  /** The HTTP server's own way to take a connection. */
  readonly #others: readonly ((socket: Socket) => void)[];
  readonly #connections: Set<LaneConnection> = new Set();
  readonly #sweeper: NodeJS.Timeout;
  #isClosed = false;
  /** What every answer says, made anew when it is old. */
  #common = "";
  #commonMs = Number.NEGATIVE_INFINITY;
  #leader: string | undefined;

  /** Puts the lane before a server. */
  constructor(server: Server, options: FastLaneOptions) {
    this.#server = server;
    this.#options = options;
    this.#others = server.listeners("connection") as ((socket: Socket) => void)[];
    server.removeAllListeners("connection");
    server.on("connection", (socket: Socket) => this.#take(socket));
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  get valueBytesMax(): number {
    return this.#options.valueBytesMax;
  }

  get isClosing(): boolean {
    return this.#isClosed || this.#options.isClosing();
  }

  nowMs(): number {
    return this.#options.nowMs();
  }

  /** Calls the handler; `connection` gets the bytes of the answer. */
  serve(connection: LaneConnection, request: PlainRequest, body: Uint8Array): void {
    const { url, headers, method } = request;
    const signal = (): AbortSignal => connection.signal;
    this.#call(method, { url, headers, body, signal })
      .then(
        (answer) => connection.answer(this.#bytesOf(answer)),
        (error: unknown) => {
          connection.answer(this.#bytesOf(this.#options.answerError(error, request)));
        },
      )
      // Not even an answer to an error: what became of the request nobody can tell.
      .catch(() => connection.destroy());
  }

  /** The client has ended in the midst of a request. */
  cutOff(connection: LaneConnection, socket: Socket): void {
    this.#connections.delete(connection);
    socket.on("error", () => socket.destroy());
    const error = Object.assign(new Error("the request was cut off"), {
      code: "HPE_INVALID_EOF_STATE",
    });
    if (!this.#server.emit("clientError", error, socket)) socket.destroy();
  }

  /** The connection is none of the lane any more; the HTTP server takes it, with these bytes. */
  handOver(connection: LaneConnection, socket: Socket, bytes: Buffer | undefined): void {
    this.#connections.delete(connection);
    socket.pause();
    if (bytes !== undefined && bytes.length > 0) socket.unshift(bytes);
    for (const take of this.#others) take.call(this.#server, socket);
    socket.resume();
  }

  /** The connection has ended. */
  left(connection: LaneConnection): void {
    this.#connections.delete(connection);
  }

  /**
   * No connection is taken any more; idle ones end at once, the others with their answers. Those
   * with a part of a request are left to the HTTP server.
   */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#sweeper);
    for (const connection of this.#connections) connection.close();
  }

  /** Ends what is left. */
  closeAll(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  #take(socket: Socket): void {
    const connection = new LaneConnection(this, socket);
    if (this.#isClosed) connection.handOver();
    else this.#connections.add(connection);
  }

  async #call(method: "GET" | "PUT", request: KvRequest): Promise<Answer> {
    const { handlers } = this.#options;
    return method === "PUT" ? handlers.put(request) : handlers.get(request);
  }

  #bytesOf(answer: Answer): Buffer | string {
    const nowMs = this.#options.nowMs();
    const isOld = nowMs - this.#commonMs >= HEAD_MS_MAX || this.#options.leader() !== this.#leader;
    if (isOld || this.isClosing) this.#renew(nowMs);
    return answerBytes(answer, this.#common);
  }

  #renew(nowMs: number): void {
    this.#commonMs = nowMs;
    this.#leader = this.#options.leader();
    const { commonHeaders, keepAliveTimeoutMs } = this.#options;
    let text = `date: ${new Date().toUTCString()}\r\n`;
    const headers = commonHeaders();
    for (const name in headers) text += `${name}: ${headers[name]}\r\n`;
    this.#common = this.isClosing
      ? `${text}connection: close\r\n`
      : `${text}connection: keep-alive\r\nkeep-alive: timeout=${keepAliveTimeoutMs / 1_000}\r\n`;
  }

  #sweep(): void {
    const nowMs = this.nowMs();
    const { headersTimeoutMs, keepAliveTimeoutMs } = this.#options;
    const before = {
      waitingMs: nowMs - SWEEP_MS,
      silentMs: nowMs - headersTimeoutMs,
      idleMs: nowMs - keepAliveTimeoutMs - KEEP_ALIVE_MARGIN_MS,
    };
    for (const connection of this.#connections) connection.sweep(before);
  }
}
