/**
 * The real thing: sockets, disks and timers of this machine. Everything else runs on virtual time.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openReplica } from "../index.ts";
import { nodeChecksum, nodeDigest } from "./node-checksum.ts";
import { nodeClock } from "./node-clock.ts";
import { nodeRandom } from "./node-random.ts";
import { crc32 } from "../util/checksum.ts";
import { toHex, utf8 } from "../util/bytes.ts";
import type { Command, Node, Query } from "./world-harness.ts";
import { add, Counter, errorOf, total } from "./world-harness.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "quorate-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const QUICK = { electionTimeoutMs: 1_000, callTimeoutMs: 20_000, segmentBytes: 1_048_576 };

async function open(id: string, part: object): Promise<Node> {
  const dataDir = join(directory, id);
  const machine = new Counter();
  return openReplica<Command, Query>({
    id,
    listen: "127.0.0.1:0",
    dataDir,
    machine,
    ...QUICK,
    ...part,
  });
}

async function freeAddresses(count: number): Promise<string[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((s) => new Promise((resolve) => s.once("listening", resolve))));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports.map((port) => `127.0.0.1:${port}`);
}

test("a cluster of one on a real disk: write, read, close, open again", async () => {
  {
    await using node = await open("n1", { start: { bootstrap: true } });
    expect(await node.leader()).toBe("n1");
    expect(await node.write(add(2))).toBe(2);
    expect(await node.read(total)).toBe(2);
    expect(node.status().address).toMatch(/^127\.0\.0\.1:[1-9]\d*$/);
    const twice = await errorOf(open("n1", {}));
    expect(twice.code).toBe("DATA_DIR_LOCKED");
  }
  await using again = await open("n1", {});
  expect(await again.read(total)).toBe(2);
  expect(await again.write(add(3))).toBe(5);
});

test("three members over TCP: writes and reads on each, a leader lost and back", async () => {
  const members = (await freeAddresses(3)).map((address, i) => ({ id: `n${i + 1}`, address }));
  const opening = members.map(({ id, address }) =>
    open(id, { listen: address, start: { members } }),
  );
  const nodes = await Promise.all(opening);
  await Promise.all(nodes.map((node) => node.leader()));
  const results = await Promise.all(
    Array.from({ length: 90 }, (_, i) => nodes[i % 3]!.write(add())),
  );
  expect(results.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 90 }, (_, i) => i + 1));
  expect(await Promise.all(nodes.map((node) => node.read(total)))).toEqual([90, 90, 90]);
  const leader = nodes.find((node) => node.isLeader) ?? nodes[0]!;
  const rest = nodes.filter((node) => node !== leader);
  const replaced = new Promise<void>((resolve) => {
    for (const node of rest) node.on("ready", () => resolve());
  });
  await leader.close();
  await replaced;
  await Promise.all(rest.map((node) => node.leader()));
  const before = await rest[0]!.read(total);
  expect(before).toBe(90);
  expect(await rest[0]!.write(add())).toBe(91);
  const { address } = members.find(({ id }) => id === leader.id)!;
  const back = await open(leader.id, { listen: address, start: { members } });
  await back.leader();
  expect(await back.read(total)).toBe(91);
  await Promise.all([...rest, back].map((node) => node.close()));
});

test("a taken address is told with its cause, and lets go of the directory", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  const start = { bootstrap: true } as const;
  const error = await errorOf(open("n1", { listen: `127.0.0.1:${port}`, start }));
  expect(error).toMatchObject({ code: "LISTEN_FAILED", outcome: "not-done" });
  await new Promise((resolve) => server.close(resolve));
  await using node = await open("n1", { start });
  expect(await node.write(add())).toBe(1);
});

test("checksum and digest are the ones that everybody else computes", () => {
  const bytes = utf8("The quick brown fox jumps over the lazy dog");
  expect(nodeChecksum(bytes)).toBe(crc32(bytes));
  expect(nodeChecksum(bytes.subarray(9), nodeChecksum(bytes.subarray(0, 9)))).toBe(crc32(bytes));
  expect(toHex(nodeDigest(utf8("abc")))).toBe(
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});

test("random draws stay below their bound and differ", () => {
  const draws = Array.from({ length: 64 }, () => nodeRandom.below(2 ** 40));
  expect(draws.every((draw) => Number.isInteger(draw) && draw >= 0 && draw < 2 ** 40)).toBe(true);
  expect(new Set(draws).size).toBeGreaterThan(60);
  expect(nodeRandom.below(1)).toBe(0);
});

test("timers fire once and never early, a cancelled one not at all, and soon keeps its order", async () => {
  const order: string[] = [];
  const startMs = nodeClock.nowMs();
  await new Promise<void>((resolve) => {
    const cancelled = nodeClock.setTimer(1, () => order.push("cancelled"));
    cancelled.cancel();
    cancelled.cancel();
    nodeClock.setTimer(4.5, () => {
      order.push("timer");
      resolve();
    });
    nodeClock.soon(() => order.push("first"));
    nodeClock.soon(() => order.push("second"));
    order.push("now");
  });
  expect(nodeClock.nowMs() - startMs).toBeGreaterThanOrEqual(4.5);
  expect(order).toEqual(["now", "first", "second", "timer"]);
});
