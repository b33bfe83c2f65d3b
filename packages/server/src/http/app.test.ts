/**
 * The HTTP face over a replica that applies at once, in memory: every route, header and status
 * code. Errors of the replica are thrown by hand, because each has to arrive as its own status.
 */
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from "fastify";
import { ERROR_CODES, QuorateError } from "quorate";
import type { ErrorCode, Replica, ReplicaStatus } from "quorate";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeReplica, MEMBERS, statusOf } from "../../../../test/harness/fake-replica.ts";
import type { KvCommand, KvQuery } from "../store/command.ts";
import { closeHttpApp, createHttpApp } from "./app.ts";

const VALUE_BYTES_MAX = 2_048;
const KEY_BYTES_MAX = 64;

let replica: FakeReplica;
let app: FastifyInstance;
let logged: unknown[];
let isClosing = false;

beforeEach(() => {
  replica = new FakeReplica();
  logged = [];
  isClosing = false;
  app = createHttpApp({
    replica: () => replica as unknown as Replica<KvCommand, KvQuery>,
    storeSize: () => replica.machine.size,
    nowMs: () => 61_000,
    onError: (error) => logged.push(error),
    keyBytesMax: KEY_BYTES_MAX,
    valueBytesMax: VALUE_BYTES_MAX,
    connectionsMax: 100,
    isClosing: () => isClosing,
  });
});

afterEach(() => closeHttpApp(app, 0));

function ask(
  method: string,
  url: string,
  more: InjectOptions = {},
): Promise<LightMyRequestResponse> {
  return app.inject({ method: method as "GET", url, ...more });
}

function errorOf(response: LightMyRequestResponse): Record<string, unknown> {
  expect(response.headers["content-type"]).toBe("application/json; charset=utf-8");
  return response.json<{ error: Record<string, unknown> }>().error;
}

describe("moving leadership", () => {
  test("answers who leads then", async () => {
    const named = await ask("POST", "/leader/transfer?to=n2&timeoutMs=700");
    expect(named.statusCode).toBe(200);
    expect(named.json()).toEqual({ leader: "n2" });
    expect(replica.options).toMatchObject({ timeoutMs: 700 });
    expect((await ask("POST", "/leader/transfer")).json()).toEqual({ leader: "n3" });
  });

  test("says what is wrong", async () => {
    replica.fail = new QuorateError("MEMBER_UNKNOWN", "there is no member n9");
    const unknown = await ask("POST", "/leader/transfer?to=n9");
    expect(unknown.statusCode).toBe(404);
    expect(errorOf(unknown)).toMatchObject({ code: "MEMBER_UNKNOWN", outcome: "not-done" });
    replica.fail = undefined;
    expect((await ask("POST", "/leader/transfer?too=n2")).statusCode).toBe(400);
    const get = await ask("GET", "/leader/transfer");
    expect(get.statusCode).toBe(405);
    expect(get.headers["allow"]).toBe("POST");
  });

  test("a member that closes ends every connection with its answer", async () => {
    expect((await ask("GET", "/status")).headers["connection"]).not.toBe("close");
    isClosing = true;
    expect((await ask("GET", "/status")).headers["connection"]).toBe("close");
  });
});

