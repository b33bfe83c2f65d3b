/**
 * Scripted scenarios with golden traces: each file in scenarios/ explains itself, and its traces
 * are what the core does today. `QUORATE_UPDATE_GOLDEN=1` writes them anew; read the difference
 * before it is committed.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { playScenario } from "./scenario-harness.ts";

const FOLDER = join(import.meta.dirname, "scenarios");
const UPDATES = process.env["QUORATE_UPDATE_GOLDEN"] === "1";
const names = readdirSync(FOLDER).filter((name) => name.endsWith(".txt"));

test.each(names)("%s", (name) => {
  const path = join(FOLDER, name);
  const golden = readFileSync(path, "utf8");
  const played = playScenario(golden);
  expect(playScenario(golden), "the same script gives the same trace").toBe(played);
  if (UPDATES) writeFileSync(path, played);
  else expect(played).toBe(golden);
});
