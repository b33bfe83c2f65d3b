/**
 * One process of the command line, or of another program, started from the built packages. Its
 * output goes to a file, so that it is there whatever happens to the test, and costs the test no
 * time.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { forgetGroup, watchGroup } from "./reaper.ts";

const ROOT = resolve(import.meta.dirname, "../..");
/** The command as users have it. */
export const COMMAND: string = join(ROOT, "packages/server/bin/quorate.js");
const BUILT = join(ROOT, "packages/server/dist/cli/main.js");

/** How a process ended: exactly one of the two is not null. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What is run with the arguments of a {@link Child}, and where. */
export interface Program {
  readonly command: readonly [string, ...string[]];
  readonly directory: string;
  /** Variables that it finds beside the ordinary ones. */
  readonly variables?: Readonly<Record<string, string>>;
}

const QUORATE: Program = { command: [process.execPath, COMMAND], directory: process.cwd() };

/** A running or ended process. */
export class Child {
  /** Resolves when the process has ended; never rejects. */
  readonly ended: Promise<Ending>;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #outputPath: string;

  /** Runs `quorate`, or another program, with these arguments; appends all output to the file. */
  constructor(args: readonly string[], outputPath: string, program: Partial<Program> = {}) {
    if (!existsSync(BUILT)) throw new Error("the packages are not built: run `npm run build`");
    const output = openSync(outputPath, "a", 0o600);
    this.#outputPath = outputPath;
    const { command: line, directory, variables } = { ...QUORATE, ...program };
    const [command, ...first] = line;
    this.#child = spawn(command, [...first, ...args], {
      cwd: directory,
      detached: true,
      stdio: ["ignore", output, output],
      env: { ...plainEnvironment(), ...variables },
    });
    closeSync(output);
    const { pid } = this.#child;
    if (pid === undefined) throw new Error("the process could not be started");
    this.pid = pid;
    watchGroup(pid);
    this.ended = new Promise((done) => {
      this.#child.on("exit", (code, signal) => {
        forgetGroup(pid);
        done({ code, signal });
      });
    });
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Everything it has written so far. */
  get output(): string {
    return readFileSync(this.#outputPath, "utf8");
  }

  /** Sends a signal to the process and whatever it started. */
  signal(name: NodeJS.Signals): void {
    if (!this.running) return;
    process.kill(-this.pid, name);
  }

  /** `kill -9`, and waits until the process is gone. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.ended;
  }
}

/** Nothing of the test runner's or the user's settings reaches a member. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const kept = ["PATH", "HOME", "TMPDIR", "LANG", "SystemRoot"];
  return Object.fromEntries(
    kept.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
