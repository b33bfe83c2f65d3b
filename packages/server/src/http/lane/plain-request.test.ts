import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { connect } from "node:net";
import { SeededRandom } from "quorate/core";
import { describe, expect, test } from "vitest";
import { PlainRequests } from "./plain-request.ts";

const VALUE_BYTES_MAX = 1_000;

function read(text: string, requests = new PlainRequests(VALUE_BYTES_MAX)): unknown {
  return requests.read(Buffer.from(text, "latin1"));
}

const PUT = "PUT /kv/key-1 HTTP/1.1\r\nHost: x:1\r\nContent-Length: 3\r\n\r\nabc";
const GET = "GET /kv/a.b?consistency=lease HTTP/1.1\r\nhost: x\r\naccept: */*\r\n\r\n";

describe("plain requests", () => {
  test("are read whole, with what they say", () => {
    const put = read(PUT);
    expect(put).toMatchObject({ method: "PUT", url: "/kv/key-1", from: PUT.length - 3 });
    expect(put).toMatchObject({ end: PUT.length, headers: { "content-length": "3" } });
    const get = read(`${GET}GET`);
    expect(get).toMatchObject({ method: "GET", url: "/kv/a.b?consistency=lease" });
    expect(get).toMatchObject({ from: GET.length, end: GET.length });
    const named = PUT.replace("Host", 'if-match: "7"\r\nIdempotency-Key: a b\r\nHost');
    expect(read(named)).toMatchObject({
      headers: { "if-match": '"7"', "idempotency-key": "a b", "if-none-match": undefined },
    });
  });

  test("are waited for as long as they may become one", () => {
    for (const text of [PUT, GET]) {
      for (let length = 1; length < text.length; length++) {
        expect([length, read(text.slice(0, length))]).toEqual([length, "more"]);
      }
    }
    expect(read(`GET /kv/${"k".repeat(8_200)}`)).toBe("other");
  });

  test("are those with the same head as the last one as well", () => {
    const requests = new PlainRequests(VALUE_BYTES_MAX);
    for (const key of ["a", "b", "c"]) {
      expect(read(PUT.replace("key-1", key), requests)).toMatchObject({ url: `/kv/${key}` });
    }
    expect(read(PUT.replace("Host", "Origin: http://x:1\r\nHost"), requests)).toBe("other");
    expect(read(GET, requests)).toMatchObject({ method: "GET" });
    expect(read(PUT.replace("abc", "ab"), requests)).toBe("more");
  });

  test.each([
    ["another method", PUT.replace("PUT", "DELETE")],
    ["another path", PUT.replace("/kv/key-1", "/status")],
    ["two segments", PUT.replace("key-1", "key/1")],
    ["what is encoded", PUT.replace("key-1", "key%2F1")],
    ["an absolute target", PUT.replace("/kv", "http://x:1/kv")],
    ["an older version", PUT.replace("1.1", "1.0")],
    ["two spaces", PUT.replace(" /kv", "  /kv")],
    ["no host", PUT.replace("Host: x:1\r\n", "")],
    ["two hosts", PUT.replace("Host: x:1\r\n", "Host: x:1\r\nHost: x:1\r\n")],
    ["two lengths", PUT.replace("Host", "content-length: 3\r\nHost")],
    ["a length that is none", PUT.replace("3\r\n", "+3\r\n")],
    ["a length in another base", PUT.replace("3\r\n", "0x3\r\n")],
    ["a list of lengths", PUT.replace("3\r\n", "3, 3\r\n")],
    ["a length over the limit", PUT.replace("3\r\n", "1001\r\n")],
    ["no length", PUT.replace("Content-Length: 3\r\n", "")],
    ["chunks", PUT.replace("Host", "Transfer-Encoding: chunked\r\nHost")],
    ["a GET with a body", GET.replace("host", "content-length: 0\r\nhost")],
    ["a page", PUT.replace("Host", "Origin: null\r\nHost")],
    ["the end of a connection", PUT.replace("Host", "Connection: close\r\nHost")],
    ["another protocol", PUT.replace("Host", "Connection: upgrade\r\nUpgrade: h2c\r\nHost")],
    ["who waits for leave", PUT.replace("Host", "Expect: 100-continue\r\nHost")],
    ["an unknown header", PUT.replace("Host", "X-Any: 1\r\nHost")],
    ["a condition twice", PUT.replace("Host", "If-Match: *\r\nif-match: *\r\nHost")],
    ["a header that is empty", PUT.replace("Host", "If-Match:\r\nHost")],
    ["a space before the colon", PUT.replace("Host:", "Host :")],
    ["a folded line", PUT.replace("Host: x:1", "Host: x:1\r\n folded")],
    ["a lone line feed", PUT.replace("Host: x:1\r\n", "Host: x:1\n")],
    ["a lone carriage return", PUT.replace("x:1\r\n", "x:1\rAccept: a\r\n")],
    ["bytes beyond ASCII", PUT.replace("x:1", "\u00e9")],
    ["a control character", PUT.replace("x:1", "x\u0000")],
    ["a blank line before it", `\r\n${PUT}`],
    ["a name from the prototype", PUT.replace("Host", "__proto__: 1\r\nHost")],
  ])("are not: %s", (_what, text) => {
    expect(read(text)).toBe("other");
  });

  test("are read as Node's own parser reads them", { timeout: 60_000 }, async () => {
    const heard: unknown[] = [];
    const server = createServer((request, response) => {
      const body: Buffer[] = [];
      request.on("data", (chunk: Buffer) => body.push(chunk));
      request.on("end", () => {
        const { method, url } = request;
        heard.push([method, url, Buffer.concat(body).toString("latin1")]);
        response.end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const random = new SeededRandom(1);
    let plain = 0;
    for (let i = 0; i < 3_000; i++) {
      const bytes = mutated(random);
      const request = new PlainRequests(VALUE_BYTES_MAX).read(bytes);
      if (typeof request === "string") continue;
      plain++;
      const { method, url, from, end } = request;
      heard.length = 0;
      await answered(port, bytes.subarray(0, end));
      expect(heard).toEqual([[method, url, bytes.toString("latin1", from, end)]]);
    }
    expect(plain).toBeGreaterThan(200);
    server.closeAllConnections();
    server.close();
  });
});

/** A plain request in which a few bytes are others, fewer or more. */
function mutated(random: SeededRandom): Buffer {
  const bytes = [...Buffer.from(random.below(2) === 0 ? PUT : GET, "latin1")];
  for (let n = random.below(3); n > 0; n--) {
    const at = random.below(bytes.length);
    const spiced = [13, 10, 32, 58, 44, 9, 0, 48, 51, 255, 65 + random.below(50)];
    const byte = spiced[random.below(spiced.length)]!;
    bytes.splice(at, random.below(2), ...(random.below(3) === 0 ? [] : [byte]));
  }
  return Buffer.from(bytes);
}

function answered(port: number, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
    socket.once("data", () => {
      socket.destroy();
      resolve();
    });
    socket.on("error", reject);
  });
}
