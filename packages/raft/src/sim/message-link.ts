/**
 * The sending half of message mode: one connection that a process dials and keeps up.
 *
 * It goes through the states of transport/peer-link.ts with the same bounds, backoff and words, and
 * says and judges the same frames. What is missing is the byte stream: a message is one frame in a
 * buffer of its own, and how it fares is the network's affair. Pulses are not sent; the network
 * knows when none would come.
 */
import type { MemberId } from "../core/configuration.ts";
import type { MessageEncoder } from "../transport/codec.ts";
import type { FrameDecoder } from "../transport/frame.ts";
import { FrameKind } from "../transport/frame.ts";
import { decodeAccept, decodeRefusal, encodeHello, encodeRefusal } from "../transport/hello.ts";
import type { Reports, TransportLimits } from "../transport/link-context.ts";
import { refusalOf } from "../transport/transport.ts";
import type { PeerMessage } from "../transport/peer-message.ts";
import type {
  Hello,
  PeerAddress,
  PeerTransportStatus,
  TransportHandler,
} from "../transport/transport.ts";
import type { Timer } from "../util/clock.ts";
import { addressesOf } from "../transport/peer-link.ts";
import type { Connection, Dialer, Packet } from "./message-connection.ts";
import type { MessageNetwork } from "./message-network.ts";
import { keptMessage } from "./kept-message.ts";
import type { SimHost } from "./sim-network.ts";

/** Shared by the links of one process. */
export interface MessageLinkContext {
  readonly network: MessageNetwork;
  readonly host: SimHost;
  /** Where this process listens: the name of its host. */
  readonly address: string;
  readonly handler: TransportHandler;
  readonly limits: Required<TransportLimits>;
  readonly encoder: MessageEncoder;
  readonly reports: Reports;
}

/** Keeps one connection to one peer and sends over it. */
export class MessageLink implements Dialer {
  readonly id: MemberId;
  #addresses: readonly string[];
  #addressAt = 0;
  readonly #context: MessageLinkContext;
  #connection: Connection | undefined;
  #hello: Hello | undefined;
  /** Backoff while waiting; the dial's bound until the connection is open. */
  #timer: Timer | undefined;
  /** Set while open. */
  #openSinceMs: number | undefined;
  /** What waits for the end of the turn. */
  #queue: Packet[] = [];
  #queuedBytes = 0;
  #failures = 0;
  #dropped = 0;
  #sentBytes = 0;
  #lastProblem: string | undefined;
  #isStopped = false;

  constructor(peer: PeerAddress, context: MessageLinkContext) {
    this.id = peer.id;
    this.#addresses = addressesOf(peer);
    this.#context = context;
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
    const connection = this.#connection;
    if (this.#openSinceMs !== undefined && connection !== undefined) {
      // What is under way counts as queued: nobody knows here what a kernel would have taken.
      if (connection.bytes < limits.sendQueueBytesMax) {
        const size = encoder.encode(group, message);
        const isTooLarge = size > limits.frameBytesMax;
        if (!isTooLarge && connection.bytes + size <= limits.sendQueueBytesMax) {
          this.#push(connection, message, size);
          return true;
        }
        if (isTooLarge) this.#note(`a frame of ${size} bytes was not sent`);
      }
    }
    this.#dropped++;
    return false;
  }

