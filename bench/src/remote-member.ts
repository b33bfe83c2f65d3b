/**
 * One forked member, seen from the bench: requests out, answers in, and no way to be left behind.
 */
import { fork, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { MemberProgram } from "./library-systems.ts";
import type { AnswerMessage, Answers, Request } from "./protocol.ts";

const REQUEST_TIMEOUT_MS = 60_000;
const MEMBER_PROGRAM = fileURLToPath(new URL("./member-process.js", import.meta.url));

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** A member in a process of its own. */
export class RemoteMember {
  readonly id: string;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #number = 0;

  /** A program that is not ours speaks on the same channel as one that was forked. */
  constructor(id: string, program: MemberProgram) {
    this.id = id;
    this.#child =
      "file" in program
        ? spawn(program.file, [], { stdio: ["ignore", "inherit", "inherit", "ipc"] })
        : fork(MEMBER_PROGRAM, [], { execArgv: [...program.nodeFlags] });
    this.#child.on("message", (message: AnswerMessage) => this.#settle(message));
    this.#child.on("error", (error) => this.#failAll(error));
    this.#child.on("exit", (code, signal) => {
      this.#failAll(new Error(`member ${id} ended early (${signal ?? code})`));
    });
  }

  /** Asks, and waits for the answer. */
  async ask<R extends Request>(request: R): Promise<Answers[R["type"]]> {
    const number = ++this.#number;
    const value = await new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(number);
        reject(new Error(`member ${this.id} did not answer ${request.type} in time`));
      }, REQUEST_TIMEOUT_MS);
      this.#waiting.set(number, { resolve, reject, timer });
      this.#child.send({ number, request });
    });
    return value as Answers[R["type"]];
  }

  /** Ends the process; by force where it does not end by itself. */
  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => this.#child.once("exit", () => resolve()));
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5_000);
    this.#child.disconnect();
    await ended;
    clearTimeout(timer);
  }

  #settle(message: AnswerMessage): void {
    const waiting = this.#waiting.get(message.number);
    if (waiting === undefined) return;
    this.#waiting.delete(message.number);
    clearTimeout(waiting.timer);
    if (message.error === undefined) waiting.resolve(message.value);
    else waiting.reject(new Error(`member ${this.id}: ${message.error}`));
  }

  #failAll(error: Error): void {
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#waiting.clear();
  }
}
