/** One member, with a prompt. It ends with 0 after `exit`, a signal, or its removal. */
import { mkdirSync } from "node:fs";
import { ERROR_CODES, openReplica, QuorateError } from "quorate";
import { onLmdb } from "quorate/lmdb";
import { DiskKv } from "./disk-kv.ts";
import { firstMembers, optionsOf } from "./options.ts";
import { prompt } from "./prompt.ts";

const DATA = "example-data";

try {
  await run();
} catch (error) {
  const { code, message } = error as Error & { readonly code?: string };
  if (code === undefined) throw error; // a defect shows its stack
  process.stderr.write(`${message}\n`);
  process.exitCode = QuorateError.is(error) ? ERROR_CODES[error.code].exitCode : 1;
}

async function run(): Promise<void> {
  const { id, address, join } = optionsOf(process.argv.slice(2));
  const dataDir = `${DATA}/node${id}`;
  mkdirSync(DATA, { recursive: true });
  await using node = await openReplica({
    id,
    listen: address,
    dataDir,
    machine: onLmdb(new DiskKv(), { path: `${dataDir}/machine` }),
    start: join ? { wait: true } : { members: firstMembers() },
  });
  process.stdout.write(`${id} listens on ${address}; a prompt comes once a majority is up\n`);
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => void node.close());
  const stop = node.leadership.watch(({ leader }) => {
    if (leader === undefined) return;
    void prompt(node, `${DATA}/history${id}`).then(() => node.close());
    stop();
  });
  const failure = await node.ended;
  process.stdin.destroy();
  if (failure?.code === "REMOVED") process.stdout.write(`${failure.message}\n`);
  else if (failure !== undefined) throw failure;
}
