/** Planted defects apply exactly, or they fail loudly. */
import { describe, expect, test } from "vitest";
import { parseMutation } from "../../sim/src/mutation.ts";
import { applyHunks, parsePatch } from "../../sim/src/patch.ts";

const HEAD = "defect: A vote is given twice.\narea: votes\ncaught-by: random\n";
const FILE = "--- packages/raft/src/core/votes.ts\n";
const SOURCE = "one\n  two\n\n  three\nfour\n  two\nfive\n";

function apply(body: string, source: string = SOURCE): string {
  return applyHunks(source, parsePatch(`${HEAD}${FILE}${body}`).files[0]!);
}

describe("a hunk", () => {
  test("replaces the lines it removes and keeps those around them", () => {
    expect(apply("@@\n one\n-  two\n+  2\n+  2.5\n")).toBe(
      "one\n  2\n  2.5\n\n  three\nfour\n  two\nfive\n",
    );
  });

  test("may only add, or only remove", () => {
    expect(apply("@@\n four\n+zero\n")).toContain("four\nzero\n  two\n");
    expect(apply("@@\n-four\n")).toBe("one\n  two\n\n  three\n  two\nfive\n");
  });

  test("knows an empty line that stays, with or without its blank", () => {
    expect(apply("@@\n   two\n\n-  three\n+  3\n")).toContain("  two\n\n  3\nfour");
    expect(apply("@@\n   two\n \n-  three\n+  3\n")).toContain("  two\n\n  3\nfour");
  });

  test("reaches the first and the last line of a file", () => {
    expect(apply("@@\n-one\n+1\n")).toMatch(/^1\n/);
    expect(apply("@@\n-five\n+5\n")).toMatch(/\n5\n$/);
  });

  test("follows another in the same file, and empty lines may part them", () => {
    expect(apply("@@\n-one\n+1\n\n@@ the end\n-five\n+5\n\n")).toBe(
      "1\n  two\n\n  three\nfour\n  two\n5\n",
    );
  });

  test("that fits nowhere, or only a part of a line, no longer matches", () => {
    expect(() => apply("@@\n-six\n+6\n")).toThrow(/no longer matches: hunk 1 of packages.*votes/);
    expect(() => apply("@@\n-two\n+2\n")).toThrow(/no longer matches/);
    expect(() => apply("@@\n-fiv\n+5\n")).toThrow(/no longer matches/);
  });

  test("that fits twice is ambiguous, even where the places overlap", () => {
    expect(() => apply("@@\n-  two\n+  2\n")).toThrow(/ambiguous/);
    expect(() => apply("@@\n-a\n-a\n+b\n", "a\na\na\n")).toThrow(/ambiguous/);
  });

  test("must say where it belongs, and change something", () => {
    expect(() => apply("@@\n+new\n")).toThrow(/does not say where/);
    expect(() => apply("@@\n one\n")).toThrow(/changes nothing/);
  });
});

describe("a patch", () => {
  test("may change several files", () => {
    const text = `${HEAD}${FILE}@@\n-a\n+b\n--- packages/raft/src/log/log.ts\n@@\n-c\n`;
    expect(parsePatch(text).files.map((file) => file.path)).toEqual([
      "packages/raft/src/core/votes.ts",
      "packages/raft/src/log/log.ts",
    ]);
  });

  test("with a line outside of any hunk is refused by its number", () => {
    expect(() => parsePatch(`${HEAD}${FILE}-a\n`)).toThrow(/line 5 belongs to no hunk/);
    expect(() => parsePatch(`${HEAD}${FILE}@@\n-a\nb\n`)).toThrow(/line 7 belongs to no hunk/);
  });

  test("with a file to which nothing is done is refused", () => {
    expect(() => parsePatch(`${HEAD}${FILE}`)).toThrow(/nothing is done/);
  });

  test("has headers that may go on in indented lines, each once", () => {
    const { headers } = parsePatch("defect: one\n  two\narea: log\n");
    expect(headers.get("defect")).toBe("one two");
    expect(() => parsePatch("area: log\narea: disk\n")).toThrow(/line 2/);
    expect(() => parsePatch("no header\n")).toThrow(/line 1/);
  });
});

describe("a mutation", () => {
  const BODY = `${FILE}@@\n-a\n+b\n`;

  test("says by what it is caught, and within which budget", () => {
    const text = `defect: d\narea: log\ncaught-by: random crash\nseeds: 40\nseconds: 9\n${BODY}`;
    expect(parseMutation("m", text)).toMatchObject({
      name: "m",
      caughtBy: { kind: "random", profile: "crash", seeds: 40 },
      budgetSeconds: 9,
    });
    const told = `defect: d\narea: log\nknown: etcd#1\ncaught-by: scenario s\n${BODY}`;
    expect(parseMutation("m", told)).toMatchObject({
      known: "etcd#1",
      caughtBy: { kind: "scenario", scenario: "s" },
      budgetSeconds: 600,
    });
  });

  test("is either to be caught or equivalent with an argument", () => {
    const start = "defect: d\narea: log\n";
    const equivalent = parseMutation("m", `${start}equivalent: it is\n${BODY}`);
    expect(equivalent.caughtBy).toBeUndefined();
    expect(equivalent.equivalent).toBe("it is");
    expect(() => parseMutation("m", start + BODY)).toThrow(/m: wants either/);
    const both = `${start}caught-by: random\nequivalent: it is\n${BODY}`;
    expect(() => parseMutation("m", both)).toThrow(/wants either/);
  });

  test("with a header missing, unknown or without sense is refused", () => {
    const refused = (headers: string): unknown => {
      try {
        return parseMutation("m", headers + BODY);
      } catch (error) {
        return String(error);
      }
    };
    expect(refused("area: log\ncaught-by: random\n")).toMatch(/wants the header "defect"/);
    expect(refused("defect: d\ncaught-by: random\n")).toMatch(/wants the header "area"/);
    expect(refused(`${HEAD}sedes: 4\n`)).toMatch(/nobody knows the header "sedes"/);
    expect(refused(`${HEAD}seeds: many\n`)).toMatch(/whole number/);
    expect(refused("defect: d\narea: a\ncaught-by: chance\n")).toMatch(/not "chance"/);
    expect(refused("defect: d\narea: a\ncaught-by: scenario\n")).toMatch(/not "scenario"/);
    expect(() => parseMutation("m", HEAD)).toThrow(/no file is changed/);
  });
});
