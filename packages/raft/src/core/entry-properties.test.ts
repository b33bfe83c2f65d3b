/**
 * Batches: what is packed is read back, wherever a batch is split, and nothing else is accepted.
 */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BytesError, readU32, utf8, writeU32, writeU64 } from "../util/bytes.ts";
import { crc32 } from "../util/checksum.ts";
import { encodeConfiguration } from "./configuration-codec.ts";
import { configurationOf } from "./core-harness.ts";
import type { EntryFields } from "./entry.ts";
import {
  BODY_HEAD_BYTES,
  ENTRY_HEAD_BYTES,
  EntryBatch,
  EntryCursor,
  EntryKind,
  packedSize,
  packEntries,
  validatePacked,
} from "./entry.ts";

const safe: fc.Arbitrary<number> = fc.oneof(fc.nat(9), fc.maxSafeNat());

const anyEntry: fc.Arbitrary<Required<EntryFields>> = fc.record({
  kind: fc.constantFrom(...Object.values(EntryKind)),
  payload: fc.uint8Array({ maxLength: 40 }),
  session: safe,
  sequence: safe,
  lowestUnanswered: safe,
});

const anyEntries: fc.Arbitrary<Required<EntryFields>[]> = fc.array(anyEntry, {
  minLength: 1,
  maxLength: 12,
});

const anySeal: fc.Arbitrary<{ term: number; firstIndex: number; timeMs: number }> = fc.record({
  term: safe,
  firstIndex: fc.integer({ min: 1, max: 2 ** 50 }),
  timeMs: safe,
});

interface Found extends Required<EntryFields> {
  readonly index: number;
}

function entriesIn(...batches: readonly EntryBatch[]): Found[] {
  const found: Found[] = [];
  const cursor = new EntryCursor();
  for (const batch of batches) {
    cursor.reset(batch);
    while (cursor.next()) found.push({ ...cursor.view, payload: cursor.view.payload.slice() });
  }
  return found;
}

function sealed(
  entries: readonly EntryFields[],
  seal: { term: number; firstIndex: number; timeMs: number },
): EntryBatch {
  return EntryBatch.seal(packEntries(entries), { ...seal, checksum: crc32 });
}

function placed(entries: readonly Required<EntryFields>[], firstIndex: number): Found[] {
  return entries.map((entry, i) => ({ ...entry, index: firstIndex + i }));
}

/** Reads, and says whether the bytes were refused; anything but a BytesError is a defect. */
function isRefused(body: Uint8Array, crc: number): boolean {
  try {
    EntryBatch.read(body, crc, crc32);
    return false;
  } catch (error) {
    if (error instanceof BytesError) return true;
    throw error;
  }
}

describe("a batch", () => {
  test("is read back as it was sealed", () => {
    fc.assert(
      fc.property(anyEntries, anySeal, (entries, seal) => {
        const batch = sealed(entries, seal);
        const read = EntryBatch.read(batch.body.slice(), batch.crc, crc32);
        expect(entriesIn(read)).toEqual(placed(entries, seal.firstIndex));
        expect(read).toMatchObject({
          ...seal,
          count: entries.length,
          crc: batch.crc,
          lastIndex: seal.firstIndex + entries.length - 1,
          hasConfiguration: entries.some((entry) => entry.kind === EntryKind.configuration),
          byteLength: entries.reduce(
            (sum, { payload }) => sum + packedSize(payload.length),
            BODY_HEAD_BYTES,
          ),
        });
      }),
    );
  });

  test("split anywhere holds the same entries, and each part is a batch of its own", () => {
    fc.assert(
      fc.property(anyEntries, anySeal, fc.nat(), (entries, seal, at) => {
        const batch = sealed(entries, seal);
        const index = seal.firstIndex + (at % entries.length);
        const head = batch.upTo(index, crc32);
        const parts = index === batch.lastIndex ? [head] : [head, batch.from(index + 1, crc32)];
        expect(entriesIn(...parts)).toEqual(placed(entries, seal.firstIndex));
        for (const part of parts) {
          expect(isRefused(part.body, part.crc)).toBe(false);
          expect(part).toMatchObject({ term: seal.term, timeMs: seal.timeMs });
        }
        const resealed = sealed(entries.slice(0, index - seal.firstIndex + 1), seal);
        expect(head.body).toEqual(resealed.body);
        expect(head.hasConfiguration).toBe(resealed.hasConfiguration);
      }),
    );
  });

  test("cut at both ends is the same, whichever end goes first", () => {
    fc.assert(
      fc.property(anyEntries, anySeal, fc.nat(), fc.nat(), (entries, seal, a, b) => {
        const batch = sealed(entries, seal);
        const [first = 0, last = 0] = [a % entries.length, b % entries.length]
          .sort((x, y) => x - y)
          .map((offset) => seal.firstIndex + offset);
        const one = batch.from(first, crc32).upTo(last, crc32);
        const other = batch.upTo(last, crc32).from(first, crc32);
        expect(one.body).toEqual(other.body);
        expect(entriesIn(one).map(({ index }) => index)).toEqual(
          Array.from({ length: last - first + 1 }, (_, i) => first + i),
        );
      }),
    );
  });

  test("is walked from any entry on", () => {
    fc.assert(
      fc.property(anyEntries, anySeal, fc.nat(), (entries, seal, at) => {
        const batch = sealed(entries, seal);
        const from = seal.firstIndex + (at % entries.length);
        const cursor = new EntryCursor().reset(batch, from);
        for (let index = from; index <= batch.lastIndex; index++) {
          expect(cursor.next()).toBe(true);
          expect(cursor.view.index).toBe(index);
          expect(cursor.view.payload).toEqual(entries.at(index - seal.firstIndex)?.payload);
        }
        expect(cursor.next()).toBe(false);
      }),
    );
  });

  test("leaves the caller's buffer to the caller", () => {
    const packed = packEntries([{ kind: EntryKind.command, payload: utf8("mine") }]);
    const batch = EntryBatch.seal(packed, { term: 1, firstIndex: 1, timeMs: 0, checksum: crc32 });
    packed.bytes.fill(0xff);
    expect(isRefused(batch.body, batch.crc)).toBe(false);
  });
});

