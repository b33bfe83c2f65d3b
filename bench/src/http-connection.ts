/** One connection of a load over HTTP/1.1: one request at a time, its answer read by its bytes. */
import { connect } from "node:net";
import type { Socket } from "node:net";
import { ResponseReader } from "./http-response.ts";
import type { LoadConnection, LoadEvents, LoadRequest } from "./http-load.ts";

const READ_BYTES = 64 << 10;

export class HttpConnection implements LoadConnection {
  readonly #events: LoadEvents;
  readonly #reader = new ResponseReader();
  #socket: Socket | undefined;

  constructor(events: LoadEvents) {
    this.#events = events;
  }

  open(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const buffer = Buffer.allocUnsafe(READ_BYTES);
      const callback = (bytes: number): boolean => this.#take(buffer.subarray(0, bytes));
      const onread = { buffer, callback };
      const socket = connect({ host: "127.0.0.1", port, noDelay: true, onread });
      this.#socket = socket;
      socket.once("connect", resolve);
      socket.on("error", (error) => {
        reject(error);
        this.#events.failed(error);
      });
      socket.on("close", () => this.#events.failed(new Error("a member closed a connection")));
    });
  }

  send({ bytes }: LoadRequest): void {
    this.#socket!.write(bytes);
  }

  close(): void {
    this.#socket?.destroy();
  }

  #take(bytes: Buffer): boolean {
    try {
      const status = this.#reader.push(bytes);
      if (status === 200) this.#events.answered();
      else if (status !== 0) throw new Error(`HTTP ${status}: ${bytes.toString("utf8")}`);
    } catch (error) {
      this.#events.failed(error instanceof Error ? error : new Error(String(error)));
    }
    return true;
  }
}