  /** Lets go what is queued. */
  flush(): void {
    if (this.#queuedBytes === 0) return;
    const queue = this.#queue;
    this.#queue = [];
    this.#sentBytes += this.#queuedBytes;
    this.#queuedBytes = 0;
    const { network, host } = this.#context;
    for (let i = 0; i < queue.length; i++) {
      const packet = queue[i]!;
      host.sent(this.id, packet.message);
      network.leave(packet);
    }
  }

  status(): PeerTransportStatus {
    return {
      id: this.id,
      address: this.address,
      connected: this.#openSinceMs !== undefined,
      queuedBytes: this.#connection?.bytes ?? 0,
      dropped: this.#dropped,
      sentBytes: this.#sentBytes,
      lastProblem: this.#lastProblem,
    };
  }

  /** The member this link belongs to. */
  get host(): SimHost {
    return this.#context.host;
  }

  /** Starts dialing; also the way back from waiting. */
  dial(): void {
    const { network, host, limits, address } = this.#context;
    this.#timer = host.clock.setTimer(limits.dialTimeoutMs, () => {
      this.#lost(`no answer within ${limits.dialTimeoutMs} ms`);
    });
    this.#connection = network.dial(this, address, this.address);
  }

  /** The peer has just dialed us, so it is there: what waits to dial it waits no longer. */
  hurry(): void {
    if (this.#isStopped || this.#connection !== undefined) return;
    this.#timer?.cancel();
    this.#timer = this.#context.host.clock.setTimer(0, () => this.dial());
  }

  /** Ends the link for good. Calls nothing back; says whether it was open. */
  stop(): boolean {
    const wasOpen = this.#openSinceMs !== undefined;
    this.#isStopped = true;
    this.#reset();
    return wasOpen;
  }

  /** Whether this is the connection that the link now uses. */
  uses(connection: Connection): boolean {
    return this.#connection === connection;
  }

  /** @internal The other side's kernel has accepted: says hello. */
  opened(connection: Connection): void {
    if (!this.uses(connection)) return;
    const { network, handler } = this.#context;
    const hello = handler.hello();
    // The host may have ended this over being asked.
    if (!this.uses(connection)) return;
    this.#hello = hello;
    const bytes = encodeHello({ hello, target: this.id }, network.checksum);
    network.greet(connection, bytes);
  }

  /** @internal An answer to the hello: accepted, or refused; or turned away later. */
  answered(connection: Connection, frame: FrameDecoder): void {
    if (!this.uses(connection) || this.#hello === undefined) return;
    if (frame.kind === FrameKind.refusal) {
      const refusal = decodeRefusal(frame);
      this.#letGo();
      this.#context.reports.refused({ peer: this.id, by: "them", ...refusal });
      this.#lost(`it refused us: ${refusal.reason}`, true);
      return;
    }
    this.#judge(connection, decodeAccept(frame, this.#hello).hello);
  }

  /** @internal The connection has ended. */
  ended(connection: Connection, reason: string): void {
    if (this.uses(connection)) this.#lost(reason);
  }

  /** @internal No sign of life came when there should have been one. */
  stalled(connection: Connection): void {
    const { limits } = this.#context;
    this.ended(connection, `no sign of life within ${limits.stallTimeoutMs} ms of sending`);
  }

  #push(connection: Connection, message: PeerMessage, size: number): void {
    const { encoder } = this.#context;
    const bytes = new Uint8Array(size);
    const { front, batches, tail } = encoder;
    bytes.set(front);
    let at = front.length;
    for (let i = 0; i < batches.length; i++) {
      bytes.set(batches[i]!.body, at);
      at += batches[i]!.byteLength;
    }
    if (tail.length > 0) bytes.set(tail, at);
    const kept = keptMessage(message, bytes.subarray(at));
    this.#queue.push({ connection, bytes, message: kept });
    this.#queuedBytes += size;
    connection.bytes += size;
  }

  #judge(connection: Connection, remote: Hello): void {
    const { network, handler, host, reports } = this.#context;
    const verdict = handler.judge(remote, this.id);
    if (this.#isStopped || !this.uses(connection)) return;
    if (verdict.accept) {
      this.#timer?.cancel();
      this.#openSinceMs = host.clock.nowMs();
      this.#lastProblem = undefined;
      handler.connected(this.id, remote);
      return;
    }
    network.refuse(connection, encodeRefusal(verdict, network.checksum));
    this.#letGo();
    reports.refused({ peer: this.id, by: "us", ...refusalOf(verdict) });
    this.#lost(`we refused it: ${verdict.reason}`, true);
  }

  /** The connection is gone: tells, and goes back to dialing. `told`: a refusal was reported. */
  #lost(reason: string, told = false): void {
    // Every callback of the handler may take this peer off the list.
    if (this.#isStopped) return;
    const { handler, host, limits, reports } = this.#context;
    const openSinceMs = this.#openSinceMs;
    const nowMs = host.clock.nowMs();
    this.#reset();
    const lasted = openSinceMs !== undefined && nowMs - openSinceMs >= limits.backoffMaxMs;
    this.#failures = lasted ? 0 : this.#failures + 1;
    const ceilingMs = Math.min(limits.backoffMaxMs, limits.backoffMinMs * 2 ** this.#failures);
    const delayMs = lasted ? 0 : ceilingMs / 2 + host.random.below(Math.ceil(ceilingMs / 2) + 1);
    this.#timer = host.clock.setTimer(delayMs, () => this.dial());
    const isNews = this.#note(reason);
    const { address } = this;
    if (openSinceMs === undefined) this.#addressAt = (this.#addressAt + 1) % this.#addresses.length;
    if (openSinceMs !== undefined) handler.disconnected(this.id, reason);
    else if (isNews && !told) reports.dialFailed(address, reason);
  }

  /** Remembers a problem; true where it differs from the last one. */
  #note(reason: string): boolean {
    const isNews = reason !== this.#lastProblem;
    this.#lastProblem = reason;
    return isNews;
  }

  #letGo(): void {
    if (this.#connection === undefined) return;
    this.#context.network.abandon(this.#connection);
    this.#connection = undefined;
  }

  #reset(): void {
    this.#timer?.cancel();
    this.#openSinceMs = undefined;
    this.#hello = undefined;
    this.#letGo();
    this.#queue = [];
    this.#queuedBytes = 0;
  }
}