describe("writing and reading a key", () => {
  test("PUT answers the revision in the headers and in the body, GET gives the raw bytes", async () => {
    const value = Buffer.from([0, 255, 1, 254]);
    const put = await ask("PUT", "/kv/key1", { payload: value });
    expect(put.statusCode).toBe(200);
    expect(put.headers).toMatchObject({ etag: '"1"', "x-quorate-revision": "1" });
    expect(put.json()).toEqual({ key: "key1", revision: 1, created: true });
    const again = await ask("PUT", "/kv/key1", { payload: value });
    expect(again.json()).toEqual({ key: "key1", revision: 2, created: false });
    const get = await ask("GET", "/kv/key1");
    expect(get.statusCode).toBe(200);
    expect(get.rawPayload).toEqual(value);
    expect(get.headers).toMatchObject({
      etag: '"2"',
      "x-quorate-revision": "2",
      "content-type": "application/octet-stream",
      "content-length": "4",
      "x-content-type-options": "nosniff",
      "cache-control": "no-cache",
    });
  });

  test("POST takes the value as the body or in the path", async () => {
    expect((await ask("POST", "/kv/a", { payload: "1" })).json()).toMatchObject({ created: true });
    expect((await ask("POST", "/kv/b/x%2Fy%20%F0%9F%92%9A")).json()).toMatchObject({ revision: 2 });
    expect((await ask("GET", "/kv/a")).body).toBe("1");
    expect((await ask("GET", "/kv/b")).body).toBe("x/y 💚");
    expect(errorOf(await ask("POST", "/kv/b/c", { payload: "1" }))["message"]).toContain("no body");
    expect((await ask("POST", "/kv/b/c/d")).statusCode).toBe(400);
    expect((await ask("POST", "/kv/b/%zz")).statusCode).toBe(400);
    expect((await ask("POST", `/kv/b/${"v".repeat(VALUE_BYTES_MAX + 1)}`)).statusCode).toBe(413);
  });

  test("an empty value is a value", async () => {
    expect((await ask("PUT", "/kv/empty")).statusCode).toBe(200);
    const get = await ask("GET", "/kv/empty");
    expect([get.statusCode, get.body]).toEqual([200, ""]);
    expect((await ask("POST", "/kv/other/")).statusCode).toBe(200);
    expect((await ask("GET", "/kv/other")).body).toBe("");
  });

  test("an absent key is a 404 with a JSON error", async () => {
    const get = await ask("GET", "/kv/nothing");
    expect(get.statusCode).toBe(404);
    expect(errorOf(get)).toEqual({
      code: "KEY_NOT_FOUND",
      message: 'the key "nothing" is absent',
      retryable: false,
      outcome: "not-done",
    });
  });

  test("DELETE says whether the key was there", async () => {
    await ask("PUT", "/kv/k", { payload: "1" });
    const first = await ask("DELETE", "/kv/k");
    expect(first.json()).toEqual({ key: "k", revision: 2, deleted: true });
    expect(first.headers["x-quorate-revision"]).toBe("2");
    expect((await ask("DELETE", "/kv/k")).json()).toMatchObject({ deleted: false });
    expect((await ask("GET", "/kv/k")).statusCode).toBe(404);
  });

  test("HEAD is GET without the bytes", async () => {
    await ask("PUT", "/kv/k", { payload: "four" });
    const head = await ask("HEAD", "/kv/k");
    expect(head.statusCode).toBe(200);
    expect(head.headers).toMatchObject({ etag: '"1"', "content-length": "4" });
    expect(head.body).toBe("");
  });

  test("hostile keys come back exactly", async () => {
    const keys = [
      "__proto__",
      "constructor",
      "a/b",
      "..",
      ".",
      "💚",
      "100%",
      "a b+c",
      "?#&=",
      "\0",
      '"',
    ];
    for (const key of keys) {
      const query = new URLSearchParams({ key }).toString();
      expect((await ask("PUT", `/kv?${query}`, { payload: `of ${key}` })).statusCode).toBe(200);
      expect((await ask("GET", `/kv?${query}`)).body).toBe(`of ${key}`);
    }
    for (const key of keys.filter((k) => !/^\.+$/.test(k))) {
      expect((await ask("GET", `/kv/${encodeURIComponent(key)}`)).body).toBe(`of ${key}`);
    }
    const listed = (await ask("GET", "/kv")).json<{ items: { key: string }[] }>().items;
    expect(listed.map((item) => item.key).sort()).toEqual(keys.sort());
    for (const key of keys) {
      const query = new URLSearchParams({ key }).toString();
      expect((await ask("DELETE", `/kv?${query}`)).json()).toMatchObject({ key, deleted: true });
    }
    expect(replica.machine.size).toMatchObject({ keys: 0, bytes: 0 });
  });

  test("a key that is empty, too long or not UTF-8 is refused and named", async () => {
    for (const url of ["/kv/", "/kv/%ff", "/kv/%zz", "/kv?key=", "/kv?key=%ff", "/kv?key=%"]) {
      const response = await ask("GET", url);
      expect([url, response.statusCode]).toEqual([url, 400]);
      expect(errorOf(response)["message"]).toMatch(/key/);
    }
    expect((await ask("PUT", `/kv/${"k".repeat(KEY_BYTES_MAX)}`)).statusCode).toBe(200);
    const long = await ask("PUT", `/kv/${"k".repeat(KEY_BYTES_MAX + 1)}`);
    expect(errorOf(long)["message"]).toBe(
      "the key has 65 bytes; at most 64 are allowed (keyBytesMax)",
    );
    expect(errorOf(await ask("PUT", "/kv"))["message"]).toContain("no key is given");
  });

  test("a value up to the limit is taken, a larger one is a 413", async () => {
    const payload = Buffer.alloc(VALUE_BYTES_MAX, 7);
    expect((await ask("PUT", "/kv/k", { payload })).statusCode).toBe(200);
    const large = await ask("PUT", "/kv/k", { payload: Buffer.alloc(VALUE_BYTES_MAX + 1) });
    expect(large.statusCode).toBe(413);
    expect(errorOf(large)).toMatchObject({ code: "VALUE_TOO_LARGE", outcome: "not-done" });
    expect((await ask("GET", "/kv/k")).rawPayload).toEqual(payload);
  });

  test("any content type will do, malformed ones too", async () => {
    for (const type of ["application/json", "text/plain", "nonsense", "a/b; c", ";;", ""]) {
      const headers = { "content-type": type };
      const put = await ask("PUT", "/kv/k", { payload: "{not json", headers });
      expect([type, put.statusCode]).toEqual([type, 200]);
    }
    expect((await ask("GET", "/kv/k")).body).toBe("{not json");
  });
});

