/**
 * Asking who is behind an address, in message mode: the counterpart of transport/contact-link.ts,
 * with the same rhythm and words.
 */
import type { MemberId } from "../core/configuration.ts";
import type { FrameDecoder } from "../transport/frame.ts";
import { FrameKind } from "../transport/frame.ts";
import { decodeAccept, decodeRefusal, encodeHello } from "../transport/hello.ts";
import type { Hello } from "../transport/transport.ts";
import type { Timer } from "../util/clock.ts";
import type { Connection, Dialer } from "./message-connection.ts";
import type { MessageLinkContext } from "./message-link.ts";
import type { SimHost } from "./sim-network.ts";

/** Asks one address. */
export class MessageContact implements Dialer {
  readonly id: MemberId = "";
  readonly address: string;
  readonly #context: MessageLinkContext;
  #connection: Connection | undefined;
  #hello: Hello | undefined;
  #timer: Timer | undefined;
  #questions = 0;
  #isStopped = false;

  constructor(address: string, context: MessageLinkContext) {
    this.address = address;
    this.#context = context;
  }

  get host(): SimHost {
    return this.#context.host;
  }

  /** Asks. */
  dial(): void {
    const { network, host, limits, address } = this.#context;
    this.#questions++;
    this.#timer = host.clock.setTimer(limits.dialTimeoutMs, () => {
      this.#failed(`no answer within ${limits.dialTimeoutMs} ms`);
    });
    this.#connection = network.dial(this, address, this.address);
  }

  /** Ends it for good; calls nothing back. */
  stop(): void {
    this.#isStopped = true;
    this.#end();
  }

  uses(connection: Connection): boolean {
    return this.#connection === connection;
  }

  /** @internal The other side's kernel has accepted: asks. */
  opened(connection: Connection): void {
    if (!this.uses(connection)) return;
    const { network, handler } = this.#context;
    const hello = handler.hello();
    if (!this.uses(connection)) return;
    this.#hello = hello;
    network.greet(connection, encodeHello({ hello, target: "" }, network.checksum));
  }

  /** @internal The answer. */
  answered(connection: Connection, frame: FrameDecoder): void {
    if (!this.uses(connection) || this.#hello === undefined) return;
    if (frame.kind === FrameKind.refusal) {
      this.#failed(`it refused us: ${decodeRefusal(frame).reason}`);
      return;
    }
    const remote = decodeAccept(frame, this.#hello).hello;
    this.#waitAgain();
    this.#context.handler.contacted(this.address, remote);
  }

  /** @internal The connection has ended. */
  ended(connection: Connection, reason: string): void {
    if (this.uses(connection)) this.#failed(reason);
  }

  /** @internal Nothing is ever sent that could go unanswered. */
  stalled(connection: Connection): void {
    this.ended(connection, "no answer");
  }

  #failed(reason: string): void {
    if (this.#isStopped) return;
    this.#waitAgain();
    this.#context.handler.contactFailed(this.address, reason);
  }

  #waitAgain(): void {
    const { host, limits } = this.#context;
    this.#end();
    const doubled = limits.backoffMinMs * 2 ** Math.min(this.#questions, 30);
    const ceilingMs = Math.min(limits.backoffMaxMs, doubled);
    const delayMs = ceilingMs / 2 + host.random.below(Math.ceil(ceilingMs / 2) + 1);
    this.#timer = host.clock.setTimer(delayMs, () => this.dial());
  }

  #end(): void {
    this.#timer?.cancel();
    this.#hello = undefined;
    if (this.#connection === undefined) return;
    this.#context.network.abandon(this.#connection);
    this.#connection = undefined;
  }
}
