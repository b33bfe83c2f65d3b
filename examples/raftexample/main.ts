/**
 * One member of raftexample. It ends with 0 after a signal and after it was removed, and says in
 * one line why it cannot start, or go on.
 */
import { once } from "node:events";
import { ERROR_CODES, openReplica, QuorateError } from "quorate";
import type { ReplicaEvent } from "quorate";
import { createApi } from "./http-api.ts";
import { memberOptions } from "./options.ts";

try {
  await run();
} catch (error) {
  if (!QuorateError.is(error)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = ERROR_CODES[error.code].exitCode;
}

async function run(): Promise<void> {
  const { replica, host, port } = memberOptions(process.argv.slice(2));
  const node = await openReplica(replica);
  const ended = new Promise<QuorateError | undefined>((end) => {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => end(undefined));
    node.on("removed", () => end(undefined));
    node.on("failed", ({ error }) => end(error));
    const { failure } = node.status(); // it may have ended before anybody listened
    if (failure !== undefined) end(failure);
  });
  node.onAny((event) => tell(event, node.id));
  const api = createApi(node, say);
  try {
    api.listen(port, host);
    await once(api, "listening");
    say(`listening on http://${host}:${port}`);
    const stop = node.leadership.watch(({ leader }) => {
      if (leader === undefined) return;
      say(`serving: ${leader} leads`);
      stop();
    });
    const failure = await ended;
    if (failure !== undefined) throw failure;
  } catch (cause) {
    if (QuorateError.is(cause)) throw cause;
    throw new QuorateError("LISTEN_FAILED", `no HTTP on ${host}:${port}: ${String(cause)}`);
  } finally {
    await node.close();
    api.close();
    api.closeAllConnections();
  }
}

function tell(event: ReplicaEvent, id: string): void {
  if (event.type === "role") say(`${id} became ${event.role} at term ${event.term}`);
  if (event.type === "leader") say(`${event.leader ?? "nobody"} leads term ${event.term}`);
  if (event.type === "formed") say("all members of --cluster were met: the cluster has formed");
  if (event.type === "configuration") say(`members: ${event.configuration.voters.join(", ")}`);
  if (event.type === "joining") say(`joining: ${event.peer} ${event.reason}`);
  if (event.type === "snapshot-taken") say(`snapshot at ${event.index}: ${event.bytes} bytes`);
  if (event.type === "peer-refused") say(`${event.peer}, refused by ${event.by}: ${event.reason}`);
  if (event.type === "removed") say(`removed from the cluster, shutting down: ${event.reason}`);
}

function say(line: string): void {
  process.stdout.write(`${new Date().toISOString().slice(11, 23)} ${line}\n`);
}
