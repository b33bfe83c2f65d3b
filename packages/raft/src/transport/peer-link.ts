/**
 * The sending half: one connection that we dial, kept up for as long as the peer is on the list.
 *
 *        dial            opened, hello sent        accepted and judged
 *   waiting ---> dialing ------------------> greeting -----------------> open
 *      ^            |                           |                         |
 *      +------------+------ failed, refused ----+-------- lost -----------+
 *
 * Where a peer has several addresses, a dial that comes to nothing makes the next one go to the
 * next of them.
 *
 * After a loss we dial at once if the connection had lasted (else two members that replace each
 * other's connection would spin), otherwise after a randomised, exponentially growing time.
 *
 * Half-open connections. TCP alone notices a silent path only after many minutes, and after a cut
 * of a minute its next retransmission may be another minute away; Node offers no TCP_USER_TIMEOUT.
 * So the receiving side answers bytes with a pulse, at most one a second, and a link that sent
 * something and has heard no pulse for stallTimeoutMs is dropped and dialed anew. An idle link
 * costs nothing. A receiver that paused reading still sends pulses: back-pressure is no failure.
 * Before dropping, the link waits one more turn of the event loop: after a late turn the pulse may
 * lie unread in the socket.
 */
import type { MemberId } from "../core/configuration.ts";
import { BytesError } from "../util/bytes.ts";
import type { Timer } from "../util/clock.ts";
import { FrameDecoder, FrameKind } from "./frame.ts";
import {
  decodeAccept,
  decodeRefusal,
  encodeHello,
  encodeRefusal,
  HELLO_BYTES_MAX,
} from "./hello.ts";
import type { LinkContext } from "./link-context.ts";
import type { PeerMessage } from "./peer-message.ts";
import { SendQueue } from "./send-queue.ts";
import type { ByteStream, StreamEvents } from "./streams.ts";
import { refusalOf } from "./transport.ts";
import type { Hello, PeerAddress, PeerTransportStatus } from "./transport.ts";

/** Keeps one connection to one peer and sends over it. */
export class PeerLink implements StreamEvents {
  readonly id: MemberId;
  #addresses: readonly string[];
  #addressAt = 0;
  readonly #context: LinkContext;
  readonly #queue: SendQueue = new SendQueue();
  #stream: ByteStream | undefined;
  #decoder: FrameDecoder;
  #hello: Hello | undefined;
  /** Backoff while waiting; the dial's bound until the connection is open. */
  #timer: Timer | undefined;
  #stallTimer: Timer | undefined;
  /** Since when we have been sending without a pulse. */
  #silentSinceMs: number | undefined;
  /** Set while open. */
  #openSinceMs: number | undefined;
  #failures = 0;
  #dropped = 0;
  #sentBytes = 0;
  #lastProblem: string | undefined;
  #stopped = false;

  constructor(peer: PeerAddress, context: LinkContext) {
    this.id = peer.id;
    this.#addresses = addressesOf(peer);
    this.#context = context;
    this.#decoder = new FrameDecoder(context.checksum, HELLO_BYTES_MAX);
  }

  /** Where the peer is dialed now. */
  get address(): string {
    return this.#addresses[this.#addressAt]!;
  }

  /** Takes other addresses; false where the one in use is not among them. */
  readdress(peer: PeerAddress): boolean {
    const addresses = addressesOf(peer);
    const at = addresses.indexOf(this.address);
    if (at < 0) return false;
    this.#addresses = addresses;
    this.#addressAt = at;
    return true;
  }

  /** Queues a message; false where it was dropped. */
  send(group: number, message: PeerMessage): boolean {
    const { encoder, limits } = this.#context;
    const stream = this.#stream;
    if (this.#openSinceMs !== undefined && stream !== undefined) {
      const waiting = this.#queue.bytes + stream.unsentBytes;
      // An outright full queue is not worth encoding for.
      if (waiting < limits.sendQueueBytesMax) {
        const size = encoder.encode(group, message);
        // The other side would close the connection for it.
        const fits = waiting + size <= limits.sendQueueBytesMax && size <= limits.frameBytesMax;
        if (fits) this.#queue.push(encoder);
        if (size > limits.frameBytesMax) this.#note(`a frame of ${size} bytes was not sent`);
        if (fits) return true;
      }
    }
    this.#dropped++;
    return false;
  }

