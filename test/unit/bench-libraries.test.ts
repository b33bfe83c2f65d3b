/** Libraries side by side: which are here, their versions, and what is told of event loops. */
import { expect, test } from "vitest";
import { versionIn } from "../../bench/src/go-programs.ts";
import { findLibraries, memberProgram } from "../../bench/src/library-systems.ts";
import { worstOf } from "../../bench/src/loop-delay.ts";
import { parseOptions, UsageError } from "../../bench/src/options.ts";

test("the version of a peer is the one that is required of its module", () => {
  const goMod =
    "module x\n\nrequire a.b/c v1.2.3\n\nrequire (\n\ta.b/d/v3 v3.0.1\n\ta.b/dd v9.9.9\n)\n";
  expect(versionIn(goMod, "a.b/c")).toBe("v1.2.3");
  expect(versionIn(goMod, "a.b/d/v3")).toBe("v3.0.1");
  expect(() => versionIn(goMod, "a.b/d")).toThrow("names no a.b/d");
});

test("a library without a program is missing, with the reason, and the others are not", () => {
  const none = (): { missing: string } => ({ missing: "Go is not installed here" });
  const found = findLibraries(["floor", "quorate", "dragonboat"], none);
  expect(found.systems).toEqual(["floor", "quorate"]);
  expect(Object.keys(found.versions)).toEqual(["floor", "quorate"]);
  expect(found.missing).toEqual({ dragonboat: "Go is not installed here" });
  expect(() => memberProgram("dragonboat", [], none)).toThrow("Go is not installed here");
  expect(memberProgram("quorate", ["--cpu-prof"])).toEqual({ nodeFlags: ["--cpu-prof"] });
});

test("systems and value sizes of replication are lists, and unknown ones are refused", () => {
  const options = parseOptions(["replication", "--systems", "quorate,floor", "--value", "16,4096"]);
  expect(options).toMatchObject({ systems: ["quorate", "floor"], valueBytes: [16, 4_096] });
  expect(parseOptions(["replication", "--without-floor"]).systems).toEqual(["quorate"]);
  expect(parseOptions(["floor"]).systems).toEqual(["floor"]);
  expect(() => parseOptions(["replication", "--systems", "raft"])).toThrow(UsageError);
});

test("of several event loops the worst is told, and nothing where none is known", () => {
  const delays = [{ p999Ms: 3, maxMs: 4 }, undefined, { p999Ms: 1, maxMs: 8 }];
  expect(worstOf(delays)).toEqual({ p999Ms: 3, maxMs: 8 });
  expect(worstOf([undefined])).toBeUndefined();
});
