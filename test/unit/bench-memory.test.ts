/** Memory over time: what counts as flat, and what of a process's memory is counted. */
import { expect, test } from "vitest";
import { memoryCommand, parseMemoryOptions } from "../../bench/src/memory-options.ts";
import { flatnessOf } from "../../bench/src/memory-report.ts";
import type { MemorySample } from "../../bench/src/memory.ts";
import { UsageError } from "../../bench/src/options.ts";
import { parseMemory } from "../../bench/src/process-times.ts";

const MIB = 2 ** 20;

/** A sample every second. */
function samples(mib: readonly number[]): readonly MemorySample[] {
  return mib.map((value, i) => ({
    atMs: i * 1_000,
    residentBytes: value * MIB,
    anonymousBytes: (value * MIB) / 2,
  }));
}

test("growth is that of the last half, whatever the start did", () => {
  const warmUp = Array.from({ length: 60 }, (_, i) => 100 + 10 * i);
  const rest = Array.from({ length: 60 }, (_, i) => 300 + 0.1 * i);
  const { mibPerMinute, sharePerMinute, residentMiB, anonymousMiB } = flatnessOf(
    samples([...warmUp, ...rest]),
  );
  expect(mibPerMinute).toBeCloseTo(6);
  expect(residentMiB.min).toBeCloseTo(300);
  expect(sharePerMinute).toBeCloseTo(6 / residentMiB.median);
  expect(anonymousMiB.median).toBeCloseTo(residentMiB.median / 2);
});

test("a saw is flat, though each of its teeth rises", () => {
  const saw = Array.from({ length: 240 }, (_, i) => 200 + (i % 10));
  expect(Math.abs(flatnessOf(samples(saw)).sharePerMinute)).toBeLessThan(0.005);
});

test("two samples are too few for a slope", () => {
  expect(() => flatnessOf(samples([1, 2]))).toThrow("too few");
});

test("resident and anonymous memory are read apart", () => {
  const status = "VmHWM:\t  9 kB\nVmRSS:\t  2048 kB\nRssAnon:\t    1024 kB\nRssFile:\t 5 kB\n";
  expect(parseMemory(status)).toEqual({ residentBytes: 2 * MIB, anonymousBytes: MIB });
  expect(() => parseMemory("VmRSS:\t 1 kB\n")).toThrow("no RssAnon");
});

test("its command line is read, and printed again as it is meant", () => {
  const options = parseMemoryOptions(["--minutes", "0.5", "--systems", "quorate"]);
  const [, , , , , ...again] = memoryCommand(options).split(" ");
  expect(parseMemoryOptions(again)).toEqual(options);
  expect(() => parseMemoryOptions(["--minutes", "0"])).toThrow(UsageError);
});
