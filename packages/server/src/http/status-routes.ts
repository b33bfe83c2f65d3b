/**
 * `/status` for people and programs that want to know, `/health` for load balancers and
 * supervisors. Both answer in every state of the member and never wait for the cluster.
 */
import type { FastifyInstance } from "fastify";
import { QuorateError } from "quorate";
import type { Replica } from "quorate";
import type { KvCommand, KvQuery, StoreSize } from "../store/command.ts";
import { sendJson } from "./answer.ts";
import { statusPage } from "./status-shape.ts";
import { parametersOf } from "./target.ts";

/** What the routes need. */
export interface StatusRoutesOptions {
  /** Called from the first request on. */
  readonly replica: () => Replica<KvCommand, KvQuery>;
  readonly storeSize: () => StoreSize;
  /** Where this face can be reached, once it listens. */
  readonly http: () => string;
  readonly nowMs: () => number;
}

/** Adds `/status` and `/health`. */
export function addStatusRoutes(app: FastifyInstance, options: StatusRoutesOptions): void {
  const { replica } = options;
  const startedMs = options.nowMs();
  app.get("/status", (request, reply) => {
    parametersOf(request.raw.url!, []);
    const page = statusPage({
      replica: replica().status(),
      store: options.storeSize(),
      http: options.http(),
      uptimeMs: options.nowMs() - startedMs,
    });
    return sendJson(reply.header("cache-control", "no-store"), page, 2);
  });
  app.get("/health", (request, reply) => {
    parametersOf(request.raw.url!, []);
    reply.header("cache-control", "no-store");
    const { state, leader, id } = replica().status();
    if (state === "running" && leader !== undefined) {
      return sendJson(reply, { healthy: true, id, leader });
    }
    throw unhealthy(replica());
  });
}

function unhealthy(replica: Replica<KvCommand, KvQuery>): QuorateError {
  const { state, failure } = replica.status();
  if (state === "failed") {
    const cause = failure?.message ?? "for a reason that is in its log";
    return new QuorateError("CLOSED", `this member has failed: ${cause}`);
  }
  if (state === "closed") return new QuorateError("CLOSED", "this member is closing");
  const forming = "waiting until every listed member was up once";
  return new QuorateError("NO_LEADER", state === "forming" ? forming : "no leader is known");
}
