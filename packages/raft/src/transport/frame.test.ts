import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BytesError, ByteWriter, writeU32 } from "../util/bytes.ts";
import { crc32 } from "../util/checksum.ts";
import { decodeMessage, encodeFrame } from "./codec.ts";
import { FRAME_HEAD_BYTES, FrameDecoder, FrameKind } from "./frame.ts";
import { SAMPLES } from "./samples-harness.ts";

const MAX = 1 << 20;
const stream = joined(SAMPLES.map(([, message], i) => encodeFrame(i, message, crc32)));

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter();
  for (const chunk of chunks) writer.raw(chunk);
  return writer.copy();
}

/** Decodes chunks, each in an array buffer of its own as a socket delivers them. */
function decodeAll(chunks: readonly Uint8Array[], decoder = new FrameDecoder(crc32, MAX)) {
  const messages: unknown[] = [];
  for (const chunk of chunks) {
    decoder.push(chunk.slice());
    while (decoder.next()) messages.push([decoder.group, decodeMessage(decoder, crc32)]);
  }
  return messages;
}

const whole = SAMPLES.map(([, message], i) => [i, message]);

/** A head with a right CRC and whatever fields. */
function head(messageBytes: number, bodyBytes: number): Uint8Array {
  const bytes = encodeFrame(0, SAMPLES[9]![1], crc32).slice(0, FRAME_HEAD_BYTES);
  writeU32(bytes, 12, messageBytes);
  writeU32(bytes, 16, bodyBytes);
  writeU32(bytes, 24, crc32(bytes.subarray(0, 24)));
  return bytes;
}

describe("FrameDecoder", () => {
  test("finds the same frames however the stream is cut", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(stream.length), { maxLength: 40 }), (cuts) => {
        const sorted = [0, ...cuts.sort((a, b) => a - b), stream.length];
        const chunks = sorted.slice(1).map((end, i) => stream.subarray(sorted[i], end));
        expect(decodeAll(chunks)).toEqual(whole);
      }),
      { numRuns: 200 },
    );
  });

  test("finds them byte by byte, and holds nothing afterwards", () => {
    const decoder = new FrameDecoder(crc32, MAX);
    const bytes = Array.from(stream, (byte) => Uint8Array.of(byte));
    expect(decodeAll(bytes, decoder)).toEqual(whole);
    expect(decoder.heldBytes).toBe(0);
  });

  test("says nothing for a frame that is cut at any byte", () => {
    const frame = encodeFrame(0, SAMPLES[6]![1], crc32);
    for (let length = 0; length < frame.length; length++) {
      expect(decodeAll([frame.subarray(0, length)])).toEqual([]);
    }
  });

  test("finds a flipped bit anywhere, at once and with a reason", () => {
    const frame = encodeFrame(0, SAMPLES[6]![1], crc32);
    for (let bit = 0; bit < frame.length * 8; bit++) {
      const damaged = frame.slice();
      damaged[bit >> 3] = damaged[bit >> 3]! ^ (1 << (bit & 7));
      expect(() => decodeAll([damaged]), `bit ${bit}`).toThrow(BytesError);
    }
  });

  test("allocates nothing for an announced size beyond the bound", () => {
    for (const [message, body] of [
      [0xffff_ffff, 0xffff_ffff],
      [0, 0xffff_ffff],
      [MAX, 0],
    ]) {
      const decoder = new FrameDecoder(crc32, MAX);
      decoder.push(head(message!, body!));
      expect(() => decoder.next()).toThrow(/^frame of \d+ bytes, allowed are 1048576$/);
      expect(decoder.heldBytes).toBe(0);
    }
  });

  test("takes the largest frame that is allowed, and not one byte more", () => {
    const room = MAX - FRAME_HEAD_BYTES;
    const decoder = new FrameDecoder(crc32, MAX);
    decoder.push(head(0, room));
    expect(decoder.next()).toBe(false);
    expect(decoder.heldBytes).toBe(room);
    const other = new FrameDecoder(crc32, MAX);
    other.push(head(0, room + 1));
    expect(() => other.next()).toThrow("allowed are");
  });

  test("has a bound that can be raised between frames", () => {
    const decoder = new FrameDecoder(crc32, 64);
    const small = encodeFrame(0, SAMPLES[9]![1], crc32);
    const big = encodeFrame(0, SAMPLES[6]![1], crc32);
    decoder.push(joined([small, big]));
    expect(decoder.next()).toBe(true);
    decoder.limit(MAX);
    expect(decoder.next()).toBe(true);
    expect(decoder.kind).toBe(FrameKind.appendEntries);
  });

  test("tells a stranger by the first wrong byte", () => {
    const first =
      (text: string): (() => unknown) =>
      () =>
        decodeAll([new TextEncoder().encode(text)]);
    expect(first("GET / HTTP/1.1\r\nhost: x\r\n\r\n")).toThrow(
      "not a Quorate peer: first bytes 47 45 54 20 2f 20 48 54 (this looks like HTTP",
    );
    expect(first("\x16\x03\x01\x02\x00")).toThrow("looks like TLS");
    expect(first("x")).toThrow("not a Quorate peer: first bytes 78");
    expect(first("Qrt")).not.toThrow();
    expect(() => decodeAll([stream, Uint8Array.of(1)])).toThrow("no frame starts with 01");
  });

  test("names a format version that it does not know", () => {
    const frame = encodeFrame(0, SAMPLES[0]![1], crc32);
    frame[4] = 9;
    expect(() => decodeAll([frame])).toThrow("frame of format version 9, known is 1");
  });

  test("throws nothing but BytesError, whatever comes", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 5 }), (garbage) => {
        try {
          decodeAll([Uint8Array.of(0x51, 0x72, 0x74, 0x65, 1), ...garbage]);
        } catch (error) {
          expect(error).toBeInstanceOf(BytesError);
        }
      }),
    );
  });

  test("pins at most twice what is kept of a chunk", () => {
    const frame = encodeFrame(0, SAMPLES[6]![1], crc32);
    const decoder = new FrameDecoder(crc32, MAX);
    const pinned = (chunk: Uint8Array): number => {
      decoder.push(chunk.slice());
      expect(decoder.next()).toBe(true);
      const { body } = decoder;
      while (decoder.next());
      return body.buffer.byteLength / body.length;
    };
    expect(pinned(frame)).toBeLessThanOrEqual(2);
    expect(pinned(joined([frame, stream]))).toBeLessThanOrEqual(2);
  });

  test("copies a byte once: a large frame in small chunks takes linear time", () => {
    const size = MAX - FRAME_HEAD_BYTES;
    const decoder = new FrameDecoder(crc32, MAX);
    decoder.push(head(0, size));
    decoder.next();
    const held = decoder.heldBytes;
    const piece = new Uint8Array(1024);
    for (let sent = 0; sent + piece.length <= size; sent += piece.length) {
      decoder.push(piece);
      decoder.next();
      expect(decoder.heldBytes === held || decoder.heldBytes === 0).toBe(true);
    }
  });
});
