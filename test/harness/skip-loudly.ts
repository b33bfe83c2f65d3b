/** A test that cannot run here says so, and why, where everybody sees it. */
import type { TestContext } from "vitest";

/** Skips the test; the reason goes to the console as well, whatever the reporter shows. */
export function skipLoudly(context: TestContext, reason: string): never {
  process.stderr.write(`SKIPPED: ${context.task.name}\n  because ${reason}\n`);
  return context.skip(reason);
}
