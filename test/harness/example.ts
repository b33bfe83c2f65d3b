/**
 * An example as its README shows it: the very commands, with nothing changed but the ports, which
 * another process may hold, and the places where data goes.
 *
 * They run in a folder of their own, where data may go as well, with the example's scripts in it:
 * those that name ports or places as copies, the others as calls of the real ones.
 */
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import type { TestContext } from "vitest";
import { Child, plainEnvironment } from "./child.ts";
import type { Program } from "./child.ts";
import { scratchDirectory } from "./scratch.ts";
import { waitUntil } from "./wait.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const RUN_MS = 20_000;

/** One command of a README. */
export interface Command {
  /** As it stands there, without the comment behind it. */
  readonly line: string;
  /** What the comment behind it says that it prints; undefined where there is none. */
  readonly prints: string | undefined;
}

/** What stands in a README for something of this machine: `[/\b9091\b/g, "17001"]`. */
export type Replacement = readonly [pattern: RegExp, text: string];

/** What is different on this machine, for one test. */
export interface Here {
  readonly replacements: readonly Replacement[];
  readonly variables?: Readonly<Record<string, string>>;
}

/** A started command: one that does not end by itself. */
export class Script extends Child {
  readonly line: string;

  constructor(line: string, outputPath: string, place: Omit<Program, "command">) {
    // The shell becomes the program: signals and the exit code are its own.
    const [, variables = "", rest = ""] = /^((?:[A-Z_]+=\S* )*)(.*)$/.exec(line) ?? [];
    super([`${variables}exec ${rest}`], outputPath, { ...place, command: ["sh", "-c"] });
    this.line = line;
  }

  /** Waits until its output has something. */
  async says(pattern: RegExp, timeoutMs: number): Promise<void> {
    const what = `"${this.line}" says ${pattern}`;
    await waitUntil(what, timeoutMs, () => pattern.test(this.output));
  }
}

/** One example. */
export class Example {
  /** Where the commands run. */
  readonly folder: string;
  readonly readme: string;
  readonly #context: TestContext;
  readonly #here: Here;
  #started = 0;

  constructor(context: TestContext, name: string, here: Here | ((scratch: string) => Here)) {
    const source = join(ROOT, "examples", name);
    this.folder = join(scratchDirectory(context), name);
    this.readme = readFileSync(join(source, "README.md"), "utf8");
    this.#context = context;
    this.#here = typeof here === "function" ? here(this.folder) : here;
    mkdirSync(this.folder);
    for (const entry of readdirSync(source, { withFileTypes: true })) {
      if (entry.isFile() && !/\.(md|ts|json)$/.test(entry.name)) this.#place(source, entry.name);
    }
  }

  /** All commands of the README's shell blocks, in their order. */
  get commands(): readonly Command[] {
    const blocks = [...this.readme.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1]!);
    const lines = blocks.join("").split("\n");
    return lines.filter((text) => text !== "" && !text.startsWith("#")).map(commandOf);
  }

  /** A text of the README with this machine's ports and places. */
  here(text: string): string {
    const { replacements } = this.#here;
    return replacements.reduce((t, [pattern, by]) => t.replaceAll(pattern, by), text);
  }

  /** Runs a command to its end; rejects where it fails. */
  async run(line: string): Promise<string> {
    const here = this.here(line).replace(/^curl /, "curl -sS ");
    const env = { ...plainEnvironment(), ...this.#here.variables };
    const options = { cwd: this.folder, timeout: RUN_MS, env };
    const { stdout } = await promisify(execFile)("sh", ["-c", here], options);
    return stdout.replace(/\n$/, "");
  }

  /** Starts a command that goes on; it ends with the test. */
  start(line: string): Script {
    const output = join(this.folder, `${++this.#started}.log`);
    const place = { directory: this.folder, variables: this.#here.variables ?? {} };
    const script = new Script(this.here(line), output, place);
    this.#context.onTestFinished(async ({ task }) => {
      if (task.result?.state === "fail") {
        process.stderr.write(`The last lines of "${script.line}":\n${lastLines(script.output)}\n`);
      }
      await script.kill();
    });
    return script;
  }

  #place(source: string, name: string): void {
    const path = join(source, name);
    const text = readFileSync(path, "utf8");
    const here = this.here(text);
    const call = `#!/bin/sh\nexec "${path}" "$@"\n`;
    const { mode } = statSync(path);
    const isCalled = here === text && (mode & 0o111) !== 0;
    writeFileSync(join(this.folder, name), isCalled ? call : here, { mode });
  }
}

function commandOf(text: string): Command {
  const [, line = "", prints] = /^(.*?)(?: +# (.*))?$/.exec(text) ?? [];
  return { line, prints };
}

function lastLines(output: string): string {
  return output.trimEnd().split("\n").slice(-30).join("\n");
}
