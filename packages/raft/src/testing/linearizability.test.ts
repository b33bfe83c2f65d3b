/**
 * The checker against textbook histories, drawn ones, and a naive checker.
 */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SeededRandom } from "../util/random.ts";
import { drawHistory, historyOf, isLinearizableNaively } from "./history-harness.ts";
import { formatHistory, parseHistory } from "./history.ts";
import { refusedValuesSeen, revisionOrderViolations } from "./key-value-checks.ts";
import type { KeyValueInput, KeyValueOperation, KeyValueOutput } from "./key-value-model.ts";
import { keyValueModel } from "./key-value-model.ts";
import { checkLinearizable } from "./linearizability.ts";

function verdictOf(text: string): string {
  const history = historyOf(text);
  const { verdict } = checkLinearizable(keyValueModel, history);
  expect(verdict === "ok", "the naive checker disagrees").toBe(isLinearizableNaively(history));
  return verdict;
}

describe("linearizable", () => {
  const cases: ReadonlyArray<readonly [string, string]> = [
    ["nothing at all", ""],
    ["a read of nothing", "a 0-1 read -> absent"],
    [
      "a read sees the write before it",
      `a 0-10 put x -> ok 1
       b 11-20 read -> x 1`,
    ],
    [
      "concurrent reads may see a write early and late",
      `a 0-100 put x -> ok 1
       b 10-20 read -> absent
       b 30-40 read -> x 1`,
    ],
    [
      "concurrent writes take effect in either order",
      `a 0-10 put x -> ok 2
       b 0-10 put y -> ok 1
       c 11-12 read -> x 2`,
    ],
    [
      "an unknown write may take effect long after",
      `a 0-? put x
       b 10-20 read -> absent
       b 100-110 read -> x 7`,
    ],
    [
      "an unknown write may never take effect",
      `a 0-? put x
       b 10-20 put y -> ok 5
       b 100-110 read -> y 5`,
    ],
    [
      "an unknown write nobody reads may explain a failed comparison",
      `a 0-10 put x -> ok 1
       b 11-? put y
       c 20-30 cas z if x -> failed
       d 40-50 put w -> ok 9`,
    ],
    [
      "an unknown delete may explain an absence",
      `a 0-10 put x -> ok 1
       b 11-? delete
       c 20-30 read -> absent
       d 40-50 create y -> ok 9`,
    ],
    [
      "an unknown comparison may need another unknown write first",
      `a 0-? put x
       b 0-? cas y if x
       c 20-30 read -> y 8`,
    ],
    [
      "two unknown writes in a row, one of them to be compared with",
      `a 0-? put x
       b 0-? put z
       c 5-10 cas y if x -> ok 4
       d 11-20 read -> y 4
       d 21-30 read -> z 6`,
    ],
    [
      "a comparison by a revision that only an unknown write can have",
      `a 0-? put x
       b 5-10 cas y rev 3 -> ok 4`,
    ],
    [
      "equal times count as concurrent",
      `a 0-10 put x -> ok 1
       b 10-20 read -> absent`,
    ],
    [
      "a conditional delete of an absent key fails, a plain one finds nothing",
      `a 0-10 delete rev 4 -> failed
       a 11-20 delete -> absent`,
    ],
    [
      "keys are apart",
      `a:k1 0-10 put x -> ok 1
       a:k2 11-20 read -> absent`,
    ],
  ];
  test.each(cases)("%s", (_, text) => {
    if (text.includes("k2")) {
      expect(checkLinearizable(keyValueModel, historyOf(text)).verdict).toBe("ok");
    } else expect(verdictOf(text)).toBe("ok");
  });
});

