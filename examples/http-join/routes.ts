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
type Parameters = Readonly<Record<string, string>>;

interface Route {
  /** Parameters that it must have. */
  readonly takes: readonly string[];
  run(node: Node, given: Parameters): Promise<string>;
}

const ROUTES: Readonly<Record<string, Route>> = {
  "/join": {
    takes: ["nodeId", "raftPort"],
    run: async (node, { nodeId = "", raftPort = "" }) => {
      if (!isPort(raftPort)) throw new BadRequest(400, `raftPort is a port, not "${raftPort}"`);
      return `${nodeId} has joined; ${votersOf(await join(node, nodeId, `${HOST}:${raftPort}`))}`;
    },
  },
  "/set": {
    takes: ["key", "value"],
    run: async (node, { key = "", value = "" }) => {
      await node.write({ type: "set", key, value });
      return `${key}=${value}`;
    },
  },
  "/get": {
    takes: ["key"],
    run: async (node, { key = "" }) => {
      const value = await node.read({ type: "get", key });
      if (value === undefined) throw new BadRequest(404, `there is no key ${key}`);
      return value;
    },
  },
  "/remove": {
    takes: ["key"],
    run: async (node, { key = "" }) => {
      if (await node.write({ type: "remove", key })) return `${key} is removed`;
      throw new BadRequest(404, `there is no key ${key}`);
    },
  },
  "/remove-node": {
    takes: ["nodeId"],
    run: async (node, { nodeId = "" }) => {
      return `${nodeId} has left; ${votersOf(await node.members.remove(nodeId))}`;
    },
  },
  "/snapshot": {
    takes: [],
    run: async (node) => {
      const { index, bytes } = await node.snapshot();
      return `snapshot of everything up to entry ${index}: ${bytes} bytes`;
    },
  },
  "/status": {
    takes: [],
    run: async (node) => {
      const { id, state, role, term, leader = "nobody", applied, snapshot } = node.status();
      const what = state === "running" ? role : state;
      const head = `${id} is ${what}; term ${term}; ${leader} leads; applied ${applied}`;
      return `${head}; snapshot ${snapshot.index}; ${votersOf(node.members.list())}`;
    },
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

async function answer(node: Node, path: string, given: URLSearchParams): Promise<string> {
  // The original left it open what is removed: both can be.
  const route = ROUTES[path === "/remove" && given.has("nodeId") ? "/remove-node" : path];
  if (route === undefined) {
    throw new BadRequest(404, `there is no ${path}, but ${Object.keys(ROUTES).join(", ")}`);
  }
  const { takes } = route;
  const wrong = [...given.keys()].find((name) => !takes.includes(name));
  const missing = takes.find((name) => (given.get(name) ?? "") === "");
  if (wrong === undefined && missing === undefined) {
    return route.run(node, Object.fromEntries(given));
  }
  const what = missing === undefined ? `there is no parameter ${wrong}` : `${missing} is missing`;
  throw new BadRequest(400, `${what}: ${path} takes ${takes.join(" and ") || "nothing"}`);
}

/**
 * Adds a node and waits until it votes. A node that has begun a cluster of its own is refused at
 * once: its entries would have to be thrown away.
 */
async function join(node: Node, id: string, address: string): Promise<MembershipStatus> {
  let stop = (): void => {};
  const refusal = new Promise<never>((_, reject: (error: BadRequest) => void) => {
    stop = node.on("peer-refused", ({ peer, code }) => {
      if (peer !== id || code !== RefusalCode.cluster) return;
      const what = `${id} has a cluster of its own, since it was started with RAFT_BOOTSTRAP`;
      const how = "end it, delete its RAFT_VOLUME_DIR, start it without, and join it again";
      reject(new BadRequest(409, `${what}: ${how}`));
    });
  });
  try {
    const added = node.members.add({ id, address }, { timeoutMs: JOIN_MS });
    return await Promise.race([added, refusal]);
  } catch (error) {
    if (error instanceof BadRequest) await node.members.cancel();
    throw error;
  } finally {
    stop();
  }
}

function votersOf({ members }: MembershipStatus): string {
  const voters = members.filter(({ role }) => role === "voter").map(({ id }) => id);
  return `the cluster is ${voters.join(", ") || "not known yet"}`;
}

class BadRequest extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

function statusOf(error: unknown): number {
  if (error instanceof BadRequest) return error.status;
  return QuorateError.is(error) ? ERROR_CODES[error.code].httpStatus : 500;
}

function textOf(error: unknown): string {
  const isTimeout = QuorateError.is(error) && error.code === "MEMBERSHIP_TIMEOUT";
  const hint = isTimeout ? ". Is the node up, at that port, and without RAFT_BOOTSTRAP?" : "";
  return `${error instanceof Error ? error.message : String(error)}${hint}`;
}
