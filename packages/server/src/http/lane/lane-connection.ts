/** One connection of the fast lane: see fast-lane.ts. */
import type { Socket } from "node:net";
import type { FastLane } from "./fast-lane.ts";
import { PlainRequests } from "./plain-request.ts";

/** A socket, and the requests that come over it. */
export class LaneConnection {
  readonly #lane: FastLane;
  readonly #socket: Socket;
  readonly #requests: PlainRequests;
  /** Bytes that came and were not read yet: the beginning of a request, or what waits. */
  #waiting: Buffer | undefined;
  /** Made with the first request that waits; aborts when the client has gone away. */
  #gone: AbortController | undefined;
  #isBusy = false;
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
    const isSent = typeof bytes === "string" ? socket.write(bytes, "latin1") : socket.write(bytes);
    this.#sinceMs = this.#lane.nowMs();
    if (this.#lane.isClosing) {
      socket.end();
    } else if (isSent) {
      this.#next();
    } else {
      // Who does not read its answers gets no further ones.
      socket.once("drain", this.#next);
    }
  }

  /** Ends it where nothing is owed. */
  endIfIdle(): void {
    if (!this.#isBusy) this.#socket.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Looks after what has stood still for long: since before these moments. */
  sweep(waitingMs: number, idleMs: number): void {
    if (this.#isBusy) return;
    if (this.#waiting !== undefined) {
      if (this.#sinceMs < waitingMs) this.handOver();
    } else if (this.#sinceMs < idleMs) {
      this.#socket.destroy();
    }
  }

  /** Leaves the lane, with whatever waits. */
  handOver(): void {
    const socket = this.#socket;
    socket.off("data", this.#onData);
    socket.off("end", this.#onEnd);
    socket.off("error", this.#onError);
    socket.off("close", this.#onClose);
    const bytes = this.#waiting;
    this.#waiting = undefined;
    this.#lane.handOver(this, socket, bytes);
  }

  readonly #onData = (chunk: Buffer): void => {
    const waiting = this.#waiting;
    if (waiting === undefined) this.#sinceMs = this.#lane.nowMs();
    const bytes = waiting === undefined ? chunk : Buffer.concat([waiting, chunk]);
    if (this.#isBusy) this.#wait(bytes);
    else this.#read(bytes);
  };

  readonly #onEnd = (): void => {
    // As for Node's server, who sends no more has gone away: most clients end both ways at once.
    if (this.#isBusy) this.#socket.destroy();
    else this.#socket.end();
  };

  readonly #onError = (): void => {
    this.#socket.destroy();
  };

  readonly #onClose = (): void => {
    this.#waiting = undefined;
    if (this.#isBusy) this.#gone?.abort();
    this.#lane.left(this);
  };

  readonly #next = (): void => {
    this.#isBusy = false;
    const bytes = this.#waiting;
    if (bytes === undefined) return;
    if (this.#socket.isPaused()) this.#socket.resume();
    this.#read(bytes);
  };

  /**
   * Bytes behind a request that is not answered yet. Nothing more is read until it is: so they stay
   * few, and that the other side has ended is not heard while it may still have to be handed over.
   */
  #wait(bytes: Buffer): void {
    this.#waiting = bytes;
    this.#socket.pause();
  }

  /** Reads what is there, all of it: nothing else is waiting. */
  #read(bytes: Buffer): void {
    this.#waiting = undefined;
    const request = this.#requests.read(bytes);
    if (typeof request === "string") {
      this.#waiting = bytes;
      if (request === "other") this.handOver();
      return;
    }
    const { from, end } = request;
    this.#isBusy = true;
    if (end < bytes.length) this.#wait(bytes.subarray(end));
    this.#lane.serve(this, request, bytes.subarray(from, end));
  }
}
