/**
 * The simulator bites: every planted defect, and every bug of another system that was told again,
 * is caught within its budget, while the library as it is stands the same runs and stories.
 */
import { execFile } from "node:child_process";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "../..");
const HALF_AN_HOUR_MS = 1_800_000;

interface Check {
  readonly rows: readonly { readonly name: string; readonly type: string }[];
  readonly failed: readonly unknown[];
}

test(
  "every planted defect is caught",
  async () => {
    const { rows, failed } = await check();
    const missed = rows.filter(({ type }) => type !== "caught" && type !== "equivalent");
    expect(missed).toEqual([]);
    expect(failed).toEqual([]);
    const caught = rows.filter(({ type }) => type === "caught").map(({ name }) => name);
    const told = caught.filter((name) => name.startsWith("issue-"));
    expect(told.length).toBeGreaterThanOrEqual(25);
    expect(caught.length - told.length).toBeGreaterThanOrEqual(26);
  },
  HALF_AN_HOUR_MS,
);

function check(): Promise<Check> {
  const command = [join(ROOT, "sim/dist/main.js"), "--mutations", "--json"];
  const options = { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 };
  return new Promise((resolved, rejected) => {
    execFile(process.execPath, command, options, (error, stdout, stderr) => {
      try {
        resolved(JSON.parse(stdout) as Check);
      } catch {
        rejected(new Error(`no JSON came out: ${error?.message ?? ""}\n${stdout}\n${stderr}`));
      }
    });
  });
}
