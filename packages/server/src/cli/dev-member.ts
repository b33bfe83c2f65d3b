/**
 * One member of a local cluster as a supervised process.
 *
 * The child hears of its end by the channel to it being closed: on purpose, or because this process
 * is gone. If it does not end in time it is killed. Its output goes straight into its log file,
 * which costs this process nothing and is complete whatever happens.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync, renameSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { MemberReport } from "./member-report.ts";
import { SUPERVISED_VARIABLE } from "./member-report.ts";

/** Where a member of the local cluster is. */
export interface DevMemberPlan {
  readonly id: string;
  readonly rpc: string;
  readonly http: string;
  readonly logPath: string;
  /** Arguments of `quorate start`. */
  readonly args: readonly string[];
}

/** How a process ended, and what it said of it. */
export interface DevMemberEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly message: string;
}

/** What the supervisor is told. */
export interface DevMemberListener {
  report(plan: DevMemberPlan, report: MemberReport): void;
  ended(plan: DevMemberPlan, end: DevMemberEnd): void;
}

const COMMAND = fileURLToPath(new URL("../../bin/quorate.js", import.meta.url));
const STOP_TIMEOUT_MS = 8_000;
const LOG_BYTES_MAX = 16_777_216;

/** A member and its process, which may come and go. */
export class DevMember {
  readonly plan: DevMemberPlan;
  readonly #listener: DevMemberListener;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #message = "";

  constructor(plan: DevMemberPlan, listener: DevMemberListener) {
    this.plan = plan;
    this.#listener = listener;
  }

  /** Starts the process. */
  start(): void {
    keepSmall(this.plan.logPath);
    this.#message = "";
    const log = openSync(this.plan.logPath, "a", 0o600);
    const child = spawn(process.execPath, [COMMAND, "start", ...this.plan.args], {
      stdio: ["ignore", log, log, "ipc"],
      env: childEnvironment(),
    });
    closeSync(log);
    this.#child = child;
    child.on("message", (message) => this.#hear(message as MemberReport));
    this.#ended = new Promise((resolve) => {
      const onEnd = (code: number | null, signal: NodeJS.Signals | null): void => {
        if (this.#child !== child) return;
        this.#child = undefined;
        resolve();
        const message = this.#message === "" ? lastLine(this.plan.logPath) : this.#message;
        this.#listener.ended(this.plan, { code, signal, message });
      };
      child.on("exit", onEnd);
      child.on("error", (error) => {
        if (child.pid !== undefined) return;
        this.#message = error.message;
        onEnd(1, null);
      });
    });
  }

  /** Ends the process in order, and by force if that takes too long. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    if (child.connected) child.disconnect();
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await this.#ended;
    clearTimeout(timer);
  }

  /** Ends the process at once. */
  kill(): void {
    this.#child?.kill("SIGKILL");
  }

  #hear(report: MemberReport): void {
    if (report.type === "failed") this.#message = report.message;
    this.#listener.report(this.plan, report);
  }
}

/** The options of a member are arguments: variables for `quorate start` must not change them. */
function childEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("QUORATE_"));
  return { ...Object.fromEntries(kept), [SUPERVISED_VARIABLE]: "1" };
}

/** Keeps one old log beside the new one. */
function keepSmall(path: string): void {
  const bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (bytes > LOG_BYTES_MAX) renameSync(path, `${path}.1`);
}

function lastLine(path: string): string {
  try {
    return readFileSync(path, "utf8").trimEnd().split("\n").at(-1)!.slice(0, 300);
  } catch {
    return "";
  }
}
