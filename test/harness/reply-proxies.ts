/**
 * Proxies that lose replies and let them come twice, as bad networks and eager middle boxes do.
 *
 * {@link PeerProxy} stands before the port of a member and understands just enough of frames to
 * tell answers to forwarded writes from the rest: those are lost and doubled, all else passes.
 * {@link HttpProxy} stands before the HTTP port of a member. A lost reply there is a connection
 * that breaks after the request was carried out; a doubled one is a request that is carried out
 * again, with the second reply for the client.
 */
import { Agent, createServer as createHttpServer, request as httpRequest } from "node:http";
import type { IncomingMessage, Server as HttpServer, ServerResponse } from "node:http";
import { connect, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import type { TestContext } from "vitest";
import { FRAME_HEAD_BYTES, FrameKind } from "../../packages/raft/src/transport/frame.ts";
import { SeededRandom } from "../../packages/raft/src/util/random.ts";

/** Of a hundred replies so many are lost, and so many come twice. */
const LOST = 30;
const DOUBLED = 30;

/** What became of replies. */
export class Fates {
  lost = 0;
  doubled = 0;
  passed = 0;
  readonly #random = new SeededRandom(7);

  draw(): "lost" | "doubled" | "passed" {
    const lot = this.#random.below(100);
    const fate = lot < LOST ? "lost" : lot < LOST + DOUBLED ? "doubled" : "passed";
    this[fate]++;
    return fate;
  }
}

/** Between the members and one of them; what that one says itself goes another way. */
export class PeerProxy {
  readonly fates: Fates = new Fates();
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  /** Listens on `port` and passes on to `target`; ends with the test. */
  static async open(context: TestContext, port: number, target: number): Promise<PeerProxy> {
    const proxy = new PeerProxy(target);
    await listening(proxy.#server, port);
    context.onTestFinished(() => proxy.#close());
    return proxy;
  }

  private constructor(target: number) {
    this.#server = createServer((client) => {
      const member = connect(target, "127.0.0.1");
      const frames = new FrameCutter();
      client.on("data", (bytes: Buffer) => {
        for (const frame of frames.cut(bytes)) {
          const isReply = frame[5] === FrameKind.forwardResponse;
          const fate = isReply ? this.fates.draw() : "passed";
          if (fate !== "lost") member.write(frame);
          if (fate === "doubled") member.write(frame);
        }
      });
      member.on("data", (bytes: Buffer) => client.write(bytes));
      for (const [socket, other] of [
        [client, member],
        [member, client],
      ] as const) {
        this.#sockets.add(socket);
        socket.setNoDelay(true);
        socket.on("error", () => {}); // its close follows
        socket.on("close", () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
      }
    });
  }

  #close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Cuts what one side sends into whole frames; everything it is given is believed. */
class FrameCutter {
  #held: Buffer = Buffer.alloc(0);

  *cut(bytes: Buffer): Generator<Buffer> {
    this.#held = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    for (;;) {
      if (this.#held.length < FRAME_HEAD_BYTES) return;
      const size = FRAME_HEAD_BYTES + this.#held.readUInt32LE(12) + this.#held.readUInt32LE(16);
      if (this.#held.length < size) return;
      yield this.#held.subarray(0, size);
      this.#held = this.#held.subarray(size);
    }
  }
}

/** Between clients and the HTTP port of one member. */
export class HttpProxy {
  readonly url: string;
  readonly #server: HttpServer;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  readonly #target: number;
  readonly #fates: Fates;

  /** Listens on `port` and passes on to `target`; ends with the test. */
  static async open(
    context: TestContext,
    fates: Fates,
    { port, target }: { readonly port: number; readonly target: number },
  ): Promise<HttpProxy> {
    const proxy = new HttpProxy(port, target, fates);
    await listening(proxy.#server, port);
    context.onTestFinished(() => {
      proxy.#server.close();
      proxy.#server.closeAllConnections();
      proxy.#agent.destroy();
    });
    return proxy;
  }

  private constructor(port: number, target: number, fates: Fates) {
    this.url = `http://127.0.0.1:${port}`;
    this.#target = target;
    this.#fates = fates;
    this.#server = createHttpServer((request, response) => {
      this.#pass(request, response).catch(() => request.socket.destroy());
    });
  }

  async #pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(request);
    const fate = this.#fates.draw();
    let reply = await this.#ask(request, body);
    if (fate === "doubled") reply = await this.#ask(request, body);
    if (fate === "lost") {
      request.socket.destroy();
      return;
    }
    response.writeHead(reply.status, reply.headers).end(reply.body);
  }

  #ask(
    { method, url, headers }: IncomingMessage,
    body: Buffer,
  ): Promise<{ status: number; headers: IncomingMessage["headers"]; body: Buffer }> {
    return new Promise((resolve, reject) => {
      const options = { host: "127.0.0.1", port: this.#target, method, path: url, headers };
      const sent = httpRequest({ ...options, agent: this.#agent }, (reply) => {
        const status = reply.statusCode!;
        bodyOf(reply).then(
          (read) => resolve({ status, headers: reply.headers, body: read }),
          reject,
        );
      });
      sent.on("error", reject);
      sent.end(body);
    });
  }
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function listening(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
}