describe("not linearizable", () => {
  const cases: ReadonlyArray<readonly [string, string]> = [
    [
      "a stale read",
      `a 0-10 put x -> ok 1
       a 11-20 put y -> ok 2
       b 21-30 read -> x 1`,
    ],
    [
      "a lost update",
      `a 0-10 put x -> ok 1
       b 11-20 cas y if x -> ok 2
       c 21-30 read -> x 1`,
    ],
    [
      "both of two comparisons with the same value succeed",
      `a 0-10 put x -> ok
       b 11-30 cas y if x -> ok
       c 11-30 cas z if x -> ok`,
    ],
    [
      "both of two comparisons with the same revision succeed",
      `a 0-10 put x -> ok 1
       b 11-30 cas y rev 1 -> ok 2
       c 11-30 cas z rev 1 -> ok 3`,
    ],
    [
      "both of two creations succeed",
      `b 0-30 create y -> ok 2
       c 0-30 create z -> ok 3`,
    ],
    [
      "a write applied twice comes back over another",
      `a 0-10 put x -> ok 1
       b 11-20 put y -> ok 2
       c 21-30 read -> y 2
       c 31-40 read -> x 3`,
    ],
    [
      "an unknown write applied twice",
      `a 0-? put x
       b 11-20 read -> x
       b 21-30 put y -> ok
       b 31-40 read -> y
       b 41-50 read -> x
       b 51-60 put z -> ok
       b 61-70 read -> x`,
    ],
    ["a value that nobody wrote", "a 0-10 read -> x 1"],
    [
      "a value whose write was refused",
      `a 0-! put x
       b 20-30 read -> x 1`,
    ],
    [
      "a value read before it was written",
      `b 0-10 read -> x
       a 11-20 put x -> ok`,
    ],
    [
      "split brain: two sides see their own writes only",
      `a 0-10 put x -> ok 1
       b 0-10 put y -> ok 2
       a 11-20 read -> x 1
       b 11-20 read -> y 2
       a 21-30 read -> x 1`,
    ],
    [
      "reads that go back in time",
      `a 0-100 put x -> ok 1
       b 10-20 read -> x 1
       c 30-40 read -> absent`,
    ],
    [
      "two readers disagree on the order of two writes",
      `a 0-100 put x -> ok
       b 0-100 put y -> ok
       c 10-20 read -> x
       d 21-30 read -> y
       c 31-40 read -> x`,
    ],
    [
      "revisions that fall",
      `a 0-10 put x -> ok 5
       b 11-20 put y -> ok 4`,
    ],
    [
      "one write shown with two revisions",
      `a 0-? put x
       b 10-20 read -> x 3
       b 30-40 read -> x 4`,
    ],
    [
      "a comparison fails although nothing else can be there",
      `a 0-10 put x -> ok 1
       b 11-20 cas y if x -> failed`,
    ],
    [
      "a refused revision turns out to have been there",
      `a 0-10 put x -> ok
       b 11-20 cas y rev 3 -> failed
       b 21-30 read -> x 3`,
    ],
    [
      "a failed comparison that shows a revision of the past",
      `a 0-10 put x -> ok 1
       a 11-20 put y -> ok 2
       b 21-30 cas z rev 7 -> failed 1`,
    ],
    [
      "a delete that was acknowledged and did not happen",
      `a 0-10 put x -> ok 1
       a 11-20 delete -> ok 2
       b 21-30 read -> x 1`,
    ],
    [
      "two unknown writes leave no room for their revisions",
      `a 0-10 put x -> ok 1
       a 11-? put y
       b 12-13 read -> y
       b 14-? put z
       b 15-16 read -> z 2`,
    ],
  ];
  test.each(cases)("%s", (_, text) => expect(verdictOf(text)).toBe("violated"));
});

test("a violation is reported with the end of the longest order and what could not follow", () => {
  const history = historyOf(
    `c1:other 0-10 read -> absent
     c1:k 0-10 put x -> ok 1
     c1:k 11-20 put y -> ok 2
     c3:k 15-? delete
     c2:k 21-30 read -> x 1
     c1:k 22-40 cas z rev 2 -> ok 3`,
  );
  const result = checkLinearizable(keyValueModel, history);
  if (result.verdict !== "violated") throw new Error(result.verdict);
  expect(`\n${result.violation.report}\n`).toMatchInlineSnapshot(`
    "
    key "k" is not linearizable: at most 1 of its 4 answered operations fit in one order
    the end of that order (call, return, client):
                 0           10  c1  put "x" → ok at revision 1
    then the key is "x" at revision 1
    one of these would have to come next, and none can:
                11           20  c1  put "y" → ok at revision 2
                21           30  c2  read → "x" at revision 1
    "
  `);
  expect(result).toMatchObject({ answered: 5, unknown: 1, keys: 2 });
});

test("what cannot be answered within the budget is unknown, never ok", () => {
  // Many concurrent writes of values read in an impossible order: every order must be tried.
  const lines = Array.from({ length: 14 }, (_, i) => `w${i} 0-100 put v${i} -> ok`);
  const history = historyOf([...lines, "r 101-110 read -> nothing"].join("\n"));
  const result = checkLinearizable(keyValueModel, history, { stepsMax: 10_000 });
  expect(result).toMatchObject({ verdict: "unknown", keysLeft: ["k"] });
  let now = 0;
  const nowMs = (): number => (now += 10);
  const timed = checkLinearizable(keyValueModel, history, { budgetMs: 50, nowMs });
  expect(timed.verdict).toBe("unknown");
  const small = checkLinearizable(keyValueModel, history, { configurationsMax: 100 });
  expect(small.verdict).toBe("unknown");
  expect(checkLinearizable(keyValueModel, history).verdict).toBe("violated");
});

