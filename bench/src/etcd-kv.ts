/**
 * etcd as its package installs it, with its defaults, spoken to over its JSON gateway: the same
 * HTTP/1.1 load as everybody's. Keys and values are base64 there.
 */
import { execFileSync } from "node:child_process";
import { askJson } from "./http-request.ts";
import type { PlainRequest } from "./http-request.ts";
import { goProgram } from "./go-programs.ts";
import { NOT_INSTALLED } from "./kv-system.ts";
import type {
  FoundProgram,
  KvCommandLine,
  KvMemberSpec,
  KvOperation,
  KvSystem,
  KvTiming,
} from "./kv-system.ts";

export const etcdKv: KvSystem = {
  name: "etcd",
  protocol: "http",
  operations: ["put", "get", "get-local"],

  find(): FoundProgram {
    return versionOf("etcd") ?? NOT_INSTALLED;
  },

  command(own: KvMemberSpec, all: readonly KvMemberSpec[], timing: KvTiming): KvCommandLine {
    const peerUrl = `http://127.0.0.1:${own.peerPort}`;
    const clientUrl = `http://127.0.0.1:${own.httpPort}`;
    const options = {
      "--name": own.id,
      "--data-dir": own.dataDir,
      "--listen-peer-urls": peerUrl,
      "--initial-advertise-peer-urls": peerUrl,
      "--listen-client-urls": clientUrl,
      "--advertise-client-urls": clientUrl,
      "--initial-cluster": all
        .map(({ id, peerPort }) => `${id}=http://127.0.0.1:${peerPort}`)
        .join(","),
      "--election-timeout": String(timing.electionTimeoutMs),
      "--heartbeat-interval": String(timing.heartbeatIntervalMs),
      "--logger": "zap",
      "--log-level": "error",
    };
    return { file: "etcd", args: Object.entries(options).flat() };
  },

  async leads(httpPort: number): Promise<boolean> {
    const path = "/v3/maintenance/status";
    const status = await askJson(httpPort, { method: "POST", path, body: "{}" });
    const { leader, header } = status as { leader?: string; header: { member_id: string } };
    return leader === header.member_id;
  },

  request(operation: KvOperation, key: string, value: Buffer): PlainRequest {
    const asked: Record<string, unknown> = { key: Buffer.from(key).toString("base64") };
    if (operation === "put") asked["value"] = value.toString("base64");
    if (operation === "get-local") asked["serializable"] = true;
    const path = operation === "put" ? "/v3/kv/put" : "/v3/kv/range";
    return { method: "POST", path, body: JSON.stringify(asked) };
  },
};

/** A current release, built from its module. */
export const currentEtcdKv: KvSystem = {
  ...etcdKv,
  name: "etcd-current",

  find(): FoundProgram {
    const program = goProgram("etcd-server");
    if (program.missing !== undefined) return program;
    return versionOf(program.file) ?? { missing: "it does not run" };
  },

  command(own: KvMemberSpec, all: readonly KvMemberSpec[], timing: KvTiming): KvCommandLine {
    const program = goProgram("etcd-server");
    if (program.missing !== undefined) throw new Error(program.missing);
    return { ...etcdKv.command(own, all, timing), file: program.file };
  },
};

function versionOf(file: string): FoundProgram | undefined {
  try {
    const said = execFileSync(file, ["--version"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return { version: /etcd Version: (\S+)/.exec(said)?.[1] ?? "of unknown version" };
  } catch {
    return undefined;
  }
}
