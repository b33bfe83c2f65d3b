/**
 * One member of the key-value store: a replica, its HTTP face and its log. It ends with 0 after a
 * signal and after it was removed, and says in one line why it cannot start.
 */
import { once } from "node:events";
import { ERROR_CODES, openReplica, QuorateError } from "quorate";
import { memberOptions } from "./options.ts";
import { createApp } from "./routes.ts";
import { tellStory } from "./story.ts";

try {
  await run();
} catch (error) {
  const { code, message } = error as Error & { readonly code?: string };
  if (code === undefined) throw error; // a defect shows its stack
  process.stderr.write(`${message}\n`);
  process.exitCode = QuorateError.is(error) ? ERROR_CODES[error.code].exitCode : 1;
}

async function run(): Promise<void> {
  const { replica, machine, host, httpPort } = memberOptions(process.argv.slice(2));
  await using node = await openReplica(replica);
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => void node.close());
  tellStory(node, say);
  const app = createApp(node, machine).listen(httpPort, host);
  await once(app, "listening");
  say(`Admin console: http://${host}:${httpPort}/status`);
  const failure = await node.ended;
  app.close();
  app.closeAllConnections();
  if (failure !== undefined && failure.code !== "REMOVED") throw failure;
}

function say(line: string): void {
  process.stdout.write(`${new Date().toISOString().slice(11, 23)} ${line}\n`);
}
