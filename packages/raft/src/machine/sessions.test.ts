import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteReader, ByteWriter, BytesError } from "../util/bytes.ts";
import { SESSION_BOUNDS, Sessions } from "./sessions.ts";
import type { SessionBounds } from "./sessions.ts";

const BOUNDS: SessionBounds = {
  sessionsMax: 3,
  windowMax: 8,
  resultBytesMax: 200,
  oneResultBytesMax: 60,
};
const T = 1_000;

function encoded(sessions: Sessions): Uint8Array {
  const writer = new ByteWriter();
  sessions.encode(writer);
  return writer.copy();
}

function decoded(bytes: Uint8Array, bounds = BOUNDS): Sessions {
  const reader = new ByteReader(bytes);
  const sessions = Sessions.decode(reader, bounds);
  reader.end();
  return sessions;
}

/** Judges a command and keeps `value` where it is applied. */
// eslint-disable-next-line max-params -- reads like an entry
function apply(
  sessions: Sessions,
  id: number,
  sequence: number,
  value: unknown,
  lowest = 1,
  timeMs = 0,
): string {
  const verdict = sessions.judge(id, sequence, lowest, timeMs);
  if (verdict === "new") sessions.keep(sequence, value);
  if (verdict !== "duplicate") return verdict;
  return sessions.isLost ? "lost" : `again ${JSON.stringify(sessions.result)}`;
}

describe("a session", () => {
  test("applies a command once and answers its repetition with what was kept", () => {
    const sessions = new Sessions(BOUNDS);
    sessions.open(7, 0, T);
    expect(apply(sessions, 7, 1, "one")).toBe("new");
    expect(apply(sessions, 7, 3, { three: 3 })).toBe("new");
    expect(apply(sessions, 7, 1, "other")).toBe('again "one"');
    expect(apply(sessions, 7, 3, "other")).toBe('again {"three":3}');
    expect(apply(sessions, 7, 2, 2)).toBe("new");
    expect(apply(sessions, 7, 2, 2)).toBe("again 2");
    expect(apply(sessions, 8, 1, 1)).toBe("expired");
  });

  test("drops what lies below the lowest unanswered, and lets go of its results", () => {
    const sessions = new Sessions(BOUNDS);
    sessions.open(1, 0, T);
    for (let i = 1; i <= 4; i++) apply(sessions, 1, i, i);
    expect(apply(sessions, 1, 5, 5, 4)).toBe("new");
    expect(apply(sessions, 1, 3, 3)).toBe("dropped");
    expect(apply(sessions, 1, 4, 4, 4)).toBe("again 4");
    // A late copy knows less: that brings nothing back.
    expect(apply(sessions, 1, 5, 5, 1)).toBe("again 5");
    expect(sessions.resultBytes).toBe(32);
    // Neither below its own word nor beyond the window.
    expect(apply(sessions, 1, 2, 2, 5)).toBe("dropped");
    expect(apply(sessions, 1, 13, 1)).toBe("dropped");
    expect(apply(sessions, 1, 12, 1)).toBe("new");
  });

  test("a result is as it was, whatever its owner does with it later", () => {
    const sessions = new Sessions(BOUNDS);
    sessions.open(1, 0, T);
    const result = { list: [1] };
    apply(sessions, 1, 1, result);
    result.list.push(2);
    expect(apply(sessions, 1, 1, 0)).toBe('again {"list":[1]}');
  });

  test("what cannot be kept is done all the same", () => {
    const sessions = new Sessions(BOUNDS);
    sessions.open(1, 0, T);
    apply(sessions, 1, 1, () => 1);
    apply(sessions, 1, 2, new Uint8Array(100));
    expect(apply(sessions, 1, 1, 0)).toBe("lost");
    expect(apply(sessions, 1, 2, 0)).toBe("lost");
  });
});

