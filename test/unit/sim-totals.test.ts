/** The table of a campaign: what did nothing must stand out. */
import { expect, test } from "vitest";
import { summaryTable, Totals } from "../../sim/src/totals.ts";

const run = (statistics: Record<string, number>): Parameters<Totals["add"]>[0] => ({
  events: 1,
  simulatedUs: 1,
  traceHash: "",
  violation: undefined,
  statistics,
});

test("the table says who did how much, and who did nothing", () => {
  const totals = new Totals();
  totals.add(run({ "nemesis crash": 2, "nemesis pause": 0, "fault power": 2 }), false);
  totals.add(run({ "nemesis crash": 3, "fault power": 3 }), false);
  const rows = summaryTable(totals, 1, 1).split("\n");
  const of = (name: string): string | undefined =>
    rows
      .find((row) => row.startsWith(`  ${name} `))
      ?.slice(name.length + 2)
      .trim();
  expect(of("crash")).toBe("did 5 in 2 runs");
  expect(of("pause")).toBe("NOTHING in 1 runs");
  expect(of("power")).toBe("5");
});
