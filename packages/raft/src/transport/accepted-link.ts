/**
 * The receiving half: one connection that a peer dialed.
 *
 * Nothing is taken from it but a hello until that was judged; a hello comes within helloTimeoutMs
 * and is at most 1 KiB, so a stranger costs a socket and little memory for a short time. Then
 * messages come, and only pulses go back (peer-link.ts says why). Whatever else comes ends the
 * connection.
 */
import type { MemberId } from "../core/configuration.ts";
import { BytesError } from "../util/bytes.ts";
import type { Timer } from "../util/clock.ts";
import { decodeMessage } from "./codec.ts";
import { emptyFrame, FrameDecoder, FrameKind } from "./frame.ts";
import {
  decodeHello,
  decodeRefusal,
  encodeAccept,
  encodeRefusal,
  HELLO_BYTES_MAX,
  negotiate,
} from "./hello.ts";
import type { Greeting } from "./hello.ts";
import type { LinkContext } from "./link-context.ts";
import type { ByteStream, StreamEvents } from "./streams.ts";
import { RefusalCode, refusalOf } from "./transport.ts";
import type { Hello, Refusal } from "./transport.ts";

/** What a link tells the transport that owns it. */
export interface AcceptedLinkOwner {
  /** It has been identified and accepted. */
  greeted(link: AcceptedLink): void;
  /** It is over. */
  ended(link: AcceptedLink): void;
}

/** Receives over one accepted connection. */
export class AcceptedLink implements StreamEvents {
  /** Who it is; undefined before its hello was accepted. */
  peer: MemberId | undefined;
  readonly #context: LinkContext;
  readonly #owner: AcceptedLinkOwner;
  readonly #remote: string;
  readonly #decoder: FrameDecoder;
  #stream: ByteStream | undefined;
  #helloTimer: Timer | undefined;
  #pulseTimer: Timer | undefined;
  #paused = false;

  constructor(
    stream: ByteStream,
    remote: string,
    shared: {
      readonly context: LinkContext;
      readonly owner: AcceptedLinkOwner;
    },
  ) {
    this.#stream = stream;
    this.#remote = remote;
    this.#context = shared.context;
    this.#owner = shared.owner;
    this.#decoder = new FrameDecoder(shared.context.checksum, HELLO_BYTES_MAX);
    const { clock, limits } = shared.context;
    this.#helloTimer = clock.setTimer(limits.helloTimeoutMs, () => {
      this.#blame(`no hello within ${limits.helloTimeoutMs} ms`);
    });
  }

  /** Bytes held for a frame that is not complete. */
  get heldBytes(): number {
    return this.#decoder.heldBytes;
  }

  /** Ends the connection and calls nothing back. */
  stop(): void {
    this.#stream?.destroy();
    this.#reset();
  }

  /** Ends the connection and reports why. */
  shed(reason: string): void {
    this.#blame(reason);
  }

  /** Ends the connection after telling the other side why. */
  turnAway(refusal: Refusal): void {
    this.#stream?.write([encodeRefusal(refusal, this.#context.checksum)]);
    this.#stream?.end();
    this.#over();
  }

  pause(): void {
    this.#paused = true;
    this.#stream?.pause();
    this.#armPulse();
  }

  resume(): void {
    this.#paused = false;
    this.#stream?.resume();
  }

  opened(): void {
    // Accepted streams are open from the start.
  }

  received(chunk: Uint8Array): void {
    try {
      this.#decoder.push(chunk);
      // What is handled may end this connection.
      while (this.#stream !== undefined && this.#decoder.next()) this.#take(this.#decoder);
    } catch (error) {
      if (!(error instanceof BytesError)) throw error;
      this.#blame(error.message);
    }
    if (this.peer !== undefined) this.#armPulse();
  }

  closed(reason: string): void {
    if (this.peer === undefined) this.#context.reports.problem(this.#remote, `no hello: ${reason}`);
    this.#over();
  }

  #take(frame: FrameDecoder): void {
    if (this.peer === undefined) {
      if (frame.kind !== FrameKind.hello) {
        throw new BytesError(`frame of kind ${frame.kind} before the hello`);
      }
      return this.#greet(decodeHello(frame));
    }
    if (frame.kind === FrameKind.refusal) return this.#refusedByThem(frame, this.peer);
    const message = decodeMessage(frame, this.#context.checksum);
    this.#context.handler.message(this.peer, frame.group, message);
  }

  #greet(greeting: Greeting): void {
    const { checksum, handler, limits, reports } = this.#context;
    const ours = handler.hello();
    const judged = this.#judge(ours, greeting);
    // The host may close the transport over what it heard.
    if (this.#stream === undefined) return;
    if (typeof judged !== "number") {
      this.turnAway(judged);
      reports.refused({ peer: greeting.hello.id, by: "us", ...judged });
      return;
    }
    if (greeting.target === "") {
      this.#stream?.write([encodeAccept({ version: judged, hello: ours }, checksum)]);
      this.#stream?.end();
      this.#over();
      return;
    }
    this.#helloTimer?.cancel();
    this.#decoder.limit(limits.frameBytesMax);
    this.peer = greeting.hello.id;
    this.#stream?.write([encodeAccept({ version: judged, hello: ours }, checksum)]);
    this.#owner.greeted(this);
  }

  /** The protocol version to speak, or why not. */
  #judge(ours: Hello, greeting: Greeting): number | Refusal {
    const version = negotiate(ours, greeting.hello);
    // Who only asks who is here is told, whoever it is.
    if (typeof version !== "number" || greeting.target === "") return version;
    // The host first: that the other belongs to another cluster says more than that it mistook us.
    const verdict = this.#context.handler.judge(greeting.hello, undefined, greeting.target);
    if (!verdict.accept) return refusalOf(verdict);
    if (greeting.target !== ours.id) {
      const reason = `${greeting.hello.id} dialed ${greeting.target}, but this is ${ours.id}`;
      return { code: RefusalCode.identity, reason };
    }
    return version;
  }

  #refusedByThem(frame: FrameDecoder, peer: MemberId): void {
    const refusal = decodeRefusal(frame);
    this.#stream?.destroy();
    this.#over();
    this.#context.reports.refused({ peer, by: "them", ...refusal });
  }

  #blame(reason: string): void {
    this.#stream?.destroy();
    this.#over();
    this.#context.reports.problem(this.#remote, reason);
  }

  #over(): void {
    this.#reset();
    this.#owner.ended(this);
  }

  #reset(): void {
    this.#stream = undefined;
    this.#helloTimer?.cancel();
    this.#pulseTimer?.cancel();
    this.#pulseTimer = undefined;
  }

  /** Something arrived: within a second the other side is told so. */
  #armPulse(): void {
    if (this.#stream === undefined || this.#pulseTimer !== undefined) return;
    const { checksum, clock, limits } = this.#context;
    this.#pulseTimer = clock.setTimer(limits.pulseIntervalMs, () => {
      this.#pulseTimer = undefined;
      // One that does not read its pulses does not get more of them.
      if (this.#stream?.unsentBytes === 0) {
        this.#stream.write([emptyFrame(FrameKind.pulse, checksum)]);
      }
      if (this.#paused) this.#armPulse();
    });
  }
}
