/**
 * `quorate/recipes` takes types alone from the library's entry, so it runs wherever a replica does:
 * bundled for a browser it needs no module of Node.
 */
import { resolve } from "node:path";
import { rolldown } from "rolldown";
import { expect, test } from "vitest";

const ENTRY = resolve(import.meta.dirname, "../../packages/raft/src/recipes/index.ts");

test("the bundle for a browser imports nothing", async () => {
  const warnings: string[] = [];
  const bundle = await rolldown({
    input: ENTRY,
    platform: "browser",
    onLog: (_level, { message }) => {
      warnings.push(message);
    },
  });
  const { output } = await bundle.generate({ format: "iife", name: "recipes" });
  await bundle.close();
  const [{ code, imports, dynamicImports }] = output;
  expect([warnings, imports, dynamicImports, output.length]).toEqual([[], [], [], 1]);
  expect(code.match(/^\s*import\b|\b(?:import|require)\s*\(|["']node:[a-z]/gm)).toBeNull();
});
