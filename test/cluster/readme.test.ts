/**
 * The embedding example of the README, as it stands there: type-checked strictly and run.
 */
import { execFile } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, "../..");
const SCRATCH = join(ROOT, "test/.scratch", `readme-${process.pid}`);

beforeAll(async () => mkdir(SCRATCH, { recursive: true }));
afterAll(async () => rm(SCRATCH, { recursive: true, force: true }));

test("the README's example compiles, is about twenty lines, and prints what it says", async () => {
  const readme = await readFile(join(ROOT, "README.md"), "utf8");
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
  expect(code.trim().split("\n").length).toBeLessThanOrEqual(24);

  await writeFile(join(SCRATCH, "example.ts"), code);
  await writeFile(join(SCRATCH, "package.json"), '{ "type": "module" }');
  const options = {
    target: "ES2023",
    module: "NodeNext",
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    types: ["node"],
    outDir: ".",
  };
  const project = { compilerOptions: options, files: ["example.ts"] };
  await writeFile(join(SCRATCH, "tsconfig.json"), JSON.stringify(project));
  await run(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", SCRATCH]);

  const first = await run(process.execPath, ["example.js"], { cwd: SCRATCH, timeout: 30_000 });
  expect(first.stdout).toBe("after the write: 2\nand read again: 2\n");
  // A second start continues: the data directory is this member's memory.
  const second = await run(process.execPath, ["example.js"], { cwd: SCRATCH, timeout: 30_000 });
  expect(second.stdout).toBe("after the write: 4\nand read again: 4\n");
});
