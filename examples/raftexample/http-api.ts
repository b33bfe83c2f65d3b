/**
 * The REST face of raftexample: a key is the path as it was asked for, a value the body.
 *
 * A PUT is answered when it is committed, and a GET sees every PUT that was answered. What
 * raftexample did is there on request: `?ack=proposed` (or `Prefer: respond-async`) answers before
 * anything is known, `?local=true` reads what this member has.
 */
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { ERROR_CODES, QuorateError } from "quorate";
import type { Replica } from "quorate";
import type { Get, Put } from "./key-values.ts";
import { addressOf } from "./options.ts";

const BODY_BYTES_MAX = 1_048_576;
const ALLOW = "PUT, GET, POST, DELETE";

type Node = Replica<Put, Get>;
type Reply = { readonly status: number; readonly body?: string | Uint8Array };

/** Serves a replica; not listening yet. */
export function createApi(node: Node, say: (line: string) => void): Server {
  return createServer((request, response) => {
    answer(node, request, say)
      .catch((error: unknown) => failure(error))
      .then((reply) => send(response, reply))
      .catch((error: unknown) => response.destroy(error as Error));
  });
}

async function answer(
  node: Node,
  request: IncomingMessage,
  say: (line: string) => void,
): Promise<Reply> {
  const [, key = "", option] = /^(.*?)(?:\?(ack=proposed|local=true))?$/.exec(request.url!)!;
  switch (request.method) {
    case "PUT": {
      const value = (await bodyOf(request)).toString("latin1");
      const written = node.write({ type: "put", key, value });
      const isProposed = option === "ack=proposed" || prefersAsync(request);
      if (isProposed) written.catch((error: unknown) => say(`PUT ${key}: ${String(error)}`));
      else await written;
      return { status: 204 };
    }
    case "GET": {
      const consistency = option === "local=true" ? "local" : "linearizable";
      const value = await node.read({ type: "get", key }, { consistency });
      if (value === undefined) return { status: 404, body: "Failed to GET\n" };
      return { status: 200, body: Buffer.from(value, "latin1") };
    }
    case "POST": {
      const member = { id: idOf(key), address: addressOf((await bodyOf(request)).toString()) };
      // It may not be started yet, so it is enough that this stands in the log.
      await node.members.add(member, { until: "begun" });
      return { status: 204 };
    }
    case "DELETE":
      await node.members.remove(idOf(key));
      return { status: 204 };
    default:
      return { status: 405, body: "Method not allowed\n" };
  }
}

function idOf(key: string): string {
  if (/^\/[1-9]\d{0,8}$/.test(key)) return key.slice(1);
  throw new QuorateError("OPTION_INVALID", `the path is /<id of a member>, as /4, not ${key}`);
}

function prefersAsync({ headers }: IncomingMessage): boolean {
  return String(headers["prefer"] ?? "").includes("respond-async");
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length <= BODY_BYTES_MAX) chunks.push(chunk);
  }
  if (length <= BODY_BYTES_MAX) return Buffer.concat(chunks);
  throw new QuorateError("COMMAND_TOO_LARGE", `a value has at most ${BODY_BYTES_MAX} bytes`);
}

function failure(error: unknown): Reply {
  const status = QuorateError.is(error) ? ERROR_CODES[error.code].httpStatus : 500;
  return { status, body: `${error instanceof Error ? error.message : String(error)}\n` };
}

function send(response: ServerResponse, { status, body }: Reply): void {
  response.writeHead(status, status === 405 ? { allow: ALLOW } : {});
  response.end(body);
}
