/**
 * One direction between two hosts, and what is wrong with it. It exists once per pair of addresses,
 * so that a fault is found without a look-up per message.
 */

const MILLION = 1_000_000;

/** A direction. */
export class Path {
  /** `cut`: what goes here is lost. `stall`: it waits. */
  fault: "cut" | "stall" | undefined;
  /** Everything takes so much longer. */
  extraUs = 0;
  /** A slow link has to do with earlier bytes until then. */
  #busyUntilUs = 0;

  /** How long a link of that speed has to do with so many bytes and with what is before them. */
  transferUs(nowUs: number, bytes: number, bytesPerSecond: number): number {
    if (bytesPerSecond === 0) return 0;
    const ownUs = Math.ceil((bytes * MILLION) / bytesPerSecond);
    this.#busyUntilUs = Math.max(this.#busyUntilUs, nowUs) + ownUs;
    return this.#busyUntilUs - nowUs;
  }
}

/** The directions of one network, made when they are first asked for. */
export class Paths<P extends Path> {
  readonly #make: () => P;
  readonly #paths: Map<string, P> = new Map();

  constructor(make: () => P) {
    this.#make = make;
  }

  get(from: string, to: string): P {
    const key = `${from} ${to}`;
    let path = this.#paths.get(key);
    if (path === undefined) this.#paths.set(key, (path = this.#make()));
    return path;
  }

  all(): Iterable<P> {
    return this.#paths.values();
  }
}
