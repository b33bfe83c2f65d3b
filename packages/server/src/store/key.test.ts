import * as fc from "fast-check";
import { expect, test } from "vitest";
import { keyFromText, keyToText } from "./key.ts";

test("every text comes back from its key, and keys order as UTF-8 bytes do", () => {
  const text = fc.string({ unit: "binary" });
  fc.assert(
    fc.property(text, text, (a, b) => {
      expect(keyToText(keyFromText(a))).toBe(a);
      const bytes = Buffer.compare(Buffer.from(a), Buffer.from(b));
      const keys = keyFromText(a) < keyFromText(b) ? -1 : keyFromText(a) > keyFromText(b) ? 1 : 0;
      expect(keys).toBe(bytes);
    }),
    { seed: 1 },
  );
});

test("a byte order mark is a part of the key", () => {
  expect(keyToText(keyFromText("\ufeffa"))).toBe("\ufeffa");
});

test("a key that is not UTF-8 has no text", () => {
  expect(keyToText("\xff\xfe")).toBeUndefined();
});
