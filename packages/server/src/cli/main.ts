/**
 * The program itself: the real terminal, and an end that leaves nothing behind.
 */
import { runCli } from "./program.ts";

/** What may still be open after a command has ended gets this long; nothing should be. */
const EXIT_GRACE_MS = 2_000;

// A reader that goes away (`quorate list | head`) is no error of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? 0 : 1);
});

process.exitCode = await runCli(process.argv.slice(2), process);
setTimeout(leave, EXIT_GRACE_MS).unref();

/** An operation that hangs on a disk would hold up an orderly exit for ever: it waits for it. */
function leave(): void {
  const hangs = process.getActiveResourcesInfo().some((name) => name.startsWith("FSReq"));
  if (hangs) process.kill(process.pid, "SIGKILL");
  else process.exit();
}
