/**
 * Ports that nobody else takes. A port found free and then closed is a race: another test, or an
 * outgoing connection, may take it before the member listens, or while a killed member is down.
 *
 * So a test process takes a *block*: it listens on the block's first port for as long as it lives,
 * and that socket is its claim to the others. Blocks lie below the ports that the system hands to
 * outgoing connections. HTTP is a member's port + 1000, as for users.
 */
import { createServer } from "node:net";
import type { Server } from "node:net";

const FIRST = 17_000;
const BLOCK = 40;
const BLOCKS = 25;
const HTTP_OFFSET = 1_000;

let claim: Server | undefined;
let next = 0;
let end = 0;

/** A port for a member, and free beside it the one for its HTTP: port + 1000. */
export async function takePort(): Promise<number> {
  if (claim === undefined) await claimBlock();
  while (next < end) {
    const port = next++;
    if ((await isFree(port)) && (await isFree(port + HTTP_OFFSET))) return port;
  }
  throw new Error(`a test file may take ${BLOCK - 1} ports`);
}

/** The default HTTP port of a member. */
export function httpPortOf(port: number): number {
  return port + HTTP_OFFSET;
}

async function claimBlock(): Promise<void> {
  for (let i = 0; i < BLOCKS; i++) {
    // Processes begin at different blocks, so that they seldom have to try twice.
    const first = FIRST + ((process.pid + i) % BLOCKS) * BLOCK;
    const server = await listen(first);
    if (server === undefined) continue;
    server.unref();
    claim = server;
    next = first + 1;
    end = first + BLOCK;
    return;
  }
  throw new Error(`all ${BLOCKS} port blocks from ${FIRST} on are taken`);
}

async function isFree(port: number): Promise<boolean> {
  const server = await listen(port);
  if (server === undefined) return false;
  await new Promise((resolve) => server.close(resolve));
  return true;
}

function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => resolve(server));
  });
}
