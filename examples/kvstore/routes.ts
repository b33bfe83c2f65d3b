/**
 * The HTTP face: the routes of the KVStore application and of the early HTTP service. Everything
 * that a member of CKite could be asked is one call on the replica.
 */
import { createServer } from "node:http";
import type { Server } from "node:http";
import { ERROR_CODES, QuorateError } from "quorate";
import type { Replica, WantedMember } from "quorate";
import { get, put } from "./kv-store.ts";
import type { Get, KVStore, Put } from "./kv-store.ts";
import { statusPage } from "./status-page.ts";
import type { Format } from "./status-page.ts";

/**
 * Who comes may not be started yet, so it is enough that a change stands in the log: whoever leads
 * completes it when they come, or takes it back after 5 minutes.
 */
const BEGUN = { until: "begun" } as const;

/** What is shown: text, or a page as JSON. */
type Body = string | Record<string, unknown>;
type Handler = (args: readonly string[], query: URLSearchParams) => Promise<Body>;

/** Serves a replica and its machine; not listening yet. */
export function createApp(node: Replica<Put, Get>, machine: KVStore): Server {
  const routes = routesOf(node, machine);
  return createServer((request, response) => {
    const answer = async (): Promise<Body> => {
      const { pathname, searchParams } = new URL(request.url ?? "", "http://member");
      const [name = "", ...args] = pathname.slice(1).split("/").map(decode);
      const handler = routes[`${request.method} /${name} ${args.length}`];
      if (handler !== undefined && !args.includes("")) return handler(args, searchParams);
      throw new HttpError(404, `there is nothing under ${request.method} ${pathname}`);
    };
    const send = (status: number, body: Body): void => {
      const isText = typeof body === "string";
      response.writeHead(status, { "content-type": isText ? "text/plain" : "application/json" });
      response.end(`${isText ? body : JSON.stringify(body, null, 2)}\n`);
    };
    answer().then(
      (body) => send(200, body),
      (error: Error) => send(statusOf(error), error.message),
    );
  });
}

/** By method, first part of the path and number of parts behind it. */
function routesOf(node: Replica<Put, Get>, machine: KVStore): Record<string, Handler> {
  const read: Handler = async ([key = ""], query) => {
    const isLocal = query.get("local") === "true";
    return (await node.read(get(key), isLocal ? { consistency: "local" } : {})) ?? "null";
  };
  const write: Handler = ([key = "", value = ""]) => node.write(put(key, value));
  const status: Handler = async (_, query) => {
    return statusPage(node.status(), machine.last, formatOf(query.get("format") ?? "b"));
  };
  const add: Handler = async ([address = ""]) => {
    await node.members.add({ address }, BEGUN);
    return "true";
  };
  const remove: Handler = async ([id = ""]) => {
    await node.members.remove(id);
    return "true";
  };
  return {
    "GET /kv 1": read,
    "POST /kv 2": write,
    "POST /members 1": add,
    "DELETE /members 1": remove,
    "GET /status 0": status,
    // The early service read locally, and wrote by GET.
    "GET /put 2": write,
    "GET /get 1": async (args) => read(args, new URLSearchParams("local=true")),
    "GET /changecluster 1": async ([list = ""]) => {
      const members = list.split(",").map(memberAt);
      await node.members.set(members, BEGUN);
      return "ClusterMembershipChange ok";
    },
  };
}

function memberAt(address: string): WantedMember {
  return { id: address, address, role: "voter" };
}

function formatOf(text: string): Format {
  if (text === "a" || text === "b" || text === "c") return text;
  throw new HttpError(400, `format is a, b or c, not ${text}`);
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

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new HttpError(400, `${text} is not percent-encoded UTF-8`);
  }
}
