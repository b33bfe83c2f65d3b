/**
 * The checksum port: CRC-32 (ISO-HDLC, the one of zlib and Ethernet).
 *
 * Contract: `checksum(bytes, seed)` continues from `seed`, the checksum of what came before, so
 * that `checksum(b, checksum(a)) === checksum(a ++ b)`. The result is an unsigned 32-bit integer.
 */
export type Checksum = (bytes: Uint8Array, seed?: number) => number;

const TABLE: Uint32Array = makeTable();

/** CRC-32 in plain JavaScript, for browsers and simulation; on Node zlib's is some 20 × faster. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  let c = ~seed;
  for (let i = 0; i < bytes.length; i++) c = TABLE[(c ^ bytes[i]!) & 0xff]! ^ (c >>> 8);
  return ~c >>> 0;
}

function makeTable(): Uint32Array {
  const table = new Uint32Array(256);
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    table[n] = c >>> 0;
  }
  return table;
}
