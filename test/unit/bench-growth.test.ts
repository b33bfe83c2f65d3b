/** What size costs: its command line, and what is left out since it does not fit. */
import { expect, test } from "vitest";
import { growthCommand, parseGrowthOptions, sizesOf } from "../../bench/src/growth-options.ts";
import { growthTable } from "../../bench/src/growth-report.ts";
import { UsageError } from "../../bench/src/options.ts";

test("keys that do not fit into memory are left out there, and said to be", () => {
  const options = parseGrowthOptions(["--sweeps", "keys", "--full"]);
  const { sizes, tooLarge } = sizesOf(options, 24);
  expect(tooLarge).toEqual([{ sweep: "keys", size: 10_000_000, store: "memory" }]);
  expect(sizes).toContainEqual({ sweep: "keys", size: 10_000_000, store: "disk" });
  expect(sizes).toHaveLength(7);
  expect(sizesOf(options, 64).tooLarge).toEqual([]);
  const environment = {
    ...{ processor: "p", cores: 2, memoryGiB: 24, kernel: "k", node: "v20", commit: "c" },
    ...{ date: "d", fileSystem: "ext4", syncedWriteMs: 1 },
  };
  expect(growthTable([], environment, options)).toContain("**Left out: 10,000,000 keys, memory**");
});

test("its command line is read, and printed again as it is meant", () => {
  const options = parseGrowthOptions(["--sweeps", "keys,log", "--most", "100000"]);
  const [, , , , , ...again] = growthCommand(options).split(" ");
  expect(parseGrowthOptions(again)).toEqual(options);
  expect(() => parseGrowthOptions(["--stores", "tape"])).toThrow(UsageError);
});
