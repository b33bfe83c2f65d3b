import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Calls, WriteCall } from "./calls.ts";
import { WriteWaiters } from "./write-waiters.ts";

function call(calls: Calls): { write: WriteCall; end: () => unknown } {
  let ended: unknown;
  const write = new WriteCall(
    calls,
    {
      startedMs: 0,
      deadlineMs: 1_000,
      signal: undefined,
      resolve: (value) => (ended = value),
      reject: (error) => (ended = error),
    },
    new Uint8Array(1),
  );
  return { write, end: () => ended };
}

describe("waiting for a position of the log", () => {
  test("the same term resolves with the result, another term rules the write out", () => {
    const calls = new Calls();
    const waiters = new WriteWaiters();
    const [a, b] = [call(calls), call(calls)];
    waiters.add(5, 2, [a.write, b.write]);
    waiters.applied({ index: 5, term: 2, value: "five" }, true);
    expect(a.end()).toBe("five");
    waiters.applied({ index: 6, term: 3, value: "of somebody else" }, true);
    expect(b.end()).toBeUndefined();
    expect(waiters.takeRuledOut()).toEqual([b.write]);
    expect(waiters.takeRuledOut()).toEqual([]);
    expect(waiters.isEmpty).toBe(true);
  });

  test("a later term rules out everything that waits in a smaller one, wherever it stands", () => {
    const calls = new Calls();
    const waiters = new WriteWaiters();
    const old = Array.from({ length: 5 }, () => call(calls));
    const fresh = call(calls);
    waiters.add(
      10,
      2,
      old.map(({ write }) => write),
    );
    waiters.add(12, 4, [fresh.write]);
    waiters.applied({ index: 10, term: 2, value: "ten" }, true);
    waiters.termApplied(4);
    expect(waiters.takeRuledOut()).toEqual(old.slice(1).map(({ write }) => write));
    waiters.applied({ index: 11, term: 4, value: undefined }, true);
    waiters.applied({ index: 12, term: 4, value: "twelve" }, true);
    expect(fresh.end()).toBe("twelve");
  });

  test("an entry of an older term at the index rules a newer waiter out just as well", () => {
    const calls = new Calls();
    const waiters = new WriteWaiters();
    const newer = call(calls);
    waiters.add(7, 5, [newer.write]);
    waiters.applied({ index: 7, term: 3, value: "older" }, true);
    expect(waiters.takeRuledOut()).toEqual([newer.write]);
  });

  test("issue: a write that its own index ruled out is not ruled out again by the term behind it", () => {
    const calls = new Calls();
    const waiters = new WriteWaiters();
    const [a, b, c] = [call(calls), call(calls), call(calls)];
    // A leader of term 9 appended 67 to 69 and was deposed; 67 is of term 8, and 68 of term 10.
    waiters.add(67, 9, [a.write, b.write, c.write]);
    waiters.applied({ index: 67, term: 8, value: "of somebody else" }, true);
    waiters.termApplied(10);
    expect(waiters.takeRuledOut()).toEqual([a.write, b.write, c.write]);
  });

  test("against a plain model, with overlapping runs of many leaders", () => {
    const run = fc.record({
      first: fc.integer({ min: 1, max: 40 }),
      count: fc.integer({ min: 1, max: 6 }),
      term: fc.integer({ min: 1, max: 6 }),
    });
    fc.assert(
      fc.property(
        fc.array(run, { maxLength: 12 }),
        fc.array(fc.nat(1), { minLength: 50 }),
        (runs, raises) => {
          const calls = new Calls();
          const waiters = new WriteWaiters();
          const model = new Map<WriteCall, { index: number; term: number; end: () => unknown }>();
          for (const { first, count, term } of runs) {
            const batch = Array.from({ length: count }, () => call(calls));
            batch.forEach(({ write, end }, i) => model.set(write, { index: first + i, term, end }));
            waiters.add(
              first,
              term,
              batch.map(({ write }) => write),
            );
          }
          let term = 1;
          const ruledOut = new Set<WriteCall>();
          const ruleOut = (write: WriteCall): void => {
            expect(ruledOut.has(write)).toBe(false);
            ruledOut.add(write);
          };
          for (let index = 1; index <= 50; index++) {
            if (raises[index - 1] === 1 && term < 7) waiters.termApplied(++term);
            waiters.applied({ index: index, term: term, value: `${index}@${term}` }, true);
            for (const write of waiters.takeRuledOut()) ruleOut(write);
            for (const [write, { index: at, term: of, end }] of model) {
              if (at !== index) continue;
              expect(end()).toBe(of === term ? `${index}@${term}` : undefined);
              expect(ruledOut.has(write)).toBe(of !== term);
            }
          }
          expect(waiters.isEmpty).toBe(true);
        },
      ),
      { numRuns: 200 },
    );
  });
});

test("gathered bytes count what is not appended anywhere yet", () => {
  const calls = new Calls();
  const { write } = call(calls);
  expect(calls).toMatchObject({ writes: 1, gatheredBytes: 1 });
  write.stage = "sent";
  expect(calls.gatheredBytes).toBe(1);
  write.stage = "appended";
  expect(calls.gatheredBytes).toBe(0);
  write.stage = "gathered";
  expect(calls.gatheredBytes).toBe(1);
  write.resolve(1);
  expect(calls).toMatchObject({ writes: 0, gatheredBytes: 0 });
  write.stage = "appended";
  expect(calls.gatheredBytes).toBe(0);
});
