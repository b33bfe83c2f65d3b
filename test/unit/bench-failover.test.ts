/** How outages are found among successes, and how they are told. */
import { expect, test } from "vitest";
import { failoverCommand, parseFailoverOptions } from "../../bench/src/failover-options.ts";
import { failoverTable } from "../../bench/src/failover-report.ts";
import { UsageError } from "../../bench/src/options.ts";
import { longestGapMs } from "../../bench/src/write-probe.ts";

test("an outage lasts from the last success before it to the first one after", () => {
  const successMs = [0, 500, 1_000, 1_010, 1_020, 2_300, 2_310];
  expect(longestGapMs(successMs, 1_015)).toBe(1_280);
  // A gap that began before the moment in question and ended after it counts whole.
  expect(longestGapMs(successMs, 1_500)).toBe(1_280);
  expect(longestGapMs(successMs, 2_305)).toBe(10);
  expect(longestGapMs(successMs, 2_310)).toBe(0);
  expect(longestGapMs([], 0)).toBe(0);
});

test("outages are told in units of the election timeout", () => {
  const outagesMs = [1_200, 1_400, 1_300];
  const found = {
    versions: {},
    missing: {},
    series: [{ system: "one", ending: "stop" as const, outagesMs }],
  };
  const options = parseFailoverOptions(["--election-timeout", "500"]);
  const [, line] = failoverTable(found, options).split("\n");
  expect(line!.split(/ {2,}/)).toEqual([
    "one",
    "stop",
    "3",
    "1,300",
    "1,400",
    "1,400",
    "2.60",
    "2.80",
    "2.80",
  ]);
});

test("a system that is missing is named under the table", () => {
  const outages = { versions: {}, missing: { two: "it is not installed here" }, series: [] };
  expect(failoverTable(outages, parseFailoverOptions([]))).toContain("**Missing: two**");
});

test("a command line is read, printed again as it is meant, and refused where it is not", () => {
  const options = parseFailoverOptions(["--rounds", "7", "--systems", "quorate,etcd"]);
  const [, , , , , ...again] = failoverCommand(options).split(" ");
  expect(parseFailoverOptions(again)).toEqual(options);
  expect(() => parseFailoverOptions(["--rounds", "none"])).toThrow(UsageError);
});
