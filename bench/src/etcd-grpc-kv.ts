/** etcd again, over gRPC, as its own clients speak to it: the few messages needed, by hand. */
import type { PlainRequest } from "./http-request.ts";
import type { KvOperation, KvSystem } from "./kv-system.ts";

const KEY = 0x0a; // field 1 of a put and of a range, bytes
const VALUE = 0x12; // field 2 of a put, bytes
const SERIALIZABLE = Buffer.from([0x38, 1]); // field 7 of a range: true

/** The same program, spoken to over gRPC. */
export function overGrpc(etcd: KvSystem): KvSystem {
  return { ...etcd, name: `${etcd.name}-grpc`, protocol: "grpc", request };
}

function request(operation: KvOperation, key: string, value: Buffer): PlainRequest {
  const parts = [field(KEY, Buffer.from(key))];
  if (operation === "put") parts.push(field(VALUE, value));
  if (operation === "get-local") parts.push(SERIALIZABLE);
  const path = operation === "put" ? "/etcdserverpb.KV/Put" : "/etcdserverpb.KV/Range";
  return { method: "POST", path, body: Buffer.concat(parts) };
}

/** A field of bytes: its tag, its length as a varint, and they. */
function field(tag: number, bytes: Buffer): Buffer {
  const head = [tag];
  let length = bytes.length;
  for (; length > 0x7f; length >>>= 7) head.push((length & 0x7f) | 0x80);
  return Buffer.concat([Buffer.from([...head, length]), bytes]);
}
