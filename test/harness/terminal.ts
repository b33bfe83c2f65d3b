/** A terminal for a command, made by `script` of util-linux: `script -qfec 'command' /dev/null`. */
import { execFileSync } from "node:child_process";

/** Why a test without one is skipped. */
export const NO_SCRIPT = "there is no `script` of util-linux to make a terminal";

/** Whether there is one. */
export function hasScript(): boolean {
  try {
    return execFileSync("script", ["--version"], { encoding: "utf8" }).includes("util-linux");
  } catch {
    return false;
  }
}
