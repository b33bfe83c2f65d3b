import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { OPTION_ROWS, variableOf } from "./options.ts";
import { configurationPage } from "./reference-page.ts";

test("docs/reference/configuration.md is what the option table makes of it", () => {
  const path = resolve(import.meta.dirname, "../../../../docs/reference/configuration.md");
  if (process.env["QUORATE_UPDATE_GOLDEN"] === "1") writeFileSync(path, configurationPage());
  expect(readFileSync(path, "utf8")).toBe(configurationPage());
});

test("every default is within its bounds, and no two options share a flag or a variable", () => {
  const names = new Set<string>();
  for (const [name, row] of OPTION_ROWS) {
    if (typeof row.default === "number") {
      expect(row.default).toBeGreaterThanOrEqual(row.min!);
      expect(row.default).toBeLessThanOrEqual(row.max!);
    }
    if (row.choices !== undefined && row.default !== undefined) {
      expect(row.choices).toContain(row.default);
    }
    expect(row.default !== undefined || row.otherwise !== undefined).toBe(true);
    names.add(row.flag.replace(/ .*/, "")).add(variableOf(name));
  }
  expect(names.size).toBe(2 * OPTION_ROWS.size);
});
