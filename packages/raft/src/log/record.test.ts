import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BytesError, ByteWriter } from "../util/bytes.ts";
import { crc32 } from "../util/checksum.ts";
import { configurationOf } from "./log-harness.ts";
import { comparePositions, laterOf } from "./position.ts";
import {
  RECORD_HEADER_BYTES,
  RECORD_VERSION,
  RecordKind,
  bodyIsWhole,
  emptyHeader,
  readHeader,
  recordBytes,
  writeHeader,
} from "./record.ts";
import type { RecordHeader } from "./record.ts";
import { logSeal } from "./seal.ts";
import {
  SEGMENT_HEAD_BYTES,
  SLOT_BYTES,
  decodeIdentity,
  decodeSlots,
  encodeSegmentHead,
  encodeSlot,
  parseSegmentName,
  segmentName,
  slotOffset,
} from "./segment.ts";
import { decodeState, encodeState } from "./state-record.ts";

const seal = logSeal(crc32, 4_711);
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u53 = fc.maxSafeNat();

const anyHeader: fc.Arbitrary<RecordHeader> = fc.record({
  version: fc.constant(RECORD_VERSION),
  kind: fc.constantFrom(...Object.values(RecordKind)),
  flags: fc.integer({ min: 0, max: 255 }),
  bodyBytes: u32,
  segment: u53,
  offset: u32,
  group: u32,
  markSegment: u53,
  markOffset: u32,
  bodyCrc: u32,
  commit: u53,
  opening: u32,
});

describe("a record header", () => {
  test("is read as it was written, at any place", () => {
    fc.assert(
      fc.property(anyHeader, fc.integer({ min: 0, max: 9 }), (header, at) => {
        const bytes = new Uint8Array(at + RECORD_HEADER_BYTES).fill(0xee);
        writeHeader(bytes, at, header, seal);
        const read = emptyHeader();
        expect(readHeader(bytes, at, read, seal)).toBe(true);
        expect(read).toEqual(header);
      }),
      { seed: 1 },
    );
  });

  test("is noise after any flipped bit, and under the id of another log", () => {
    const bytes = new Uint8Array(RECORD_HEADER_BYTES);
    const header = { ...emptyHeader(), version: RECORD_VERSION, segment: 3, offset: 1_536 };
    writeHeader(bytes, 0, header, seal);
    const read = emptyHeader();
    expect(readHeader(bytes, 0, read, logSeal(crc32, 4_712))).toBe(false);
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(readHeader(bytes, 0, read, seal)).toBe(false);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
    expect(readHeader(bytes, 0, read, seal)).toBe(true);
    expect(readHeader(bytes.subarray(0, 63), 0, read, seal)).toBe(false);
  });

  test("knows its body, padding included", () => {
    const body = new Uint8Array([1, 2, 3]);
    const bytes = new Uint8Array(recordBytes(3));
    const header = { ...emptyHeader(), bodyBytes: 3, bodyCrc: crc32(body) };
    writeHeader(bytes, 0, header, seal);
    bytes.set(body, RECORD_HEADER_BYTES);
    expect(bytes.length).toBe(72);
    expect(bodyIsWhole(bytes, 0, header, seal)).toBe(true);
    for (let at = RECORD_HEADER_BYTES; at < bytes.length; at++) {
      bytes[at]! ^= 8;
      expect(bodyIsWhole(bytes, 0, header, seal)).toBe(false);
      bytes[at]! ^= 8;
    }
    expect(bodyIsWhole(bytes.subarray(0, 71), 0, header, seal)).toBe(false);
  });
});