describe("what is bounded", () => {
  test("a session expires by cluster time after its last entry, and never comes back", () => {
    const sessions = new Sessions(BOUNDS);
    sessions.open(1, 0, T);
    sessions.open(2, 0, 10 * T);
    expect(apply(sessions, 1, 1, 1, 1, T)).toBe("new");
    expect(apply(sessions, 1, 1, 1, 1, 2 * T)).toBe("again 1");
    expect(apply(sessions, 1, 1, 1, 1, 3 * T + 1)).toBe("expired");
    expect(apply(sessions, 1, 1, 1, 1, 3 * T + 1)).toBe("expired");
    expect(apply(sessions, 2, 1, 1, 1, 3 * T)).toBe("new");
    expect(sessions.count).toBe(1);
  });

  test("one more session than allowed puts out the one that was used least recently", () => {
    const sessions = new Sessions(BOUNDS);
    for (const id of [1, 2, 3]) sessions.open(id, 0, T);
    apply(sessions, 1, 1, 1);
    sessions.open(4, 0, T);
    expect(sessions.count).toBe(3);
    expect([1, 2, 3, 4].map((id) => apply(sessions, id, 1, 1))).toEqual([
      "again 1",
      "expired",
      "new",
      "new",
    ]);
    sessions.close(3);
    sessions.close(99);
    expect(sessions.count).toBe(2);
    expect(apply(sessions, 3, 2, 1)).toBe("expired");
  });

  test("beyond the bytes the oldest results of the least used session go first", () => {
    const sessions = new Sessions(BOUNDS);
    sessions.open(1, 0, T);
    sessions.open(2, 0, T);
    for (let i = 1; i <= 4; i++) apply(sessions, 1, i, "x".repeat(8));
    for (let i = 1; i <= 3; i++) apply(sessions, 2, i, "y".repeat(8));
    expect(sessions.resultBytes).toBeLessThanOrEqual(200);
    expect([1, 2, 3, 4].map((i) => apply(sessions, 1, i, 0))).toEqual([
      "lost",
      "lost",
      "lost",
      'again "xxxxxxxx"',
    ]);
    expect([1, 2, 3].map((i) => apply(sessions, 2, i, 0))).not.toContain("lost");
  });
});

describe("as bytes", () => {
  const STEP = fc.record({
    kind: fc.constantFrom("open", "apply", "apply", "apply", "apply", "close"),
    id: fc.nat(5),
    sequence: fc.integer({ min: 1, max: 12 }),
    lowest: fc.integer({ min: 1, max: 12 }),
    timeMs: fc.nat(600),
    value: fc.oneof(
      fc.nat(9),
      fc.string({ maxLength: 9 }),
      fc.constantFrom({ a: [1, 2] }, null, Symbol("none"), "z".repeat(80)),
    ),
  });

  test("another member that goes on from the bytes comes to the same in everything", () => {
    fc.assert(
      fc.property(fc.array(STEP, { maxLength: 60 }), fc.nat(60), (steps, at) => {
        const one = new Sessions(BOUNDS);
        let other = one;
        let timeMs = 0;
        steps.forEach((step, i) => {
          if (i === at) other = decoded(encoded(one));
          timeMs += step.timeMs;
          const ends = [...new Set([one, other])].map((sessions) => {
            if (step.kind === "open") return sessions.open(100 + i, timeMs, T);
            if (step.kind === "close") return sessions.close(100 + step.id);
            const { id, sequence, value, lowest } = step;
            return apply(sessions, 100 + id, sequence, value, Math.min(lowest, sequence), timeMs);
          });
          expect(new Set(ends).size).toBe(1);
        });
        expect(encoded(other)).toEqual(encoded(one));
        expect(other.resultBytes).toBe(one.resultBytes);
      }),
      { numRuns: 200 },
    );
  });

  test("nothing else passes for them", () => {
    const sessions = new Sessions();
    sessions.open(5, 1, T);
    apply(sessions, 5, 2, [1, "x"]);
    const bytes = encoded(sessions);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decoded(bytes.subarray(0, length), SESSION_BOUNDS)).toThrow(BytesError);
    }
    const many = bytes.slice();
    many.set([0xff, 0xff, 0xff, 0xff], 0);
    expect(() => decoded(many, SESSION_BOUNDS)).toThrow("sessions");
  });
});