test("times that make no sense are refused", () => {
  const history = historyOf("a 10-5 read -> absent");
  expect(() => checkLinearizable(keyValueModel, history)).toThrow(/returnAt is before callAt/);
});

/** Operations of few clients on one key, with answers that may or may not fit. */
const arbitraryHistory: fc.Arbitrary<KeyValueOperation[]> = fc
  .array(
    fc.record({
      callAt: fc.nat(12),
      length: fc.nat(8),
      ending: fc.constantFrom("done", "done", "done", "unknown"),
      type: fc.constantFrom(
        "read",
        "read",
        "put",
        "put",
        "create",
        "cas",
        "casRevision",
        "delete",
        "deleteRevision",
      ),
      value: fc.constantFrom("x", "y", "z"),
      other: fc.constantFrom("x", "y"),
      revision: fc.integer({ min: 1, max: 5 }),
      success: fc.boolean(),
      showsRevision: fc.boolean(),
    }),
    { minLength: 1, maxLength: 6 },
  )
  .map((draws) =>
    draws.map((draw, i): KeyValueOperation => {
      const input = inputFrom(draw);
      const call = { client: `c${i}`, key: "k", input, callAt: draw.callAt };
      if (draw.ending === "unknown") return { ...call, outcome: "unknown" };
      const returnAt = draw.callAt + draw.length;
      return { ...call, outcome: "done", output: outputFrom(input, draw), returnAt };
    }),
  );

interface Draw {
  readonly type: string;
  readonly value: string;
  readonly other: string;
  readonly revision: number;
  readonly success: boolean;
  readonly showsRevision: boolean;
}

function inputFrom({ type, value, other, revision }: Draw): KeyValueInput {
  if (type === "read") return { type };
  if (type === "put" || type === "create") return { type, value };
  if (type === "cas") return { type, value, ifValue: other };
  if (type === "casRevision") return { type: "cas", value, ifRevision: revision };
  return type === "delete" ? { type } : { type: "delete", ifRevision: revision };
}

function outputFrom(input: KeyValueInput, draw: Draw): KeyValueOutput {
  const revision = draw.showsRevision ? { revision: draw.revision } : {};
  if (input.type === "read") {
    return draw.success ? { type: "value", value: draw.value, ...revision } : { type: "absent" };
  }
  if (input.type === "put" || draw.success) return { type: "ok", ...revision };
  const isPlainDelete = input.type === "delete" && input.ifRevision === undefined;
  if (isPlainDelete || draw.value === "x") return { type: "absent" };
  return { type: "failed", ...(draw.showsRevision ? { current: draw.revision - 1 } : {}) };
}

describe("agrees with the naive checker", () => {
  test("on arbitrary answers", () => {
    let accepted = 0;
    fc.assert(
      fc.property(arbitraryHistory, (history) => {
        const { verdict } = checkLinearizable(keyValueModel, history);
        if (verdict === "ok") accepted++;
        expect(verdict).toBe(isLinearizableNaively(history) ? "ok" : "violated");
      }),
      { numRuns: 3000, seed: 1 },
    );
    expect(accepted).toBeGreaterThan(300);
  });

  test("on histories that were good until one answer was changed", () => {
    let violated = 0;
    for (let seed = 1; seed <= 600; seed++) {
      const random = new SeededRandom(seed);
      const history = mutate(
        random,
        drawHistory(random, {
          operations: 7,
          keys: 1,
          clients: 3,
          unknownPercent: 30,
          values: seed % 2 === 0 ? 3 : "distinct",
          revisions: seed % 3 > 0,
        }),
      );
      const { verdict } = checkLinearizable(keyValueModel, history);
      expect(verdict, `seed=${seed}`).toBe(isLinearizableNaively(history) ? "ok" : "violated");
      if (verdict === "violated") violated++;
    }
    expect(violated).toBeGreaterThan(150);
  });
});

/** Gives one operation the answer of another, or moves it in time. */
function mutate(random: SeededRandom, history: KeyValueOperation[]): KeyValueOperation[] {
  const done = history.filter((operation) => operation.outcome === "done");
  if (done.length < 2) return history;
  const victim = done.at(random.below(done.length))!;
  const donors = done.filter((o) => o !== victim && o.input.type === victim.input.type);
  const donor = donors[random.below(Math.max(1, donors.length))];
  const changed =
    donor === undefined || random.below(3) === 0
      ? { ...victim, callAt: victim.callAt + 60, returnAt: victim.returnAt + 60 }
      : { ...victim, output: donor.output };
  return history.map((operation) => (operation === victim ? changed : operation));
}

