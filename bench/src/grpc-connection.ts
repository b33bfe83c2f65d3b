/**
 * One connection of a load over gRPC: a call at a time, of which only the status is looked at. It
 * is gRPC's framing on `node:http2`, since a whole gRPC client costs more than what it calls.
 */
import { connect, constants } from "node:http2";
import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import type { LoadConnection, LoadEvents, LoadRequest } from "./http-load.ts";

const FRAME_HEADER_BYTES = 5;

/** A message in the frame that gRPC gives it: uncompressed, its length before it. */
export function grpcFrame(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, FRAME_HEADER_BYTES);
  return frame;
}

export class GrpcConnection implements LoadConnection {
  readonly #events: LoadEvents;
  #session: ClientHttp2Session | undefined;

  constructor(events: LoadEvents) {
    this.#events = events;
  }

  open(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const session = connect(`http://127.0.0.1:${port}`);
      this.#session = session;
      session.once("connect", () => resolve());
      session.on("error", (error: Error) => {
        reject(error);
        this.#events.failed(error);
      });
      session.on("close", () => this.#events.failed(new Error("a member closed a connection")));
    });
  }

  send({ path, bytes }: LoadRequest): void {
    const call = this.#session!.request({
      [constants.HTTP2_HEADER_METHOD]: "POST",
      [constants.HTTP2_HEADER_PATH]: path,
      "content-type": "application/grpc",
      te: "trailers",
    });
    this.#listen(call);
    call.end(bytes);
  }

  close(): void {
    this.#session?.destroy();
  }

  #listen(call: ClientHttp2Stream): void {
    let status: unknown;
    const take = (headers: Readonly<Record<string, unknown>>): void => {
      status = headers["grpc-status"] ?? status;
    };
    call.on("response", take); // an error may come with no more than this
    call.on("trailers", take);
    call.on("error", (error) => this.#events.failed(error));
    call.on("close", () => {
      if (status === "0") this.#events.answered();
      else this.#events.failed(new Error(`gRPC status ${String(status)}`));
    });
    call.resume();
  }
}
