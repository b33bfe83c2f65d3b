/** Our CRC is zlib's. */
import { crc32 as zlibCrc32 } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { crc32 } from "./checksum.ts";

test("the plain CRC-32 agrees with zlib's, whole and in pieces", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 300 }), (a, b) => {
      const whole = new Uint8Array([...a, ...b]);
      expect(crc32(whole)).toBe(zlibCrc32(whole));
      expect(crc32(b, crc32(a))).toBe(crc32(whole));
    }),
  );
});

test("it does so wherever the bytes lie and however many they are", () => {
  const bytes = Uint8Array.from({ length: 64 }, (_, i) => (i * 167 + 13) & 0xff);
  for (let from = 0; from < 8; from++) {
    for (let to = from; to <= bytes.length; to++) {
      const part = bytes.subarray(from, to);
      expect(crc32(part, 0xfedc_ba98)).toBe(zlibCrc32(part, 0xfedc_ba98));
    }
  }
});