describe("conditions", () => {
  test("If-Match writes over that revision only", async () => {
    await ask("PUT", "/kv/k", { payload: "1" });
    const good = await ask("PUT", "/kv/k", { payload: "2", headers: { "if-match": '"1"' } });
    expect(good.json()).toMatchObject({ revision: 2 });
    const bad = await ask("PUT", "/kv/k", { payload: "3", headers: { "if-match": '"1"' } });
    expect(bad.statusCode).toBe(412);
    expect(errorOf(bad)).toMatchObject({
      code: "PRECONDITION_FAILED",
      revision: 2,
      outcome: "not-done",
    });
    expect((await ask("GET", "/kv/k")).body).toBe("2");
  });

  test("If-None-Match: * only creates, If-Match: * only replaces", async () => {
    const none = { "if-none-match": "*" };
    const some = { "if-match": "*" };
    expect(errorOf(await ask("PUT", "/kv/k", { headers: some }))).toMatchObject({ revision: 0 });
    expect((await ask("PUT", "/kv/k", { headers: none })).statusCode).toBe(200);
    expect((await ask("PUT", "/kv/k", { headers: none })).statusCode).toBe(412);
    expect((await ask("POST", "/kv/k/v", { headers: some })).statusCode).toBe(200);
    expect((await ask("POST", "/kv/k/v", { headers: none })).statusCode).toBe(412);
  });

  test("DELETE takes If-Match", async () => {
    await ask("PUT", "/kv/k", { payload: "1" });
    expect((await ask("DELETE", "/kv/k", { headers: { "if-match": '"9"' } })).statusCode).toBe(412);
    expect((await ask("DELETE", "/kv/k", { headers: { "if-none-match": "*" } })).statusCode).toBe(
      400,
    );
    expect((await ask("DELETE", "/kv/k", { headers: { "if-match": '"1"' } })).statusCode).toBe(200);
  });

  test("a condition that is not understood is refused, never ignored", async () => {
    const wrong = [
      { "if-match": "17" },
      { "if-match": '"1", "2"' },
      { "if-match": 'W/"1"' },
      { "if-match": '"99999999999999999"' },
      { "if-none-match": '"1"' },
      { "if-match": "*", "if-none-match": "*" },
    ];
    for (const headers of wrong) {
      const response = await ask("PUT", "/kv/k", { headers });
      expect([headers, response.statusCode]).toEqual([headers, 400]);
    }
    expect(replica.machine.size.keys).toBe(0);
  });

  test("a reader that has the revision already gets a 304", async () => {
    await ask("PUT", "/kv/k", { payload: "1" });
    for (const tags of ['"1"', 'W/"1"', '"9", "1"', "*"]) {
      const get = await ask("GET", "/kv/k", { headers: { "if-none-match": tags } });
      expect([get.statusCode, get.body, get.headers["etag"]]).toEqual([304, "", '"1"']);
    }
    expect((await ask("GET", "/kv/k", { headers: { "if-none-match": '"9"' } })).statusCode).toBe(
      200,
    );
  });
});

