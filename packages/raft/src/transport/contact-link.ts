/**
 * Asks who is behind an address, again and again, for as long as it is on the list of contacts.
 *
 *   waiting ---> dialing ---> asked ---> told, or not
 *      ^                                  |
 *      +----------------------------------+
 *
 * Each question has a connection of its own that ends with the answer, so nothing but a hello ever
 * comes over it. The next question follows after backoffMaxMs or a little less, answered or not,
 * the first ones sooner.
 */
import { BytesError } from "../util/bytes.ts";
import type { Timer } from "../util/clock.ts";
import { FrameDecoder, FrameKind } from "./frame.ts";
import { decodeAccept, decodeRefusal, encodeHello, HELLO_BYTES_MAX } from "./hello.ts";
import type { LinkContext } from "./link-context.ts";
import type { ByteStream, StreamEvents } from "./streams.ts";
import type { Hello } from "./transport.ts";

/** Asks one address. */
export class ContactLink implements StreamEvents {
  readonly address: string;
  readonly #context: LinkContext;
  #stream: ByteStream | undefined;
  #decoder: FrameDecoder;
  #hello: Hello | undefined;
  /** The wait between two questions; the bound of a question. */
  #timer: Timer | undefined;
  #questions = 0;
  #stopped = false;

  constructor(address: string, context: LinkContext) {
    this.address = address;
    this.#context = context;
    this.#decoder = new FrameDecoder(context.checksum, HELLO_BYTES_MAX);
  }

  /** Asks. */
  dial(): void {
    const { checksum, clock, limits, streams } = this.#context;
    this.#questions++;
    this.#decoder = new FrameDecoder(checksum, HELLO_BYTES_MAX);
    this.#timer = clock.setTimer(limits.dialTimeoutMs, () => {
      this.#failed(`no answer within ${limits.dialTimeoutMs} ms`);
    });
    this.#stream = streams.dial(this.address, this);
  }

  /** Ends it for good; calls nothing back. */
  stop(): void {
    this.#stopped = true;
    this.#end();
  }

  opened(): void {
    const hello = this.#context.handler.hello();
    this.#hello = hello;
    this.#stream?.write([encodeHello({ hello, target: "" }, this.#context.checksum)]);
  }

  received(chunk: Uint8Array): void {
    try {
      this.#decoder.push(chunk);
      if (this.#decoder.next()) this.#take(this.#decoder);
    } catch (error) {
      if (!(error instanceof BytesError)) throw error;
      this.#failed(error.message);
    }
  }

  closed(reason: string): void {
    this.#failed(reason);
  }

  #take(frame: FrameDecoder): void {
    if (frame.kind === FrameKind.refusal) {
      this.#failed(`it refused us: ${decodeRefusal(frame).reason}`);
      return;
    }
    if (frame.kind !== FrameKind.accept || this.#hello === undefined) {
      throw new BytesError(`frame of kind ${frame.kind} out of place`);
    }
    const remote = decodeAccept(frame, this.#hello).hello;
    this.#waitAgain();
    this.#context.handler.contacted(this.address, remote);
  }

  #failed(reason: string): void {
    // What it has told already counts.
    if (this.#stopped || this.#stream === undefined) return;
    this.#waitAgain();
    this.#context.handler.contactFailed(this.address, reason);
  }

  #waitAgain(): void {
    const { clock, limits, random } = this.#context;
    this.#end();
    const doubled = limits.backoffMinMs * 2 ** Math.min(this.#questions, 30);
    const ceilingMs = Math.min(limits.backoffMaxMs, doubled);
    const delayMs = ceilingMs / 2 + random.below(Math.ceil(ceilingMs / 2) + 1);
    this.#timer = clock.setTimer(delayMs, () => this.dial());
  }

  #end(): void {
    this.#timer?.cancel();
    this.#stream?.destroy();
    this.#stream = undefined;
    this.#hello = undefined;
  }
}
