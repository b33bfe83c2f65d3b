/** The guard: what counts as worse, what as noise, and what is said of it. */
import { expect, test } from "vitest";
import { compare, failuresOf, KINDS } from "../../bench/src/check-compare.ts";
import type { CheckRecord, Figure, Kind } from "../../bench/src/check-compare.ts";
import { checkCommand, parseCheckOptions } from "../../bench/src/check-options.ts";
import { verdictLines } from "../../bench/src/check-report.ts";
import { libraryFigures, serverFigures } from "../../bench/src/check-figures.ts";
import type { Window } from "../../bench/src/cluster.ts";
import { UsageError } from "../../bench/src/options.ts";

const MACHINE = { processor: "p", cores: 2, node: "v20", commit: "c", date: "d" };

function record(figures: readonly Figure[], machine: Partial<typeof MACHINE> = {}): CheckRecord {
  const environment = { ...MACHINE, ...machine };
  return { version: 1, environment, command: "", othersShare: 0.02, figures };
}

/** The verdict on one figure that moved. */
function verdictOf(kind: Kind, before: readonly number[], after: readonly number[]): string {
  const figure = (values: readonly number[]): Figure => ({ name: "f", kind, values });
  return compare(record([figure(before)]), record([figure(after)]))[0]!.verdict;
}

test("a cost that rose by more than its kind is allowed is worse, and one that fell is better", () => {
  const allowed = 1 + KINDS.cpu.allowed;
  expect(verdictOf("cpu", [1, 1, 1], [allowed - 0.01, allowed - 0.01, allowed - 0.01])).toBe(
    "same",
  );
  expect(verdictOf("cpu", [1, 1, 1], [allowed + 0.01, allowed + 0.01, allowed + 0.01])).toBe(
    "worse",
  );
  expect(verdictOf("cpu", [1, 1, 1], [0.5, 0.5, 0.5])).toBe("better");
});

test("a share that fell is worse, by as much as it would have to rise again", () => {
  expect(verdictOf("share", [0.5], [0.4])).toBe("worse"); // 25 % less work done in the same time
  expect(verdictOf("share", [0.5], [0.45])).toBe("same");
  expect(verdictOf("share", [0.5], [0.9])).toBe("better");
});

test("one run gone wrong changes nothing, since medians are compared", () => {
  expect(verdictOf("cpu", [1, 1, 1, 1, 1], [1, 1, 1, 1, 9])).toBe("same");
});

test("noise widens what is allowed, but never without bound", () => {
  const noisy = [0.7, 0.85, 1, 1.15, 1.3];
  expect(
    verdictOf(
      "cpu",
      noisy,
      noisy.map((value) => value * 1.3),
    ),
  ).toBe("same");
  expect(verdictOf("cpu", [1, 1, 1, 1, 1], [1.3, 1.3, 1.3, 1.3, 1.3])).toBe("worse");
  expect(
    verdictOf(
      "cpu",
      noisy,
      noisy.map((value) => value * 1.6),
    ),
  ).toBe("worse");
  expect(verdictOf("cpu", [1], [Number.NaN])).toBe("worse");
});

test("processor time in µs is compared on the same kind of machine only, ratios everywhere", () => {
  const figures = (times: number): Figure[] => [
    { name: "ratio", kind: "cpu", values: [times] },
    { name: "µs", kind: "cpuUs", values: [times] },
  ];
  for (const other of [{ processor: "q" }, { cores: 4 }, { node: "v24" }]) {
    const found = compare(record(figures(1)), record(figures(2), other));
    expect(found.map(({ verdict }) => verdict)).toEqual(["worse", "other machine"]);
    expect(failuresOf(found).map(({ name }) => name)).toEqual(["ratio"]);
  }
  const moved = compare(record(figures(1)), record(figures(2), { commit: "e", date: "f" }));
  expect(moved.map(({ verdict }) => verdict)).toEqual(["worse", "worse"]);
});

test("µs may grow as much as those of the reference did, and no more than that", () => {
  const figure = (value: number, reference: number): Figure => {
    return { name: "µs", kind: "cpuUs", values: [value], reference: [reference] };
  };
  const verdict = (before: Figure, after: Figure): string =>
    compare(record([before]), record([after]))[0]!.verdict;
  expect(verdict(figure(10, 2), figure(19, 4))).toBe("slow machine");
  expect(verdict(figure(10, 2), figure(26, 4))).toBe("worse");
  expect(verdict(figure(10, 2), figure(19, 2))).toBe("worse");
  expect(verdict(figure(10, 2), figure(40, 8))).toBe("worse");
  expect(verdict(figure(10, 2), figure(11, 2))).toBe("same");
  const { reference: _, ...unknown } = figure(10, 2);
  expect(verdict(unknown, figure(19, 4))).toBe("worse");
});