describe("listing", () => {
  beforeEach(async () => {
    for (const key of ["a", "ab", "ac", "ad", "b"])
      await ask("PUT", `/kv/${key}`, { payload: key });
  });

  test("goes through a prefix in order, page by page", async () => {
    const first = await ask("GET", "/kv?prefix=a&limit=2");
    expect(first.json()).toEqual({
      items: [
        { key: "a", revision: 1, bytes: 1 },
        { key: "ab", revision: 2, bytes: 2 },
      ],
      next: "ab",
    });
    const second = await ask("GET", "/kv?prefix=a&limit=2&after=ab");
    const { items, next } = second.json<{ items: { key: string }[]; next: unknown }>();
    expect([items.map((item) => item.key), next]).toEqual([["ac", "ad"], null]);
  });

  test("gives the values when asked, as base64", async () => {
    const page = await ask("GET", "/kv?prefix=b&values=true&local=true");
    expect(page.json()).toEqual({
      items: [{ key: "b", revision: 5, bytes: 1, valueBase64: "Yg==" }],
      next: null,
    });
  });

  test("refuses what it does not understand", async () => {
    const urls = [
      "limit=0",
      "limit=1001",
      "limit=x",
      "perfix=a",
      "local=perhaps",
      "after=%ff",
      "prefix=%z",
    ];
    for (const query of urls) {
      const response = await ask("GET", `/kv?${query}`);
      expect([query, response.statusCode]).toEqual([query, 400]);
    }
  });
});

describe("options of a call", () => {
  test("a read is linearizable unless local is asked for", async () => {
    await ask("GET", "/kv/k");
    expect(replica.options?.consistency).toBeUndefined();
    await ask("GET", "/kv/k?local=true");
    expect(replica.options).toEqual({ consistency: "local" });
    expect((await ask("GET", "/kv/k?local=yes")).statusCode).toBe(400);
  });

  test("a read may say in one way how old its answer may be", async () => {
    await ask("GET", "/kv/k?consistency=lease&timeoutMs=70");
    expect(replica.options).toMatchObject({ consistency: "lease", timeoutMs: 70 });
    await ask("GET", "/kv/k?maxStalenessMs=500");
    expect(replica.options).toMatchObject({ maxStalenessMs: 500 });
    expect(replica.options?.consistency).toBeUndefined();
    await ask("GET", "/kv?prefix=a&consistency=lease&maxStalenessMs=0");
    expect(replica.options).toMatchObject({ consistency: "lease", maxStalenessMs: 0 });
    await ask("GET", "/kv/k?consistency=local&local=true");
    expect(replica.options).toEqual({ consistency: "local" });
    const wrong = [
      "consistency=strong",
      "consistency=lease&local=true",
      "consistency=linearizable&maxStalenessMs=5",
      "local=true&maxStalenessMs=5",
      "maxStalenessMs=-1",
      "maxStalenessMs=0.5",
    ];
    for (const query of wrong) {
      const answer = await ask("GET", `/kv/k?${query}`);
      expect([query, answer.statusCode, errorOf(answer)["code"]]).toEqual([
        query,
        400,
        "REQUEST_INVALID",
      ]);
    }
    expect((await ask("PUT", "/kv/k?consistency=lease")).statusCode).toBe(400);
  });

  test("timeoutMs is the deadline of the call", async () => {
    await ask("PUT", "/kv/k?timeoutMs=250", { payload: "1" });
    expect(replica.options?.timeoutMs).toBe(250);
    expect((await ask("GET", "/kv/k?timeoutMs=60001")).statusCode).toBe(400);
    expect((await ask("PUT", "/kv/k?local=true")).statusCode).toBe(400);
  });
});

