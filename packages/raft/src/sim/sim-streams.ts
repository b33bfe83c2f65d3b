/**
 * The byte-stream port of one simulated process (transport/streams.ts).
 *
 * It owns the listener and every stream end of that process, so that the death of the process ends
 * them as its kernel would: nothing is called back, and the other sides are told.
 */
import type { ByteStream, ListenEvents, StreamEvents, Streams } from "../transport/streams.ts";
import type { SimProcess } from "./process.ts";
import type { SimConnection, StreamEnd } from "./sim-connection.ts";

/** What a process's streams need of the network. */
export interface StreamWorld {
  /** Binds a listener and returns its address, which differs where the port was 0. */
  bind(address: string, streams: SimStreams): string;
  unbind(streams: SimStreams): void;
  /** Starts connecting `end`'s connection. */
  dial(streams: SimStreams, to: string): SimConnection;
}

/** The network as one process sees it. */
export class SimStreams implements Streams {
  readonly process: SimProcess;
  readonly #world: StreamWorld;
  readonly #ends: Set<StreamEnd> = new Set();
  readonly #forget = (end: StreamEnd): void => {
    this.#ends.delete(end);
  };
  #address: string;
  #events: ListenEvents | undefined;
  #isClosed = false;

  constructor(world: StreamWorld, process: SimProcess, address: string) {
    this.#world = world;
    this.process = process;
    this.#address = address;
  }

  /** Where it listens: the name of its host. */
  get address(): string {
    return this.#address;
  }

  listen(address: string, events: ListenEvents): Promise<string> {
    // Code that was on its way here when its process died: nothing of it may be seen.
    if (this.process.isDead) return new Promise(() => {});
    return this.#bind(address, events);
  }

  async #bind(address: string, events: ListenEvents): Promise<string> {
    this.#address = this.#world.bind(address, this);
    this.#events = events;
    return this.#address;
  }

  dial(address: string, events: StreamEvents): ByteStream {
    const { dialer } = this.#world.dial(this, address);
    dialer.events = events;
    this.#own(dialer);
    // Code that was on its way here when its process died, as above.
    if (this.process.isDead) dialer.destroy();
    return dialer;
  }

  close(): Promise<void> {
    this.end();
    return Promise.resolve();
  }

  /** @internal Ends everything; also what the kernel does when the process is dead. */
  end(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#world.unbind(this);
    for (const end of this.#ends) end.destroy();
  }

  /** @internal The kernel has accepted a connection; the process hears of it when it runs. */
  accept(connection: SimConnection): void {
    const end = connection.acceptor;
    this.#own(end);
    this.process.enter(() => {
      if (end.isGone || connection.isOver) return;
      end.events = this.#events!.accepted(end, connection.from);
      end.wake();
    });
  }

  #own(end: StreamEnd): void {
    end.process = this.process;
    end.onGone = this.#forget;
    this.#ends.add(end);
  }
}
