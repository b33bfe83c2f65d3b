/**
 * An example as its README shows it: the very commands, in its own folder, with nothing changed but
 * the ports, which another process may hold, and the places where data goes.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import type { TestContext } from "vitest";
import { Child } from "./child.ts";
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

/** A started command: one that does not end by itself. */
export class Script extends Child {
  readonly line: string;

  constructor(line: string, outputPath: string, directory: string) {
    // The shell becomes the program: signals and the exit code are its own.
    super([`exec ${line}`], outputPath, { command: ["sh", "-c"], directory });
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
  readonly folder: string;
  /** For data and output. */
  readonly scratch: string;
  readonly readme: string;
  readonly #context: TestContext;
  readonly #replacements: readonly Replacement[];
  #started = 0;

  constructor(
    context: TestContext,
    name: string,
    replacements: (scratch: string) => readonly Replacement[],
  ) {
    this.folder = join(ROOT, "examples", name);
    this.scratch = scratchDirectory(context);
    this.readme = readFileSync(join(this.folder, "README.md"), "utf8");
    this.#context = context;
    this.#replacements = replacements(this.scratch);
  }

  /** All commands of the README's shell blocks, in their order. */
  get commands(): readonly Command[] {
    const blocks = [...this.readme.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1]!);
    const lines = blocks.join("").split("\n");
    return lines.filter((text) => text !== "" && !text.startsWith("#")).map(commandOf);
  }

  /** A text of the README with this machine's ports and places. */
  here(text: string): string {
    return this.#replacements.reduce((t, [pattern, by]) => t.replaceAll(pattern, by), text);
  }

  /** Runs a command to its end; rejects where it fails. */
  async run(line: string): Promise<string> {
    const here = this.here(line).replace(/^curl /, "curl -sS ");
    const options = { cwd: this.folder, timeout: RUN_MS };
    const { stdout } = await promisify(execFile)("sh", ["-c", here], options);
    return stdout.replace(/\n$/, "");
  }

  /** Starts a command that goes on; it ends with the test. */
  start(line: string): Script {
    const output = join(this.scratch, `${++this.#started}.log`);
    const script = new Script(this.here(line), output, this.folder);
    this.#context.onTestFinished(async ({ task }) => {
      if (task.result?.state === "fail") {
        process.stderr.write(`The last lines of "${script.line}":\n${lastLines(script.output)}\n`);
      }
      await script.kill();
    });
    return script;
  }
}

function commandOf(text: string): Command {
  const [, line = "", prints] = /^(.*?)(?: +# (.*))?$/.exec(text) ?? [];
  return { line, prints };
}

function lastLines(output: string): string {
  return output.trimEnd().split("\n").slice(-30).join("\n");
}
