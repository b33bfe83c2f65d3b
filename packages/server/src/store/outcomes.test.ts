import { describe, expect, test } from "vitest";
import { OUTCOME_LIMITS, Outcomes } from "./outcomes.ts";
import type { KeptOutcome } from "./outcomes.ts";

/** Room for four names of one char. */
const LIMITS = { keptMsMax: 1_000, keptMsMin: 100, bytesMax: 40, bytesEach: 9 };

function kept(key: string, timeMs: number): KeptOutcome {
  return { key, fingerprint: "12345678", timeMs, result: { type: "conflict", revision: 0 } };
}

/** As the machine does; whether there was room. */
function keep(outcomes: Outcomes, key: string, timeMs: number): boolean {
  if (outcomes.get(key, timeMs) !== undefined) throw new Error(`${key} is there`);
  if (!outcomes.makeRoom(key, timeMs)) return false;
  outcomes.add(kept(key, timeMs));
  return true;
}

function names(outcomes: Outcomes): string {
  return [...outcomes.freeze().read()].map(({ key }) => key).join("");
}

describe("Outcomes", () => {
  test("drops what is too old, and the bytes with it", () => {
    const outcomes = new Outcomes(LIMITS);
    for (const [i, key] of ["a", "b", "c"].entries()) keep(outcomes, key, i * 10);
    expect([outcomes.size, outcomes.bytes]).toEqual([3, 30]);
    expect(outcomes.get("a", 999)).toBeDefined();
    expect(outcomes.get("a", 1_000)).toBeUndefined();
    expect(names(outcomes)).toBe("bc");
    expect(outcomes.get("x", 1_020)).toBeUndefined();
    expect([outcomes.size, outcomes.bytes, names(outcomes)]).toEqual([0, 0, ""]);
    expect(keep(outcomes, "a", 1_020)).toBe(true);
  });

  test("drops the oldest where there is no room, but none that may still be repeated", () => {
    const outcomes = new Outcomes(LIMITS);
    for (const [i, key] of ["a", "b", "c", "d"].entries()) {
      expect(keep(outcomes, key, i * 10)).toBe(true);
    }
    expect(keep(outcomes, "e", 99)).toBe(false);
    expect(names(outcomes)).toBe("abcd");
    expect(keep(outcomes, "e", 100)).toBe(true);
    expect(names(outcomes)).toBe("bcde");
    expect(keep(outcomes, "f", 109)).toBe(false);
    // A long name needs the room of several.
    expect(keep(outcomes, "g".repeat(11), 119)).toBe(false);
    expect(keep(outcomes, "g".repeat(11), 120)).toBe(true);
    expect(outcomes.bytes).toBe(40);
    expect(keep(outcomes, "h".repeat(32), 10_000)).toBe(false);
    expect(outcomes.size).toBe(0);
  });

  test("what is frozen stands still while others come and go", () => {
    const outcomes = new Outcomes({ ...LIMITS, keptMsMax: 3_500, bytesMax: 1e9 });
    const key = (i: number): string => `k${i}`;
    for (let i = 0; i < 5_000; i++) keep(outcomes, key(i), i);
    const frozen = outcomes.freeze();
    const reading = frozen.read()[Symbol.iterator]();
    expect(reading.next().value?.key).toBe("k1500");
    for (let i = 5_000; i < 7_000; i++) keep(outcomes, key(i), i);
    const rest: string[] = [];
    for (let at = reading.next(); at.done !== true; at = reading.next()) rest.push(at.value.key);
    expect([rest.length, rest[0], rest.at(-1)]).toEqual([3_499, "k1501", "k4999"]);
    expect(frozen.size).toBe(3_500);
    expect(outcomes.freeze().read()[Symbol.iterator]().next().value?.key).toBe("k3500");
  });

  test("the usual bounds leave room for thousands of names per second", () => {
    const { bytesMax, bytesEach, keptMsMin, keptMsMax } = OUTCOME_LIMITS;
    const perSecond = (bytesMax / (bytesEach + 36) / keptMsMin) * 1_000;
    expect(perSecond).toBeGreaterThan(7_000);
    expect(keptMsMax).toBeGreaterThan(keptMsMin);
  });
});
