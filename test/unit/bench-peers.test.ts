/** How the peers of a comparison are started and spoken to. */
import { expect, test } from "vitest";
import { grpcFrame } from "../../bench/src/grpc-connection.ts";
import { loadRequest } from "../../bench/src/http-request.ts";
import { KV_OPERATIONS } from "../../bench/src/kv-system.ts";
import type { KvMemberSpec } from "../../bench/src/kv-system.ts";
import { systemNamed } from "../../bench/src/kv-systems.ts";
import { parseServerOptions } from "../../bench/src/server-options.ts";

const members = ["n1", "n2", "n3"].map((id, i): KvMemberSpec => {
  return { id, peerPort: 22_001 + i, httpPort: 22_011 + i, dataDir: `/data/${id}` };
});
const timing = { electionTimeoutMs: 700, heartbeatIntervalMs: 70 };

test("every system is given the same members and the same timing, in its own words", () => {
  for (const name of ["quorate", "etcd", "etcd-grpc"]) {
    const { args } = systemNamed(name).command(members[1]!, members, timing);
    expect(args, name).toEqual(expect.arrayContaining(["/data/n2", "700", "70"]));
    const words = args.join(" ");
    for (const { peerPort } of members) expect(words, name).toContain(String(peerPort));
    expect(words, name).toContain("22012");
  }
});

test("the JSON gateway is sent base64, and a serializable read says so", () => {
  const etcd = systemNamed("etcd");
  expect(etcd.request("put", "key", Buffer.from("v"))).toEqual({
    method: "POST",
    path: "/v3/kv/put",
    body: '{"key":"a2V5","value":"dg=="}',
  });
  expect(etcd.request("get-local", "key", Buffer.from("v")).body).toBe(
    '{"key":"a2V5","serializable":true}',
  );
  expect(etcd.request("get", "key", Buffer.from("v")).body).toBe('{"key":"a2V5"}');
});

test("a message of gRPC has its length before it, and a field its own as a varint", () => {
  expect(grpcFrame(Uint8Array.of(1, 2))).toEqual(Buffer.from([0, 0, 0, 0, 2, 1, 2]));
  const etcd = systemNamed("etcd-grpc");
  const value = Buffer.alloc(300, 7);
  const put = loadRequest("grpc", etcd.request("put", "k", value));
  expect(put.path).toBe("/etcdserverpb.KV/Put");
  const head = [0, 0, 0, 1, 50, 0x0a, 1, 0x6b, 0x12, 0xac, 2];
  expect(put.bytes).toEqual(Buffer.concat([Buffer.from(head), value]));
  const read = loadRequest("grpc", etcd.request("get-local", "k", value));
  expect(read.bytes).toEqual(Buffer.from([0, 0, 0, 0, 5, 0x0a, 1, 0x6b, 0x38, 1]));
});

test("a comparison asks a system only what it has", () => {
  expect(KV_OPERATIONS).toContain("get-lease");
  for (const name of parseServerOptions("peers", []).systems) {
    const lease = systemNamed(name).operations.includes("get-lease");
    expect(lease, name).toBe(name === "quorate");
  }
});