describe("routes and methods", () => {
  test("an unknown path is a 404, a known one with the wrong method a 405 with Allow", async () => {
    const unknown = await ask("GET", "/nothing?x=1");
    expect([unknown.statusCode, errorOf(unknown)["code"]]).toEqual([404, "ROUTE_NOT_FOUND"]);
    const all = "GET, HEAD, PUT, POST, DELETE";
    const cases = [
      ["PATCH", "/kv/k", all],
      ["OPTIONS", "/kv", all],
      ["POST", "/status", "GET, HEAD"],
      ["DELETE", "/health", "GET, HEAD"],
      ["GET", "/kv/a/b", "POST"],
      ["PATCH", "/kv/a/b", "POST"],
      ["PROPFIND", "/kv/a", all],
    ] as const;
    for (const [method, url, allow] of cases) {
      const response = await ask(method, url);
      expect([method, url, response.statusCode]).toEqual([method, url, 405]);
      expect(response.headers["allow"]).toBe(allow);
      expect(errorOf(response)["code"]).toBe("METHOD_NOT_ALLOWED");
    }
  });

  test("a page of another origin cannot write, and may be answered when it reads", async () => {
    const foreign = { origin: "https://evil.example" };
    expect((await ask("POST", "/kv/k/v", { headers: foreign })).statusCode).toBe(403);
    expect((await ask("PUT", "/kv/k", { headers: { origin: "null" } })).statusCode).toBe(403);
    expect((await ask("GET", "/status", { headers: foreign })).statusCode).toBe(200);
    const own = { origin: "http://127.0.0.1:10091", host: "127.0.0.1:10091" };
    expect((await ask("POST", "/kv/k/v", { headers: own })).statusCode).toBe(200);
  });
});

describe("errors of the replica", () => {
  test("each has the status of the table, says whether it happened, and who leads", async () => {
    for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
      replica.fail = new QuorateError(code, "because", { leader: "n2" });
      const response = await ask("PUT", "/kv/k", { payload: "1" });
      const row = ERROR_CODES[code];
      expect([code, response.statusCode]).toEqual([code, row.httpStatus]);
      expect(errorOf(response)).toEqual({
        code,
        message: "because",
        retryable: row.retryable,
        outcome: row.outcome,
        leader: "n2",
      });
      expect(response.headers["retry-after"]).toBe(row.httpStatus === 503 ? "1" : undefined);
    }
  });

  test("a full disk is not logged at every request: the member's events say it once", async () => {
    replica.fail = new QuorateError("DISK_FULL", "the member is read-only");
    expect((await ask("PUT", "/kv/k", { payload: "1" })).statusCode).toBe(507);
    expect(logged).toEqual([]);
  });

  test("an unexpected error is a 500 that tells nothing and is logged", async () => {
    replica.fail = new Error("secret detail");
    const response = await ask("GET", "/kv/k");
    expect(response.statusCode).toBe(500);
    expect(errorOf(response)).toMatchObject({ code: "INTERNAL", outcome: "unknown" });
    expect(response.body).not.toContain("secret");
    expect(logged).toEqual([replica.fail]);
  });
});

