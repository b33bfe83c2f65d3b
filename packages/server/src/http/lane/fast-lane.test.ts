/** The fast lane over real sockets, beside the same requests through Node's server. */
import { connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import type { FastifyInstance } from "fastify";
import { QuorateError } from "quorate";
import type { Replica } from "quorate";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeReplica } from "../../../../../test/harness/fake-replica.ts";
import type { KvCommand, KvQuery } from "../../store/command.ts";
import { closeHttpApp, createHttpApp } from "../app.ts";

let replica: FakeReplica;
let app: FastifyInstance;
let port: number;
let leader: string | undefined;
let isClosing: boolean;
let nowMs: number;
const failures: unknown[] = [];

beforeEach(async () => {
  replica = new FakeReplica();
  leader = "n1";
  isClosing = false;
  nowMs = 61_000;
  failures.length = 0;
  app = createHttpApp({
    replica: () => replica as unknown as Replica<KvCommand, KvQuery>,
    storeSize: () => replica.machine.size,
    nowMs: () => nowMs,
    onError: (error) => failures.push(error),
    keyBytesMax: 64,
    valueBytesMax: 300_000,
    connectionsMax: 100,
    corsOrigins: ["https://console.example"],
    isClosing: () => isClosing,
    identity: () => ({ id: "n1", leader }),
  });
  await app.listen({ host: "127.0.0.1", port: 0 });
  port = (app.server.address() as AddressInfo).port;
});

afterEach(() => closeHttpApp(app, 0));

function put(key: string, value: string, headers = ""): string {
  return `PUT /kv/${key} HTTP/1.1\r\nhost: x\r\n${headers}content-length: ${value.length}\r\n\r\n${value}`;
}

function get(target: string, headers = ""): string {
  return `GET /kv/${target} HTTP/1.1\r\nhost: x\r\n${headers}\r\n`;
}

/** A client that keeps all it hears. */
class Client {
  readonly socket: Socket;
  heard = "";
  isClosed = false;

  constructor(keepsWriting = false) {
    this.socket = connect({ port, host: "127.0.0.1", allowHalfOpen: keepsWriting });
    this.socket.setEncoding("latin1");
    this.socket.on("data", (chunk: string) => (this.heard += chunk));
    this.socket.on("error", () => {});
    this.socket.on("close", () => (this.isClosed = true));
  }

  send(text: string): this {
    this.socket.write(text, "latin1");
    return this;
  }

