/**
 * antietcd, the Raft-like store of npm that speaks a part of etcd's JSON gateway. It is measured
 * where it is installed (`npm install --no-save antietcd`), durable like everybody here: without a
 * persistence interval it writes its file before it answers. It keeps its own timing, which is
 * coarser than ours.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { etcdKv } from "./etcd-kv.ts";
import { NOT_INSTALLED } from "./kv-system.ts";
import type { FoundProgram, KvCommandLine, KvMemberSpec, KvSystem } from "./kv-system.ts";

const { resolve } = createRequire(import.meta.url);

export const antietcdKv: KvSystem = {
  ...etcdKv,
  name: "antietcd",
  operations: ["put", "get-local"],

  find(): FoundProgram {
    try {
      const manifest = readFileSync(resolve("antietcd/package.json"), "utf8");
      const { version } = JSON.parse(manifest) as { version: string };
      return { version };
    } catch {
      return NOT_INSTALLED;
    }
  },

  command(own: KvMemberSpec, all: readonly KvMemberSpec[]): KvCommandLine {
    const cluster = all.map(({ id, httpPort }) => `${id}=http://127.0.0.1:${httpPort}`).join(",");
    const options = {
      "--ip": "127.0.0.1",
      "--port": String(own.httpPort),
      "--data": `${own.dataDir}.gz`,
      "--node_id": own.id,
      "--cluster_key": "bench",
      "--cluster": cluster,
    };
    const program = resolve("antietcd/antietcd-app.js");
    return { file: process.execPath, args: [program, ...Object.entries(options).flat()] };
  },
};
