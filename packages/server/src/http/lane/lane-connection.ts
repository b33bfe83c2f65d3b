/** One connection of the fast lane: see fast-lane.ts. */
import type { Socket } from "node:net";
import type { FastLane } from "./fast-lane.ts";
import { PlainRequests } from "./plain-request.ts";

/**
 * How a connection stands: nothing is owed; a handler is at work; or its answer has not left yet,
 * since the other side does not read.
 */
type Standing = "free" | "asked" | "answered";

const CR = 13;
const LF = 10;

/** A socket, and the requests that come over it. */
export class LaneConnection {
  readonly #lane: FastLane;
  readonly #socket: Socket;
  readonly #requests: PlainRequests;
  /** What came and was not read yet, in parts: the beginning of a request, or what waits. */
  #parts: Buffer[] = [];
  #partsBytes = 0;
  /** With fewer bytes than that there is no whole request. */
  #neededBytes = 0;
  /** Made with the first request that waits; aborts when the client has gone away. */
  #gone: AbortController | undefined;
  #standing: Standing = "free";
  #hasSpoken = false;
  /** When it was answered last, or when bytes began to wait. */
  #sinceMs: number;

  constructor(lane: FastLane, socket: Socket) {
    this.#lane = lane;
    this.#socket = socket;
    this.#requests = new PlainRequests(lane.valueBytesMax);
    this.#sinceMs = lane.nowMs();
    socket.on("data", this.#onData);
    socket.on("end", this.#onEnd);
    socket.on("error", this.#onError);
    socket.on("close", this.#onClose);
  }

  /** Ends the waiting of a request whose client has gone away. */
  get signal(): AbortSignal {
    this.#gone ??= new AbortController();
    return this.#gone.signal;
  }

  /** The answer to the request in hand; then the next one. */
  answer(bytes: Buffer | string): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    this.#standing = "answered";
    const isSent = typeof bytes === "string" ? socket.write(bytes, "latin1") : socket.write(bytes);
    this.#sinceMs = this.#lane.nowMs();
    // The answer said that it is the last one: the other side need not agree to that.
    if (this.#lane.isClosing) socket.destroySoon();
    else if (isSent) this.#next();
    // Who does not read its answers gets no further ones.
    else socket.once("drain", this.#next);
  }

  /** No more requests: ends it where nothing is owed, and leaves one that has begun to others. */
  close(): void {
    if (this.#standing !== "free") return;
    if (this.#partsBytes > 0) this.handOver();
    else this.#socket.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Looks after what has stood still for long: since before these moments. */
  sweep(before: {
    readonly waitingMs: number;
    readonly silentMs: number;
    readonly idleMs: number;
  }): void {
    if (this.#standing !== "free") return;
    if (this.#partsBytes > 0) {
      if (this.#sinceMs < before.waitingMs) this.handOver();
    } else if (this.#sinceMs < (this.#hasSpoken ? before.idleMs : before.silentMs)) {
      this.#socket.destroy();
    }
  }

  /** Leaves the lane, with whatever waits. */
  handOver(): void {
    this.#leave();
    this.#lane.handOver(this, this.#socket, this.#takeParts());
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#hasSpoken = true;
    if (this.#partsBytes === 0) this.#sinceMs = this.#lane.nowMs();
    this.#parts.push(chunk);
    this.#partsBytes += chunk.length;
    if (this.#standing !== "free") this.#socket.pause();
    else if (this.#partsBytes >= this.#neededBytes) this.#read();
  };

  /** As for Node's server, who sends no more has gone away: most clients end both ways at once. */
  readonly #onEnd = (): void => {
    if (this.#standing === "asked") this.#socket.destroy();
    else if (this.#standing === "free" && this.#partsBytes > 0) {
      this.#leave();
      this.#lane.cutOff(this, this.#socket);
    } else this.#socket.end();
  };

  readonly #onError = (): void => {
    this.#socket.destroy();
  };

  readonly #onClose = (): void => {
    this.#takeParts();
    if (this.#standing === "asked") this.#gone?.abort();
    this.#lane.left(this);
  };

  readonly #next = (): void => {
    this.#standing = "free";
    // The client has ended: what waits behind its answers is not begun.
    if (this.#socket.writableEnded) return;
    if (this.#partsBytes > 0) {
      if (this.#socket.isPaused()) this.#socket.resume();
      this.#read();
    } else if (this.#lane.isClosing) {
      this.#socket.destroySoon();
    }
  };

  /** Reads what is there, all of it: nothing else is waiting. */
  #read(): void {
    const bytes = withoutEmptyLines(this.#takeParts());
    if (bytes.length === 0) return;
    const request = this.#requests.read(bytes);
    if (typeof request === "string") {
      this.#keep(bytes);
      this.#neededBytes = this.#requests.neededBytes;
      if (request === "other") this.handOver();
      return;
    }
    const { from, end } = request;
    this.#standing = "asked";
    if (end < bytes.length) {
      // Nothing more is read until this one is answered: so what waits stays little.
      this.#keep(bytes.subarray(end));
      this.#socket.pause();
    }
    this.#lane.serve(this, request, bytes.subarray(from, end));
  }

  #keep(bytes: Buffer): void {
    this.#parts = [bytes];
    this.#partsBytes = bytes.length;
    this.#neededBytes = 0;
  }

  #takeParts(): Buffer {
    const parts = this.#parts;
    this.#parts = [];
    this.#partsBytes = 0;
    this.#neededBytes = 0;
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  #leave(): void {
    const socket = this.#socket;
    socket.off("data", this.#onData);
    socket.off("end", this.#onEnd);
    socket.off("error", this.#onError);
    socket.off("close", this.#onClose);
  }
}

/** Some clients send one behind a body, and servers pass over it. */
function withoutEmptyLines(bytes: Buffer): Buffer {
  let at = 0;
  while (bytes[at] === CR && bytes[at + 1] === LF) at += 2;
  return at === 0 ? bytes : bytes.subarray(at);
}
