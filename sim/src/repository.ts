/** Where the repository is, and what state it is in. */
import { execFileSync } from "node:child_process";
import { resolve } from "node:path";

/** The repository, from `sim/dist` or `sim/src`. */
export const ROOT: string = resolve(import.meta.dirname, "../..");

/** The commit that is run, and whether the library was changed since. */
export function commit(): string {
  const git = (...args: string[]): string =>
    execFileSync("git", args, {
      cwd: ROOT,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  try {
    const name = git("rev-parse", "--short=10", "HEAD");
    const changes = git("status", "--porcelain", "--", "packages/raft/src");
    return changes === "" ? name : `${name} with local changes`;
  } catch {
    return "unknown"; // not a repository, or no git
  }
}
