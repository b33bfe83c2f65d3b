/**
 * Where the members of a local cluster are, and whether they can be there: the plan is checked
 * before the first process is started, so that what is wrong is told in one sentence.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { QuorateError } from "quorate";
import { HTTP_PORT_OFFSET } from "../config/member-config.ts";
import type { DevMemberPlan } from "./dev-member.ts";

/** The flags of `quorate dev`, as commander hands them over. */
export interface DevFlags {
  readonly nodes: number;
  readonly data: string;
  readonly port: number;
  readonly httpPort?: number;
}

const HOST = "127.0.0.1";
/** Remembers how many members a data directory was made for. */
const CLUSTER_FILE = "dev.json";

/** The plan of every member; throws OPTION_INVALID. */
export function planMembers(flags: DevFlags): readonly DevMemberPlan[] {
  const { nodes, data, port } = flags;
  const httpPort = flags.httpPort ?? port + HTTP_PORT_OFFSET;
  if (Math.max(port, httpPort) + nodes > 65_536) {
    throw new QuorateError("OPTION_INVALID", `there are no ${nodes} ports from ${port} on`);
  }
  if (Math.abs(port - httpPort) < nodes) {
    throw new QuorateError("OPTION_INVALID", "--port and --http-port overlap: leave more room");
  }
  const places = Array.from({ length: nodes }, (_, i) => ({
    id: `n${i + 1}`,
    rpc: `${HOST}:${port + i}`,
    http: `${HOST}:${httpPort + i}`,
  }));
  const list = places.map(({ id, rpc }) => `${id}=${rpc}`).join(",");
  const beginning = nodes === 1 ? ["--bootstrap"] : ["--members", list];
  return places.map(({ id, rpc, http }) => {
    const own = ["--id", id, "--listen", rpc, "--http", http, "--data", join(data, id)];
    const logPath = join(data, "logs", `${id}.log`);
    return { id, rpc, http, logPath, args: [...own, ...beginning, "--log-format", "json"] };
  });
}

/** Refuses data of a cluster of another size. Changes nothing. */
export function requireSameSize({ data, nodes }: DevFlags): void {
  const found = membersIn(join(data, CLUSTER_FILE));
  if (found === undefined || found === nodes) return;
  const remedy = `run it with --nodes ${found}, or say another --data`;
  throw new QuorateError("OPTION_INVALID", `${data} holds a cluster of ${found}: ${remedy}`);
}

/** Makes the directories, and notes for how many members. */
export function makeDirectory({ data, nodes }: DevFlags): void {
  mkdirSync(join(data, "logs"), { recursive: true, mode: 0o700 });
  const path = join(data, CLUSTER_FILE);
  if (membersIn(path) === undefined) {
    writeFileSync(path, `${JSON.stringify({ nodes })}\n`, { mode: 0o600 });
  }
}

function membersIn(path: string): number | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
  try {
    const { nodes } = JSON.parse(text) as { nodes?: unknown };
    if (typeof nodes === "number") return nodes;
  } catch {
    // said below
  }
  throw new QuorateError("DATA_DIR_INVALID", `${path} is damaged: it must be {"nodes": <number>}`);
}

/** Refuses ports that somebody else has. */
export async function requirePorts(plans: readonly DevMemberPlan[]): Promise<void> {
  for (const { id, rpc, http } of plans) {
    await requirePort(rpc, `the members' port of ${id}`);
    await requirePort(http, `the HTTP port of ${id}`);
  }
}

function requirePort(address: string, what: string): Promise<void> {
  const port = Number(address.slice(address.lastIndexOf(":") + 1));
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const reason = cause.code === "EADDRINUSE" ? "is in use" : `cannot be had (${cause.code})`;
      const remedy = "end what uses it (another `quorate dev`?), or choose other ports with --port";
      const message = `${address}, ${what}, ${reason}: ${remedy}`;
      reject(new QuorateError("LISTEN_FAILED", message, { cause }));
    });
    server.listen({ host: HOST, port, exclusive: true }, () => server.close(() => resolve()));
  });
}
