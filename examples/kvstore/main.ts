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
  if (!QuorateError.is(error)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = ERROR_CODES[error.code].exitCode;
}

async function run(): Promise<void> {
  const { replica, machine, host, httpPort } = memberOptions(process.argv.slice(2));
  const node = await openReplica(replica);
  const ended = new Promise<QuorateError | undefined>((end) => {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => end(undefined));
    node.on("removed", () => end(undefined));
    node.on("failed", ({ error }) => end(error));
    const { failure } = node.status(); // it may have ended before anybody listened
    if (failure !== undefined) end(failure);
  });
  tellStory(node, say);
  const app = createApp(node, machine);
  try {
    app.listen(httpPort, host);
    await once(app, "listening");
    say(`Admin console: http://${host}:${httpPort}/status`);
    const failure = await ended;
    if (failure !== undefined) throw failure;
  } catch (cause) {
    if (QuorateError.is(cause)) throw cause;
    throw new QuorateError("LISTEN_FAILED", `no HTTP on ${host}:${httpPort}: ${String(cause)}`);
  } finally {
    await node.close();
    app.close();
    app.closeAllConnections();
  }
}

function say(line: string): void {
  process.stdout.write(`${new Date().toISOString().slice(11, 23)} ${line}\n`);
}
