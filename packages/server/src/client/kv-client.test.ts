/**
 * The client against the HTTP face of a member, over sockets.
 */
import type { Replica } from "quorate";
import { QuorateError } from "quorate";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FakeReplica, MEMBERS, statusOf } from "../../../../test/harness/fake-replica.ts";
import { closeHttpApp, createHttpApp, listeningAt } from "../http/app.ts";
import type { KvCommand, KvQuery } from "../store/command.ts";
import { connect } from "./index.ts";
import type { KvClient } from "./index.ts";

let replica: FakeReplica;
let client: KvClient;
let end: () => Promise<void>;

beforeEach(async () => {
  replica = new FakeReplica();
  const app = createHttpApp({
    replica: () => replica as unknown as Replica<KvCommand, KvQuery>,
    storeSize: () => replica.machine.size,
    nowMs: () => performance.now(),
    onError: () => {},
    keyBytesMax: 64,
    valueBytesMax: 2_048,
    connectionsMax: 100,
    identity: () => ({ id: "n1", leader: "n2" }),
  });
  await app.listen({ host: "127.0.0.1", port: 0 });
  client = connect({ endpoints: [`http://${listeningAt(app)}`] });
  end = () => closeHttpApp(app, 0);
});

afterEach(() => end());

test("keys and values of every kind come back as they were", async () => {
  for (const key of ["key1", "a/b", "..", "💚", "__proto__", "?#&=+ %"]) {
    expect(await client.put(key, `of ${key}`)).toMatchObject({ key, created: true });
    expect((await client.get(key))?.text()).toBe(`of ${key}`);
    expect(await client.delete(key)).toMatchObject({ key, deleted: true });
    expect(await client.get(key)).toBeUndefined();
  }
  const bytes = Uint8Array.of(0, 255, 1, 254);
  const { revision } = await client.put("bytes", bytes);
  expect(await client.get("bytes")).toMatchObject({ key: "bytes", value: bytes, revision });
  await client.put("json", { json: { a: [1, null, "x"] } });
  expect((await client.get("json"))?.json()).toEqual({ a: [1, null, "x"] });
  await client.put("empty", "");
  expect((await client.get("empty"))?.value.length).toBe(0);
});

test("conditions hold or say which revision there is", async () => {
  const first = await client.put("k", "1", { ifAbsent: true });
  await expect(client.put("k", "2", { ifAbsent: true })).rejects.toMatchObject({
    code: "PRECONDITION_FAILED",
    outcome: "not-done",
    revision: first.revision,
    status: 412,
  });
  const second = await client.put("k", "2", { ifPresent: true });
  expect(await client.compareAndSet("k", first.revision, "3")).toEqual({
    swapped: false,
    revision: second.revision,
  });
  const third = await client.compareAndSet("k", second.revision, "3");
  expect(third.swapped).toBe(true);
  await expect(client.delete("k", { ifRevision: second.revision })).rejects.toThrow(/condition/);
  expect(await client.delete("k", { ifRevision: third.revision })).toMatchObject({ deleted: true });
  expect(await client.compareAndSet("k", third.revision, "4")).toEqual({
    swapped: false,
    revision: 0,
  });
  expect((await client.compareAndSet("k", 0, "4")).swapped).toBe(true);
});

test("an update is repeated until nobody came in between", async () => {
  const add = async (): Promise<void> => {
    await client.update("n", (item) => ({ json: (item?.json(Number) ?? 0) + 1 }));
  };
  await Promise.all(Array.from({ length: 8 }, add));
  expect((await client.get("n"))?.json()).toBe(8);
  expect(await client.update("n", () => undefined)).toBeUndefined();
  expect(await client.update("m", () => "1")).toMatchObject({ created: true });
  const failing = client.update("n", () => {
    throw new RangeError("no more");
  });
  await expect(failing).rejects.toThrow(RangeError);
});

test("listings go through all pages, with values or without", async () => {
  const keys = Array.from({ length: 2_100 }, (_, i) => `k${String(i).padStart(5, "0")}`);
  for (const [i, key] of keys.entries()) {
    replica.machine.apply(
      { type: "put", key, value: Buffer.from(`v${i}`), condition: { type: "none" } },
      { index: i + 1, term: 1, timeMs: 0, version: 1 },
    );
  }
  const listed: string[] = [];
  for await (const { key } of client.list({ prefix: "k" })) listed.push(key);
  expect(listed).toEqual(keys);
  const some: string[] = [];
  for await (const item of client.items({ after: "k00009", limit: 3 })) some.push(item.text());
  expect(some).toEqual(["v10", "v11", "v12"]);
  for await (const item of client.list()) {
    expect(item).toEqual({ key: "k00000", revision: 1, bytes: 2 });
    break;
  }
});

test("a read says how old its answer may be", async () => {
  await client.get("k", { consistency: "lease", timeoutMs: 1_000 });
  expect(replica.options).toMatchObject({ consistency: "lease" });
  // The member is to answer before the client gives up.
  expect(replica.options?.timeoutMs).toBeLessThanOrEqual(750);
  expect(replica.options?.timeoutMs).toBeGreaterThan(500);
  await client.get("k", { maxStalenessMs: 500 });
  expect(replica.options).toMatchObject({ maxStalenessMs: 500 });
  await client.get("k", { consistency: "local" });
  expect(replica.options).toEqual({ consistency: "local" });
});

test("status, members and hand-over", async () => {
  replica.current = statusOf({ role: "leader", isLeader: true, leader: "n1", leaderForMs: 5 });
  const status = await client.status();
  expect(status.member).toMatchObject({ id: "n1", isLeader: true });
  const listed = await client.members.list();
  expect(listed.members).toContainEqual({ ...MEMBERS[0], role: "voter", becomes: "voter" });
  expect(await client.snapshot()).toEqual({ index: 9, term: 3, bytes: 99 });
  const nobody = connect({
    endpoints: [...client.endpoints, "http://127.0.0.1:2"],
    timeoutMs: 300,
  });
  const [good, bad] = await nobody.statusOfAll();
  expect(good).toMatchObject({ status: { member: { id: "n1" } } });
  expect(bad).toMatchObject({ error: { code: "UNREACHABLE" } });
  expect(await client.transfer("n3")).toBe("n3");
  replica.fail = new QuorateError("MEMBER_UNKNOWN", "there is no member n9");
  await expect(client.transfer("n9")).rejects.toMatchObject({
    code: "MEMBER_UNKNOWN",
    message: "there is no member n9",
  });
});
