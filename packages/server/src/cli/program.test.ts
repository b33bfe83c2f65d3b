/**
 * The command line in this process, with a terminal of strings; members are HTTP faces over a
 * replica in memory.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { QuorateError } from "quorate";
import type { Replica } from "quorate";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeReplica, statusOf } from "../../../../test/harness/fake-replica.ts";
import { closeHttpApp, createHttpApp, listeningAt } from "../http/app.ts";
import type { KvCommand, KvQuery } from "../store/command.ts";
import { VERSION } from "../version.ts";
import { runCli } from "./program.ts";

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

let directory: string;
let ends: (() => Promise<unknown>)[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "quorate-cli-"));
  ends = [];
});

afterEach(async () => {
  for (const end of ends) await end();
  rmSync(directory, { recursive: true });
});

interface Setting {
  readonly stdin?: string;
  readonly env?: Record<string, string>;
  readonly isTTY?: boolean;
}

async function run(args: readonly string[], setting: Setting = {}): Promise<Ran> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  const output = (chunks: Buffer[]) => ({
    isTTY: setting.isTTY,
    write: (chunk: string | Uint8Array) => chunks.push(Buffer.from(chunk as string)),
  });
  async function* stdin(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(setting.stdin ?? "");
  }
  const code = await runCli(args, {
    stdin: stdin(),
    stdout: output(out),
    stderr: output(err),
    env: setting.env ?? {},
  });
  return { code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() };
}

/** A member that serves over a replica in memory. */
async function member(replica = new FakeReplica()): Promise<{ url: string; replica: FakeReplica }> {
  const app: FastifyInstance = createHttpApp({
    replica: () => replica as unknown as Replica<KvCommand, KvQuery>,
    storeSize: () => replica.machine.size,
    nowMs: () => performance.now(),
    onError: () => {},
    keyBytesMax: 64,
    valueBytesMax: 2_048,
    connectionsMax: 100,
  });
  await app.listen({ host: "127.0.0.1", port: 0 });
  ends.push(() => closeHttpApp(app, 0));
  return { url: `http://${listeningAt(app)}`, replica };
}