  /** Waits until it heard so many answers, or is closed. */
  async answers(count: number): Promise<string[]> {
    for (;;) {
      const answers = this.heard.split(/(?=HTTP\/1\.1 \d)/).filter((text) => text !== "");
      const isWhole = answers.length >= count && isWholeAnswer(answers.at(-1)!);
      if (isWhole || this.isClosed) return answers;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async closed(): Promise<void> {
    while (!this.isClosed) await new Promise((resolve) => setImmediate(resolve));
  }
}

function isWholeAnswer(text: string): boolean {
  const [head = "", body] = text.split("\r\n\r\n");
  return body !== undefined && body.length >= Number(/content-length: (\d+)/.exec(head)?.[1] ?? 0);
}

/** Head lines in order, and the body. */
function partsOf(answer: string): unknown {
  const [head = "", body] = answer.split("\r\n\r\n");
  const [first, ...lines] = head.split("\r\n");
  const headers = lines.map((line) => line.replace(/^[^:]+/, (name) => name.toLowerCase()));
  expect(headers.filter((line) => line.startsWith("date: "))).toHaveLength(1);
  return { first, headers: headers.filter((line) => !line.startsWith("date: ")).toSorted(), body };
}

/** Through Node's server goes what has a header that is not known. */
const OTHER = "x-any: 1\r\n";

describe("the fast lane", () => {
  test("answers what Node's server answers, header by header", async () => {
    const requests: ((headers: string) => string)[] = [
      (headers) => put("a", "value", headers),
      (headers) => get("a", headers),
      (headers) => get("a?local=true", headers),
      (headers) => get("missing", headers),
      (headers) => get("a?consistency=odd", headers),
      (headers) => get("a?localy", headers),
      (headers) => get("a", `if-none-match: "${replica.index}"\r\n${headers}`),
      (headers) => put("a", "other", `if-match: "99"\r\n${headers}`),
      (headers) => put("a", "other", `if-match: 99\r\n${headers}`),
      (headers) => put("k".repeat(65), "value", headers),
      (headers) => put("empty", "", headers),
    ];
    await new Client().send(put("a", "") + put("empty", "1")).answers(2);
    for (const request of requests) {
      // The same revision for both.
      const { index } = replica;
      const fast = await new Client().send(request("")).answers(1);
      replica.index = index;
      const slow = await new Client().send(request(OTHER)).answers(1);
      expect(fast.map(partsOf)).toEqual(slow.map(partsOf));
    }
    expect(replica.signals.length).toBeGreaterThan(0);
  });

  test("answers errors as Node's server does", async () => {
    const errors = [
      new QuorateError("NO_LEADER", "nobody leads"),
      new QuorateError("OUTCOME_UNKNOWN", "it may be done", { leader: "n2" }),
      new QuorateError("DISK_FULL", "no space"),
      new Error("a defect"),
    ];
    for (const error of errors) {
      replica.fail = error;
      for (const request of [put, get] as const) {
        const [fast] = await new Client().send(request("k", "")).answers(1);
        const other = request === put ? put("k", "", OTHER) : get("k", OTHER);
        const [slow] = await new Client().send(other).answers(1);
        expect(partsOf(fast!)).toEqual(partsOf(slow!));
      }
    }
    expect(failures).toHaveLength(4);
  });

  test("does many requests of a connection in their order, however they are cut", async () => {
    const all = Array.from({ length: 50 }, (_, i) => put(`k${i}`, `value ${i}`)).join("");
    for (const size of [1, 7, 64, 1_000, all.length]) {
      const client = new Client();
      for (let at = 0; at < all.length; at += size) {
        client.send(all.slice(at, at + size));
        if (size < 100) await new Promise((resolve) => setImmediate(resolve));
      }
      const answers = await client.answers(50);
      expect(answers).toHaveLength(50);
      answers.forEach((answer, i) => expect(answer).toContain(`"key":"k${i}"`));
      client.socket.destroy();
    }
  });

  test("gives a connection over to Node's server in the midst of its requests", async () => {
    const client = new Client();
    client.send(
      put("a", "1") +
        get("a") +
        "DELETE /kv/a HTTP/1.1\r\nhost: x\r\n\r\n" +
        get("a") +
        "GET /health HTTP/1.1\r\nhost: x\r\n\r\n",
    );
    const answers = await client.answers(5);
    expect(answers.map((answer) => answer.slice(9, 12))).toEqual([
      ...["200", "200", "200", "404"],
      "200",
    ]);
    expect(answers[2]).toContain('"deleted":true');
    expect(await client.send(get("a")).answers(6)).toHaveLength(6);
  });

  test("takes values that come in parts, and leaves large ones to Node's server", async () => {
    const client = new Client();
    for (const bytes of [70_000, 60_000, 250_000]) {
      const request = put("large", "v".repeat(bytes));
      client.send(request.slice(0, 30_000));
      await new Promise((resolve) => setTimeout(resolve, 5));
      client.send(request.slice(30_000));
      client.heard = "";
      expect((await client.answers(1))[0]).toMatch(/^HTTP\/1\.1 200 /);
      client.heard = "";
      const [answer] = await client.send(get("large")).answers(1);
      expect(answer!.split("\r\n\r\n")[1]).toBe("v".repeat(bytes));
    }
  });

  test("a short request behind a long one that came in parts is not waited with", async () => {
    const text = put("long", "v".repeat(60_000));
    const client = new Client().send(text.slice(0, 10_000));
    await new Promise((resolve) => setTimeout(resolve, 20));
    await client.send(text.slice(10_000)).answers(1);
    const beganMs = performance.now();
    expect(await client.send(get("short")).answers(2)).toHaveLength(2);
    expect(performance.now() - beganMs).toBeLessThan(1_000);
  });

  test("says who leads as it is known", async () => {
    const client = new Client();
    expect((await client.send(get("a")).answers(1))[0]).toContain("\r\nx-quorate-leader: n1\r\n");
    leader = undefined;
    expect((await client.send(get("a")).answers(2))[1]).not.toContain("x-quorate-leader");
    leader = "n3";
    expect((await client.send(get("a")).answers(3))[2]).toContain("\r\nx-quorate-leader: n3\r\n");
  });

  test("a client that goes away ends its call, and nothing else", async () => {
    await new Client().send(put("a", "1")).answers(1);
    replica.hang = true;
    const client = new Client().send(put("a", "1"));
    while (replica.signals.length < 2) await new Promise((resolve) => setImmediate(resolve));
    expect(replica.signals.map(({ aborted }) => aborted)).toEqual([false, false]);
    client.socket.destroy();
    while (!replica.signals[1]!.aborted) await new Promise((resolve) => setImmediate(resolve));
    expect(replica.signals[0]!.aborted).toBe(false);
    expect(failures).toEqual([]);
  });

  test("a member that closes ends connections with their answers, idle ones at once", async () => {
    const idle = new Client();
    await idle.send(get("a")).answers(1);
    isClosing = true;
    const busy = new Client();
    const [answer] = await busy.send(put("a", "1")).answers(1);
    expect(answer).toContain("\r\nconnection: close\r\n");
    await busy.closed();
    expect(idle.isClosed).toBe(false);
    await closeHttpApp(app, 1_000);
    await idle.closed();
  });

  test("a request that hangs does not keep the face from closing", async () => {
    replica.hang = true;
    const client = new Client().send(put("a", "1"));
    while (replica.signals.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await closeHttpApp(app, 10);
    await client.closed();
    expect(client.heard).toBe("");
  });

  test("who does not read its answers is not asked for more", async () => {
    await new Client().send(put("big", "v".repeat(60_000))).answers(1);
    const client = new Client();
    client.socket.pause();
    client.send(get("big").repeat(500));
    let reads = -1;
    while (reads !== replica.signals.length) {
      reads = replica.signals.length;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(reads).toBeLessThan(400);
    client.socket.resume();
    while (client.heard.length < 500 * 60_000) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(replica.signals.length).toBe(501);
  });
});

describe("the end of a connection", () => {
  /** The sockets of the server, as they come. */
  const sockets: Socket[] = [];
  const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));

  beforeEach(() => {
    sockets.length = 0;
    app.server.on("connection", (socket: Socket) => sockets.push(socket));
  });

  /** A client that asks, and does not read, until an answer waits in the server. */
  async function stuffed(): Promise<{ client: Client; asked: number }> {
    await new Client().send(put("big", "v".repeat(60_000))).answers(1);
    const client = new Client(true);
    client.socket.pause();
    let asked = 0;
    while ((sockets[1]?.writableLength ?? 0) === 0) {
      client.send(get("big"));
      asked++;
      while (replica.signals.length < asked + 1) await soon();
      await soon();
    }
    return { client, asked };
  }

  test("that is ended by the client comes after what was answered", async () => {
    const { client, asked } = await stuffed();
    client.socket.end();
    await soon();
    client.socket.resume();
    const answers = await client.answers(asked);
    await client.closed();
    expect(answers).toHaveLength(asked);
    expect(answers.every((answer) => isWholeAnswer(answer))).toBe(true);
  });

  test("in the midst of a request is answered as by Node's server", async () => {
    const parts = [
      "PUT /kv/a HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\na",
      "GET /kv/a HTTP/1.1\r\nhost",
      "GET /k",
    ];
    for (const part of parts) {
      const client = new Client(true).send(part);
      client.socket.end();
      const [answer = ""] = await client.answers(1);
      expect(answer, part).toMatch(/^HTTP\/1\.1 400 [^]*"code":"REQUEST_INVALID"/);
      await client.closed();
    }
  });

  test("is not waited for where no request can come of what was sent", async () => {
    for (const part of ["GET /kv/a b\r\n", "GET /kv/a HTTP/1.1\nhost: x\n"]) {
      const beganMs = performance.now();
      const [answer] = await new Client().send(part).answers(1);
      expect(answer, part).toMatch(/^HTTP\/1\.1 400 /);
      expect(performance.now() - beganMs).toBeLessThan(1_000);
    }
  });

  test("of a member that closes needs nobody's consent", async () => {
    isClosing = true;
    const client = new Client(true);
    await client.send(put("a", "1")).answers(1);
    await closeHttpApp(app, 60_000);
    expect(sockets.every(({ destroyed }) => destroyed)).toBe(true);
    client.socket.end();
  });

  test("of a member that closes comes after what was answered before", async () => {
    const { client, asked } = await stuffed();
    isClosing = true;
    const closing = closeHttpApp(app, 60_000);
    await soon();
    client.socket.resume();
    expect(await client.answers(asked)).toHaveLength(asked);
    await closing;
    client.socket.end();
  });

  test("of a member that closes comes after a request that had begun", async () => {
    const client = new Client().send("PUT /kv/a HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\na");
    while (sockets.length === 0 || sockets[0]!.bytesRead === 0) await soon();
    isClosing = true;
    const closing = closeHttpApp(app, 60_000);
    await soon();
    const [answer = ""] = await client.send("bc").answers(1);
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer.toLowerCase()).toContain("\r\nconnection: close\r\n");
    await closing;
  });

  test("is no end where an empty line stands between requests", async () => {
    const client = new Client().send(`${put("a", "1")}\r\n`);
    await client.answers(1);
    const [, answer] = await client.send(`\r\n${get("a")}`).answers(2);
    // Node's server would write it with a capital.
    expect(answer).toContain("\r\ndate: ");
  });

  test("comes soon where nothing was said, else not before it was announced", async () => {
    const silent = new Client();
    const idle = new Client();
    expect((await idle.send(get("a")).answers(1))[0]).toContain("timeout=65\r\n");
    nowMs += 11_000;
    await silent.closed();
    expect(idle.isClosed).toBe(false);
    nowMs += 54_500;
    await new Promise((resolve) => setTimeout(resolve, 2_200));
    expect(idle.isClosed).toBe(false);
    nowMs += 1_000;
    await idle.closed();
  });
});

describe("what stands still", () => {
  test("is left to Node's server after a while, and ended where it is idle for long", async () => {
    const idle = new Client();
    await idle.send(get("a")).answers(1);
    const slow = new Client().send("GET /kv/a HTTP/1.1\r\nhost");
    await new Promise((resolve) => setTimeout(resolve, 50));
    const counted = (): Promise<number> => {
      return new Promise((resolve) => app.server.getConnections((_, count) => resolve(count)));
    };
    expect(await counted()).toBe(2);
    nowMs += 67_000;
    await idle.closed();
    expect((await slow.send(": x\r\n\r\n").answers(1))[0]).toMatch(/^HTTP\/1\.1 404 /);
    expect(slow.heard).not.toContain("connection: close");
  });
});
