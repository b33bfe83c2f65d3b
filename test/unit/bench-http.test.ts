/** How the load generator reads and writes HTTP, and a load from its start to its end. */
import { createServer } from "node:http";
import type { RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { HttpLoad } from "../../bench/src/http-load.ts";
import { loadRequest, requestBytes } from "../../bench/src/http-request.ts";
import { ResponseReader } from "../../bench/src/http-response.ts";
import { waitUntil } from "../harness/wait.ts";

const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function serve(listener: RequestListener): Promise<number> {
  const server = createServer(listener);
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

const WITH_LENGTH = "HTTP/1.1 200 OK\r\nX: y\r\ncontent-length: 5\r\n\r\nhello";
const CHUNKED = "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";

test("a response is whole at its last byte, however it is cut", () => {
  for (const [text, status] of [
    [WITH_LENGTH, 200],
    [CHUNKED, 404],
    ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200],
  ] as const) {
    const reader = new ResponseReader();
    for (let cut = 1; cut < text.length; cut++) {
      // The same memory for every piece, as sockets read.
      const piece = Buffer.alloc(text.length);
      piece.write(text.slice(0, cut));
      expect(reader.push(piece.subarray(0, cut))).toBe(0);
      piece.fill(0);
      piece.write(text.slice(cut));
      expect(reader.push(piece.subarray(0, text.length - cut))).toBe(status);
    }
    expect(reader.push(Buffer.from(text))).toBe(status);
  }
});

test("what is not one response to one request is refused", () => {
  const refused = (text: string): void => {
    expect(() => new ResponseReader().push(Buffer.from(text)), text).toThrow();
  };
  refused(`${WITH_LENGTH}H`);
  refused("HTTP/1.0 200 OK\r\n\r\n");
  refused("HTTP/1.1 100 Continue\r\n\r\n");
  refused("HTTP/1.1 200 OK\r\nX: y\r\n\r\n");
  refused("x".repeat((1 << 20) + 1));
});

test("a request with a body says how long it is, one without says nothing", () => {
  const head = "PUT /kv/a HTTP/1.1\r\nHost: 127.0.0.1\r\n";
  const put = { method: "PUT", path: "/kv/a" } as const;
  expect(requestBytes({ ...put, body: Buffer.from("äb") }).toString()).toBe(
    `${head}Content-Length: 3\r\n\r\näb`,
  );
  expect(requestBytes({ ...put, body: '"ä"' }).toString()).toBe(
    `${head}Content-Type: application/json\r\nContent-Length: 4\r\n\r\n"ä"`,
  );
  expect(requestBytes({ method: "GET", path: "/kv/a" }).toString()).toBe(
    "GET /kv/a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
  );
});

test("a load sends every request, to all ports, and counts what was answered", async () => {
  const seen = [new Map<string, number>(), new Map<string, number>()];
  const ports: number[] = [];
  for (const counts of seen) {
    const port = await serve((request, response) => {
      counts.set(request.url!, (counts.get(request.url!) ?? 0) + 1);
      request.resume().on("end", () => response.end("done"));
    });
    ports.push(port);
  }
  const requests = Array.from({ length: 12 }, (_, i) =>
    loadRequest("http", { method: "PUT", path: `/${i}`, body: "x".repeat(300) }),
  );
  const load = new HttpLoad({
    protocol: "http",
    ports,
    connections: 4,
    ratePerSecond: undefined,
    requests,
  });
  await load.start();
  await waitUntil("50 answers", 10_000, () => load.histogram.count >= 50);
  await load.stop();
  const answered = seen.map((counts) => [...counts.values()].reduce((sum, n) => sum + n, 0));
  expect(answered[0]! + answered[1]!).toBe(load.histogram.count);
  expect(new Set(seen.flatMap((counts) => [...counts.keys()])).size).toBe(12);
  expect(Math.min(...answered)).toBeGreaterThan(0);
});

test("a load with a failure in it ends with an error", async () => {
  let count = 0;
  const port = await serve((_, response) => {
    response.statusCode = ++count === 10 ? 503 : 200;
    response.end("said");
  });
  const requests = [loadRequest("http", { method: "GET", path: "/" })];
  const load = new HttpLoad({
    protocol: "http",
    ports: [port],
    connections: 2,
    ratePerSecond: undefined,
    requests,
  });
  await load.start();
  await waitUntil("the failure", 10_000, () => !load.running);
  await expect(load.stop()).rejects.toThrow("HTTP 503");

  const cut = new HttpLoad({
    protocol: "http",
    ports: [await serve((_, response) => response.destroy())],
    connections: 1,
    ratePerSecond: undefined,
    requests,
  });
  await cut.start();
  await waitUntil("the failure", 10_000, () => !cut.running);
  await expect(cut.stop()).rejects.toThrow("closed a connection");
});

test("in an open loop a request that waits for a connection has waited since it was due", async () => {
  const held: (() => void)[] = [];
  const port = await serve((_, response) => {
    if (held.length < 1) held.push(() => response.end("said"));
    else response.end("said");
  });
  const requests = [loadRequest("http", { method: "GET", path: "/" })];
  const plan = { protocol: "http", ports: [port], connections: 1, ratePerSecond: 100 } as const;
  const load = new HttpLoad({ ...plan, requests });
  const beginMs = performance.now();
  await load.start();
  await waitUntil("the first request", 10_000, () => held.length === 1);
  const heldMs = performance.now();
  await waitUntil("a pause", 10_000, () => performance.now() - heldMs > 300);
  held[0]!();
  await waitUntil("what was due", 10_000, () => load.histogram.count >= 20);
  await load.stop();
  // Every one of those that fell due in the pause waited for its share of it: half of it at least.
  expect(load.histogram.quantileMs(0.5)).toBeGreaterThan(50);
  const elapsedMs = performance.now() - beginMs;
  expect(load.histogram.count).toBeLessThanOrEqual(elapsedMs / 10);
});
