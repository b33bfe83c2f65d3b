/**
 * No process outlives the test that started it, whatever ends the test: not a failure, not a
 * timeout, not even the test runner being killed.
 *
 * A small process of its own holds the other end of a pipe. It is told the process groups that were
 * started and those that ended; when the pipe closes, because this process is gone, it kills what
 * is left. Members are process groups of their own, so that a signal from a terminal does not reach
 * them before the test's own clean-up.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";

const PROGRAM = `
const groups = new Set();
let rest = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (text) => {
  const lines = (rest + text).split("\\n");
  rest = lines.pop();
  for (const line of lines) {
    if (line.startsWith("+")) groups.add(Number(line.slice(1)));
    else groups.delete(Number(line.slice(1)));
  }
});
process.stdin.on("close", () => {
  for (const group of groups) {
    try { process.kill(-group, "SIGKILL"); } catch {}
  }
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => {});
`;

let reaper: ChildProcess | undefined;
const groups = new Set<number>();

/** Has this process group killed when this process ends, however it ends. */
export function watchGroup(group: number): void {
  groups.add(group);
  tell(`+${group}`);
}

/** The process group has ended: its number may soon be somebody else's. */
export function forgetGroup(group: number): void {
  groups.delete(group);
  tell(`-${group}`);
}

function tell(line: string): void {
  reaper ??= start();
  reaper.stdin?.write(`${line}\n`);
}

function start(): ChildProcess {
  const child = spawn(process.execPath, ["-e", PROGRAM], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  child.unref();
  child.stdin?.on("error", () => {});
  (child.stdin as unknown as { unref?: () => void } | null)?.unref?.();
  // The ordinary end is quicker than the reaper: nothing is left when the run says it is done.
  process.on("exit", () => {
    for (const group of groups) {
      try {
        process.kill(-group, "SIGKILL");
      } catch {
        // it has ended already
      }
    }
  });
  return child;
}
