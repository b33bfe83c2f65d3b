/**
 * What only a socket shows: malformed requests, clients that go away, bodies that are too large.
 */
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import type { FastifyInstance } from "fastify";
import type { Replica } from "quorate";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeReplica } from "../../../../test/harness/fake-replica.ts";
import type { KvCommand, KvQuery } from "../store/command.ts";
import { closeHttpApp, createHttpApp } from "./app.ts";

const VALUE_BYTES_MAX = 2_048;

let replica: FakeReplica;
let app: FastifyInstance;

beforeEach(() => {
  replica = new FakeReplica();
  app = createHttpApp({
    replica: () => replica as unknown as Replica<KvCommand, KvQuery>,
    storeSize: () => replica.machine.size,
    nowMs: () => 61_000,
    onError: () => {},
    keyBytesMax: 64,
    valueBytesMax: VALUE_BYTES_MAX,
    connectionsMax: 100,
  });
});

afterEach(() => closeHttpApp(app, 0));

describe("over a socket", () => {
  let port: number;

  beforeEach(async () => {
    await app.listen({ host: "127.0.0.1", port: 0 });
    port = (app.server.address() as AddressInfo).port;
  });

  /** Sends raw bytes and gives everything that comes back until the other side closes. */
  function raw(bytes: string | Buffer): Promise<string> {
    return new Promise((resolve, reject) => {
      let answer = "";
      const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
      socket.setEncoding("latin1");
      socket.on("data", (chunk: string) => (answer += chunk));
      socket.on("error", reject);
      socket.on("close", () => resolve(answer));
    });
  }

  test("a page whose name was made to point here cannot write", async () => {
    const put = (host: string): Promise<string> =>
      raw(
        `PUT /kv/k HTTP/1.1\r\nhost: ${host}\r\norigin: http://${host}\r\n` +
          "content-length: 1\r\nconnection: close\r\n\r\nv",
      );
    expect(await put(`evil.example:${port}`)).toMatch(/^HTTP\/1\.1 403 /);
    for (const host of ["127.0.0.1", "localhost"]) {
      expect(await put(`${host}:${port}`)).toMatch(/^HTTP\/1\.1 200 /);
    }
  });

  test("what is no HTTP is answered in JSON and closed", async () => {
    const answer = await raw("NONSENSE\r\n\r\n");
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('"code":"REQUEST_INVALID"');
    const large = await raw(`GET /kv/k HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(40_000)}\r\n\r\n`);
    expect(large).toMatch(/^HTTP\/1\.1 431 Request Header Fields Too Large/);
    expect(large).toContain('"code":"HEADERS_TOO_LARGE"');
  });

  test("what Node would refuse without a word is refused in JSON as well", async () => {
    const cases: [string, string][] = [
      ["GET /kv/k HTTP/1.1\r\nconnection: close\r\n\r\n", "must have a Host"],
      ["GET /kv/k HTTP/1.1\r\nhost: x\r\nexpect: gold\r\nconnection: close\r\n\r\n", "Expect"],
    ];
    for (const [request, text] of cases) {
      const answer = await raw(request);
      expect(answer).toMatch(/^HTTP\/1\.1 400 /);
      expect(answer).toContain('"code":"REQUEST_INVALID"');
      expect(answer).toContain(text);
    }
    expect(await raw("GET /kv/k HTTP/1.0\r\n\r\n")).toMatch(/^HTTP\/1\.1 404 /);
  });

  test("a key that is not percent-encoded is refused and says so", async () => {
    const request = "PUT /kv/ключ HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n1";
    const answer = await raw(Buffer.from(request));
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain("must be percent-encoded");
  });

  test("a write that is under way does not get the answer to what follows it", async () => {
    const put = "PUT /kv/k HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n1";
    expect(await raw(`${put}NONSENSE\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 [^]*HTTP\/1\.1 400 /);
    replica.hang = true;
    expect(await raw(`${put.replace("host", "x-any: 1\r\nhost")}NONSENSE\r\n\r\n`)).toBe("");
    const cut =
      "PUT /kv/k HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\nz\r\n";
    expect(await raw(cut)).toContain('"code":"REQUEST_INVALID"');
  });

  test("no header is lost among many", async () => {
    const many = Array.from({ length: 2_500 }, (_, i) => `x${i}: 1\r\n`).join("");
    const head = `PUT /kv/k HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${many}`;
    const answer = await raw(`${head}if-match: "9"\r\ncontent-length: 1\r\n\r\n1`);
    expect(answer).toMatch(/^HTTP\/1\.1 412 /);
  });

  test("a client that waits for leave is told before it sends too much", async () => {
    const head = (length: number): string =>
      `PUT /kv/k HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: 100-continue\r\n` +
      `content-length: ${length}\r\n\r\n`;
    expect(await raw(head(VALUE_BYTES_MAX + 1))).toMatch(/^HTTP\/1\.1 413 /);
    expect(await raw(`${head(1)}1`)).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /);
  });

  test("a value over the limit is refused although it was sent", async () => {
    const response = await fetch(`http://127.0.0.1:${port}/kv/k`, {
      method: "PUT",
      body: Buffer.alloc(2 * VALUE_BYTES_MAX),
    });
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ error: { code: "VALUE_TOO_LARGE" } });
  });

  test("a client that goes away ends the waiting of its call", async () => {
    replica.hang = true;
    const gone = new AbortController();
    const answer = fetch(`http://127.0.0.1:${port}/kv/k`, { signal: gone.signal });
    while (replica.signals.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const [signal] = replica.signals;
    const aborted = new Promise((resolve) => signal?.addEventListener("abort", resolve));
    gone.abort();
    await expect(answer).rejects.toThrow();
    await aborted;
  });

  test("slow clients and floods are bounded", () => {
    const { headersTimeout, requestTimeout, maxConnections } = app.server;
    expect([headersTimeout, requestTimeout, maxConnections]).toEqual([10_000, 30_000, 100]);
  });

  test("a served client ends nothing", async () => {
    await fetch(`http://127.0.0.1:${port}/kv/k`, { method: "PUT", body: "1" });
    await app.close();
    expect(replica.signals.map((signal) => signal.aborted)).toEqual([false]);
  });
});
