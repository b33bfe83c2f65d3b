/** Fixed layouts: what is written is read back, and what is not ours is refused. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ByteReader,
  BytesError,
  ByteWriter,
  equalBytes,
  fromHex,
  fromUtf8,
  readU64,
  toHex,
  utf8,
  writeU64,
} from "./bytes.ts";

const u64 = fc.maxSafeNat();

describe("integers of 64 bits", () => {
  test("every safe integer is read back as it was written", () => {
    fc.assert(
      fc.property(u64, fc.nat(7), (value, at) => {
        const bytes = new Uint8Array(16);
        writeU64(bytes, at, value);
        expect(readU64(bytes, at)).toBe(value);
        expect(new DataView(bytes.buffer).getBigUint64(at, true)).toBe(BigInt(value));
      }),
    );
  });

  test("what is above 2^53 - 1 is refused on both ways", () => {
    const bytes = new Uint8Array(8).fill(0xff);
    expect(() => readU64(bytes, 0)).toThrow(BytesError);
    for (const bad of [-1, 0.5, Number.NaN, 2 ** 53]) {
      expect(() => writeU64(bytes, 0, bad)).toThrow(BytesError);
    }
  });
});

describe("writer and reader", () => {
  test("a layout of any fields is read back", () => {
    const fields = fc.array(
      fc.oneof(
        fc.record({ kind: fc.constant("u8" as const), value: fc.nat(0xff) }),
        fc.record({ kind: fc.constant("u16" as const), value: fc.nat(0xffff) }),
        fc.record({ kind: fc.constant("u32" as const), value: fc.nat(0xffff_ffff) }),
        fc.record({ kind: fc.constant("u64" as const), value: u64 }),
        fc.record({ kind: fc.constant("text" as const), value: fc.string({ unit: "binary" }) }),
      ),
    );
    fc.assert(
      fc.property(fields, (list) => {
        const writer = new ByteWriter(1);
        for (const { kind, value } of list) {
          if (kind === "text") writer.text(value);
          else writer[kind](value);
        }
        const reader = new ByteReader(writer.copy());
        for (const { kind, value } of list) expect(reader[kind]()).toBe(value);
        reader.end();
      }),
    );
  });

  test("reading past the end and leaving bytes unread are errors", () => {
    expect(() => new ByteReader(new Uint8Array(3)).u32()).toThrow(BytesError);
    expect(() => new ByteReader(new Uint8Array([9, 0, 1])).text()).toThrow(BytesError);
    expect(() => new ByteReader(new Uint8Array(1)).end()).toThrow("1 bytes too many");
  });
});

describe("text and hex", () => {
  test("invalid UTF-8 is refused", () => {
    expect(() => fromUtf8(new Uint8Array([0xc3, 0x28]))).toThrow(BytesError);
    expect(fromUtf8(utf8("\uFEFF🚀"))).toBe("\uFEFF🚀");
  });

  test("hex is read back, and only lower-case hex is hex", () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => equalBytes(fromHex(toHex(bytes)), bytes)));
    for (const bad of ["a", "AB", "zz", "0x"]) expect(() => fromHex(bad)).toThrow(BytesError);
  });
});