describe("drawn histories of a linearizable store are accepted", () => {
  test.each([
    ["revisions and distinct values", "distinct" as const, true],
    ["distinct values without revisions", "distinct" as const, false],
    ["revisions and values that repeat", 4, true],
  ])("%s", (_, values, revisions) => {
    for (let seed = 1; seed <= 40; seed++) {
      const history = drawHistory(new SeededRandom(seed), {
        operations: 400,
        keys: 2,
        clients: 6,
        unknownPercent: 10,
        values,
        revisions,
      });
      const result = checkLinearizable(keyValueModel, history, { stepsMax: 20_000_000 });
      expect(result.verdict, `seed=${seed}`).toBe("ok");
      expect(revisionOrderViolations(history)).toEqual([]);
      expect(refusedValuesSeen(history)).toEqual([]);
    }
  });

  test("20,000 operations of 10 clients on 5 keys, one in 50 of unknown outcome", () => {
    const history = drawHistory(new SeededRandom(7), {
      operations: 20_000,
      keys: 5,
      clients: 10,
      unknownPercent: 2,
      values: "distinct",
      revisions: true,
    });
    const result = checkLinearizable(keyValueModel, history);
    expect(result).toMatchObject({ verdict: "ok", keys: 5 });
    expect(result.steps).toBeLessThan(2_000_000);
  });

  test("and one stale read among them is found", () => {
    const history = drawHistory(new SeededRandom(8), {
      operations: 10_000,
      keys: 5,
      clients: 10,
      unknownPercent: 1,
      values: "distinct",
      revisions: true,
    });
    const reads = history.flatMap((operation) =>
      operation.outcome === "done" && operation.output.type === "value" ? [operation] : [],
    );
    const read = reads.at(Math.floor(reads.length / 2))!;
    const earlier = reads.find((o) => o.key === read.key && o.returnAt < read.callAt - 500)!;
    const stale = { ...read, output: earlier.output };
    const bad = history.map((operation) => (operation === read ? stale : operation));
    const result = checkLinearizable(keyValueModel, bad);
    if (result.verdict !== "violated") throw new Error(result.verdict);
    expect(result.violation.stuck).toContain(stale);
  });
});

describe("cheap checks", () => {
  test("a refused value that is read is named", () => {
    const history = historyOf(
      `a 0-! put x
       b 20-30 read -> x 1`,
    );
    expect(refusedValuesSeen(history)).toEqual([
      'b read "k" = "x" (call 20, return 30), but the write by a (call 0) was refused',
    ]);
  });

  test("a refused value that another write may have left proves nothing", () => {
    const history = historyOf(
      `a 0-! put x
       a 1-? put x
       b 20-30 read -> x 1`,
    );
    expect(refusedValuesSeen(history)).toEqual([]);
  });

  test("revisions must follow real time across keys", () => {
    const history = historyOf(
      `a:k1 0-10 put x -> ok 7
       b:k2 11-20 put y -> ok 6
       c:k3 5-30 put z -> ok 5`,
    );
    expect(revisionOrderViolations(history)).toEqual([
      'put of "k2" by b (revision 6) began after put of "k1" by a (revision 7) was answered',
    ]);
  });

  test("no two writes share a revision", () => {
    const history = historyOf(
      `a:k1 0-10 put x -> ok 7
       b:k2 0-10 delete -> ok 7`,
    );
    expect(revisionOrderViolations(history)).toHaveLength(1);
  });
});

describe("history files", () => {
  test("what was written is read back", () => {
    const history = drawHistory(new SeededRandom(3), {
      operations: 50,
      keys: 2,
      clients: 3,
      unknownPercent: 20,
      values: "distinct",
      revisions: true,
    });
    expect(parseHistory(formatHistory(history))).toEqual(history);
  });

  test.each([
    ["{", /line 2 is not JSON/],
    ["[]", /line 2: client is not a string/],
    ["7", /line 2 is not an object/],
    ['{"client":"a","key":"k"}', /line 2: input is missing/],
    ['{"client":"a","key":"k","input":0,"callAt":1}', /outcome is none of/],
    ['{"client":"a","key":"k","input":0,"callAt":1,"outcome":"done"}', /output is missing/],
    ['{"client":"a","key":"k","input":0,"callAt":null,"outcome":"unknown"}', /callAt/],
    ['{"client":"a","key":"k","input":0,"callAt":1,"outcome":"done","output":0}', /returnAt/],
  ])("%s is refused with its line", (line, message) => {
    expect(() => parseHistory(`\n${line}\n`)).toThrow(message);
  });
});