/** A server that treats every connection as told. */
async function odd(onConnection: (socket: Socket) => void): Promise<string> {
  const sockets: Socket[] = [];
  const server: Server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.push(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Where nobody listens: a port that the system gives to nobody. */
const NOBODY = "http://127.0.0.1:2";

describe("the command line itself", () => {
  test("--version and --help end with 0 and say what there is", async () => {
    expect(await run(["--version"])).toEqual({ code: 0, out: `${VERSION}\n`, err: "" });
    const help = await run(["--help"]);
    expect(help.code).toBe(0);
    for (const word of ["start", "dev", "put", "get", "delete", "list", "status", "Exit codes"]) {
      expect(help.out).toContain(word);
    }
    const start = await run(["start", "--help"]);
    expect(start.out).toContain("--election-timeout <ms>");
    expect(start.out.replace(/\s+/g, " ")).toContain("(50 to 60000; default: 1000)");
    expect(start.out).toContain("Examples:");
  });

  test("a typing mistake gets a suggestion and exit code 2", async () => {
    const flag = await run(["start", "--bootstap"]);
    expect([flag.code, flag.err]).toEqual([2, expect.stringContaining("--bootstrap")]);
    const command = await run(["statu"]);
    expect([command.code, command.err]).toEqual([2, expect.stringContaining("status")]);
    expect((await run([])).code).toBe(2);
    expect((await run(["put", "key"])).err).toContain("missing required argument 'value'");
    expect((await run(["get", "key", "--timeout", "x"])).err).toContain("integer from 1 to 60000");
    expect((await run(["get", "a", "b"])).code).toBe(2);
  });

  test("start refuses in one sentence what cannot be", async () => {
    const data = join(directory, "n1");
    const cases: [string[], number, string][] = [
      [["--data", data], 2, "say how it begins"],
      [["--data", data, "--bootstrap", "--listen", "0.0.0.0:1"], 2, "--insecure"],
      [["--data", data, "--bootstrap", "--election-timeout", "3"], 2, "from 50 to 60000"],
    ];
    for (const [args, code, text] of cases) {
      const ran = await run(["start", ...args]);
      expect([ran.code, ran.err]).toEqual([code, expect.stringContaining(text)]);
      expect(ran.err.trimEnd().split("\n").length).toBe(1);
    }
  });
});

describe("dev", () => {
  test("names the port that is in use, and the remedy", async () => {
    const url = await odd((socket) => socket.destroy());
    const port = new URL(url).port;
    const args = ["dev", "--port", port, "--http-port", String(Number(port) + 100), "--data"];
    const ran = await run([...args, join(directory, "d")]);
    expect(ran.code).toBe(7);
    expect(ran.err).toContain(`127.0.0.1:${port}, the members' port of n1, is in use`);
    expect(ran.err).toContain("--port");
  });

  test("refuses data of a cluster of another size", async () => {
    writeFileSync(join(directory, "dev.json"), '{"nodes":5}');
    const ran = await run(["dev", "--data", directory, "--nodes", "1"]);
    expect([ran.code, ran.err]).toEqual([2, expect.stringContaining("run it with --nodes 5")]);
    writeFileSync(join(directory, "dev.json"), "nonsense");
    const damaged = await run(["dev", "--data", directory, "--nodes", "1"]);
    expect([damaged.code, damaged.err]).toEqual([
      6,
      expect.stringContaining("dev.json is damaged"),
    ]);
  });

  test("refuses ports that do not exist or overlap", async () => {
    expect((await run(["dev", "--port", "64999"])).err).toContain("no 3 ports");
    expect((await run(["dev", "--port", "9091", "--http-port", "9092"])).err).toContain("overlap");
    expect((await run(["dev", "--nodes", "0"])).code).toBe(2);
  });
});

describe("put, get and delete", () => {
  test("write, read and remove any key", async () => {
    const { url } = await member();
    for (const key of ["key1", "a/b", "..", "💚", "__proto__", "-"]) {
      const at = ["--endpoint", url];
      expect((await run(["put", key, "value", ...at])).out).toMatch(/^created at revision \d+\n$/);
      expect((await run(["get", key, ...at])).out).toBe("value");
      expect((await run(["get", key, ...at], { isTTY: true })).out).toBe("value\n");
      expect((await run(["delete", key, ...at])).out).toMatch(/^deleted at revision \d+\n$/);
      const absent = await run(["get", key, ...at]);
      expect([absent.code, absent.out]).toEqual([3, ""]);
      expect(absent.err).toContain("absent (KEY_NOT_FOUND)");
    }
  });

  test("a value comes from the arguments, a file or stdin", async () => {
    const { url, replica } = await member();
    const env = { QUORATE_ENDPOINT: url };
    const file = join(directory, "value");
    writeFileSync(file, Buffer.from([0, 255]));
    expect((await run(["put", "k", `@${file}`], { env })).code).toBe(0);
    expect(replica.machine.query({ type: "get", key: "k" })).toMatchObject({
      value: Uint8Array.of(0, 255),
    });
    await run(["put", "k", "-"], { env, stdin: "@from stdin\n" });
    expect((await run(["get", "k"], { env, isTTY: true })).out).toBe("@from stdin\n");
    const missing = await run(["put", "k", "@/does/not/exist"], { env });
    expect([missing.code, missing.err]).toEqual([2, expect.stringContaining("names a file")]);
  });

  test("conditions have their own exit code", async () => {
    const { url } = await member();
    const at = ["--endpoint", url];
    expect((await run(["put", "k", "1", "--if-absent", ...at])).code).toBe(0);
    expect((await run(["put", "k", "2", "--if-absent", ...at])).code).toBe(9);
    expect((await run(["put", "k", "2", "--if-revision", "1", ...at])).out).toContain("replaced");
    const late = await run(["put", "k", "3", "--if-revision", "1", ...at]);
    expect([late.code, late.err]).toEqual([9, expect.stringContaining("has revision")]);
    expect((await run(["delete", "k", "--if-revision", "1", ...at])).code).toBe(9);
    expect((await run(["put", "k", "1", "--if-absent", "--if-revision", "1", ...at])).code).toBe(2);
  });

  test("--json answers for programs, --local asks one member only", async () => {
    const { url, replica } = await member();
    const at = ["--endpoint", url, "--json"];
    const put = await run(["put", "k", "v", ...at]);
    expect(JSON.parse(put.out)).toEqual({ key: "k", revision: 1, created: true });
    const get = await run(["get", "k", "--local", ...at]);
    expect(JSON.parse(get.out)).toEqual({ key: "k", revision: 1, valueBase64: "dg==" });
    expect(replica.options).toMatchObject({ consistency: "local" });
    expect(JSON.parse((await run(["delete", "k", ...at])).out)).toMatchObject({ deleted: true });
    expect((await run(["delete", "k", "--endpoint", url])).out).toContain("was absent");
  });

  test("get and list say how old an answer may be", async () => {
    const { url, replica } = await member();
    const at = ["--endpoint", url];
    await run(["put", "k", "v", ...at]);
    expect((await run(["get", "k", "--consistency", "lease", ...at])).code).toBe(0);
    expect(replica.options).toMatchObject({ consistency: "lease" });
    expect((await run(["list", "--max-staleness", "500", ...at])).out).toBe("k\n");
    expect(replica.options).toMatchObject({ maxStalenessMs: 500 });
    expect((await run(["get", "k", "--consistency", "strong", ...at])).code).toBe(2);
    const both = await run(["get", "k", "--local", "--max-staleness", "5", ...at]);
    expect([both.code, both.err]).toEqual([2, expect.stringContaining("contradiction")]);
  });

  test("list goes through all pages", async () => {
    const { url } = await member();
    const at = ["--endpoint", url];
    for (const key of ["a", "b1", "b2", "b3"]) await run(["put", key, "v", ...at]);
    expect((await run(["list", ...at])).out).toBe("a\nb1\nb2\nb3\n");
    expect((await run(["list", "b", "--limit", "2", ...at])).out).toBe("b1\nb2\n");
    expect((await run(["list", "b", "--after", "b1", ...at])).out).toBe("b2\nb3\n");
    const json = await run(["list", "a", "--json", "--local", ...at]);
    expect(JSON.parse(json.out)).toEqual({ key: "a", revision: 1, bytes: 1 });
  });
});

describe("fail-over", () => {
  test("the next endpoint is asked where nobody listens", async () => {
    const { url } = await member();
    const endpoints = `${NOBODY},${url}`;
    expect((await run(["put", "k", "v", "--endpoint", endpoints])).code).toBe(0);
    const ran = await run(["put", "k", "v", "--endpoint", NOBODY]);
    expect([ran.code, ran.err]).toEqual([4, expect.stringContaining("no member can be reached")]);
  });

  test("a member that hangs leaves a read the time to be answered elsewhere", async () => {
    const hanging = await member();
    const good = await member();
    await run(["put", "k", "v", "--endpoint", good.url]);
    hanging.replica.hang = true;
    const both = `${hanging.url},${good.url}`;
    const ran = await run(["get", "k", "--endpoint", both, "--timeout", "3000"]);
    expect([ran.code, ran.out]).toEqual([0, "v"]);
  });

  test("a write that was certainly not done is tried elsewhere, and told if nobody takes it", async () => {
    const good = await member();
    const bad = await member();
    bad.replica.fail = new QuorateError("CLOSED", "this replica is closing");
    const both = `${bad.url},${good.url}`;
    expect((await run(["put", "k", "v", "--endpoint", both])).code).toBe(0);
    const alone = await run(["put", "k", "v", "--endpoint", bad.url, "--timeout", "300"]);
    expect([alone.code, alone.err]).toEqual([4, expect.stringContaining("is closing (CLOSED)")]);
  });

  test("while there is no leader, the round is repeated until time is up", async () => {
    const { url, replica } = await member();
    replica.fail = new QuorateError("NO_LEADER", "an election is going on");
    const ran = await run(["put", "k", "v", "--endpoint", url, "--timeout", "350"]);
    expect([ran.code, ran.err]).toEqual([4, expect.stringContaining("(NO_LEADER)")]);
    expect(replica.signals.length).toBeGreaterThan(1);
    const healed = run(["put", "k", "v", "--endpoint", url]);
    replica.fail = undefined;
    expect((await healed).code).toBe(0);
  });

  test("a write whose fate is unknown is sent again under its name, elsewhere if need be", async () => {
    const good = await member();
    const broken = await odd((socket) => socket.once("data", () => socket.destroy()));
    const ran = await run(["put", "k", "v", "--endpoint", `${broken},${good.url}`]);
    expect([ran.code, ran.out]).toEqual([0, "created at revision 1\n"]);
    good.replica.fail = new QuorateError("OUTCOME_UNKNOWN", "the leader is gone");
    const at = ["--endpoint", good.url, "--timeout", "300"];
    const unknown = await run(["put", "k", "w", ...at]);
    expect([unknown.code, unknown.err]).toEqual([5, expect.stringContaining("may have happened")]);
    good.replica.fail = undefined;
    expect((await run(["get", "k", "--endpoint", `${broken},${good.url}`])).out).toBe("v");
    // A hand-over has no name: asked twice it might move twice.
    const moved = await run(["transfer", "--endpoint", `${broken},${good.url}`]);
    expect([moved.code, moved.err]).toEqual([5, expect.stringContaining("connection broke")]);
  });

  test("a command that is run again with its idempotency key writes once", async () => {
    const { url, replica } = await member();
    const again = ["--idempotency-key", "job-1", "--endpoint", url];
    expect((await run(["put", "k", "v", ...again])).out).toBe("created at revision 1\n");
    expect((await run(["put", "k", "v", ...again])).out).toBe("created at revision 1\n");
    expect(replica.machine.query({ type: "get", key: "k" })).toMatchObject({ revision: 1 });
    const other = await run(["delete", "k", ...again]);
    expect([other.code, other.err]).toEqual([2, expect.stringContaining("IDEMPOTENCY_KEY_REUSED")]);
    const bad = await run(["put", "k", "v", "--idempotency-key", "a b", "--endpoint", url]);
    expect([bad.code, bad.err]).toEqual([2, expect.stringContaining("visible characters")]);
  });

  test("an endpoint that is no endpoint is refused", async () => {
    for (const endpoint of ["http://", "ftp://x", "http://x/path", ","]) {
      const ran = await run(["get", "k", "--endpoint", endpoint]);
      expect([endpoint, ran.code]).toEqual([endpoint, 2]);
    }
    const { url } = await member();
    expect((await run(["put", "k", "v", "--endpoint", new URL(url).host])).code).toBe(0);
    const blocked = await run(["get", "k", "--endpoint", "http://127.0.0.1:10080"]);
    expect([blocked.code, blocked.err]).toEqual([2, expect.stringContaining("fetch refuses")]);
    const stranger = await odd((socket) => {
      socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi");
    });
    expect((await run(["delete", "k", "--endpoint", stranger])).code).toBe(1);
  });
});

describe("status", () => {
  test("shows every endpoint, aligned, and ends with 4 where nobody leads", async () => {
    const leader = new FakeReplica();
    leader.current = statusOf({ role: "leader", isLeader: true, leader: "n1", leaderForMs: 5 });
    const one = await member(leader);
    const two = await member();
    two.replica.current = statusOf({ id: "n2", leader: "n1" });
    const gone = NOBODY;
    const endpoints = [one.url, two.url, gone].join(",");
    const ran = await run(["status", "--endpoint", endpoints]);
    expect(ran.code).toBe(0);
    const lines = ran.out.trimEnd().split("\n");
    expect(lines.length).toBe(4);
    expect(lines[1]).toMatch(/^http:\S+ +n1 +Leader +3 +n1 +9 +9 +- +0 +\d+ m?s$/);
    expect(lines[2]).toMatch(/^http:\S+ +n2 +Follower +3 +n1 +9 +9 +- +0 +\d+ m?s$/);
    expect(lines[3]).toMatch(/^http:\S+ +- +cannot be reached$/);
    expect(lines[1]!.indexOf("Leader")).toBe(lines[2]!.indexOf("Follower"));
    const json = await run(["status", "--json", "--endpoint", endpoints]);
    expect(JSON.parse(json.out)).toMatchObject([{ status: { member: { id: "n1" } } }, {}, {}]);
    two.replica.current = statusOf({ leader: undefined });
    expect((await run(["status", "--endpoint", two.url])).code).toBe(4);
    expect((await run(["status", "--endpoint", gone])).code).toBe(4);
  });

  test("has colours in a terminal that wants them", async () => {
    const { url } = await member();
    const args = ["status", "--endpoint", url];
    expect((await run(args, { isTTY: true })).out).toContain("\u001b[");
    const plain = await run(args, { isTTY: true, env: { NO_COLOR: "1" } });
    expect(plain.out).not.toContain("\u001b[");
  });
});

describe("transfer", () => {
  test("has leadership moved and says who leads then", async () => {
    const { url, replica } = await member();
    const endpoint = ["--endpoint", url];
    expect(await run(["transfer", "n2", ...endpoint])).toMatchObject({
      code: 0,
      out: "n2 leads\n",
    });
    expect(replica.options?.timeoutMs).toBeGreaterThan(9_000);
    const best = await run(["transfer", "--json", ...endpoint]);
    expect(JSON.parse(best.out)).toEqual({ leader: "n3" });
  });

  test("names what is wrong with the wish", async () => {
    const { url, replica } = await member();
    replica.fail = new QuorateError("MEMBER_NOT_VOTER", "x1 is no voter");
    const refused = await run(["transfer", "x1", "--endpoint", url]);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain("x1 is no voter (MEMBER_NOT_VOTER)");
  });
});
