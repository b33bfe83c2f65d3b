/**
 * A connection of the simulated network: two ends, and a pipe in each direction.
 *
 * A pipe is what two kernels do. What a process writes waits in its own memory (`unsentBytes`)
 * until the kernels have room, travels in segments of any size, arrives in order, and waits in the
 * other kernel until that process reads. So a process that does not read stops the one that writes.
 * - A blocked direction keeps what arrives at its end until it is healed, as TCP sends again.
 * - Whoever ends a connection, by itself or by dying, lets what the kernel has taken arrive, and
 *   behind it the end.
 * - A severed connection is gone at once; both sides are told.
 * Everything that calls a process goes through its gate. A segment arrives by a task of the
 * schedule, so nothing is called back synchronously.
 */
import type { ByteStream, StreamEvents } from "../transport/streams.ts";
import type { Path } from "./network-path.ts";
import type { SimProcess } from "./process.ts";
import type { Schedule } from "./schedule.ts";

/** What both kernels hold of one direction at most. */
const KERNEL_BYTES = 262_144;
/** A process reads that much at a time. */
const READ_BYTES = 65_536;
/** What was written before `end` has so long to leave. */
const END_US = 1_000_000;

/** What a connection needs of its network. */
export interface Wire {
  readonly schedule: Schedule;
  /** How much of the next `bytes` becomes one segment. */
  segment(bytes: number): number;
  /** How long a segment takes on this path. */
  delayUs(path: Path, bytes: number): number;
  /** Whether the connection breaks with this segment. */
  breaks(): boolean;
  /** How much later than its arrival a segment is read; what comes meanwhile is read with it. */
  readDelayUs(): number;
  over(connection: SimConnection): void;
}

/** Two ends, back to back. */
export class SimConnection {
  readonly from: string;
  readonly to: string;
  readonly dialer: StreamEnd;
  readonly acceptor: StreamEnd;
  /** Whether the other side's kernel has accepted it. */
  isUp = false;
  isOver = false;
  readonly #wire: Wire;

  constructor(wire: Wire, ends: { from: string; to: string }, paths: { out: Path; back: Path }) {
    this.#wire = wire;
    this.from = ends.from;
    this.to = ends.to;
    this.dialer = new StreamEnd(this, wire);
    this.acceptor = new StreamEnd(this, wire);
    this.dialer.out = new Pipe(this, { wire, path: paths.out, receiver: this.acceptor });
    this.acceptor.out = new Pipe(this, { wire, path: paths.back, receiver: this.dialer });
  }

  get out(): Path {
    return this.dialer.out!.path;
  }

  get back(): Path {
    return this.acceptor.out!.path;
  }

  /** Segments on their way, or waiting to be read. */
  get segments(): number {
    const { dialer, acceptor } = this;
    return dialer.segments + acceptor.segments;
  }

  /** Ends both sides at once, each of which is told. */
  sever(reason: string): void {
    this.finish();
    this.dialer.lose(reason);
    this.acceptor.lose(reason);
  }

  /** After a heal: what waited goes on. */
  wake(): void {
    this.dialer.out!.wake();
    this.acceptor.out!.wake();
  }

  /** An end is gone. */
  check(): void {
    if (this.dialer.isGone && (this.acceptor.isGone || !this.isUp)) this.finish();
  }

  finish(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#wire.over(this);
  }
}

/** One direction of one connection. */
class Pipe {
  readonly path: Path;
  /** Not taken by the kernel yet. */
  unsentBytes = 0;
  readonly #connection: SimConnection;
  readonly #wire: Wire;
  readonly #receiver: StreamEnd;
  #pending: Uint8Array[] = [];
  /** In the order of leaving; undefined is the end. */
  #flight: (Uint8Array | undefined)[] = [];
  /** Taken, and not read by the other process. */
  #kernelBytes = 0;
  #lastUs = 0;
  #lastTie = 0;
  /** Arrivals that a blocked path has put off. */
  #blocked = 0;
  #isEnding = false;
  #hasEnded = false;

  constructor(
    connection: SimConnection,
    parts: { readonly wire: Wire; readonly path: Path; readonly receiver: StreamEnd },
  ) {
    this.#connection = connection;
    this.#wire = parts.wire;
    this.path = parts.path;
    this.#receiver = parts.receiver;
  }

  get segments(): number {
    return this.#flight.length;
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#pending.push(bytes);
    this.unsentBytes += bytes.length;
    this.#pump();
  }

  /** Sends the end behind what is pending. */
  end(): void {
    this.#isEnding = true;
    this.#pump();
  }

  /** Forgets what no kernel has taken. */
  dropUnsent(): void {
    this.#pending = [];
    this.unsentBytes = 0;
    this.#pump();
  }

  /** The other process has read so much. */
  read(bytes: number): void {
    this.#kernelBytes -= bytes;
    this.#pump();
  }

  wake(): void {
    if (this.path.fault !== undefined) return;
    const count = this.#blocked;
    this.#blocked = 0;
    for (let i = 0; i < count; i++) this.#schedule(0);
  }

