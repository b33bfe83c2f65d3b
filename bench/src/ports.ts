/** Ports for members that have to know each other before they listen. */
import { createServer } from "node:net";

/**
 * Below the ports that outgoing connections draw from, so that none of ours can be taken by one.
 */
const PORT_FIRST = 22_000;
const PORT_COUNT = 8_000;

/** So many ports of this machine that nobody listens on. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  let port = PORT_FIRST + (process.pid % PORT_COUNT);
  while (ports.length < count) {
    port = PORT_FIRST + ((port + 1 - PORT_FIRST) % PORT_COUNT);
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      server.close(() => resolve(true));
    });
  });
}
