/**
 * The checksum port: CRC-32 (ISO-HDLC, the one of zlib and Ethernet).
 *
 * Contract: `checksum(bytes, seed)` continues from `seed`, the checksum of what came before, so
 * that `checksum(b, checksum(a)) === checksum(a ++ b)`. The result is an unsigned 32-bit integer.
 */
export type Checksum = (bytes: Uint8Array, seed?: number) => number;

/**
 * Four tables, one behind the other: what a byte does to the checksum when it is the last one, and
 * when one, two or three more come behind it. So four bytes are taken at once.
 */
const TABLES: Int32Array = makeTables();

/** CRC-32 in plain JavaScript, for browsers and simulation; on Node zlib's is much faster. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  const { length } = bytes;
  const whole = length & ~3;
  let c = ~seed;
  let i = 0;
  for (; i < whole; i += 4) {
    c ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    c =
      TABLES[768 + (c & 0xff)]! ^
      TABLES[512 + ((c >>> 8) & 0xff)]! ^
      TABLES[256 + ((c >>> 16) & 0xff)]! ^
      TABLES[c >>> 24]!;
  }
  for (; i < length; i++) c = TABLES[(c ^ bytes[i]!) & 0xff]! ^ (c >>> 8);
  return ~c >>> 0;
}

function makeTables(): Int32Array {
  const tables = new Int32Array(4 * 256);
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    tables[n] = c;
  }
  for (let n = 256; n < tables.length; n++) {
    const c = tables[n - 256]!;
    tables[n] = tables[c & 0xff]! ^ (c >>> 8);
  }
  return tables;
}
