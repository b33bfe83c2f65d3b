/**
 * The member routes over HTTP, on a replica in memory that remembers what it was asked.
 */
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from "fastify";
import { QuorateError } from "quorate";
import type { Replica } from "quorate";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeReplica, membershipOf } from "../../../../test/harness/fake-replica.ts";
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
  return response.json<{ error: Record<string, unknown> }>().error;
}

const CHANGE = {
  phase: "catching-up",
  voters: ["n1", "n2", "n3", "n4"],
  waitsFor: ["n4"],
  lag: { n4: 17 },
  remainingMs: 4_000,
} as const;

describe("the members", () => {
  test("are listed with what changes", async () => {
    const plain = await ask("GET", "/members");
    expect(plain.statusCode).toBe(200);
    expect(plain.json()).toMatchObject({ version: 7, leader: "n2", quorum: 2, tolerates: 1 });
    expect(plain.json()).toMatchObject({ change: null });
    replica.members.current = membershipOf({ change: CHANGE });
    const changing = (await ask("GET", "/members")).json<Record<string, unknown>>();
    expect(changing["change"]).toEqual(CHANGE);
    expect(changing["members"]).toContainEqual({
      id: "n1",
      address: "127.0.0.1:9091",
      incarnation: "1".repeat(32),
      role: "voter",
      becomes: "voter",
    });
    expect((await ask("GET", "/members?x=1")).statusCode).toBe(400);
  });

  test("are changed by routes of their own", async () => {
    const json = (value: unknown): InjectOptions => ({ payload: JSON.stringify(value) });
    const n4 = { id: "n4", address: "127.0.0.1:9094" };
    await ask(
      "POST",
      "/members?catchUpMs=5000&expectedVersion=7",
      json({ ...n4, role: "learner" }),
    );
    await ask("POST", "/members/127.0.0.1:9094");
    await ask("POST", "/members/%5B::1%5D:9094");
    await ask("DELETE", "/members/n2?expectedVersion=7&timeoutMs=900");
    await ask("POST", "/members/n2/replace", json({ address: "127.0.0.1:9095" }));
    await ask("POST", "/members/n2/replace");
    await ask("POST", "/members/n2/promote");
    await ask("POST", "/members/n2/demote");
    await ask("PUT", "/members", json([n4, { ...n4, id: "n5", role: "learner" }]));
    await ask("POST", "/members/cancel");
    expect(replica.members.asked).toEqual([
      ["add", { ...n4, role: "learner" }, { timeoutMs: 5_000, expectedVersion: 7 }],
      ["add", { address: "127.0.0.1:9094" }, {}],
      ["add", { address: "[::1]:9094" }, {}],
      ["remove", "n2", { expectedVersion: 7, timeoutMs: 900 }],
      ["replace", "n2", { address: "127.0.0.1:9095" }],
      ["replace", "n2", {}],
      ["promote", "n2", {}],
      ["demote", "n2", {}],
      [
        "set",
        [
          { ...n4, role: "voter" },
          { ...n4, id: "n5", role: "learner" },
        ],
        {},
      ],
      ["cancel", {}],
    ]);
  });

  test("a change that is done is answered with the members, one that goes on with 202", async () => {
    const done = await ask("POST", "/members/n4/promote");
    expect([done.statusCode, done.json<{ change: unknown }>().change]).toEqual([200, null]);
    replica.members.hang = true;
    replica.members.current = membershipOf({ change: CHANGE });
    const going = await ask("POST", "/members/n4/promote?timeoutMs=20");
    expect([going.statusCode, going.json<{ change: unknown }>().change]).toEqual([202, CHANGE]);
    // Where it has ended meanwhile, nobody knows how: that is no 202.
    replica.members.current = membershipOf({});
    const unknown = await ask("POST", "/members/n4/promote?timeoutMs=20");
    expect([unknown.statusCode, errorOf(unknown)["outcome"]]).toEqual([504, "unknown"]);
  });

  test("refusals have their own status", async () => {
    const codes = [
      ["MEMBERSHIP_BUSY", 409],
      ["MEMBERSHIP_CHANGED", 409],
      ["MEMBERSHIP_UNSAFE", 409],
      ["MEMBER_EXISTS", 409],
      ["MEMBER_UNKNOWN", 404],
      ["MEMBERSHIP_TIMEOUT", 504],
      ["OPTION_INVALID", 400],
    ] as const;
    for (const [code, status] of codes) {
      replica.fail = new QuorateError(code, "because");
      const response = await ask("POST", "/members/n4/promote");
      expect([code, response.statusCode, errorOf(response)["code"]]).toEqual([code, status, code]);
      expect(errorOf(response)["outcome"]).toBe("not-done");
    }
  });

  test("what is not understood is refused, never guessed", async () => {
    const wrong: [string, string, unknown, RegExp][] = [
      ["POST", "/members", "nonsense", /not JSON/],
      ["POST", "/members", {}, /address in the body/],
      ["POST", "/members", { address: "x:1", rule: "learner" }, /rule/],
      ["POST", "/members", { address: "x:1", role: "witness" }, /role in the body/],
      ["PUT", "/members", { n1: "x:1" }, /the body/],
      ["PUT", "/members", [{ id: "n1" }], /0\.address in the body/],
      ["POST", "/members/plan", {}, /one of add, remove/],
      ["POST", "/members/plan", { rename: "n1" }, /one of add, remove/],
      ["POST", "/members/n2/replace", { adress: "x:1" }, /adress/],
      ["POST", "/members/n2/promote?timeout=5", undefined, /unknown parameter/],
      ["DELETE", "/members/n2?catchUpMs=5", undefined, /unknown parameter/],
      ["POST", "/members/%zz", undefined, /percent-encoded/],
      ["DELETE", "/members/", undefined, /does not name/],
    ];
    for (const [method, url, body, message] of wrong) {
      const payload = typeof body === "string" ? body : JSON.stringify(body);
      const more = body === undefined ? {} : { payload };
      const response = await ask(method, url, more);
      expect([url, response.statusCode]).toEqual([url, 400]);
      expect(errorOf(response)["message"]).toMatch(message);
    }
    expect((await ask("POST", "/members/n2/dance")).statusCode).toBe(404);
    expect((await ask("POST", "/members/n2/promote/now")).statusCode).toBe(404);
    expect((await ask("DELETE", "/members/n2/promote")).statusCode).toBe(404);
    expect((await ask("PATCH", "/members")).headers["allow"]).toBe("GET, HEAD, POST, PUT");
    expect((await ask("GET", "/members/n2")).headers["allow"]).toBe("POST, DELETE");
    const named = { headers: { "idempotency-key": "x" } };
    expect((await ask("POST", "/members/n2/promote", named)).statusCode).toBe(400);
    expect(replica.members.asked).toEqual([]);
  });

  test("a plan changes nothing", async () => {
    const response = await ask("POST", "/members/plan", { payload: '{"remove":"n2"}' });
    expect(response.json()).toMatchObject({ version: 7, refused: null, steps: [] });
    expect(replica.members.asked).toEqual([["plan", { remove: "n2" }]]);
  });
});

describe("snapshots", () => {
  test("are taken when asked for", async () => {
    const response = await ask("POST", "/snapshot?timeoutMs=900");
    expect([response.statusCode, response.json()]).toEqual([200, { index: 9, term: 3, bytes: 99 }]);
    expect(replica.options).toMatchObject({ timeoutMs: 900 });
    expect((await ask("GET", "/snapshot")).headers["allow"]).toBe("POST");
  });
});
