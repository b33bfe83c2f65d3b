/**
 * `npm run sim` as it is built: what it prints, what it exits with, and that it bites. It starts
 * threads and processes of its own, so it is no unit test.
 */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { scratchDirectory } from "../harness/scratch.ts";

const COMMAND = resolve(import.meta.dirname, "../../sim/dist/main.js");

interface Ended {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

function sim(...args: string[]): Promise<Ended> {
  return new Promise((done) => {
    execFile(process.execPath, [COMMAND, ...args], (error, output, errors) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      done({ code, output, errors });
    });
  });
}

test("a campaign runs its seeds on several threads and adds them up", async () => {
  const { code, output, errors } = await sim(
    "--from",
    "1",
    "--seeds",
    "4",
    "--jobs",
    "2",
    "--json",
  );
  expect(errors).toBe("");
  expect(JSON.parse(output)).toMatchObject({ firstSeed: 1, runs: 4, failures: [] });
  expect(code).toBe(0);
});

test("a campaign shows a table to people, and how to repeat it", async () => {
  const { code, output } = await sim("--from", "7", "--seeds", "2", "--profile", "calm");
  expect(output).toMatch(/^2 seeds of profile calm, \d at a time; --from 7 repeats them\n/);
  expect(output).toMatch(/\nwrites +[\d,]+ done, [\d,]+ unknown, [\d,]+ not done/);
  expect(output).toMatch(/\nNo violation\.\n$/);
  expect(code).toBe(0);
});

test("the same run has the same trace in another process, by seed and by options", async (context) => {
  const bySeed = JSON.parse((await sim("--seed", "3", "--json")).output) as Kept;
  const file = join(scratchDirectory(context), "options.json");
  writeFileSync(file, JSON.stringify({ found: "", options: bySeed.options }));
  const byOptions = JSON.parse((await sim("--options", file, "--json")).output) as Kept;
  expect(byOptions.traceHash).toBe(bySeed.traceHash);
  expect(byOptions.events).toBe(bySeed.events);
});

interface Kept {
  readonly options: unknown;
  readonly traceHash: string;
  readonly events: number;
}

test("a trace is printed up to the step that is asked for", async () => {
  const { output } = await sim("--seed", "3", "--trace", "--until", "300");
  const lines = output.split("\n");
  expect(lines[0]).toMatch(/^ +step +ms +who +what$/);
  const steps = lines.filter((line) => /^ *\d+ +\d+\.\d{3} /.test(line));
  expect(steps.length).toBeGreaterThan(10);
  expect(Math.max(...steps.map((line) => Number.parseInt(line, 10)))).toBeLessThanOrEqual(300);
  expect(output).toContain("No violation up to step 300");
});

test("a planted defect is caught, by an assertion or an invariant", async () => {
  const { code, output } = await sim("--mutations", "quorum-half", "--json");
  const { rows, failed } = JSON.parse(output) as { rows: unknown[]; failed: unknown[] };
  expect(rows).toMatchObject([{ name: "quorum-half", type: "caught" }]);
  expect(failed).toEqual([]);
  expect(code).toBe(0);
});

test("what makes no sense ends with a sentence and exit code 2", async () => {
  expect(await sim("--seeds", "none")).toMatchObject({
    code: 2,
    output: "",
    errors: '--seeds wants a whole number of 1 or more, not "none"\n--help lists what there is.\n',
  });
  const unknown = await sim("--mutations", "no-such-defect");
  expect(unknown.errors).toMatch(/no planted defect is called "no-such-defect"/);
  expect(unknown.code).toBe(2);
});
