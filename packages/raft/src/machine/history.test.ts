import fc from "fast-check";
import { expect, test } from "vitest";
import { ByteReader, ByteWriter, BytesError } from "../util/bytes.ts";
import { History, INEFFECTIVE_MAX } from "./history.ts";

function encoded(history: History): Uint8Array {
  const writer = new ByteWriter();
  history.encode(writer);
  return writer.copy();
}

test("a history says which indexes had no effect, also after a way through bytes", () => {
  const sets = fc.uniqueArray(fc.integer({ min: 1, max: 200 }), { maxLength: 40 });
  fc.assert(
    fc.property(sets, fc.nat(100), (drawn, forgotten) => {
      const indexes = [...drawn].sort((a, b) => a - b);
      const history = new History();
      for (const index of indexes) history.ineffective(index);
      history.forgetBelow(forgotten);
      const back = History.decode(new ByteReader(encoded(history)));
      expect(back.knownFrom).toBe(Math.max(1, forgotten));
      for (let index = back.knownFrom; index <= 201; index++) {
        expect(history.isEffective(index)).toBe(!indexes.includes(index));
        expect(back.isEffective(index)).toBe(!indexes.includes(index));
      }
    }),
    { numRuns: 100 },
  );
});

test("it keeps the newest ones, and knows from where on it is whole", () => {
  const history = new History();
  for (let i = 1; i <= INEFFECTIVE_MAX + 5; i++) history.ineffective(2 * i);
  expect(history.count).toBe(INEFFECTIVE_MAX);
  expect(history.knownFrom).toBe(11);
  expect(history.isEffective(11)).toBe(true);
  expect(history.isEffective(12)).toBe(false);
  const far = new History();
  far.ineffective(3);
  far.ineffective(3 + 2 ** 33);
  expect(far.knownFrom).toBe(3 + 2 ** 33);
  expect(History.decode(new ByteReader(encoded(far))).isEffective(far.knownFrom)).toBe(false);
});

test("bytes that are no history are refused", () => {
  const history = new History();
  history.ineffective(4);
  history.ineffective(9);
  const bytes = encoded(history);
  for (let length = 0; length < bytes.length; length++) {
    expect(() => History.decode(new ByteReader(bytes.subarray(0, length)))).toThrow(BytesError);
  }
  const twice = bytes.slice();
  twice[16] = 0;
  expect(() => History.decode(new ByteReader(twice))).toThrow("twice");
});
