/**
 * The programs in the documentation, as they stand there: type-checked strictly and run. A page's
 * first block of code is a whole program; what it prints stands behind it in its comments.
 */
import { execFile } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { Cluster } from "../harness/cluster.ts";

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, "../..");

test("docs/client.md: the program works against a cluster", async (context) => {
  const cluster = await Cluster.make(context, { members: 2, electionTimeoutMs: 300 });
  await cluster.start();
  const [first, second] = cluster.httpPorts;
  const { code, printed } = await programOf("docs/client.md");
  const here = code.replace("10091", String(first)).replace("10092", String(second));
  expect(await outputOf(context, here)).toEqual(printed);
});

test("docs/recipes.md: the program does what it says", async (context) => {
  const { code, printed } = await programOf("docs/recipes.md");
  expect(await outputOf(context, code)).toEqual(printed);
});

interface Program {
  readonly code: string;
  /** What the comments behind `console.log` say. */
  readonly printed: readonly string[];
}

async function programOf(page: string): Promise<Program> {
  const text = await readFile(join(ROOT, page), "utf8");
  const code = /```ts\n([\s\S]*?)```/.exec(text)?.[1] ?? "";
  const printed = [...code.matchAll(/console\.log\(.*\); *\/\/ (.*)$/gm)].map((match) => match[1]!);
  expect(printed.length).toBeGreaterThan(0);
  return { code, printed };
}

/** The lines that a program prints, compiled as a user would compile it. */
async function outputOf(context: TestContext, code: string): Promise<readonly string[]> {
  const scratch = join(ROOT, "test/.scratch", `docs-${process.pid}-${context.task.id}`);
  await mkdir(scratch, { recursive: true });
  context.onTestFinished(() => rm(scratch, { recursive: true, force: true }));
  await writeFile(join(scratch, "example.ts"), code);
  await writeFile(join(scratch, "package.json"), '{ "type": "module" }');
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
  await writeFile(join(scratch, "tsconfig.json"), JSON.stringify(project));
  await run(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", scratch]);
  const ran = await run(process.execPath, ["example.js"], { cwd: scratch, timeout: 30_000 });
  return ran.stdout.trimEnd().split("\n");
}
