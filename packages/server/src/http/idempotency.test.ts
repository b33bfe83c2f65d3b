/**
 * `Idempotency-Key` over HTTP, on a replica that applies at once, in memory.
 */
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from "fastify";
import { QuorateError } from "quorate";
import type { Replica } from "quorate";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeReplica } from "../../../../test/harness/fake-replica.ts";
import type { KvCommand, KvQuery } from "../store/command.ts";
import { closeHttpApp, createHttpApp } from "./app.ts";

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
    valueBytesMax: 2_048,
    connectionsMax: 100,
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

describe("Idempotency-Key", () => {
  const once = { "idempotency-key": "order-17" };
  const put = (payload: string, headers: Record<string, string> = once) =>
    ask("PUT", "/kv/k", { payload, headers });

  test("a repeated write is answered as at first, says so, and happens once", async () => {
    const first = await put("1");
    expect(first.headers["idempotency-replayed"]).toBeUndefined();
    await put("2", {});
    for (const [method, url] of [
      ["PUT", "/kv/k"],
      ["POST", "/kv?key=k"],
      ["POST", "/kv/k/1"],
    ] as const) {
      const payload = url === "/kv/k/1" ? "" : "1";
      const again = await ask(method, url, { payload, headers: once });
      expect([again.statusCode, again.json()]).toEqual([200, first.json()]);
      expect(again.headers).toMatchObject({ etag: '"1"', "idempotency-replayed": "true" });
    }
    expect((await ask("GET", "/kv/k")).body).toBe("2");
    expect(replica.machine.size.requests).toBe(1);
  });

  test("a repeated delete does not remove what was written since", async () => {
    await put("1", {});
    const remove = (): Promise<LightMyRequestResponse> => ask("DELETE", "/kv/k", { headers: once });
    expect((await remove()).json()).toMatchObject({ deleted: true, revision: 2 });
    await put("2", {});
    const again = await remove();
    expect(again.json()).toMatchObject({ deleted: true, revision: 2 });
    expect(again.headers["idempotency-replayed"]).toBe("true");
    expect((await ask("GET", "/kv/k")).body).toBe("2");
  });

  test("a condition that did not hold at first does not hold when repeated", async () => {
    const guarded = { ...once, "if-match": '"1"' };
    const first = await put("mine", guarded);
    expect([first.statusCode, errorOf(first)["revision"]]).toEqual([412, 0]);
    await put("other", {});
    await ask("DELETE", "/kv/k");
    const again = await put("mine", guarded);
    expect([again.statusCode, errorOf(again)]).toEqual([412, errorOf(first)]);
    expect(again.headers["idempotency-replayed"]).toBe("true");
    expect((await ask("GET", "/kv/k")).statusCode).toBe(404);
  });

  test("the same key for another request is a 422, whatever differs", async () => {
    await put("1");
    const others: Promise<LightMyRequestResponse>[] = [
      put("2"),
      put("1", { ...once, "if-match": "*" }),
      ask("PUT", "/kv/other", { payload: "1", headers: once }),
      ask("DELETE", "/kv/k", { headers: once }),
    ];
    for (const other of await Promise.all(others)) {
      expect([other.statusCode, errorOf(other)["code"]]).toEqual([422, "IDEMPOTENCY_KEY_REUSED"]);
      expect(errorOf(other)).toMatchObject({ outcome: "not-done", retryable: false });
    }
    expect((await ask("GET", "/kv/k")).headers["etag"]).toBe('"1"');
    expect((await ask("GET", "/kv/other")).statusCode).toBe(404);
  });

  test("a write whose outcome was unknown may be repeated", async () => {
    replica.fail = new QuorateError("OUTCOME_UNKNOWN", "the leader is gone");
    expect((await put("1")).statusCode).toBe(504);
    replica.fail = undefined;
    expect((await put("1")).json()).toMatchObject({ revision: 1 });
    expect((await put("1")).headers["idempotency-replayed"]).toBe("true");
  });

  test("hostile keys are either names like others or refused, and never ignored", async () => {
    const good = ["__proto__", "constructor", '"quoted"', "k".repeat(255), "!", "~", "a,b", "%00"];
    for (const [i, key] of good.entries()) {
      const headers = { "idempotency-key": key };
      const url = `/kv/${i}`;
      expect((await ask("PUT", url, { headers })).statusCode).toBe(200);
      const again = await ask("PUT", url, { headers });
      expect([key, again.headers["idempotency-replayed"]]).toEqual([key, "true"]);
    }
    for (const key of ["", " ", "a b", "k".repeat(256), "\t", "\x7f", "é", "a\u0000"]) {
      const response = await put("1", { "idempotency-key": key });
      expect([key, response.statusCode]).toEqual([key, 400]);
      expect(errorOf(response)["message"]).toContain("Idempotency-Key");
    }
    expect((await ask("GET", "/kv/k")).statusCode).toBe(404);
  });

  test("has no meaning elsewhere, and is refused where one would count on it", async () => {
    expect((await ask("POST", "/leader/transfer", { headers: once })).statusCode).toBe(400);
    expect((await ask("GET", "/kv", { headers: once })).statusCode).toBe(200);
  });
});
