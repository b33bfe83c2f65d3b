/** `npm run sim -- …`: reads the command line, runs, and says what came of it. */
import { runCampaign } from "./campaign.ts";
import { parseCommandLine, USAGE, UsageError } from "./command-line.ts";
import type { Command } from "./command-line.ts";
import { runMutations } from "./mutation-check.ts";
import { PatchError } from "./patch.ts";
import { runSingle } from "./single-run.ts";

// `… | head` closes our output: that is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? 0 : 1);
});

try {
  const isWell = await perform(parseCommandLine(process.argv.slice(2)));
  process.exitCode = isWell ? 0 : 1;
} catch (error) {
  const isUsage = error instanceof UsageError || isOptionError(error);
  const hint = error instanceof UsageError ? "\n--help lists what there is." : "";
  const isPlain = isUsage || error instanceof PatchError;
  process.stderr.write(`${isPlain ? messageOf(error) + hint : stackOf(error)}\n`);
  process.exitCode = isUsage ? 2 : 1;
}

async function perform(command: Command): Promise<boolean> {
  if (command.kind === "campaign") return runCampaign(command);
  if (command.kind === "single") return runSingle(command);
  if (command.kind === "mutations") return runMutations(command);
  process.stdout.write(`${USAGE}\n`);
  return true;
}

/** The library refuses a profile or options that it does not know. */
function isOptionError(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "OPTION_INVALID";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
