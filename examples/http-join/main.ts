/**
 * One node. It ends with 0 after a signal and after it was removed, and says why it cannot start or
 * go on.
 */
import { once } from "node:events";
import { ERROR_CODES, openReplica, QuorateError } from "quorate";
import type { ReplicaEvent } from "quorate";
import { HOST, nodeOptions } from "./environment.ts";
import { createApp } from "./routes.ts";

try {
  await run();
} catch (error) {
  if (!QuorateError.is(error)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = ERROR_CODES[error.code].exitCode;
}

async function run(): Promise<void> {
  const { replica, httpPort } = nodeOptions(process.env);
  const node = await openReplica(replica);
  const ended = new Promise<QuorateError | undefined>((end) => {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => end(undefined));
    node.on("removed", () => end(undefined));
    node.on("failed", ({ error }) => end(error));
    const { failure } = node.status(); // it may have ended before anybody listened
    if (failure !== undefined) end(failure);
  });
  node.onAny((event) => tell(event, node.id));
  const app = createApp(node);
  try {
    app.listen(httpPort, HOST);
    await once(app, "listening");
    say(`http://${HOST}:${httpPort} serves`);
    const { state, address } = node.status();
    if (state === "waiting") say(`${node.id} waits at ${address} until it is joined`);
    const failure = await ended;
    if (failure !== undefined) throw failure;
  } catch (cause) {
    if (QuorateError.is(cause)) throw cause;
    throw new QuorateError("LISTEN_FAILED", `no HTTP on ${HOST}:${httpPort}: ${String(cause)}`);
  } finally {
    await node.close();
    app.close();
    app.closeAllConnections();
  }
}

function tell(event: ReplicaEvent, id: string): void {
  if (event.type === "role") say(`entering ${event.role} state: node=${id} term=${event.term}`);
  if (event.type === "vote-received") say(`vote: from=${event.from} granted=${event.granted}`);
  if (event.type === "leader") say(`leader=${event.leader ?? ""} term=${event.term}`);
  if (event.type === "joined") say(`joined cluster ${event.clusterId}`);
  if (event.type === "configuration") {
    say(`configuration: voters=${event.configuration.voters.join(",")}`);
  }
  if (event.type === "snapshot-taken") say(`snapshot: index=${event.index} bytes=${event.bytes}`);
  if (event.type === "peer-refused") say(`${event.peer}, refused by ${event.by}: ${event.reason}`);
  if (event.type === "removed") say(`removed: ${event.reason}`);
}

function say(line: string): void {
  process.stdout.write(`${new Date().toISOString().slice(11, 23)} ${line}\n`);
}