describe("a segment head", () => {
  const identity = { sequence: 9, size: 8_192, logId: 77 };
  const owner = { sequence: 9, logId: 77 };

  test("says who the segment is, and has no marks at first", () => {
    const head = encodeSegmentHead(identity, crc32);
    expect(head.length).toBe(SEGMENT_HEAD_BYTES);
    expect(decodeIdentity(head, crc32)).toEqual({ ...identity, version: 1 });
    expect(decodeSlots(head, owner, crc32)).toEqual([]);
    for (let at = 0; at < 512; at++) {
      head[at]! ^= 1;
      expect(decodeIdentity(head, crc32)).toBeUndefined();
      head[at]! ^= 1;
    }
    expect(decodeIdentity(head.subarray(0, 511), crc32)).toBeUndefined();
  });

  test("keeps the mark before when the newest one is torn", () => {
    const head = encodeSegmentHead(identity, crc32);
    const sector = new Uint8Array(SLOT_BYTES).fill(9);
    for (const generation of [4, 5]) {
      const mark = { segment: 9, offset: 2_000 + generation };
      encodeSlot(sector, { ...owner, generation, mark, opening: 3 }, crc32);
      head.set(sector, slotOffset(generation));
    }
    const marks = (): number[] => decodeSlots(head, owner, crc32).map((slot) => slot.mark.offset);

    expect(marks()).toEqual([2_004, 2_005]);
    for (let at = 0; at < 512; at++) {
      head[slotOffset(5) + at]! ^= 1;
      expect(marks()).toEqual([2_004]);
      head[slotOffset(5) + at]! ^= 1;
    }
  });

  test("believes no mark of another segment or log: a recycled file keeps none", () => {
    const head = encodeSegmentHead(identity, crc32);
    const sector = new Uint8Array(SLOT_BYTES);
    const mark = { segment: 9, offset: 2_000 };
    encodeSlot(sector, { ...owner, generation: 1, mark, opening: 3 }, crc32);
    head.set(sector, slotOffset(1));
    expect(decodeSlots(head, { sequence: 8, logId: 77 }, crc32)).toEqual([]);
    expect(decodeSlots(head, { sequence: 9, logId: 78 }, crc32)).toEqual([]);
  });

  test("has a name that sorts and that is read back", () => {
    expect(segmentName(12, "log")).toBe("00000000000000000012.log");
    expect(parseSegmentName("00000000000000000012.spare")).toEqual({
      sequence: 12,
      suffix: "spare",
    });
    for (const name of [
      "12.log",
      "00000000000000000000.log",
      "x.log",
      "00000000000000000012.tmp",
    ]) {
      expect(parseSegmentName(name)).toBeUndefined();
    }
    expect(parseSegmentName("99999999999999999999.log")).toBeUndefined();
  });
});

describe("a state", () => {
  const configuration = { index: 4, configuration: configurationOf(3) };
  const state = {
    term: 7,
    commit: 12,
    startIndex: 10,
    startTerm: 6,
    lastIndex: 20,
    lastTimeMs: 99,
    vote: { id: "n2", incarnation: "0f".repeat(16) },
    startConfiguration: configuration,
  };

  function encoded(value: Parameters<typeof encodeState>[1]): Uint8Array {
    const writer = new ByteWriter();
    encodeState(writer, value);
    return writer.copy();
  }

  test("is read as it was written, with and without vote and configuration", () => {
    for (const vote of [state.vote, undefined]) {
      for (const startConfiguration of [configuration, undefined]) {
        const value = { ...state, vote, startConfiguration };
        expect(decodeState(encoded(value))).toEqual(value);
      }
    }
  });

  test("of any other length, or out of bounds, is refused", () => {
    const bytes = encoded(state);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeState(bytes.subarray(0, length))).toThrow(BytesError);
    }
    expect(() => decodeState(new Uint8Array([...bytes, 0]))).toThrow(BytesError);
    expect(() => decodeState(encoded({ ...state, lastIndex: 9 }))).toThrow(BytesError);
    const reserved = bytes.slice();
    reserved[62] = 1;
    expect(() => decodeState(reserved)).toThrow(BytesError);
    const id = bytes.slice();
    id[80] = 0x20;
    expect(() => decodeState(id)).toThrow(BytesError);
  });
});

test("places are ordered by segment, then by offset", () => {
  const places = [
    { segment: 1, offset: 5_000 },
    { segment: 2, offset: 1_536 },
    { segment: 2, offset: 1_600 },
  ];
  for (const [i, a] of places.entries()) {
    for (const [j, b] of places.entries()) {
      expect(Math.sign(comparePositions(a, b))).toBe(Math.sign(i - j));
      expect(laterOf(a, b)).toEqual(places[Math.max(i, j)]);
    }
  }
});
