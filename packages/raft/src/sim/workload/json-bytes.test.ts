/** The bytes are those of JSON.stringify, or there are none. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { writePlainJson } from "./json-bytes.ts";

const bytes = new Uint8Array(4_096);

function written(value: unknown): string | undefined {
  const end = writePlainJson(value, bytes, 3);
  return end < 0 ? undefined : new TextDecoder().decode(bytes.subarray(3, end));
}

test("whatever it writes is what JSON.stringify writes", () => {
  fc.assert(
    fc.property(fc.anything({ maxDepth: 3, withNullPrototype: true, withDate: true }), (value) => {
      const text = written(value);
      if (text !== undefined) expect(text).toBe(JSON.stringify(value));
    }),
    { numRuns: 1_000 },
  );
});

test("what is plain is written", () => {
  const leaf = fc.oneof(fc.boolean(), fc.constant(null), fc.maxSafeInteger(), fc.nat());
  const text = fc.string().filter((text) => !/["\\]/.test(text));
  const objectOf = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<Record<string, T>> =>
    fc.dictionary(text, value, { noNullPrototype: true });
  const plain = objectOf(fc.oneof(leaf, text, objectOf(leaf)));
  fc.assert(
    fc.property(plain, (value) => {
      expect(written(value)).toBe(JSON.stringify(value));
    }),
  );
});

test.each([
  ["undefined", undefined],
  ["a fraction", 0.5],
  ["no number", Number.NaN],
  ["an escape", 'a"b'],
  ["a line", "a\nb"],
  ["another alphabet", "ä"],
  ["a list", [1]],
  ["a class", new Map()],
  ["a text of its own", { toJSON: () => 1 }],
  ["something left out", { a: undefined }],
])("%s is left to JSON.stringify", (_, value) => {
  expect(written(value)).toBeUndefined();
  expect(written({ a: value })).toBeUndefined();
});

test("what does not fit is not written", () => {
  const value = { a: "b", c: -12, d: true };
  const { length } = JSON.stringify(value);
  // A number is not begun without room for the longest one.
  expect(writePlainJson(value, new Uint8Array(length + 17), 0)).toBe(length);
  for (let room = 0; room < length; room++) {
    expect(writePlainJson(value, new Uint8Array(room), 0)).toBe(-1);
  }
});