test("what the clock on the wall says of a busy machine is not judged, processor time is", () => {
  const figures = (times: number): Figure[] => [
    { name: "p50", kind: "latency", values: [times] },
    { name: "entries/s", kind: "share", values: [1 / times] },
    { name: "ratio", kind: "cpu", values: [times] },
  ];
  const [quiet, busy] = [record(figures(1)), { ...record(figures(9)), othersShare: 0.5 }];
  const verdicts = ["busy machine", "busy machine", "worse"];
  expect(compare(quiet, busy).map(({ verdict }) => verdict)).toEqual(verdicts);
  expect(compare({ ...quiet, othersShare: 0.5 }, record(figures(9)))[0]!.verdict).toBe(verdicts[0]);
});

test("a figure that is not measured any more fails the guard, a new one does not", () => {
  const one: Figure = { name: "one", kind: "cpu", values: [1] };
  const two: Figure = { ...one, name: "two" };
  const found = compare(record([one]), record([two]));
  expect(found.map(({ name, verdict }) => [name, verdict])).toEqual([
    ["one", "gone"],
    ["two", "new"],
  ]);
  expect(verdictLines(found)).toEqual(["GONE: one was recorded and is not measured any more"]);
});

test("what got worse is named, with how much of it was allowed", () => {
  const figure = (value: number): Figure => ({ name: "a thing", kind: "share", values: [value] });
  const found = compare(record([figure(0.6)]), record([figure(0.3)]));
  expect(verdictLines(found)).toEqual(["WORSE: a thing by 100 % (allowed: 15 %): 0.60 → 0.30"]);
  expect(verdictLines(compare(record([figure(1)]), record([figure(1)])))).toEqual([
    "Nothing got worse.",
  ]);
});

test("figures of the library are ratios of windows that stood side by side", () => {
  const window = (entriesPerSecond: number, us: number): Window => ({
    entriesPerSecond,
    p50Ms: us,
    p99Ms: us,
    maxMs: us,
    cpuLeaderUs: us,
    cpuFollowersUs: [us, us],
    entriesPerWrite: undefined,
    leaderRssBytes: 0,
    loopDelays: [],
    othersShare: 0,
  });
  const pairs = [
    { quorate: window(50, 4), floor: window(100, 2) },
    { quorate: window(10, 9), floor: window(40, 3) },
  ];
  const found = libraryFigures({ valueBytes: 16, outstanding: 256 }, pairs);
  expect(found.map(({ kind, values }) => [kind, values])).toEqual([
    ["share", [0.5, 0.25]],
    ["cpu", [2, 3]],
    ["cpu", [2, 3]],
    ["cpuUs", [12, 27]],
  ]);
  const alone = libraryFigures({ valueBytes: 16, outstanding: 1 }, pairs);
  expect(found.at(-1)!.reference).toEqual([6, 9]);
  expect(alone[0]).toMatchObject({ kind: "latency", values: [2, 3] });
});

test("figures of the server are multiples of what the load generator used", () => {
  const load = { system: "quorate", operation: "put", place: "leader", connections: 64 } as const;
  const window = {
    requestsPerSecond: 1,
    p50Ms: 1,
    p99Ms: 1,
    maxMs: 1,
    cpuUs: [30, 5, 5],
    generatorCpuUs: 20,
    peakBytes: [1, 1, 1],
    othersShare: 0,
  };
  const values = serverFigures(load, [window]).map((figure) => figure.values);
  expect(values).toEqual([[2], [40]]);
  expect(serverFigures(load, [window])[1]!.reference).toEqual([20]);
});

test("its command line is read, and printed again as it is meant", () => {
  const options = parseCheckOptions(["--runs", "3", "--seconds", "0.5"]);
  expect(options).toMatchObject({ record: false, runs: 3, windowMs: 500, name: "check" });
  const [, , , , , ...again] = checkCommand(options).split(" ");
  expect(parseCheckOptions(again)).toEqual(options);
  expect(() => parseCheckOptions(["--runs", "0"])).toThrow(UsageError);
  expect(() => parseCheckOptions(["extra"])).toThrow(UsageError);
});
