/** What others feel of large work: its command line, and what its table says of the rounds. */
import { expect, test } from "vitest";
import type { Environment } from "../../bench/src/environment.ts";
import type { LoadWindow } from "../../bench/src/http-window.ts";
import { UsageError } from "../../bench/src/options.ts";
import { parseUpkeepOptions, upkeepCommand } from "../../bench/src/upkeep-options.ts";
import { upkeepMarkdown, upkeepPicture, upkeepTable } from "../../bench/src/upkeep-report.ts";
import type { SpanName, UpkeepSpan } from "../../bench/src/upkeep.ts";

const WINDOW: LoadWindow = {
  requestsPerSecond: 2_000,
  p50Ms: 1,
  p99Ms: 4,
  maxMs: 9,
  cpuUs: [1],
  generatorCpuUs: 1,
  peakBytes: [1],
  othersShare: 0.01,
};

function span(name: SpanName, p999Ms: number, isBack: boolean): UpkeepSpan {
  const delay = { p999Ms, maxMs: 2 * p999Ms };
  const returned = isBack ? delay : undefined;
  const idle = { p999Ms: 1, maxMs: 2 };
  return { name, tookMs: 10_000, window: WINDOW, leader: delay, follower: delay, returned, idle };
}

const ENVIRONMENT: Environment = {
  processor: "p",
  cores: 2,
  memoryGiB: 1,
  kernel: "k",
  node: "v20",
  commit: "c",
  date: "d",
  fileSystem: "ext4",
  syncedWriteMs: 1,
};

const SERIES = [
  {
    store: "disk" as const,
    spans: [3, 5, 4].flatMap((p999Ms) => [
      span("nothing else", p999Ms, true),
      span("snapshot", p999Ms, false),
      span("catch-up", 2 * p999Ms, true),
    ]),
  },
];

test("a line for each span: medians, the highest maximum, a dash for who was away", () => {
  const [, , quiet, snapshot, catchUp] = upkeepMarkdown(SERIES, ENVIRONMENT, parseUpkeepOptions([]))
    .split("\n")
    .filter((line) => line.startsWith("|"));
  expect(quiet).toMatch(
    /^\| disk \| nothing else \| 10\.0 .*\| 4\.00 \(3\.00–5\.00\) \| 10\.0 \| 1\.00 .*\| 2\.00 \|$/,
  );
  expect(snapshot).toMatch(/\| – \| – \| 1\.00 /);
  expect(catchUp).toMatch(/\| 8\.00 \(6\.00–10\.0\) \| 20\.0 \| 1\.00 /);
  expect(upkeepTable(SERIES).split("\n")).toHaveLength(4);
  expect(upkeepPicture(SERIES, ENVIRONMENT)).toContain("Store on disk");
});

test("its command line is read, and printed again as it is meant", () => {
  const options = parseUpkeepOptions(["--mib", "64", "--stores", "disk"]);
  expect(options).toMatchObject({ mib: 64, ratePerSecond: 2_000, repeats: 3, name: "upkeep" });
  const [, , , , , ...again] = upkeepCommand(options).split(" ");
  expect(parseUpkeepOptions(again)).toEqual(options);
  expect(() => parseUpkeepOptions(["--stores", "tape"])).toThrow(UsageError);
  expect(() => parseUpkeepOptions(["--mib", "0"])).toThrow(UsageError);
});
