/** What is queued for a peer: copied where it has to be, in few chunks. */
import { expect, test } from "vitest";
import { crc32 } from "../util/checksum.ts";
import { MessageEncoder } from "./codec.ts";
import { SendQueue } from "./send-queue.ts";

const CHUNK_BYTES = 65_536;

test("a chunk of a snapshot is copied, and beside the slab of what is small", () => {
  const encoder = new MessageEncoder(crc32);
  const queue = new SendQueue();
  const data = new Uint8Array(CHUNK_BYTES).fill(1);
  for (let i = 0; i < 3; i++) {
    encoder.encode(1, { type: "snapshot-chunk", transfer: 7, offset: i * CHUNK_BYTES, data });
    queue.push(encoder);
  }
  const { bytes } = queue;
  data.fill(2);
  const chunks = queue.take();
  expect(chunks.reduce((sum, chunk) => sum + chunk.length, 0)).toBe(bytes);
  const large = chunks.filter((chunk) => chunk.length === CHUNK_BYTES);
  expect(large.map((chunk) => chunk[CHUNK_BYTES - 1])).toEqual([1, 1, 1]);
  // What is in front of them lies in one slab.
  const small = chunks.filter((chunk) => chunk.length < CHUNK_BYTES);
  expect(new Set(small.map((chunk) => chunk.buffer)).size).toBe(1);
  expect(queue.take()).toEqual([]);
});
