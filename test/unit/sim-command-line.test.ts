/** `npm run sim`: every command line is understood, or answered with a sentence. */
import { describe, expect, test } from "vitest";
import { parseCommandLine, UsageError } from "../../sim/src/command-line.ts";

function refusal(...args: string[]): string {
  try {
    parseCommandLine(args);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  return "";
}

describe("many runs", () => {
  test("are 500 fresh ones if nothing is said", () => {
    expect(parseCommandLine([])).toMatchObject({ kind: "campaign", seeds: 500, from: undefined });
  });

  test("fill a time, unless there are enough", () => {
    expect(parseCommandLine(["--seconds", "600"])).toMatchObject({ seeds: undefined });
    const both = parseCommandLine(["--seconds", "0.5", "--seeds", "9"]);
    expect(both).toMatchObject({ seconds: 0.5, seeds: 9 });
  });

  test("begin where they are told, in decimal or hexadecimal", () => {
    expect(parseCommandLine(["--from", "0xff", "--jobs", "2"])).toMatchObject({
      from: 255,
      jobs: 2,
    });
  });
});

describe("one run", () => {
  test("is named by its seed or its options", () => {
    expect(parseCommandLine(["--seed", "7", "--trace", "--until", "99"])).toMatchObject({
      kind: "single",
      of: { seed: 7 },
      trace: true,
      until: 99,
    });
    const kept = parseCommandLine(["--options", "a.json", "--shrink"]);
    expect(kept).toMatchObject({ of: { file: "a.json" }, shrink: true });
  });
});

describe("planted defects", () => {
  test("are all of them, or those named", () => {
    expect(parseCommandLine(["--mutations"])).toMatchObject({ kind: "mutations", names: [] });
    expect(parseCommandLine(["--mutations", "a", "b"])).toMatchObject({ names: ["a", "b"] });
    expect(parseCommandLine(["--list"])).toMatchObject({ kind: "mutations", list: true });
  });
});

test("what makes no sense is refused by a sentence", () => {
  expect(refusal("--seeds", "0")).toBe('--seeds wants a whole number of 1 or more, not "0"');
  expect(refusal("--seeds", "1e3")).toMatch(/--seeds wants a whole number/);
  expect(refusal("--seconds", "soon")).toMatch(/--seconds wants a time above 0/);
  expect(refusal("--seed", "4294967296")).toMatch(/--seed wants a seed from 0 to 4294967295/);
  expect(refusal("--trace")).toBe("--trace is about one run: name it with --seed or --options");
  expect(refusal("--seed", "1", "--seeds", "5")).toBe("--seeds has no meaning for one run");
  expect(refusal("--mutations", "--trace")).toMatch(/no meaning for planted defects/);
  expect(refusal("--seed", "1", "--options", "a")).toMatch(/give one of them/);
  expect(refusal("--options", "a", "--profile", "p")).toMatch(/leave one out/);
  expect(refusal("--seed", "1", "--shrink", "--trace")).toMatch(/--shrink makes many runs/);
  expect(refusal("--profile", "p")).toMatch(/^there is no profile "p"; there are swarm, /);
  expect(refusal("12")).toBe('nobody knows what "12" is for');
  expect(refusal("--sed", "1")).toMatch(/Unknown option '--sed'/);
});
