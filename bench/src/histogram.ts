/**
 * Latencies in logarithmic buckets: 64 to each doubling, so that a percentile is off by at most
 * 1.6 %, and recording is two additions however many there are.
 */
const SUB_BITS = 6;
const SUB = 1 << SUB_BITS;
const BUCKETS = SUB * 32;

/** Counts durations, in microseconds. */
export class Histogram {
  readonly #counts: Float64Array = new Float64Array(BUCKETS);
  #count = 0;
  #max = 0;

  /** How many were recorded. */
  get count(): number {
    return this.#count;
  }

  /** The longest, in ms. */
  get maxMs(): number {
    return this.#max / 1000;
  }

  record(elapsedMs: number): void {
    const us = elapsedMs * 1000;
    const index = bucketOf(us);
    this.#counts[index] = this.#counts[index]! + 1;
    this.#count++;
    if (us > this.#max) this.#max = us;
  }

  /** The value, in ms, below which the fraction `q` of what was recorded lies. */
  quantileMs(q: number): number {
    let left = q * this.#count;
    for (let i = 0; i < BUCKETS; i++) {
      left -= this.#counts[i]!;
      if (left <= 0) return middleOf(i) / 1000;
    }
    return this.#max / 1000;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#count = 0;
    this.#max = 0;
  }
}

function bucketOf(us: number): number {
  const value = us < 1 ? 1 : Math.floor(us);
  if (value < SUB) return value;
  const octave = 31 - Math.clz32(value) - SUB_BITS;
  return Math.min(BUCKETS - 1, (octave + 1) * SUB + (value >>> octave) - SUB);
}

function middleOf(index: number): number {
  if (index < SUB) return index;
  const octave = Math.floor(index / SUB) - 1;
  return (SUB + (index % SUB) + 0.5) * 2 ** octave;
}
