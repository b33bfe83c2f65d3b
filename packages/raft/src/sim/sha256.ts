/**
 * SHA-256 (FIPS 180-4) in plain JavaScript, for the identities of simulated members. Slow and
 * small: it runs a few times per run.
 */
const K: Uint32Array = constants(64, 3);
const START: Uint32Array = constants(8, 2);

/** The 32 bytes of the hash. */
export function sha256(bytes: Uint8Array): Uint8Array {
  const padded = new Uint8Array((((bytes.length + 8) >> 6) + 1) << 6);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 0x2000_0000));
  view.setUint32(padded.length - 4, (bytes.length << 3) >>> 0);
  const h = START.slice();
  const w = new Uint32Array(64);
  for (let at = 0; at < padded.length; at += 64) block(h, w, view, at);
  const out = new Uint8Array(32);
  const outView = new DataView(out.buffer);
  h.forEach((word, i) => outView.setUint32(4 * i, word));
  return out;
}

function block(h: Uint32Array, w: Uint32Array, view: DataView, at: number): void {
  for (let i = 0; i < 16; i++) w[i] = view.getUint32(at + 4 * i);
  for (let i = 16; i < 64; i++) {
    const a = w[i - 15]!;
    const b = w[i - 2]!;
    const s0 = rotated(a, 7) ^ rotated(a, 18) ^ (a >>> 3);
    const s1 = rotated(b, 17) ^ rotated(b, 19) ^ (b >>> 10);
    w[i] = w[i - 16]! + s0 + w[i - 7]! + s1;
  }
  const v = h.slice();
  for (let i = 0; i < 64; i++) {
    const e = v[4]!;
    const a = v[0]!;
    const choice = (e & v[5]!) ^ (~e & v[6]!);
    const t1 = v[7]! + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + choice + K[i]! + w[i]!;
    const most = (a & v[1]!) ^ (a & v[2]!) ^ (v[1]! & v[2]!);
    const t2 = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + most;
    v.copyWithin(1, 0, 7);
    v[4] = v[4]! + t1;
    v[0] = t1 + t2;
  }
  for (let i = 0; i < 8; i++) h[i] = h[i]! + v[i]!;
}

function rotated(x: number, by: number): number {
  return (x >>> by) | (x << (32 - by));
}

/** The first 32 bits of the fractions of square (2) or cube (3) roots of the first primes. */
function constants(count: number, root: 2 | 3): Uint32Array {
  const words = new Uint32Array(count);
  let found = 0;
  for (let n = 2; found < count; n++) {
    if (isPrime(n)) words[found++] = fraction(BigInt(n), BigInt(root));
  }
  return words;
}

function isPrime(n: number): boolean {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false;
  return true;
}

/** floor(n^(1/root) · 2^32) modulo 2^32, in whole numbers, so that every engine agrees. */
function fraction(n: bigint, root: bigint): number {
  const target = n << (32n * root);
  let low = 0n;
  let high = 1n << 40n;
  while (high - low > 1n) {
    const middle = (low + high) >> 1n;
    if (middle ** root <= target) low = middle;
    else high = middle;
  }
  return Number(low & 0xffff_ffffn);
}
