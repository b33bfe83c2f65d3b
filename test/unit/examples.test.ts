/**
 * What the examples' pages say of them is true: how much code each has, and that no folder is
 * missing.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "../..");
const EXAMPLES = join(ROOT, "examples");

test("examples/README.md counts the lines of every example as they are", () => {
  const page = readFileSync(join(EXAMPLES, "README.md"), "utf8");
  const rows = [...page.matchAll(/^\| \[([a-z-]+)\]\(\1\) \|[^|]*\| (\d+) \|/gm)];
  const told = new Map(rows.map((row) => [row[1], Number(row[2])]));
  const folders = readdirSync(EXAMPLES, { withFileTypes: true }).filter((e) => e.isDirectory());
  const counted = folders.map(({ name }) => [name, linesOfCode(join(EXAMPLES, name))] as const);
  expect(told).toEqual(new Map(counted));
  const pairs = [...page.matchAll(/\| (\d+) \| (\d+) \|$/gm)];
  const sumOf = (column: number): number =>
    pairs.reduce((sum, row) => sum + Number(row[column]), 0);
  expect(page).toContain(` ${sumOf(1)} together, against ${sumOf(2)}.`);
});

test("the README of the repository names every example", () => {
  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  for (const entry of readdirSync(EXAMPLES, { withFileTypes: true })) {
    if (entry.isDirectory()) expect(readme).toContain(`](examples/${entry.name})`);
  }
});

/** Lines that are neither empty nor comments. */
function linesOfCode(folder: string): number {
  let count = 0;
  for (const name of readdirSync(folder).filter((file) => file.endsWith(".ts"))) {
    const text = readFileSync(join(folder, name), "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
    count += text.split("\n").filter((line) => !/^\s*(\/\/.*)?$/.test(line)).length;
  }
  return count;
}
