/**
 * Reference pages that are made from tables in the code. QUORATE_UPDATE_GOLDEN=1 rewrites them.
 */
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { INVARIANTS } from "../../packages/raft/src/core/invariants.ts";
import { ERROR_CODES, type ErrorCode } from "../../packages/raft/src/util/error.ts";

const ROOT = resolve(import.meta.dirname, "../..");

test("docs/reference/errors.md lists every error code as the table has it", () => {
  const rows = (Object.keys(ERROR_CODES) as ErrorCode[]).map((code) => {
    const row = ERROR_CODES[code];
    const retry = row.retryable ? "yes" : "no";
    return `| \`${code}\` | ${row.outcome} | ${retry} | ${row.httpStatus} | ${row.exitCode} | ${row.text} |`;
  });
  const page = [
    "# Errors",
    "",
    "One class, `QuorateError`, and one table of codes. Branch on `code` or on `outcome`, never on the",
    "message. `not-done`: the call certainly had and will have no effect, so repeating it is safe.",
    "`unknown`: it may have happened, or may yet.",
    "",
    "| code | outcome | retryable | HTTP | exit | meaning |",
    "|---|---|---|---|---|---|",
    ...rows,
    "",
    "A single error may know better than its row: its own `outcome` counts.",
    "",
  ].join("\n");
  compare("docs/reference/errors.md", page);
});

test("ARCHITECTURE.md lists every invariant that the core asserts", () => {
  const rows = Object.entries(INVARIANTS).map(([name, says]) => `| \`${name}\` | ${says} |`);
  const table = ["| invariant | what it says |", "|---|---|", ...rows].join("\n");
  const page = readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8");
  const begin = "<!-- invariants -->\n";
  const end = "\n<!-- /invariants -->";
  const head = page.slice(0, page.indexOf(begin) + begin.length);
  compare("ARCHITECTURE.md", head + table + page.slice(page.indexOf(end)));
});

test("every invariant of the core is shown to fire", () => {
  const folder = join(ROOT, "packages/raft/src/core");
  const tests = readdirSync(folder).filter((name) => name.endsWith(".test.ts"));
  const text = tests.map((name) => readFileSync(join(folder, name), "utf8")).join("\n");
  const unseen = Object.keys(INVARIANTS).filter((name) => !text.includes(name));
  expect(unseen).toEqual([]);
});

function compare(path: string, text: string): void {
  const file = join(ROOT, path);
  if (process.env["QUORATE_UPDATE_GOLDEN"] === "1") writeFileSync(file, text);
  expect(readFileSync(file, "utf8")).toBe(text);
}
