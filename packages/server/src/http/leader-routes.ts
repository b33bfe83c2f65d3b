/**
 * `POST /leader/transfer`: leadership moves, asked of any member.
 *
 * Answers once the new leader is known to the asked member. That the client goes away ends the
 * waiting, not the transfer.
 */
import type { FastifyInstance } from "fastify";
import type { Replica } from "quorate";
import type { KvCommand, KvQuery } from "../store/command.ts";
import { sendJson } from "./answer.ts";
import { refuseName } from "./idempotency.ts";
import { callOptions } from "./kv-routes.ts";
import { parametersOf } from "./target.ts";

/** Adds the route. */
export function addLeaderRoutes(
  app: FastifyInstance,
  options: { readonly replica: () => Replica<KvCommand, KvQuery> },
): void {
  app.post("/leader/transfer", async (request, reply) => {
    const parameters = parametersOf(request.raw.url!, ["to", "timeoutMs"]);
    refuseName(request.headers);
    const { leadership } = options.replica();
    const wish = callOptions(reply, parameters);
    const leader = await leadership.transfer(parameters.get("to"), wish);
    return sendJson(reply.header("cache-control", "no-store"), { leader });
  });
}
