/**
 * `kill -9` at a chosen step of what a member does with its files, from inside its own process: a
 * module that is loaded before anything else sees each call that opens, reads, writes, syncs,
 * renames or removes, and ends the process at the one that was asked for. No test could send the
 * signal in time from outside.
 *
 * A step is told as `before rename /path/of/CURRENT`: just before the call is made, or `after`:
 * once it has succeeded and before anybody knows. LMDB writes by itself; what is read for it, or a
 * delay behind a step, ends the process in the midst of that.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Member } from "./cluster.ts";

const MODULE = `
import fs from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
const pattern = new RegExp(process.env.QUORATE_KILL_AT);
const behind = new RegExp(process.env.QUORATE_KILL_BEHIND);
let isBehind = false;
const delayMs = Number(process.env.QUORATE_KILL_DELAY_MS);
let left = Number(process.env.QUORATE_KILL_COUNT);
const paths = new Map();
const end = (step) => {
  fs.writeSync(2, "killed " + step + "\\n");
  process.kill(process.pid, "SIGKILL");
};
const pass = (step) => {
  isBehind ||= behind.test(step);
  if (!isBehind || !pattern.test(step) || --left !== 0) return;
  if (delayMs > 0) setTimeout(end, delayMs, step);
  else end(step);
};
const pathOf = (name, args) => (name === "rename" ? args[1] : (paths.get(args[0]) ?? args[0]));
for (const name of ["open", "read", "write", "fdatasync", "fsync", "rename", "unlink"]) {
  const call = fs[name];
  fs[name] = (...args) => {
    const path = pathOf(name, args);
    const done = args.pop();
    pass("before " + name + " " + path);
    call(...args, (error, ...results) => {
      if (name === "open" && error === null) paths.set(results[0], path);
      if (error === null) pass("after " + name + " " + path);
      done(error, ...results);
    });
  };
}
for (const name of ["open", "rename", "rm"]) {
  const call = promises[name];
  promises[name] = async (...args) => {
    const path = pathOf(name, args);
    pass("before " + name + " " + path);
    const result = await call(...args);
    pass("after " + name + " " + path);
    return result;
  };
}
syncBuiltinESMExports();
`;

/** Where a process is to end. */
export interface KillStep {
  /** A pattern of the steps that count. */
  readonly at: string;
  /** The first one of them, unless another is asked for. */
  readonly count?: number;
  /** A pattern of a step; only what comes behind it counts. Default: any. */
  readonly behind?: string;
  /** So long after it. */
  readonly delayMs?: number;
}

/** Has the processes of a member that are started from now on end there; or, without, nowhere. */
export function killAt(member: Member, step: KillStep | undefined): void {
  if (step === undefined) {
    member.variables = {};
    return;
  }
  const { at, behind = "", count = 1, delayMs = 0 } = step;
  const module = join(member.outputPath, "../kill-step.mjs");
  writeFileSync(module, MODULE);
  member.variables = {
    NODE_OPTIONS: `--import ${pathToFileURL(module).href}`,
    QUORATE_KILL_AT: at,
    QUORATE_KILL_BEHIND: behind,
    QUORATE_KILL_COUNT: `${count}`,
    QUORATE_KILL_DELAY_MS: `${delayMs}`,
  };
}
