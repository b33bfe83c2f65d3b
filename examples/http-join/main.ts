/**
 * One node. It ends with 0 after a signal and after it was removed, and says why it cannot start or
 * go on.
 */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { ERROR_CODES, openReplica, QuorateError } from "quorate";
import type { ReplicaEvent } from "quorate";
import { HOST, nodeOptions } from "./environment.ts";
import { createApp } from "./routes.ts";

const FAREWELL_MS = 1_000;

try {
  await run();
} catch (error) {
  const { code, message } = error as Error & { readonly code?: string };
  if (code === undefined) throw error; // a defect shows its stack
  process.stderr.write(`${message}\n`);
  process.exitCode = QuorateError.is(error) ? ERROR_CODES[error.code].exitCode : 1;
}

async function run(): Promise<void> {
  const { replica, httpPort } = nodeOptions(process.env);
  await using node = await openReplica(replica);
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => void node.close());
  node.onAny((event) => tell(event, node.id));
  const app = createApp(node).listen(httpPort, HOST);
  await once(app, "listening");
  say(`http://${HOST}:${httpPort} serves`);
  const { state, address } = node.status();
  if (state === "waiting") say(`${node.id} waits at ${address} until it is joined`);
  const failure = await node.ended;
  // Nodes that dial it meanwhile hear why it is none of theirs.
  if (failure?.code === "CLUSTER_EXISTS") await sleep(FAREWELL_MS);
  app.close();
  app.closeAllConnections();
  if (failure !== undefined && failure.code !== "REMOVED") throw failure;
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
