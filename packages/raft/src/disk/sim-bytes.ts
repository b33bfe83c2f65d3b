/**
 * Keeping and comparing the bytes of writes quickly. Simulated disks do this at every write, so it
 * counts: words are compared instead of bytes where they are aligned; many zeros are not copied at
 * all; and small copies share a buffer, since a buffer of its own costs more than its content.
 */
import { equalBytes } from "../util/bytes.ts";

/** Below this a view of words costs more than it saves. */
const LARGE_BYTES = 1_024;

const SLAB_BYTES = 65_536;
/** Larger ones have a buffer of their own. */
const SHARED_BYTES_MAX = 8_192;
/** Below this nobody looks whether it is all zeros. */
const ZEROS_BYTES_MIN = 4_096;
/** Shared by all writes of nothing but zeros: so a segment is prepared. */
const ZEROS: Uint8Array = new Uint8Array(262_144);

/** Copies of bytes that are needed for a short time. */
export class KeptBytes {
  #slab: Uint8Array = new Uint8Array(0);
  #used = 0;

  /** The bytes as they are now. Not to be changed. */
  keep(bytes: Uint8Array): Uint8Array {
    const { length } = bytes;
    if (length >= ZEROS_BYTES_MIN && length <= ZEROS.length && isZero(bytes)) {
      return ZEROS.subarray(0, length);
    }
    if (length > SHARED_BYTES_MAX) return bytes.slice();
    if (this.#used + length > this.#slab.length) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#used = 0;
    }
    const kept = this.#slab.subarray(this.#used, this.#used + length);
    kept.set(bytes);
    // The next one is aligned again, for the comparison.
    this.#used += (length + 7) & ~7;
    return kept;
  }
}

/** Whether bytes are still what was kept of them. */
export function isKept(kept: Uint8Array, bytes: Uint8Array): boolean {
  return kept.buffer === ZEROS.buffer ? isZero(bytes) : isSame(kept, bytes);
}

/** Whether nothing but zeros is in there. */
function isZero(bytes: Uint8Array): boolean {
  const { length } = bytes;
  let at = 0;
  if (length >= LARGE_BYTES && bytes.byteOffset % 4 === 0) {
    const words = wordsOf(bytes);
    const whole = words.length & ~3;
    for (let i = 0; i < whole; i += 4) {
      if ((words[i]! | words[i + 1]! | words[i + 2]! | words[i + 3]!) !== 0) return false;
    }
    at = whole * 4;
  }
  for (; at < length; at++) if (bytes[at] !== 0) return false;
  return true;
}

/** Whether two stretches of the same length hold the same. */
function isSame(a: Uint8Array, b: Uint8Array): boolean {
  const { length } = a;
  const areAligned = a.byteOffset % 4 === 0 && b.byteOffset % 4 === 0;
  if (length < LARGE_BYTES || !areAligned || b.length !== length) return equalBytes(a, b);
  const left = wordsOf(a);
  const right = wordsOf(b);
  for (let i = 0; i < left.length; i++) if (left[i] !== right[i]) return false;
  for (let i = left.length * 4; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function wordsOf(bytes: Uint8Array): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
}
