/**
 * Commands of the command line that end by themselves: what they printed, and their exit code.
 */
import { join } from "node:path";
import type { TestContext } from "vitest";
import { Child } from "./child.ts";
import { scratchDirectory } from "./scratch.ts";
import { waitUntil } from "./wait.ts";

const END_MS = 20_000;

/** How a command ended. */
export interface Ran {
  readonly code: number | null;
  /** Both outputs, as they came. */
  readonly output: string;
}

/** Runs `quorate` with these arguments until it ends. */
export async function runCommand(context: TestContext, args: readonly string[]): Promise<Ran> {
  const child = new Child(args, join(scratchDirectory(context), "output.log"));
  context.onTestFinished(() => child.kill());
  await waitUntil(`quorate ${args[0]} ends`, END_MS, () => !child.running);
  const { code } = await child.ended;
  return { code, output: child.output };
}
