/**
 * Programs of tests, compiled for plain Node: a child process that is killed a hundred times should
 * start quickly, and Node 20 does not run TypeScript.
 */
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, "../..");

/** Compiles a program of this repository, with what it imports, and returns the file to run. */
export async function compileProgram(entry: string, into: string): Promise<string> {
  mkdirSync(into, { recursive: true });
  writeFileSync(join(into, "package.json"), '{ "type": "module" }');
  const compilerOptions = {
    target: "ES2023",
    module: "NodeNext",
    rootDir: ROOT,
    outDir: join(into, "out"),
    rewriteRelativeImportExtensions: true,
    sourceMap: false,
    // `npm run verify` checks the types, with the strictest options.
    noCheck: true,
    types: [],
  };
  const project = join(into, "tsconfig.json");
  writeFileSync(project, JSON.stringify({ compilerOptions, files: [entry] }));
  await run(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", project]);
  return join(into, "out", relative(ROOT, entry).replace(/\.ts$/, ".js"));
}
