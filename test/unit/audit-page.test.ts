/**
 * docs/audit.md claims much; this holds it to it. Everything that it names in its last columns has
 * to exist: files, scenarios, planted defects, invariants. Its table of historical bugs is written
 * from the scenarios themselves.
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { readMutations } from "../../sim/src/mutation.ts";
import { SCENARIOS } from "../../sim/src/scenarios/catalogue.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const PAGE = join(ROOT, "docs/audit.md");
const BEGIN = "<!-- issues -->";
const END = "<!-- /issues -->";

const defects = new Set(readMutations(join(ROOT, "sim/mutations")).map(({ name }) => name));
const scenarios = new Set(SCENARIOS.map(({ name }) => name));
const walks = new Set(
  readdirSync(join(ROOT, "packages/raft/src/core/scenarios")).map((name) => name.slice(0, -4)),
);
const invariants = readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8");

interface Row {
  readonly cells: readonly string[];
  readonly line: number;
}

test("the 30 complaints each have an answer, a verdict and something that shows it", () => {
  const rows = rowsOf("complaints");
  expect(rows.map(({ cells }) => Number(cells[0]))).toEqual(
    Array.from({ length: 30 }, (_, i) => i + 1),
  );
  for (const { cells, line } of rows) {
    const [, known, complaint, answer, verdict, shown] = cells as string[];
    const where = `docs/audit.md:${line}`;
    expect(known, where).toMatch(/#\d+|[a-z]/);
    expect(complaint!.length, where).toBeGreaterThan(10);
    expect(answer!.length, where).toBeGreaterThan(20);
    expect(verdict, where).toMatch(/^(yes|partly|not yet)$/);
    if (verdict !== "not yet") expect(namesIn(shown!).length, where).toBeGreaterThan(0);
  }
});

test("whatever is named as a proof exists", () => {
  const rows = [...rowsOf("complaints"), ...rowsOf("others")];
  const wrong = rows.flatMap(({ cells, line }) =>
    namesIn(cells.at(-1)!)
      .filter((name) => !exists(name))
      .map((name) => `docs/audit.md:${line}: there is no ${name}`),
  );
  expect(wrong).toEqual([]);
});

test("the historical bugs that are told again stand on the page, all of them", () => {
  const page = readFileSync(PAGE, "utf8");
  const rows = SCENARIOS.filter(({ name }) => name.startsWith("issue-")).map(
    ({ name, known, text }) => `| ${known} | ${text} | \`${name}\` |`,
  );
  const table = [
    "| bug | what must not come about again | scenario and planted defect |",
    "|---|---|---|",
  ];
  const [before, rest = ""] = page.split(`${BEGIN}\n`);
  const [, after] = rest.split(END);
  const want = `${before}${BEGIN}\n${[...table, ...rows].join("\n")}\n${END}${after}`;
  if (process.env["QUORATE_UPDATE_GOLDEN"] === "1") writeFileSync(PAGE, want);
  expect(readFileSync(PAGE, "utf8")).toBe(want);
});

/** The rows of a table behind a mark, without its head. */
function rowsOf(mark: string): Row[] {
  const lines = readFileSync(PAGE, "utf8").split("\n");
  const from = lines.indexOf(`<!-- ${mark} -->`);
  expect(from, `the table "${mark}"`).toBeGreaterThan(0);
  const rows: Row[] = [];
  for (let at = from + 3; lines[at]?.startsWith("|") === true; at++) {
    const cells = lines[at]!.split("|").slice(1, -1);
    rows.push({ cells: cells.map((cell) => cell.trim()), line: at + 1 });
  }
  return rows;
}

/** What stands in backticks. */
function namesIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);
}

/** `scenario NAME`, `defect NAME`, `walk NAME`, `invariant NAME`, or a path. */
function exists(name: string): boolean {
  const [kind, what = ""] = name.split(" ");
  switch (kind) {
    case "scenario":
      return scenarios.has(what);
    case "defect":
      return defects.has(what);
    case "walk":
      return walks.has(what);
    case "invariant":
      return invariants.includes(`| \`${what}\` |`);
    default:
      return existsSync(join(ROOT, name));
  }
}
