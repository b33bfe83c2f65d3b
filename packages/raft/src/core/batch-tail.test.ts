import { expect, test } from "vitest";
import { crc32 } from "../util/checksum.ts";
import { BatchTail } from "./batch-tail.ts";
import { batchOf } from "./solo-harness.ts";

function tailOf(...sizes: readonly number[]): BatchTail {
  const tail = new BatchTail();
  let first = 1;
  for (const size of sizes) {
    tail.push(batchOf(1, first, ...Array.from({ length: size }, () => "x")));
    first += size;
  }
  return tail;
}

test("every index in memory is found in its batch, no other one is", () => {
  const tail = tailOf(1, 3, 2, 5, 1);
  const found = Array.from({ length: 14 }, (_, index) => tail.batchAt(index)?.firstIndex);
  expect(found).toEqual([undefined, 1, 2, 2, 2, 5, 5, 7, 7, 7, 7, 7, 12, undefined]);
  expect(new BatchTail().batchAt(1)).toBeUndefined();
});

test("a truncation drops whole batches and cuts the one that spans it", () => {
  const tail = tailOf(2, 3, 2);
  tail.truncateFrom(4, crc32);
  expect(tail.batchAt(3)?.toString()).toBe("[3..3]@1");
  expect(tail.batchAt(4)).toBeUndefined();
  expect(tail.bytes).toBe(tailOf(2, 1).bytes);
  tail.truncateFrom(1, crc32);
  expect(tail).toMatchObject({ bytes: 0, firstIndex: undefined });
});

test("a truncation of what has left memory already leaves an empty tail", () => {
  const tail = tailOf(1, 1, 1);
  tail.evict(100, 3);
  expect(tail.firstIndex).toBe(3);
  tail.truncateFrom(2, crc32);
  expect(tail).toMatchObject({ bytes: 0, firstIndex: undefined });
});

test("many evictions keep the array short and the rest reachable", () => {
  const tail = new BatchTail();
  for (let index = 1; index <= 5_000; index++) {
    tail.push(batchOf(1, index, "x"));
    tail.evict(1_000, index);
  }
  expect(tail.bytes).toBeLessThanOrEqual(1_000);
  expect(tail.batchAt(5_000)?.firstIndex).toBe(5_000);
  expect(tail.batchAt(tail.firstIndex!)?.firstIndex).toBe(tail.firstIndex);
  expect(tail.batchAt(tail.firstIndex! - 1)).toBeUndefined();
});
