import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { afterEach, describe, expect, test } from "vitest";
import { parseAddress } from "../util/address.ts";
import { crc32 } from "../util/checksum.ts";
import type { Clock } from "../util/clock.ts";
import { SeededRandom } from "../util/random.ts";
import { encodeFrame } from "./codec.ts";
import { encodeAccept, encodeHello } from "./hello.ts";
import type { TransportLimits } from "./link-context.ts";
import { TcpTransport } from "./node-tcp.ts";
import type { Resolve, TcpTransportOptions } from "./node-tcp.ts";
import { helloOf, LIMITS, SAMPLES } from "./samples-harness.ts";
import { RecordingHost } from "./transport-bench.ts";
import { transportSuite } from "./transport-suite.ts";
import type { TransportWorld } from "./transport-bench.ts";

const clock: Clock = {
  nowMs: () => performance.now(),
  soon: (task) => void setImmediate(task),
  setTimer: (delayMs, task) => {
    const timer = setTimeout(task, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};

async function until(condition: () => boolean, what: string): Promise<void> {
  const giveUpMs = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > giveUpMs) throw new Error(`not within 20 s: ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });
  }
}

function tcp(limits: TransportLimits, listen: string, more: Partial<TcpTransportOptions> = {}) {
  const random = new SeededRandom(5);
  return new TcpTransport({ listen, clock, random, checksum: crc32, limits, ...more });
}

describe("over TCP", () => {
  const world: TransportWorld = {
    create: (limits, listen = "127.0.0.1:0") => tcp(limits, listen),
    until,
  };
  for (const one of transportSuite(() => world)) test(one.name, () => one.run(), 30_000);
});

const opened: TcpTransport[] = [];
const sockets: Socket[] = [];
const servers: Server[] = [];

async function open(id: string, listen = "127.0.0.1:0", more: Partial<TcpTransportOptions> = {}) {
  const host = new RecordingHost(id);
  const transport = tcp(
    { ...LIMITS, backoffMinMs: 2, backoffMaxMs: 20, ...more.limits },
    listen,
    more,
  );
  opened.push(transport);
  await transport.listen(host);
  return { host, transport };
}

/** A plain socket to a transport's port, and the promise of its end. */
function raw(transport: TcpTransport): { socket: Socket; ended: Promise<void> } {
  const { host, port } = parseAddress(transport.address);
  const socket = connect({ host, port });
  sockets.push(socket);
  socket.on("error", () => {}).resume();
  return { socket, ended: new Promise((resolve) => void socket.once("close", () => resolve())) };
}

function tcpHandles(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind.startsWith("TCP")).length;
}

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const transport of opened.splice(0)) await transport.close();
  for (const server of servers.splice(0)) {
    await new Promise((resolve) => void server.close(resolve));
  }
  await until(() => tcpHandles() === 0, "every socket and listener is gone");
});

describe("strangers at the port", () => {
  test("cost their own connection only, and a reported reason", async () => {
    const a = await open("a");
    const b = await open("b");
    a.transport.setPeers([{ id: "b", address: b.transport.address }]);
    await until(() => a.host.connectedTo.length === 1, "a is connected");

    const web = raw(b.transport);
    web.socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await web.ended;
    await until(() => b.host.problems.length === 1, "it is reported");
    expect(b.host.problems[0]).toMatch(/^127\.0\.0\.1:\d+: not a Quorate peer: .*HTTP/);

    const damaged = encodeFrame(0, SAMPLES[6]![1], crc32);
    damaged[damaged.length - 1]! ^= 1;
    const peer = raw(b.transport);
    peer.socket.write(encodeHello({ hello: helloOf("x"), target: "b" }, crc32));
    peer.socket.write(damaged);
    await peer.ended;
    await until(() => b.host.problems.length === 2, "it is reported");
    expect(b.host.problems[1]).toContain("batch body fails its CRC");

    const rude = raw(b.transport);
    await new Promise((resolve) => void rude.socket.once("connect", resolve));
    rude.socket.resetAndDestroy();
    await until(() => b.host.problems.length === 3, "it is reported");
    expect(b.host.problems[2]).toMatch(/no hello: .*ECONNRESET/);

    a.transport.send("b", 0, { type: "heartbeat", term: 1, commit: 0, round: 1 });
    a.transport.flush();
    await until(() => b.host.received.length === 1, "a's message has arrived");
    expect(a.host.disconnectedFrom).toEqual([]);
  });

  test("who say nothing are closed after helloTimeoutMs", async () => {
    const b = await open("b", "127.0.0.1:0", { limits: { ...LIMITS, helloTimeoutMs: 30 } });
    await raw(b.transport).ended;
    expect(b.host.problems[0]).toContain("no hello within 30 ms");
  });

  test("who are refused and never hang up are gone after a second", async () => {
    const b = await open("b");
    b.host.verdict = () => ({ accept: false, code: 3, reason: "no" });
    const { host, port } = parseAddress(b.transport.address);
    const socket = connect({ host, port, allowHalfOpen: true });
    sockets.push(socket);
    socket.on("error", () => {}).resume();
    socket.write(encodeHello({ hello: helloOf("x"), target: "b" }, crc32));
    await new Promise((resolve) => void socket.once("end", resolve));
    expect(b.transport.inbound.connections).toBe(0);
    // Writing goes on into the void until the other side has lost patience.
    const timer = setInterval(() => socket.write("x"), 20);
    await new Promise((resolve) => void socket.once("close", resolve));
    clearInterval(timer);
  });

  test("who are refused at a fast pace do not pile up", async () => {
    // Without time nobody loses patience, so only the bound can keep the number down.
    const timeless: Clock = { ...clock, setTimer: () => ({ cancel: () => {} }) };
    const b = await open("b", "127.0.0.1:0", { clock: timeless });
    b.host.verdict = () => ({ accept: false, code: 3, reason: "no" });
    const { host, port } = parseAddress(b.transport.address);
    let ended = 0;
    for (let i = 0; i < 200; i++) {
      const socket = connect({ host, port, allowHalfOpen: true });
      sockets.push(socket);
      socket
        .on("error", () => {})
        .resume()
        .once("end", () => ended++);
      socket.write(encodeHello({ hello: helloOf("x"), target: "b" }, crc32));
    }
    await until(() => ended === 200, "all were refused");
    // The strangers keep their ends open; of ours, only those that may linger are left.
    await until(() => tcpHandles() <= 1 + 200 + 64, "all but the last 64 are gone");
    expect(b.host.refusals).toHaveLength(1);
  });
});

describe("a half-open connection", () => {
  test("to a host that reads and says nothing is dropped and dialed anew", async () => {
    let hellos = 0;
    // It accepts like a member would, and then never pulses.
    const silent = createServer((socket) => {
      sockets.push(socket);
      socket.on("error", () => {});
      socket.once("data", () => {
        hellos++;
        socket.write(encodeAccept({ version: 2, hello: helloOf("b") }, crc32));
      });
    });
    servers.push(silent);
    await new Promise<void>((resolve) => void silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address() as AddressInfo;
    const limits = { ...LIMITS, stallTimeoutMs: 50, backoffMinMs: 2, backoffMaxMs: 20 };
    const a = await open("a", "127.0.0.1:0", { limits });
    a.transport.setPeers([{ id: "b", address: `127.0.0.1:${port}` }]);
    await until(() => a.host.connectedTo.length === 1, "a is connected");
    a.transport.send("b", 0, { type: "heartbeat", term: 1, commit: 0, round: 1 });
    a.transport.flush();
    await until(() => a.host.connectedTo.length === 2, "a is connected anew");
    expect(a.host.disconnectedFrom).toEqual(["b"]);
    expect(hellos).toBeGreaterThanOrEqual(2);
    await a.transport.close();
    for (const socket of sockets) socket.destroy();
  });
});

describe("names", () => {
  test("are looked up one at a time, and once for all who wait for the same", async () => {
    const b = await open("b");
    const { port } = parseAddress(b.transport.address);
    const asked: string[] = [];
    let inFlight = 0;
    let most = 0;
    const resolve: Resolve = (host, done) => {
      asked.push(host);
      most = Math.max(most, ++inFlight);
      setTimeout(() => {
        inFlight--;
        if (host === "nowhere.test") done(new Error("getaddrinfo ENOTFOUND nowhere.test"), []);
        else done(null, [{ address: "127.0.0.1", family: 4 }]);
      }, 5);
    };
    const a = await open("a", "127.0.0.1:0", { resolve });
    const names = ["one.test", "two.test", "nowhere.test", "one.test"];
    a.transport.setPeers(names.map((name, i) => ({ id: `b${i}`, address: `${name}:${port}` })));
    await until(() => b.host.judged >= 3, "the names that exist were dialed");
    await until(() => a.host.problems.length > 0, "the one that does not is reported");
    expect(a.host.problems).toEqual([`nowhere.test:${port}: getaddrinfo ENOTFOUND nowhere.test`]);
    expect(asked.slice(0, 3)).toEqual(["one.test", "two.test", "nowhere.test"]);
    expect(most).toBe(1);
  });

  test("of several addresses fall back to one that answers", async () => {
    const b = await open("b");
    const { port } = parseAddress(b.transport.address);
    const resolve: Resolve = (_host, done) =>
      done(null, [
        { address: "::1", family: 6 },
        { address: "127.0.0.1", family: 4 },
      ]);
    const a = await open("a", "127.0.0.1:0", { resolve });
    a.transport.setPeers([{ id: "b", address: `both.test:${port}` }]);
    await until(() => a.host.connectedTo.length === 1, "a is connected");
  });

  test("are not looked up for literal addresses", async () => {
    const b = await open("b");
    const resolve: Resolve = () => {
      throw new Error("nobody asked for a look-up");
    };
    const a = await open("a", "127.0.0.1:0", { resolve });
    a.transport.setPeers([{ id: "b", address: b.transport.address }]);
    await until(() => a.host.connectedTo.length === 1, "a is connected");
  });
});

describe("listening", () => {
  test.each([
    ["127.0.0.1", "OPTION_INVALID"],
    ["192.0.2.1:9091", "LISTEN_FAILED"],
  ])("on %s rejects with %s", async (listen, code) => {
    const transport = tcp(LIMITS, listen);
    await expect(transport.listen(new RecordingHost("a"))).rejects.toMatchObject({ code });
    await transport.close();
  });

  test("says what to do about an address in use", async () => {
    const a = await open("a");
    const b = tcp(LIMITS, a.transport.address);
    await expect(b.listen(new RecordingHost("b"))).rejects.toThrow(
      /cannot be bound .*EADDRINUSE.*: another process listens there; stop it or choose another/,
    );
    await b.close();
  });

  const hasIpv6 = Object.values(networkInterfaces()).some((list) =>
    list?.some(({ address }) => address === "::1"),
  );

  test.skipIf(!hasIpv6)("works on IPv6, in brackets", async () => {
    const b = await open("b", "[::1]:0");
    expect(b.transport.address).toMatch(/^\[::1\]:\d+$/);
    const a = await open("a");
    a.transport.setPeers([{ id: "b", address: b.transport.address }]);
    await until(() => a.host.connectedTo.length === 1, "a is connected");
  });
});
