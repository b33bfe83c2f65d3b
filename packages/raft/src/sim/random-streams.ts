/**
 * Randomness with names. Whoever draws has a stream of its own, made from the seed and its name: so
 * an additional draw in one place leaves every other place as it was.
 */
import { SeededRandom } from "../util/random.ts";
import type { Random } from "../util/random.ts";
import type { DelayOptions } from "./options.ts";

/** Streams of one run. */
export class RandomStreams {
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed >>> 0;
  }

  /** A new stream; the same name gives the same stream from its beginning. */
  stream(name: string): SeededRandom {
    // FNV-1a, begun with the seed and stirred at the end, so that near names lie far apart.
    let hash = (0x811c9dc5 ^ this.#seed) >>> 0;
    for (let i = 0; i < name.length; i++) {
      hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193) >>> 0;
    }
    hash = Math.imul(hash ^ (hash >>> 16), 0x7feb352d) >>> 0;
    hash = Math.imul(hash ^ (hash >>> 15), 0x846ca68b) >>> 0;
    return new SeededRandom((hash ^ (hash >>> 16) ^ Math.imul(this.#seed, 0x9e3779b9)) >>> 0);
  }
}

/** True so many times of a thousand. */
export function chance(random: Random, perMille: number): boolean {
  return perMille > 0 && random.below(1_000) < perMille;
}

/** From min to max, both included. */
export function between(random: Random, min: number, max: number): number {
  return max <= min ? min : min + random.below(max - min + 1);
}

/** A time of a kind that has a tail. */
export function drawDelayUs(random: Random, delay: DelayOptions): number {
  return chance(random, delay.tailShare)
    ? between(random, delay.maxUs, delay.tailMaxUs)
    : between(random, delay.minUs, delay.maxUs);
}

/** One of several. */
export function pick<T>(random: Random, from: readonly T[]): T {
  return from[random.below(from.length)]!;
}
