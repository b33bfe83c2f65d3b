/**
 * Whole members in this process, on real parts: replica, disk, sockets, HTTP.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { QuorateError } from "quorate";
import type { ReplicaEvent } from "quorate";
import { afterEach, beforeEach, expect, test } from "vitest";
import { memberConfig } from "./config/member-config.ts";
import { startMember } from "./member.ts";
import type { RunningMember } from "./member.ts";

let directory: string;
let running: RunningMember[];
let events: ReplicaEvent[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "quorate-member-"));
  running = [];
  events = [];
});

afterEach(async () => {
  for (const member of running) await member.close();
  rmSync(directory, { recursive: true });
});

async function start(flags: Record<string, unknown> = { bootstrap: true }): Promise<RunningMember> {
  const data = join(directory, "n1");
  const own = {
    id: "n1",
    listen: "127.0.0.1:0",
    data,
    segmentBytes: 4_194_304,
    valueBytesMax: 9_999,
  };
  const config = memberConfig({ flags: { ...own, electionTimeoutMs: 200, ...flags }, env: {} });
  const member = await startMember(config, {
    event: (event) => events.push(event),
    requestFailed: (error) => expect.unreachable(String(error)),
  });
  running.push(member);
  return member;
}

test("a cluster of one serves, and has its data after a restart", async () => {
  const first = await start();
  const put = await fetch(`http://${first.http}/kv/k`, { method: "PUT", body: "value" });
  const revision = put.headers.get("x-quorate-revision");
  expect([put.status, await put.json()]).toEqual([
    200,
    { key: "k", revision: Number(revision), created: true },
  ]);
  expect((await fetch(`http://${first.http}/health`)).status).toBe(200);
  const status = (await (await fetch(`http://${first.http}/status`)).json()) as object;
  expect(status).toMatchObject({ cluster: { state: "Leader" }, store: { keys: 1, bytes: 6 } });
  await first.close();
  await expect(fetch(`http://${first.http}/health`)).rejects.toThrow();
  expect(events.map((event) => event.type)).toContain("closed");

  const second = await start({});
  const get = await fetch(`http://${second.http}/kv/k`);
  expect([await get.text(), get.headers.get("etag")]).toEqual(["value", `"${revision}"`]);
});

test("an HTTP port in use is named, and the replica is let go of", async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const http = `127.0.0.1:${(taken.address() as AddressInfo).port}`;
  const refused = await start({ bootstrap: true, http }).catch((error: unknown) => error);
  expect(QuorateError.is(refused) && refused.code).toBe("LISTEN_FAILED");
  expect((refused as Error).message).toContain(`${http}: the port is in use`);
  await new Promise((resolve) => taken.close(resolve));
  // Neither the lock of the directory nor the port of the peers is held any more.
  expect((await start({ bootstrap: true, http })).http).toBe(http);
});

test("closing answers the requests that wait, and is idempotent", async () => {
  const members = "n1=127.0.0.1:1,n2=127.0.0.1:2";
  const lonely = await start({ members });
  const seen = { answer: false };
  const waiting = fetch(`http://${lonely.http}/kv/k`, { method: "PUT", body: "v" });
  void waiting.finally(() => (seen.answer = true));
  while (lonely.replica.status().pendingWrites === 0 && !seen.answer) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all([lonely.close(), lonely.close()]);
  const answer = await waiting;
  expect(answer.status).toBe(503);
  expect(await answer.json()).toMatchObject({ error: { outcome: "not-done" } });
  await lonely.close();
});
