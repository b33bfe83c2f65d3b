import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteReader, ByteWriter, BytesError } from "../util/bytes.ts";
import { decodeValue, encodeValue } from "./value-codec.ts";

const MAX = 1_000_000;
const DateOf = Date;

function encoded(value: unknown, bytesMax = MAX): Uint8Array | undefined {
  const writer = new ByteWriter();
  return encodeValue(writer, value, bytesMax) ? writer.copy() : undefined;
}

function decoded(bytes: Uint8Array): unknown {
  const reader = new ByteReader(bytes);
  const value = decodeValue(reader);
  reader.end();
  return value;
}

const VALUE = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(undefined, null, true, false, -0, Number.NaN, Number.POSITIVE_INFINITY),
    fc.double(),
    fc.bigInt(),
    fc.string({ unit: "binary" }),
    // Units and not characters: surrogates stand alone.
    fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units)),
    fc.uint8Array(),
    fc.date(),
    fc.array(tie("value")),
    fc.dictionary(fc.oneof(fc.string(), fc.constant("__proto__")), tie("value"), {
      noNullPrototype: true,
    }),
    fc.array(fc.tuple(tie("value"), tie("value"))).map((entries) => new Map(entries)),
    fc.array(tie("value")).map((members) => new Set(members)),
  ),
})).value;

describe("results as bytes", () => {
  test("come back as they were, and take the same bytes again", () => {
    fc.assert(
      fc.property(VALUE, (value) => {
        const bytes = encoded(value)!;
        const back = decoded(bytes);
        expect(back).toStrictEqual(value);
        expect(encoded(back)).toEqual(bytes);
      }),
      { numRuns: 200 },
    );
  });

  test("keep what JSON would lose", () => {
    const value = { __proto__: null, a: undefined, b: -0, c: Number.NaN, d: 1n, e: new DateOf(7) };
    expect(decoded(encoded(value)!)).toEqual({ ...value });
    const hostile = JSON.parse('{"__proto__":{"x":1},"constructor":2}') as object;
    const back = decoded(encoded(hostile)!) as object;
    expect(Object.keys(back)).toEqual(["__proto__", "constructor"]);
    expect(Object.getPrototypeOf(back)).toBe(Object.prototype);
    expect(Object.is((decoded(encoded([-0])!) as number[])[0], -0)).toBe(true);
    expect(decoded(encoded("\ud800x")!)).toBe("\ud800x");
    expect(decoded(encoded(Buffer.from("abc"))!)).toEqual(new Uint8Array([97, 98, 99]));
  });

  test("what has no encoding says so and never throws", () => {
    class Point {
      x = 1;
    }
    const cycle: unknown[] = [];
    cycle.push(cycle);
    const refusing = { get x(): number { throw new Error("no"); } }; // prettier-ignore
    const none = [() => 1, Symbol("s"), new Point(), cycle, refusing, new Uint16Array(2), /x/];
    for (const value of none) {
      expect(encoded(value)).toBeUndefined();
      expect(encoded({ deep: [value] })).toBeUndefined();
    }
    expect(encoded("x".repeat(100), 50)).toBeUndefined();
    expect(encoded(new Uint8Array(1_000_000_000), 50)).toBeUndefined();
    expect(
      encoded(
        Array.from({ length: 40 }, () => 1),
        50,
      ),
    ).toBeUndefined();
  });

  test("bytes that are no value are refused, however they are cut or changed", () => {
    const bytes = encoded({ a: [1, "two", 3n], b: new Map([[new Set([1]), new Uint8Array(3)]]) })!;
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decoded(bytes.subarray(0, length))).toThrow(BytesError);
    }
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, byte) => {
        const changed = bytes.slice();
        changed[at] = byte;
        try {
          decoded(changed);
        } catch (error) {
          expect(error).toBeInstanceOf(BytesError);
        }
      }),
      { numRuns: 300 },
    );
    expect(() => decoded(Uint8Array.of(9, 0xff, 0xff, 0xff, 0xff))).toThrow("values that are cut");
  });
});
