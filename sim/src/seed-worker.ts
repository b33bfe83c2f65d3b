/**
 * A thread that runs seeds, one after the other, as the main thread hands them over. It keeps
 * nothing between two, so that a seed does not depend on those before it.
 */
import { parentPort } from "node:worker_threads";
import { shrink } from "quorate/sim";
import { runSeed } from "./seed-run.ts";
import type { SeedAnswer, SeedTask } from "./seed-task.ts";

const port = parentPort!;

port.on("message", (task: SeedTask) => {
  perform(task).then(
    (answer) => port.postMessage(answer),
    (error: unknown) => port.postMessage({ type: "threw", text: textOf(error) }),
  );
});

async function perform(task: SeedTask): Promise<SeedAnswer> {
  if (task.type === "shrink") {
    const { options } = await shrink(task.failed, {
      onAttempt: ({ isKept, smallest }) => {
        if (isKept) port.postMessage({ type: "smaller", options: smallest.options });
      },
    });
    return { type: "shrunk", options };
  }
  const result = await runSeed(task.seed, task.profile, task.twice);
  const { events, simulatedUs, statistics, traceHash, violation } = result;
  const quiet = { events, simulatedUs, statistics, traceHash, violation };
  return { type: "ran", result: quiet, failure: violation === undefined ? undefined : result };
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