  #pump(): void {
    for (let first = this.#pending[0]; first !== undefined; first = this.#pending[0]) {
      const room = KERNEL_BYTES - this.#kernelBytes;
      if (room <= 0 || this.#connection.isOver) return;
      const size = this.#wire.segment(Math.min(first.length, room));
      if (size === first.length) this.#pending.shift();
      else this.#pending[0] = first.subarray(size);
      this.unsentBytes -= size;
      this.#kernelBytes += size;
      if (this.#wire.breaks()) {
        this.#connection.sever("connection reset");
        return;
      }
      this.#flight.push(first.subarray(0, size));
      this.#schedule(size);
    }
    if (!this.#isEnding || this.#hasEnded) return;
    this.#hasEnded = true;
    this.#flight.push(undefined);
    this.#schedule(0);
  }

  /** One arrival, not before the one in front of it. Whatever is first by then arrives. */
  #schedule(bytes: number): void {
    const { schedule } = this.#wire;
    const dueUs = schedule.nowUs + this.#wire.delayUs(this.path, bytes);
    const atUs = Math.max(this.#lastUs, dueUs);
    if (atUs === this.#lastUs) {
      schedule.at(atUs, this.#arrive, this.#lastTie);
      return;
    }
    this.#lastUs = atUs;
    this.#lastTie = schedule.at(atUs, this.#arrive).tie;
  }

  readonly #arrive = (): void => {
    if (this.#connection.isOver) return;
    if (this.path.fault !== undefined) {
      this.#blocked++;
      return;
    }
    const segment = this.#flight.shift();
    if (!this.#receiver.arrived(segment) && segment !== undefined) this.read(segment.length);
  };
}

/** One end of a connection, as its process sees it. */
export class StreamEnd implements ByteStream {
  /** The process that has it; undefined at the listener's side before it is accepted. */
  process: SimProcess | undefined;
  events: StreamEvents | undefined;
  out: Pipe | undefined;
  /** Of no use to its process any more. */
  isGone = false;
  /** Told when it is gone, so that its owner forgets it. */
  onGone: ((end: StreamEnd) => void) | undefined;
  readonly #connection: SimConnection;
  readonly #wire: Wire;
  /** Arrived and not read; undefined is the end. */
  #arrived: (Uint8Array | undefined)[] = [];
  #isPaused = false;
  #isReading = false;

  constructor(connection: SimConnection, wire: Wire) {
    this.#connection = connection;
    this.#wire = wire;
  }

  get unsentBytes(): number {
    return this.out!.unsentBytes;
  }

  /** Segments that go out from here, and those that wait here to be read. */
  get segments(): number {
    return this.out!.segments + this.#arrived.length;
  }

  write(chunks: readonly Uint8Array[]): void {
    if (!this.isGone && !this.#connection.isOver) this.out!.push(join(chunks));
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.wake();
  }

  end(): void {
    if (this.isGone) return;
    const out = this.out!;
    if (out.unsentBytes > 0) this.#wire.schedule.after(END_US, () => out.dropUnsent());
    this.#leave();
  }

  destroy(): void {
    if (this.isGone) return;
    this.out!.dropUnsent();
    this.#leave();
  }

  /** Reads what has arrived, later. */
  wake(): void {
    if (this.#arrived.length > 0) this.#readAfter(this.#wire.readDelayUs());
  }

  /** @internal A segment, or the end, is here. False where nobody wants it. */
  arrived(segment: Uint8Array | undefined): boolean {
    if (this.isGone) return false;
    this.#arrived.push(segment);
    const delayUs = this.#wire.readDelayUs();
    if (delayUs > 0) this.#readAfter(delayUs);
    else if (!this.#isReading) this.#enterRead();
    return true;
  }

  /** @internal The connection is gone: tells the process. */
  lose(reason: string): void {
    const { process } = this;
    if (this.isGone || process === undefined) return;
    this.#wire.schedule.after(0, () => process.enter(() => this.#close(reason)));
  }

  #readAfter(delayUs: number): void {
    if (this.#isReading) return;
    this.#isReading = true;
    this.#wire.schedule.after(delayUs, () => this.#enterRead());
  }

  #enterRead(): void {
    this.#isReading = true;
    this.process?.enter(this.#read);
  }

  /** In the process: takes what is there, as one chunk. */
  readonly #read = (): void => {
    this.#isReading = false;
    const { events } = this;
    if (events === undefined || this.#arrived.length === 0 || this.#connection.isOver) return;
    if (this.#arrived[0] === undefined) {
      this.#close("closed by the other side");
      return;
    }
    if (this.#isPaused) return;
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for (let next = this.#arrived[0]; next !== undefined; next = this.#arrived[0]) {
      if (bytes > 0 && bytes + next.length > READ_BYTES) break;
      parts.push(next);
      bytes += next.length;
      this.#arrived.shift();
    }
    // Which pipe fills this end: the other one's.
    this.#in.read(bytes);
    if (this.#arrived.length > 0) this.wake();
    events.received(parts.length === 1 ? parts[0]! : join(parts));
  };

  get #in(): Pipe {
    const { dialer, acceptor } = this.#connection;
    return (this === dialer ? acceptor : dialer).out!;
  }

  #leave(): void {
    this.#forget();
    // Before the other kernel knows of the connection there is nobody to be told.
    if (this.#connection.isUp) this.out!.end();
    this.#connection.check();
  }

  #close(reason: string): void {
    const { events } = this;
    if (this.isGone) return;
    this.destroy();
    events?.closed(reason);
  }

  #forget(): void {
    this.isGone = true;
    this.events = undefined;
    this.#arrived = [];
    this.onGone?.(this);
  }
}

/** A copy of all of it, in one piece. */
function join(chunks: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const chunk of chunks) size += chunk.length;
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
