/**
 * The randomness port, and a small deterministic generator for tests and simulation.
 *
 * Contract: `below(n)` is uniform over 0 … n-1 for a safe integer n ≥ 1. Integers only, so that a
 * run gives the same draws on every engine.
 */
export interface Random {
  below(n: number): number;
}

/** xoshiro128** seeded by splitmix32: small, fast, and good enough to break things with. */
export class SeededRandom implements Random {
  readonly #s: Uint32Array = new Uint32Array(4);

  constructor(seed: number) {
    let z = seed >>> 0;
    for (let i = 0; i < 4; i++) {
      z = (z + 0x9e3779b9) >>> 0;
      let t = z ^ (z >>> 16);
      t = Math.imul(t, 0x21f0aaad);
      t ^= t >>> 15;
      t = Math.imul(t, 0x735a2d97);
      this.#s[i] = (t ^ (t >>> 15)) >>> 0;
    }
  }

  /** The next 32 bits. */
  next(): number {
    const s = this.#s;
    const s0 = s[0]!,
      s1 = s[1]!,
      s2 = s[2]!,
      s3 = s[3]!;
    const x = Math.imul(s1, 5);
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0;
    const t = s1 << 9;
    const n2 = s2 ^ s0,
      n3 = s3 ^ s1;
    s[1] = s1 ^ n2;
    s[0] = s0 ^ n3;
    s[2] = n2 ^ t;
    s[3] = (n3 << 11) | (n3 >>> 21);
    return result;
  }

  below(n: number): number {
    if (!Number.isSafeInteger(n) || n < 1) throw new RangeError(`below(${n}): want an integer ≥ 1`);
    // 53 bits drawn, so the bias of the remainder is below 2^-20 for every n we use (< 2^32).
    const high = this.next() >>> 11;
    return (high * 0x1_0000_0000 + this.next()) % n;
  }
}
