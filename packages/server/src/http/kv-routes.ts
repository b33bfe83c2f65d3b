/** The key-value routes: the framework's requests to the handlers, and their answers back. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { CallOptions } from "quorate";
import { sendAnswer } from "./answer.ts";
import type { Answer } from "./answer.ts";
import { callOptionsOf } from "./kv-handlers.ts";
import type { KvHandlers, KvRequest } from "./kv-handlers.ts";
import type { Parameters } from "./target.ts";

const NO_BYTES = new Uint8Array(0);

/** Adds `/kv` and what is below it. */
export function addKvRoutes(app: FastifyInstance, handlers: KvHandlers): void {
  type Handler = (request: KvRequest) => Promise<Answer>;
  const by = (handler: Handler) => async (request: FastifyRequest, reply: FastifyReply) => {
    return sendAnswer(reply, await handler(kvRequestOf(request, reply)));
  };
  app.get(
    "/kv",
    by((request) => handlers.getOrList(request)),
  );
  app.put(
    "/kv",
    by((request) => handlers.putNamed(request)),
  );
  app.post(
    "/kv",
    by((request) => handlers.putNamed(request)),
  );
  app.delete(
    "/kv",
    by((request) => handlers.deleteNamed(request)),
  );
  app.get(
    "/kv/*",
    by((request) => handlers.get(request)),
  );
  app.put(
    "/kv/*",
    by((request) => handlers.put(request)),
  );
  app.post(
    "/kv/*",
    by((request) => handlers.post(request)),
  );
  app.delete(
    "/kv/*",
    by((request) => handlers.delete(request)),
  );
}

/** As `callOptionsOf`, for the framework's requests. */
export function callOptions(reply: FastifyReply, parameters: Parameters): CallOptions {
  return callOptionsOf({ signal: () => signalOf(reply) }, parameters);
}

function kvRequestOf(request: FastifyRequest, reply: FastifyReply): KvRequest {
  const { url, headers } = request.raw;
  const body = (request.body as Uint8Array | undefined) ?? NO_BYTES;
  return { url: url!, headers, body, signal: () => signalOf(reply) };
}

/** Aborts when the client goes away before it has its answer. */
function signalOf(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  const response = reply.raw;
  response.once("close", () => {
    if (!response.writableFinished) controller.abort();
  });
  return controller.signal;
}
