/**
 * Runs what a Procfile lists (`name: command`), each line of output behind its name, and starts and
 * stops each of them when it is told to.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";

/** A process says this once it can be used: a start is over then. */
const SERVES = /\bserving\b/;
const STOP_TIMEOUT_MS = 10_000;

/** The processes of a Procfile. */
export class Runner {
  readonly #commands: ReadonlyMap<string, string>;
  readonly #running = new Map<string, ChildProcess>();
  readonly #say: (name: string, line: string) => void;
  /** Resolves when the last process has ended. */
  readonly ended: Promise<void>;
  #end: () => void = () => {};

  constructor(procfile: string, say: (name: string, line: string) => void) {
    const lines = procfile.split("\n").filter((line) => /^\w[\w-]*:/.test(line));
    this.#commands = new Map(
      lines.map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
      }),
    );
    this.#say = say;
    this.ended = new Promise((resolve) => (this.#end = resolve));
  }

  get names(): readonly string[] {
    return [...this.#commands.keys()];
  }

  /** `stop`, `start`, `restart` or `status`; says what came of it, or throws. */
  async run(verb: string, name: string): Promise<string> {
    if (verb === "status") return this.names.map((each) => this.#stateOf(each)).join("\n");
    if (!this.#commands.has(name)) {
      throw new Error(`there is no "${name}"; there are ${this.names.join(", ")}`);
    }
    if (verb === "stop" || verb === "restart") await this.#stop(name);
    if (verb === "start" || verb === "restart") await this.#start(name);
    else if (verb !== "stop") throw new Error(`"${verb}" is none of start, stop, restart, status`);
    return this.#stateOf(name);
  }

  /** Starts all. */
  async startAll(): Promise<void> {
    await Promise.all(this.names.map((name) => this.#start(name)));
  }

  /** Stops all. */
  async stopAll(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((name) => this.#stop(name)));
  }

  /** Resolves when it says that it serves, or has ended. */
  #start(name: string): Promise<void> {
    if (this.#running.has(name)) return Promise.resolve();
    return new Promise((resolve) => {
      const command = `exec ${this.#commands.get(name)}`;
      const child = spawn("sh", ["-c", command], { stdio: ["ignore", "pipe", "pipe"] });
      this.#running.set(name, child);
      for (const output of [child.stdout, child.stderr]) {
        createInterface({ input: output }).on("line", (line) => {
          this.#say(name, line);
          if (SERVES.test(line)) resolve();
        });
      }
      child.once("close", (code, signal) => {
        this.#running.delete(name);
        this.#say(name, `has ended with ${code ?? signal}`);
        resolve();
        if (this.#running.size === 0) this.#end();
      });
    });
  }

  async #stop(name: string): Promise<void> {
    const child = this.#running.get(name);
    if (child === undefined) return;
    const closed = new Promise((resolve) => child.once("close", resolve));
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await closed;
    clearTimeout(timer);
  }

  #stateOf(name: string): string {
    const pid = this.#running.get(name)?.pid;
    return pid === undefined ? `${name} is stopped` : `${name} runs, pid ${pid}`;
  }
}
