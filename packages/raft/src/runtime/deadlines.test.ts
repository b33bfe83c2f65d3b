import fc from "fast-check";
import { expect, test } from "vitest";
import { Deadlines, SLOT_MS } from "./deadlines.ts";
import type { Timed } from "./deadlines.ts";

interface Item extends Timed {
  readonly name: number;
}

function item(name: number, deadlineMs: number): Item {
  return { name, deadlineMs, slot: -1, before: undefined, behind: undefined };
}

test("everything expires once, never early and at most a slot late, as in a plain list", () => {
  const step = fc.oneof(
    fc.record({ add: fc.integer({ min: 0, max: 20_000 }) }),
    fc.record({ remove: fc.nat() }),
    fc.record({ pass: fc.integer({ min: 0, max: 9_000 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const wheel = new Deadlines();
      const waiting = new Map<number, Item>();
      let nowMs = 0;
      let names = 0;
      const sweepTo = (untilMs: number): void => {
        // As the host does: a turn whenever the wheel asks for one.
        while (wheel.nextMs <= untilMs) {
          nowMs = Math.max(nowMs, wheel.nextMs);
          wheel.sweep(nowMs, (timed) => {
            const { name, deadlineMs } = timed as Item;
            expect(deadlineMs).toBeLessThanOrEqual(nowMs);
            expect(nowMs - deadlineMs).toBeLessThanOrEqual(SLOT_MS);
            expect(waiting.delete(name)).toBe(true);
          });
        }
        nowMs = untilMs;
      };
      for (const one of steps) {
        if ("add" in one) {
          const fresh = item(names++, nowMs + one.add);
          wheel.add(fresh);
          waiting.set(fresh.name, fresh);
        } else if ("remove" in one) {
          const found = [...waiting.values()][one.remove % Math.max(1, waiting.size)];
          if (found === undefined) continue;
          wheel.remove(found);
          wheel.remove(found);
          waiting.delete(found.name);
        } else sweepTo(nowMs + one.pass);
        expect(wheel.count).toBe(waiting.size);
      }
      sweepTo(nowMs + 30_000);
      expect(waiting.size).toBe(0);
      expect(wheel.nextMs).toBe(Number.POSITIVE_INFINITY);
    }),
    { numRuns: 200 },
  );
});

test("a sweep after a long sleep finds what expired meanwhile, however late", () => {
  const wheel = new Deadlines();
  for (let i = 0; i < 1_000; i++) wheel.add(item(i, i * 11));
  const seen: number[] = [];
  wheel.sweep(1_000_000, (timed) => seen.push((timed as Item).name));
  expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 1_000 }, (_, i) => i));
});
