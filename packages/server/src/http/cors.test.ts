/**
 * Web pages of other origins: the named ones may use a member, and their browsers are told so.
 */
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from "fastify";
import type { Replica } from "quorate";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeReplica } from "../../../../test/harness/fake-replica.ts";
import type { KvCommand, KvQuery } from "../store/command.ts";
import { closeHttpApp, createHttpApp } from "./app.ts";

const PAGE = "https://app.example";

let app: FastifyInstance;

beforeEach(() => {
  const replica = new FakeReplica();
  app = createHttpApp({
    replica: () => replica as unknown as Replica<KvCommand, KvQuery>,
    storeSize: () => replica.machine.size,
    nowMs: () => 0,
    onError: () => {},
    keyBytesMax: 64,
    valueBytesMax: 64,
    connectionsMax: 100,
    corsOrigins: [PAGE, "http://127.0.0.1:10092"],
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

describe("pages of origins that were named", () => {
  test("may write, and see what the client needs of the answer", async () => {
    const written = await ask("PUT", "/kv/k", { headers: { origin: PAGE }, payload: "v" });
    expect(written.statusCode).toBe(200);
    expect(written.headers).toMatchObject({
      "access-control-allow-origin": PAGE,
      vary: "origin",
    });
    const exposed = String(written.headers["access-control-expose-headers"]).split(", ");
    expect(exposed).toEqual(expect.arrayContaining(["x-quorate-revision", "x-quorate-leader"]));
    // Of an answer it does not know the origin of, a cache must not think that it is for all.
    expect((await ask("GET", "/kv/k")).headers).toMatchObject({ vary: "origin" });
  });

  test("are told so before they send, by every route", async () => {
    for (const url of ["/kv/k", "/members/n3", "/status"]) {
      const asked = await ask("OPTIONS", url, {
        headers: {
          origin: PAGE,
          "access-control-request-method": "DELETE",
          "access-control-request-private-network": "true",
        },
      });
      expect([asked.statusCode, asked.body]).toEqual([204, ""]);
      expect(asked.headers).toMatchObject({
        "access-control-allow-origin": PAGE,
        "access-control-allow-methods": expect.stringContaining("DELETE") as string,
        "access-control-allow-headers": expect.stringContaining("idempotency-key") as string,
        "access-control-allow-private-network": "true",
        "access-control-max-age": "600",
      });
    }
    expect((await ask("OPTIONS", "/kv/k", { headers: { origin: PAGE } })).statusCode).toBe(405);
  });

  test("hear of errors, too", async () => {
    const missing = await ask("GET", "/kv/none", { headers: { origin: PAGE } });
    expect(missing.statusCode).toBe(404);
    expect(missing.headers["access-control-allow-origin"]).toBe(PAGE);
  });

  test("are these and no others", async () => {
    for (const origin of [`${PAGE}:8443`, "http://app.example", `${PAGE}.evil.example`, "null"]) {
      const headers = { origin, "access-control-request-method": "PUT" };
      for (const method of ["PUT", "OPTIONS"]) {
        const refused = await ask(method, "/kv/k", { headers });
        expect([origin, refused.statusCode]).toEqual([origin, 403]);
        expect(refused.headers["access-control-allow-origin"]).toBeUndefined();
      }
    }
  });
});
