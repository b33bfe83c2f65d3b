/**
 * One member of raftexample. It ends with 0 after a signal and after it was removed, and says in
 * one line why it cannot start, or go on.
 */
import { once } from "node:events";
import { ERROR_CODES, openReplica, QuorateError } from "quorate";
import type { Configuration, ReplicaEvent } from "quorate";
import { createApi } from "./http-api.ts";
import { memberOptions } from "./options.ts";

try {
  await run();
} catch (error) {
  const { code, message } = error as Error & { readonly code?: string };
  if (code === undefined) throw error; // a defect shows its stack
  process.stderr.write(`${message}\n`);
  process.exitCode = QuorateError.is(error) ? ERROR_CODES[error.code].exitCode : 1;
}

async function run(): Promise<void> {
  const { replica, host, port } = memberOptions(process.argv.slice(2));
  await using node = await openReplica(replica);
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => void node.close());
  node.onAny((event) => tell(event, node.id));
  const api = createApi(node, say).listen(port, host);
  await once(api, "listening");
  say(`listening on http://${host}:${port}`);
  const stop = node.leadership.watch(({ leader }) => {
    if (leader === undefined) return;
    say(`serving: ${leader} leads`);
    stop();
  });
  const failure = await node.ended;
  api.close();
  api.closeAllConnections();
  if (failure !== undefined && failure.code !== "REMOVED") throw failure;
}

function tell(event: ReplicaEvent, id: string): void {
  if (event.type === "role") say(`${id} became ${event.role} at term ${event.term}`);
  if (event.type === "leader") say(`${event.leader ?? "nobody"} leads term ${event.term}`);
  if (event.type === "formed") say("all members of --cluster were met: the cluster has formed");
  if (event.type === "configuration") say(membersOf(event.configuration));
  if (event.type === "joining") say(`joining: ${event.peer} ${event.reason}`);
  if (event.type === "snapshot-taken") say(`snapshot at ${event.index}: ${event.bytes} bytes`);
  if (event.type === "peer-refused") say(`${event.peer}, refused by ${event.by}: ${event.reason}`);
  if (event.type === "removed") say(`removed from the cluster, shutting down: ${event.reason}`);
}

function membersOf({ voters, learners }: Configuration): string {
  const learn = learners.length > 0 ? `; catching up: ${learners.join(", ")}` : "";
  return `members: ${voters.join(", ")}${learn}`;
}

function say(line: string): void {
  process.stdout.write(`${new Date().toISOString().slice(11, 23)} ${line}\n`);
}