describe("/health", () => {
  test("is 200 only while a leader is known", async () => {
    const good = await ask("GET", "/health");
    expect([good.statusCode, good.json()]).toEqual([
      200,
      { healthy: true, id: "n1", leader: "n2" },
    ]);
    const failure = new QuorateError("STORAGE_FAILED", "the disk is gone");
    const bad: [Partial<ReplicaStatus>, string, string][] = [
      [{ leader: undefined }, "NO_LEADER", "no leader is known"],
      [{ state: "forming" }, "NO_LEADER", "every listed member"],
      [{ state: "failed", failure }, "CLOSED", "the disk is gone"],
      [{ state: "closed" }, "CLOSED", "closing"],
    ];
    for (const [change, code, text] of bad) {
      replica.current = statusOf(change);
      const response = await ask("GET", "/health");
      expect(response.statusCode).toBe(503);
      expect(response.headers["retry-after"]).toBe("1");
      const error = errorOf(response);
      expect(error["code"]).toBe(code);
      expect(error["message"]).toContain(text);
    }
  });
});

describe("/status", () => {
  const cluster = async (change: Partial<ReplicaStatus>): Promise<Record<string, unknown>> => {
    replica.current = statusOf(change);
    const response = await ask("GET", "/status");
    expect(response.statusCode).toBe(200);
    return response.json<{ cluster: Record<string, unknown> }>().cluster;
  };

  test("of a leader names its followers by address, with acknowledgements", async () => {
    const progress = {
      role: "voter",
      state: "replicate",
      inflightMessages: 0,
      inflightBytes: 0,
      health: "ok",
    } as const;
    const followers = [
      {
        ...progress,
        id: "n2",
        address: "127.0.0.1:9092",
        matchIndex: 9,
        nextIndex: 11,
        lastHeardAgoMs: 128,
      },
      {
        ...progress,
        id: "n3",
        address: "127.0.0.1:9093",
        matchIndex: 0,
        nextIndex: 1,
        lastHeardAgoMs: undefined,
      },
    ];
    const role = { role: "leader", isLeader: true, leader: "n1", leaderForMs: 61_005 } as const;
    expect(await cluster({ ...role, followers })).toEqual({
      term: 3,
      state: "Leader",
      stateInfo: {
        leaderUptime: "1.minutes+1.seconds+5.milliseconds",
        followers: {
          "127.0.0.1:9092": { lastHeartbeatACK: "128.milliseconds", matchIndex: 9, nextIndex: 11 },
          "127.0.0.1:9093": { lastHeartbeatACK: "Never", matchIndex: 0, nextIndex: 1 },
        },
      },
    });
  });

  test("of a follower says whom it follows; other states have their names", async () => {
    const following = "127.0.0.1:9092";
    expect(await cluster({})).toEqual({ term: 3, state: "Follower", stateInfo: { following } });
    const alone = { leader: undefined, leaderAddress: undefined };
    expect(await cluster(alone)).toMatchObject({ stateInfo: { following: null } });
    expect(await cluster({ role: "candidate" })).toMatchObject({
      state: "Candidate",
      stateInfo: {},
    });
    expect(await cluster({ role: "pre-candidate" })).toMatchObject({ state: "Candidate" });
    expect(await cluster({ state: "forming" })).toMatchObject({ state: "Starter" });
    expect(await cluster({ state: "failed" })).toMatchObject({ state: "Stopped" });
  });

  test("has the log, the member, its peers and its store", async () => {
    await ask("PUT", "/kv/key", { payload: "value" });
    const page = (await ask("GET", "/status")).json<Record<string, unknown>>();
    expect(page["log"]).toEqual({
      length: 10,
      commitIndex: 9,
      lastEntry: { term: 3, index: 10 },
    });
    expect(page["member"]).toMatchObject({
      id: "n1",
      state: "running",
      failure: null,
      uptime: "0.milliseconds",
    });
    expect(page["leader"]).toEqual({ id: "n2", address: "127.0.0.1:9092" });
    expect(page["store"]).toEqual({ keys: 1, bytes: 8, requests: 0, requestBytes: 0 });
    expect(page["members"]).toContainEqual({ ...MEMBERS[0], role: "voter" });
    replica.current = statusOf({ lastIndex: 0, lastTerm: 0, clusterId: "0".repeat(32) });
    const fresh = (await ask("GET", "/status")).json<Record<string, unknown>>();
    expect(fresh).toMatchObject({ log: { lastEntry: null }, member: { clusterId: null } });
  });
});
