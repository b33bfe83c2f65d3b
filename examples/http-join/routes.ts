/**
 * The endpoints. Each works on every node, by GET and by POST, answers when it is decided, and says
 * with a status and a sentence where it is not.
 */
import { createServer } from "node:http";
import type { Server } from "node:http";
import { ERROR_CODES, QuorateError, RefusalCode } from "quorate";
import type { MembershipStatus, Replica } from "quorate";
import { HOST, isPort } from "./environment.ts";
import type { GetKey, RemoveKey, SetKey } from "./store.ts";

/** A node that is joined must be up: so long it has for coming and catching up. */
const JOIN_MS = 10_000;

type Node = Replica<SetKey | RemoveKey, GetKey>;
type Handler = (node: Node, given: Readonly<Record<string, string>>) => Promise<string>;

/** By path and the parameters that it takes. */
const ROUTES: Readonly<Record<string, Handler>> = {
  "/join nodeId raftPort": async (node, { nodeId = "", raftPort = "" }) => {
    if (!isPort(raftPort)) throw new HttpError(400, `raftPort is a port, not "${raftPort}"`);
    return `${nodeId} has joined; ${votersOf(await join(node, nodeId, `${HOST}:${raftPort}`))}`;
  },
  "/set key value": async (node, { key = "", value = "" }) => {
    await node.write({ type: "set", key, value });
    return `${key}=${value}`;
  },
  "/get key": async (node, { key = "" }) => {
    const value = await node.read({ type: "get", key });
    if (value === undefined) throw new HttpError(404, `there is no key ${key}`);
    return value;
  },
  // The original left it open what is removed: both can be.
  "/remove key": async (node, { key = "" }) => {
    if (await node.write({ type: "remove", key })) return `${key} is removed`;
    throw new HttpError(404, `there is no key ${key}`);
  },
  "/remove nodeId": async (node, { nodeId = "" }) => {
    return `${nodeId} has left; ${votersOf(await node.members.remove(nodeId))}`;
  },
  "/snapshot": async (node) => {
    const { index, bytes } = await node.snapshot();
    return `snapshot of everything up to entry ${index}: ${bytes} bytes`;
  },
  "/status": async (node) => {
    const { id, state, role, term, leader = "nobody", applied, snapshot } = node.status();
    const what = state === "running" ? role : state;
    const head = `${id} is ${what}; term ${term}; ${leader} leads; applied ${applied}`;
    return `${head}; snapshot ${snapshot.index}; ${votersOf(node.members.list())}`;
  },
};

/** Serves a node; not listening yet. */
export function createApp(node: Node): Server {
  return createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "", "http://node");
    answer(node, pathname, searchParams)
      .then((text) => [200, text] as const)
      .catch((error: unknown) => [statusOf(error), textOf(error)] as const)
      .then(([status, text]) => {
        response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
        response.end(`${text}\n`);
      })
      .catch((error: unknown) => response.destroy(error as Error));
    request.resume();
  });
}

async function answer(node: Node, path: string, query: URLSearchParams): Promise<string> {
  const names = [...query].flatMap(([name, value]) => (value === "" ? [] : [name])).sort();
  const handler = ROUTES[[path, ...names].join(" ")];
  if (handler !== undefined) return handler(node, Object.fromEntries(query));
  const routes = Object.keys(ROUTES).map((route) => route.split(" "));
  const takes = routes.filter(([known]) => known === path).map(([, ...wanted]) => listOf(wanted));
  if (takes.length > 0) {
    throw new HttpError(400, `${path} takes ${takes.join(", or ")}; given: ${listOf(names)}`);
  }
  const paths = new Set(routes.map(([known]) => known));
  throw new HttpError(404, `there is no ${path}, but ${[...paths].join(", ")}`);
}

function listOf(names: readonly string[]): string {
  return names.join(" and ") || "nothing";
}

/**
 * Adds a node and waits until it votes. A node that has begun a cluster of its own is refused at
 * once: its entries would have to be thrown away.
 */
async function join(node: Node, id: string, address: string): Promise<MembershipStatus> {
  const refusal = new AbortController();
  const stop = node.on("peer-refused", ({ peer, code }) => {
    if (peer === id && code === RefusalCode.cluster) refusal.abort();
  });
  try {
    const options = { timeoutMs: JOIN_MS, signal: refusal.signal };
    return await node.members.add({ id, address }, options);
  } catch (error) {
    if (!refusal.signal.aborted) throw error;
    await node.members.cancel();
    const what = `${id} has a cluster of its own, since it was started with RAFT_BOOTSTRAP`;
    const how = "end it, delete its RAFT_VOLUME_DIR, start it without, and join it again";
    throw new HttpError(409, `${what}: ${how}`);
  } finally {
    stop();
  }
}

function votersOf({ members }: MembershipStatus): string {
  const voters = members.filter(({ role }) => role === "voter").map(({ id }) => id);
  return `the cluster is ${voters.join(", ") || "not known yet"}`;
}

class HttpError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

function statusOf(error: unknown): number {
  if (error instanceof HttpError) return error.status;
  return QuorateError.is(error) ? ERROR_CODES[error.code].httpStatus : 500;
}

function textOf(error: unknown): string {
  const isTimeout = QuorateError.is(error) && error.code === "MEMBERSHIP_TIMEOUT";
  const hint = isTimeout ? ". Is the node up, at that port, and without RAFT_BOOTSTRAP?" : "";
  return `${error instanceof Error ? error.message : String(error)}${hint}`;
}
