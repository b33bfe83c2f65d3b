/**
 * When a nemesis acts and for how long: waiting times that are exponential in the mean, lengths
 * that are short more often than long, and the choice among the occasions that offer themselves.
 *
 * All of it is made of integers, so that a seed is the same run on every engine.
 */
import { between, chance, pick } from "../random-streams.ts";
import type { NemesisOptions } from "../options.ts";
import type { Random } from "../../util/random.ts";
import type { Stage } from "./nemesis.ts";

/** The sixteenths of an exponential distribution, in per cent of its mean. */
const EXPONENTIAL: readonly number[] = [
  3, 10, 17, 25, 33, 42, 52, 63, 76, 90, 107, 127, 153, 186, 237, 347,
];
/** The mean delays after an occasion, in ms: some races are lost within three, some need sixty. */
const SOON_MS: readonly number[] = [3, 6, 12, 25, 60];
const MS = 1_000;

/** A waiting time with this mean: often short, at times three and a half times as long. */
export function exponentialUs(random: Random, meanUs: number): number {
  return Math.floor((meanUs * pick(random, EXPONENTIAL)) / 100);
}

/** Shortly after an occasion: exponential, with a mean from 3 to 60 ms. */
export function soonUs(random: Random): number {
  return exponentialUs(random, pick(random, SOON_MS) * MS);
}

/** At once or nearly so: what must hit before the next sync is over. */
export function atOnceUs(random: Random): number {
  return between(random, 0, pick(random, [0, 50, 300, 2_000]));
}

/** How long something lasts: up to `lastsMs`, every doubling below it as likely as the next. */
export function lastsUs(random: Random, options: NemesisOptions): number {
  return upToUs(random, options.lastsMs * MS);
}

/** A length up to this, more often short. */
export function upToUs(random: Random, maxUs: number): number {
  const max = Math.max(1, Math.floor(maxUs / 2 ** random.below(5)));
  return between(random, 1, max);
}

/** A supervisor that restarts at once: 1 to 15 ms. */
export function quickRestartUs(random: Random): number {
  return between(random, MS, 15 * MS);
}

/** How long a process stays down: half of the time it comes back at once. */
export function downUs(random: Random, options: NemesisOptions): number {
  return chance(random, 500) ? quickRestartUs(random) : lastsUs(random, options);
}

/** Acts again and again, `everyMs` apart on average, until the world is healed. */
export function again(
  stage: Stage,
  options: NemesisOptions,
  random: Random,
  act: () => void,
): void {
  const meanUs = Math.max(1, options.everyMs) * MS;
  const acting = (): void => {
    act();
    stage.after(exponentialUs(random, meanUs), acting);
  };
  stage.after(exponentialUs(random, meanUs), acting);
}

/**
 * The occasions of a state-aware nemesis: `share` of them are taken, but after one that was taken
 * the cluster has `everyMs` on average to get somewhere. Without that pause the frequent occasions
 * (every append is one) would keep it from ever being in an interesting state again.
 */
export class Occasions {
  readonly #stage: Stage;
  readonly #options: NemesisOptions;
  readonly #random: Random;
  #quietUntilUs = 0;

  constructor(stage: Stage, options: NemesisOptions, random: Random) {
    this.#stage = stage;
    this.#options = options;
    this.#random = random;
  }

  /** Whether to act on the one that is here now. */
  take(): boolean {
    const nowUs = this.#stage.nowUs();
    if (nowUs < this.#quietUntilUs || !chance(this.#random, this.#options.share)) return false;
    this.#quietUntilUs = nowUs + exponentialUs(this.#random, this.#options.everyMs * MS);
    return true;
  }
}
