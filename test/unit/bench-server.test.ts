/** The command lines of the bench's servers, what the kernel says of a process, and the tables. */
import { expect, test } from "vitest";
import { findSystems } from "../../bench/src/kv-systems.ts";
import { UsageError } from "../../bench/src/options.ts";
import { parseCpuUs, parsePeakBytes } from "../../bench/src/process-times.ts";
import { parseServerOptions, serverCommand } from "../../bench/src/server-options.ts";
import { serverRows, serverTable } from "../../bench/src/server-report.ts";
import type { ServerSeries, ServerWindow } from "../../bench/src/server.ts";

test("processor time is read behind a name with parentheses and spaces in it", () => {
  const stat =
    "71 (a) (b c) S 1 71 71 0 -1 4194560 1 0 0 0 250 30 7 8 20 0 1 0 9 1 2 3 4 5 6 7 8 9";
  expect(parseCpuUs(stat)).toBe(2_800_000);
  expect(() => parseCpuUs("71 (a) S 1")).toThrow("not a line");
});

test("peak memory is the high-water mark", () => {
  expect(parsePeakBytes("VmPeak:\t  9 kB\nVmHWM:\t    1024 kB\nVmRSS:\t 5 kB\n")).toBe(1_048_576);
  expect(() => parsePeakBytes("VmRSS:\t 5 kB\n")).toThrow("no VmHWM");
});

test("a command line is read, printed again as it is meant, and refused where it is not", () => {
  const options = parseServerOptions("server", [
    "--operations",
    "put,get-local",
    "--runs",
    "2",
    "--rate",
    "9",
  ]);
  expect(options.operations).toEqual(["put", "get-local"]);
  expect(options.places).toEqual(["leader", "spread"]);
  expect(options.timing).toEqual({ electionTimeoutMs: 1_000, heartbeatIntervalMs: 100 });
  const [, , , , , ...again] = serverCommand(options).split(" ");
  expect(parseServerOptions("server", again)).toEqual(options);
  for (const wrong of [
    ["--operations", "put,delete"],
    ["--places", "follower"],
    ["--connections", "0"],
    ["--systems", "etcd"],
    ["extra"],
  ]) {
    expect(() => parseServerOptions("server", wrong), wrong.join(" ")).toThrow(UsageError);
  }
});

const window = (requestsPerSecond: number): ServerWindow => ({
  requestsPerSecond,
  p50Ms: 1,
  p99Ms: 2,
  maxMs: 3,
  cpuUs: [10, 4, 6],
  generatorCpuUs: 5,
  peakBytes: [3 << 20, 1 << 20, 2 << 20],
  othersShare: 0,
  leader: "n2",
  loopDelays: [{ p999Ms: 1, maxMs: 9 }, undefined, { p999Ms: 2, maxMs: 8 }],
});

function series(system: string, rates: readonly number[]): ServerSeries {
  return { system, operation: "put", place: "leader", connections: 16, windows: rates.map(window) };
}

test("followers, the cluster and the ratio to others are told from runs side by side", () => {
  const rows = serverRows([series("one", [400, 100, 900]), series("two", [100, 100, 100])]);
  expect(rows[0]).toMatchObject({
    requestsPerSecond: { median: 400, min: 100, max: 900 },
    cpuLeaderUs: { median: 10 },
    cpuFollowerUs: { median: 5 },
    cpuClusterUs: { median: 20 },
    peakLeaderMiB: { median: 3 },
    peakFollowerMiB: { median: 2 },
    loopP999Ms: { median: 2 },
    loopMaxMs: { median: 9 },
    firstIsTimes: undefined,
  });
  expect(rows[1]!.firstIsTimes).toEqual({ median: 4, min: 1, max: 9 });
});

test("what is missing is named under every table", () => {
  const found = {
    versions: { one: "1" },
    missing: { two: "Go is not installed here" },
    failures: { three: "no quorum" },
    series: [series("one", [5])],
  };
  const options = { ...parseServerOptions("peers", []), systems: ["one", "two"] };
  expect(serverTable(found, options)).toContain(
    "**Missing: two** was not measured: Go is not installed here",
  );
  expect(serverTable(found, options)).toContain("**Not measured: three** failed");
});

test("our own server is always there, and an unknown one is a wrong call", () => {
  expect(findSystems(["quorate"])).toMatchObject({ missing: {}, found: [{ name: "quorate" }] });
  expect(() => findSystems(["nothing"])).toThrow(UsageError);
});