  /** Hands what is queued to the network. */
  flush(): void {
    if (this.#queue.bytes === 0 || this.#stream === undefined) return;
    this.#sentBytes += this.#queue.bytes;
    this.#stream.write(this.#queue.take());
    this.#silentSinceMs ??= this.#context.clock.nowMs();
    this.#stallTimer ??= this.#armStall(this.#context.limits.stallTimeoutMs);
  }

  status(): PeerTransportStatus {
    return {
      id: this.id,
      address: this.address,
      connected: this.#openSinceMs !== undefined,
      queuedBytes: this.#queue.bytes + (this.#stream?.unsentBytes ?? 0),
      dropped: this.#dropped,
      sentBytes: this.#sentBytes,
      lastProblem: this.#lastProblem,
    };
  }

  /** Starts dialing; also the way back from waiting. */
  dial(): void {
    const { checksum, clock, limits, streams } = this.#context;
    this.#decoder = new FrameDecoder(checksum, HELLO_BYTES_MAX);
    this.#timer = clock.setTimer(limits.dialTimeoutMs, () => {
      this.#drop(`no answer within ${limits.dialTimeoutMs} ms`);
    });
    this.#stream = streams.dial(this.address, this);
  }

  /** The peer has just dialed us, so it is there: what waits to dial it waits no longer. */
  hurry(): void {
    if (this.#stopped || this.#stream !== undefined) return;
    this.#timer?.cancel();
    this.#timer = this.#context.clock.setTimer(0, () => this.dial());
  }

  /** Ends the link for good. Calls nothing back; says whether it was open. */
  stop(): boolean {
    const wasOpen = this.#openSinceMs !== undefined;
    this.#stopped = true;
    this.#stream?.destroy();
    this.#reset();
    return wasOpen;
  }

  opened(): void {
    const hello = this.#context.handler.hello();
    this.#hello = hello;
    this.#stream?.write([encodeHello({ hello, target: this.id }, this.#context.checksum)]);
  }

  received(chunk: Uint8Array): void {
    const decoder = this.#decoder;
    try {
      decoder.push(chunk);
      // What is handled may end this connection, or the whole link.
      while (decoder === this.#decoder && this.#stream !== undefined && decoder.next()) {
        this.#take(decoder);
      }
    } catch (error) {
      if (!(error instanceof BytesError)) throw error;
      this.#drop(error.message);
    }
  }

  closed(reason: string): void {
    this.#lost(reason);
  }

  #take(frame: FrameDecoder): void {
    if (frame.kind === FrameKind.refusal) return this.#refusedByThem(frame);
    if (this.#openSinceMs !== undefined) {
      if (frame.kind !== FrameKind.pulse) throw unexpected(frame.kind);
      this.#silentSinceMs = undefined;
      return;
    }
    if (frame.kind !== FrameKind.accept || this.#hello === undefined) throw unexpected(frame.kind);
    this.#judge(decodeAccept(frame, this.#hello).hello);
  }

  #judge(remote: Hello): void {
    const { checksum, clock, handler, reports } = this.#context;
    const verdict = handler.judge(remote, this.id);
    if (this.#stopped) return;
    if (verdict.accept) {
      this.#timer?.cancel();
      this.#openSinceMs = clock.nowMs();
      this.#lastProblem = undefined;
      handler.connected(this.id, remote);
      return;
    }
    this.#stream?.write([encodeRefusal(verdict, checksum)]);
    this.#stream?.end();
    this.#stream = undefined;
    reports.refused({ peer: this.id, by: "us", ...refusalOf(verdict) });
    this.#lost(`we refused it: ${verdict.reason}`, true);
  }

  #refusedByThem(frame: FrameDecoder): void {
    const refusal = decodeRefusal(frame);
    this.#stream?.destroy();
    this.#stream = undefined;
    this.#context.reports.refused({ peer: this.id, by: "them", ...refusal });
    this.#lost(`it refused us: ${refusal.reason}`, true);
  }

  /** Ends the connection for a reason of ours. */
  #drop(reason: string): void {
    this.#stream?.destroy();
    this.#lost(reason);
  }

  /** The connection is gone: tells, and goes back to dialing. `told`: a refusal was reported. */
  #lost(reason: string, told = false): void {
    // Every callback of the handler may take this peer off the list.
    if (this.#stopped) return;
    const { clock, handler, limits, random, reports } = this.#context;
    const openSinceMs = this.#openSinceMs;
    this.#reset();
    const lasted = openSinceMs !== undefined && clock.nowMs() - openSinceMs >= limits.backoffMaxMs;
    this.#failures = lasted ? 0 : this.#failures + 1;
    const ceilingMs = Math.min(limits.backoffMaxMs, limits.backoffMinMs * 2 ** this.#failures);
    const delayMs = lasted ? 0 : ceilingMs / 2 + random.below(Math.ceil(ceilingMs / 2) + 1);
    this.#timer = clock.setTimer(delayMs, () => this.dial());
    const news = this.#note(reason);
    const { address } = this;
    if (openSinceMs === undefined) this.#addressAt = (this.#addressAt + 1) % this.#addresses.length;
    if (openSinceMs !== undefined) handler.disconnected(this.id, reason);
    else if (news && !told) reports.dialFailed(address, reason);
  }

  /** Remembers a problem; true where it differs from the last one. */
  #note(reason: string): boolean {
    const news = reason !== this.#lastProblem;
    this.#lastProblem = reason;
    return news;
  }

  #reset(): void {
    this.#timer?.cancel();
    this.#stallTimer?.cancel();
    this.#stallTimer = undefined;
    this.#silentSinceMs = undefined;
    this.#openSinceMs = undefined;
    this.#stream = undefined;
    this.#queue.clear();
  }

  #armStall(delayMs: number): Timer {
    const { clock } = this.#context;
    return clock.setTimer(delayMs, () => {
      this.#stallTimer = undefined;
      const leftMs = this.#stallLeftMs();
      if (leftMs === undefined) return;
      if (leftMs > 0) this.#stallTimer = this.#armStall(leftMs);
      else clock.soon(() => this.#checkStall());
    });
  }

  #checkStall(): void {
    const leftMs = this.#stallLeftMs();
    if (leftMs === undefined) return;
    const { stallTimeoutMs } = this.#context.limits;
    if (leftMs > 0) this.#stallTimer ??= this.#armStall(leftMs);
    else this.#drop(`no sign of life within ${stallTimeoutMs} ms of sending`);
  }

  /** How much silence is left; undefined where nobody owes us a pulse. */
  #stallLeftMs(): number | undefined {
    if (this.#silentSinceMs === undefined) return undefined;
    const silentMs = this.#context.clock.nowMs() - this.#silentSinceMs;
    return this.#context.limits.stallTimeoutMs - silentMs;
  }
}

/** The addresses of a peer, each once, in the order in which to try them. */
export function addressesOf(peer: PeerAddress): readonly string[] {
  return peer.others === undefined ? [peer.address] : [...new Set([peer.address, ...peer.others])];
}

function unexpected(kind: number): BytesError {
  return new BytesError(`frame of kind ${kind} out of place`);
}
