/** Our own server, as its users start it: `quorate start` with what is the default there. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { askJson } from "./http-request.ts";
import type { PlainRequest } from "./http-request.ts";
import type {
  FoundProgram,
  KvCommandLine,
  KvMemberSpec,
  KvOperation,
  KvSystem,
  KvTiming,
} from "./kv-system.ts";

const PROGRAM = fileURLToPath(new URL("../../packages/server/bin/quorate.js", import.meta.url));
const LOOP_DELAY = new URL("./loop-delay-process.js", import.meta.url).href;
const MANIFEST = new URL("../../packages/server/package.json", import.meta.url);

const CONSISTENCY = { get: "", "get-lease": "?consistency=lease", "get-local": "?local=true" };

/** The server with its keys in memory or on disk. */
export function quorateOn(store: "memory" | "disk"): KvSystem {
  return {
    ...quorateKv,
    command(own, all, timing): KvCommandLine {
      const { args, ...rest } = quorateKv.command(own, all, timing);
      return { ...rest, args: [...args, "--store", store] };
    },
  };
}

export const quorateKv: KvSystem = {
  name: "quorate",
  protocol: "http",
  operations: ["put", "get", "get-lease", "get-local"],

  find(): FoundProgram {
    const { version } = JSON.parse(readFileSync(MANIFEST, "utf8")) as { version: string };
    return { version };
  },

  command(own: KvMemberSpec, all: readonly KvMemberSpec[], timing: KvTiming): KvCommandLine {
    const members = all.map(({ id, peerPort }) => `${id}=127.0.0.1:${peerPort}`).join(",");
    const options = {
      "--id": own.id,
      "--listen": `127.0.0.1:${own.peerPort}`,
      "--http": `127.0.0.1:${own.httpPort}`,
      "--data": own.dataDir,
      "--members": members,
      "--election-timeout": String(timing.electionTimeoutMs),
      "--heartbeat-interval": String(timing.heartbeatIntervalMs),
      "--log-level": "warn",
    };
    return {
      file: process.execPath,
      args: [
        ...["--import", LOOP_DELAY, PROGRAM, "start", "--lease-reads"],
        ...Object.entries(options).flat(),
      ],
      tellsLoopDelay: true,
    };
  },

  async leads(httpPort: number): Promise<boolean> {
    const status = await askJson(httpPort, { method: "GET", path: "/status" });
    return (status as { member: { isLeader: boolean } }).member.isLeader;
  },

  request(operation: KvOperation, key: string, value: Buffer): PlainRequest {
    if (operation === "put") return { method: "PUT", path: `/kv/${key}`, body: value };
    return { method: "GET", path: `/kv/${key}${CONSISTENCY[operation]}` };
  },
};