describe("what is not a batch is refused:", () => {
  const example = sealed(
    [
      { kind: EntryKind.noop, payload: utf8("") },
      { kind: EntryKind.command, payload: utf8("x".repeat(20)), session: 7, sequence: 3 },
      { kind: EntryKind.configuration, payload: encodeConfiguration(configurationOf(["n1"])) },
    ],
    { term: 3, firstIndex: 9, timeMs: 5 },
  );

  test("every flipped bit of a body, and every flipped bit of its CRC", () => {
    const body = example.body.slice();
    const accepted: string[] = [];
    for (let at = 0; at < body.length; at++) {
      for (let bit = 1; bit < 256; bit *= 2) {
        body[at]! ^= bit;
        if (!isRefused(body, example.crc)) accepted.push(`byte ${at} ^ ${bit}`);
        body[at]! ^= bit;
      }
    }
    for (let bit = 0; bit < 32; bit++) {
      if (!isRefused(body, (example.crc ^ (1 << bit)) >>> 0)) accepted.push(`CRC bit ${bit}`);
    }
    expect(accepted).toEqual([]);
    expect(isRefused(body, example.crc)).toBe(false);
  });

  test("any body with one byte changed", () => {
    fc.assert(
      fc.property(anyEntries, anySeal, fc.nat(), fc.integer({ min: 1, max: 255 }), (...draw) => {
        const [entries, seal, at, change] = draw;
        const { body, crc } = sealed(entries, seal);
        const changed = body.slice();
        changed[at % body.length]! ^= change;
        expect(isRefused(changed, crc)).toBe(true);
      }),
    );
  });

  test("every shortened and every lengthened body, with a right CRC too", () => {
    const { body } = example;
    for (let length = 0; length < body.length; length++) {
      const cut = body.slice(0, length);
      expect(isRefused(cut, crc32(cut)), `${length} bytes`).toBe(true);
    }
    for (const more of [1, ENTRY_HEAD_BYTES]) {
      const longer = new Uint8Array(body.length + more);
      longer.set(body);
      expect(isRefused(longer, crc32(longer)), `${more} bytes more`).toBe(true);
    }
  });

  test("with a right CRC, any head or entry that sealing would not have made", () => {
    const change = (at: number, value: number): Uint8Array => {
      const body = example.body.slice();
      body[at] = value;
      return body;
    };
    const second = BODY_HEAD_BYTES + ENTRY_HEAD_BYTES;
    const wrong: ReadonlyArray<readonly [string, Uint8Array]> = [
      ["version", change(0, 2)],
      ["flags say there is no configuration", change(1, 0)],
      ["unknown flag", change(1, 3)],
      ["reserved", change(2, 1)],
      ["count too small", change(4, 2)],
      ["count too large", change(4, 4)],
      ["no entries", change(4, 0)],
      ["term beyond 2^53", change(15, 1)],
      ["first index 0", change(16, 0)],
      ["length", change(32, 1)],
      ["reserved at the end of the head", change(36, 1)],
      ["kind", change(second, 9)],
      ["entry flags", change(second + 1, 1)],
      ["entry reserved", change(second + 2, 1)],
      ["payload length", change(second + 4, 19)],
      ["session beyond 2^53", change(second + 15, 1)],
      ["entry reserved at the end", change(second + 32, 1)],
    ];
    for (const [name, body] of wrong) expect(isRefused(body, crc32(body)), name).toBe(true);
    const last = example.body.slice();
    writeU64(last, 16, Number.MAX_SAFE_INTEGER);
    expect(isRefused(last, crc32(last)), "last index beyond 2^53").toBe(true);
  });

  test("with a right CRC, whatever is accepted is byte for byte what sealing makes of it", () => {
    let accepted = 0;
    fc.assert(
      fc.property(
        anyEntries,
        anySeal,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
        (entries, seal, changes) => {
          const body = sealed(entries, seal).body.slice();
          for (const [at, value] of changes) body[at % body.length] = value;
          if (isRefused(body, crc32(body))) return;
          accepted++;
          const read = EntryBatch.read(body, crc32(body), crc32);
          expect(sealed(entriesIn(read), read).body).toEqual(body);
        },
      ),
      { numRuns: 600, seed: 3 },
    );
    expect(accepted).toBeGreaterThan(80);
  });

  test("garbage, without anything but a BytesError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(3), (bytes, count) => {
        if (bytes.length > 40) {
          // Steer past the first checks now and then.
          bytes[0] = 1;
          writeU32(bytes, 32, bytes.length - BODY_HEAD_BYTES);
          writeU32(bytes, 4, count);
        }
        isRefused(bytes, crc32(bytes));
      }),
      { numRuns: 1_000 },
    );
  });
});

test("packed entries of a proposal are accepted with their count only", () => {
  fc.assert(
    fc.property(anyEntries, fc.integer({ min: -1, max: 1 }), (entries, off) => {
      const { bytes, count } = packEntries(entries);
      expect(readU32(bytes, 4)).toBe(entries[0]?.payload.length);
      const check = (): unknown => validatePacked(bytes, count + off);
      if (off === 0) expect(check).not.toThrow();
      else expect(check).toThrow(BytesError);
    }),
  );
});
