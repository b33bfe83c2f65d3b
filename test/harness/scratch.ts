/**
 * A directory for one test: removed when the test passes, kept and named when it fails. And the
 * order of clean-up: processes first, then what they left.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "vitest";

/** Makes a directory that lives as long as the test. */
export function scratchDirectory(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "quorate-cluster-"));
  context.onTestFinished(({ task }) => {
    if (task.result?.state === "fail") {
      process.stderr.write(`The files of "${task.name}" are kept in ${directory}\n`);
      return;
    }
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}
