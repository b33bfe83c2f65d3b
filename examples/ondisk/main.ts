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
  if (!QuorateError.is(error)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = ERROR_CODES[error.code].exitCode;
}

async function run(): Promise<void> {
  const { id, address, join } = optionsOf(process.argv.slice(2));
  const dataDir = `${DATA}/node${id}`;
  mkdirSync(DATA, { recursive: true });
  const node = await openReplica({
    id,
    listen: address,
    dataDir,
    machine: onLmdb(new DiskKv(), { path: `${dataDir}/machine` }),
    start: join ? { wait: true } : { members: firstMembers() },
  });
  process.stdout.write(`${id} listens on ${address}; a prompt comes once a majority is up\n`);
  const ended = new Promise<QuorateError | undefined>((end) => {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => end(undefined));
    node.on("removed", ({ reason }) => {
      process.stdout.write(`${reason}\n`);
      end(undefined);
    });
    node.on("failed", ({ error }) => end(error));
    const stop = node.leadership.watch(({ leader }) => {
      if (leader === undefined) return;
      void prompt(node, `${DATA}/history${id}`).then(() => end(undefined));
      stop();
    });
  });
  const failure = await ended;
  await node.close();
  process.stdin.destroy();
  if (failure !== undefined) throw failure;
}
