/**
 * Looking at many bytes quickly: words at a time where they are aligned. Simulated disks do this at
 * every write, so it counts.
 */
import { equalBytes } from "../util/bytes.ts";

/** Below this a view of words costs more than it saves. */
const LARGE_BYTES = 1_024;

/** Whether nothing but zeros is in there. */
export function isZero(bytes: Uint8Array): boolean {
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
export function isSame(a: Uint8Array, b: Uint8Array): boolean {
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
