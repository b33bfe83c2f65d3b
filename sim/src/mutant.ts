/**
 * A copy of the library with a planted defect, compiled, with the judge beside it:
 *
 * ```
 * <mutant>/node_modules/quorate/   the library: src patched, dist made from it
 * <mutant>/sim/dist/               this workspace, as it was compiled
 * ```
 *
 * The types are checked too. A defect that is only a slip of the pen would otherwise crash, and
 * count as caught.
 */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { applyHunks, PatchError } from "./patch.ts";
import type { FilePatch } from "./patch.ts";
import { ROOT } from "./repository.ts";
import { LOADED } from "./verdict.ts";
import type { Question, Verdict } from "./verdict.ts";

const LIBRARY = "packages/raft/";
const COMPILE_MS_MAX = 120_000;
const OUTPUT_BYTES_MAX = 1 << 20;

/** The texts of all patched files. Throws {@link PatchError} where a patch does not fit. */
export function patchedFiles(files: readonly FilePatch[]): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  for (const file of files) {
    if (!file.path.startsWith(`${LIBRARY}src/`)) {
      throw new PatchError(`${file.path} lies outside of ${LIBRARY}src`);
    }
    texts.set(file.path, applyHunks(texts.get(file.path) ?? sourceOf(file.path), file));
  }
  return texts;
}

/** Copies, patches and compiles. Throws {@link PatchError} where it does not compile. */
export async function buildMutant(directory: string, files: readonly FilePatch[]): Promise<void> {
  const library = join(directory, "node_modules/quorate");
  const texts = patchedFiles(files);
  mkdirSync(library, { recursive: true });
  const from = join(ROOT, LIBRARY);
  cpSync(join(from, "src"), join(library, "src"), { recursive: true });
  cpSync(join(from, "package.json"), join(library, "package.json"));
  for (const [path, text] of texts) writeFileSync(join(library, path.slice(LIBRARY.length)), text);
  writeFileSync(join(library, "tsconfig.json"), JSON.stringify(COMPILER));
  cpSync(join(ROOT, "sim/dist"), join(directory, "sim/dist"), { recursive: true });
  cpSync(join(ROOT, "sim/package.json"), join(directory, "sim/package.json"));
  await compile(library);
}

/** Asks the judge beside a mutant. */
export async function judge(
  directory: string,
  question: Question,
  seconds: number,
): Promise<Verdict> {
  const main = join(directory, "sim/dist/judge.js");
  const { output, errors, isTimeout } = await run(
    [main, JSON.stringify(question)],
    directory,
    seconds * 1000,
  );
  const [first, last] = output.trim().split("\n");
  if (first !== LOADED) {
    return { type: "unasked", text: `the library does not load: ${errors}`, seeds: 0 };
  }
  if (last !== undefined) return JSON.parse(last) as Verdict;
  if (isTimeout) return { type: "stuck", text: `no verdict within ${seconds} s`, seeds: 0 };
  return { type: "crash", text: `the process died: ${errors.trim().slice(-500)}`, seeds: 0 };
}

/** Takes a mutant away. */
export function removeMutant(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}

/** As the library is compiled, less what only users of its types need. */
const COMPILER = {
  extends: join(ROOT, "tsconfig.base.json"),
  compilerOptions: {
    rootDir: "src",
    outDir: "dist",
    composite: false,
    incremental: false,
    declaration: false,
    declarationMap: false,
    isolatedDeclarations: false,
    sourceMap: false,
    // A defect may leave something unused behind.
    noUnusedLocals: false,
    noUnusedParameters: false,
    allowUnreachableCode: true,
    typeRoots: [join(ROOT, "node_modules/@types")],
  },
  include: ["src/**/*.ts"],
  // What needs a package beside the library takes no part in a simulation.
  exclude: ["src/**/*.test.ts", "src/**/*-harness.ts", "src/lmdb/**"],
};

async function compile(library: string): Promise<void> {
  const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
  const { output, code } = await run([tsc, "-p", "."], library, COMPILE_MS_MAX);
  if (code !== 0) throw new PatchError(`does not compile:\n${output.trim()}`);
}

interface Ran {
  readonly output: string;
  readonly errors: string;
  readonly code: number;
  readonly isTimeout: boolean;
}

function run(args: readonly string[], cwd: string, timeout: number): Promise<Ran> {
  const options = {
    cwd,
    timeout,
    killSignal: "SIGKILL",
    maxBuffer: OUTPUT_BYTES_MAX,
    encoding: "utf8",
  } as const;
  return new Promise((resolve) => {
    execFile(process.execPath, [...args], options, (error, output, errors) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
      resolve({ output, errors, code, isTimeout: error?.killed === true });
    });
  });
}

function sourceOf(path: string): string {
  try {
    return readFileSync(join(ROOT, path), "utf8");
  } catch {
    throw new PatchError(`no longer matches: there is no ${path}`);
  }
}
