/**
 * The members over HTTP: who they are, and how that is changed, asked of any member.
 *
 * A change may take minutes, because new voters catch up first. So a request waits for it no longer
 * than its own `timeoutMs`, and a change that goes on is answered with 202 and the members as they
 * are by then: whoever wants to know more asks again. How long new voters have is `catchUpMs`.
 *
 * The ancestor's `POST /members/<host:port>` and `DELETE /members/<id>` work as they did, but every
 * answer is JSON, as everywhere here, where that one said `true` or `false` in a line of text.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { QuorateError } from "quorate";
import type { MemberOptions, Members, MembershipStatus, Replica } from "quorate";
import type { KvCommand, KvQuery } from "../store/command.ts";
import { HttpError } from "./http-error.ts";
import { sendJson } from "./answer.ts";
import { refuseName } from "./idempotency.ts";
import { callOptions } from "./kv-routes.ts";
import { MEMBER_BODY, parseBody, PLAN_BODY, REPLACE_BODY, SET_BODY } from "./member-bodies.ts";
import { membersPage } from "./members-shape.ts";
import type { Parameters } from "./target.ts";
import { integerOf, parametersOf, percentDecode, restOfPath } from "./target.ts";

/** A request waits so long for its change, unless it says otherwise. */
const WAIT_MS = 10_000;
/** As the library allows. */
const CATCH_UP_MS_MAX = 86_400_000;

const CHANGE_PARAMETERS = ["timeoutMs", "catchUpMs", "expectedVersion"];
const QUICK_PARAMETERS = ["timeoutMs", "expectedVersion"];

/** Adds `/members`, what is below it, and `/snapshot`. */
export function addMemberRoutes(
  app: FastifyInstance,
  options: { readonly replica: () => Replica<KvCommand, KvQuery> },
): void {
  const routes = new MemberRoutes(options.replica);
  app.get("/members", (request, reply) => routes.list(request, reply));
  app.post("/members", (request, reply) => routes.add(request, reply));
  app.put("/members", (request, reply) => routes.set(request, reply));
  app.post("/members/*", (request, reply) => routes.post(request, reply));
  app.delete("/members/*", (request, reply) => routes.remove(request, reply));
  app.post("/snapshot", async (request, reply) => {
    refuseName(request.headers);
    const wish = callOptions(reply, parametersOf(request.raw.url!, ["timeoutMs"]));
    const { index, term, bytes } = await options.replica().snapshot(wish);
    return sendJson(reply.header("cache-control", "no-store"), { index, term, bytes });
  });
}

type Change = (members: Members, options: MemberOptions) => Promise<MembershipStatus>;

class MemberRoutes {
  readonly #replica: () => Replica<KvCommand, KvQuery>;

  constructor(replica: () => Replica<KvCommand, KvQuery>) {
    this.#replica = replica;
  }

  list(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    parametersOf(request.raw.url!, []);
    return this.#send(reply, this.#replica().members.list());
  }

  add(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const member = parseBody(request, MEMBER_BODY);
    return this.#patient(request, reply, (members, options) => members.add(member, options));
  }

  set(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const list = parseBody(request, SET_BODY);
    return this.#patient(request, reply, (members, options) => members.set(list, options));
  }

  remove(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const [id, ...more] = segmentsOf(request);
    if (more.length > 0) throw notFound(request);
    return this.#quick(request, reply, (members, options) => members.remove(id!, options));
  }

  post(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const [first, action, ...more] = segmentsOf(request);
    if (more.length > 0) throw notFound(request);
    if (action !== undefined) return this.#act(request, reply, first!, action);
    if (first === "plan") return this.#plan(request, reply);
    if (first === "cancel") {
      return this.#quick(request, reply, (members, options) => members.cancel(options));
    }
    const address = first!;
    return this.#patient(request, reply, (members, options) => members.add({ address }, options));
  }

  #act(
    request: FastifyRequest,
    reply: FastifyReply,
    id: string,
    action: string,
  ): Promise<FastifyReply> {
    switch (action) {
      case "replace": {
        const body = parseBody(request, REPLACE_BODY);
        return this.#patient(request, reply, (members, options) =>
          members.replace(id, { ...options, ...body }),
        );
      }
      case "promote":
        return this.#patient(request, reply, (members, options) => members.promote(id, options));
      case "demote":
        return this.#quick(request, reply, (members, options) => members.demote(id, options));
      default:
        throw notFound(request);
    }
  }

  async #plan(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    refuseName(request.headers);
    const change = parseBody(request, PLAN_BODY);
    const wish = callOptions(reply, parametersOf(request.raw.url!, ["timeoutMs"]));
    const plan = await this.#replica().members.plan(change, wish);
    const page = { ...plan, refused: plan.refused ?? null };
    return sendJson(reply.header("cache-control", "no-store"), page, 2);
  }

  /** A change that is carried out at once. */
  async #quick(
    request: FastifyRequest,
    reply: FastifyReply,
    change: Change,
  ): Promise<FastifyReply> {
    refuseName(request.headers);
    const parameters = parametersOf(request.raw.url!, QUICK_PARAMETERS);
    const wish = { ...callOptions(reply, parameters), ...versionOf(parameters) };
    return this.#send(reply, await change(this.#replica().members, wish));
  }

  /** A change for which new voters have to catch up. */
  async #patient(
    request: FastifyRequest,
    reply: FastifyReply,
    change: Change,
  ): Promise<FastifyReply> {
    refuseName(request.headers);
    const parameters = parametersOf(request.raw.url!, CHANGE_PARAMETERS);
    const { signal, timeoutMs = WAIT_MS } = callOptions(reply, parameters);
    const bounds = { min: 1, max: CATCH_UP_MS_MAX };
    const catchUpMs = integerOf(parameters, "catchUpMs", bounds);
    const patience = AbortSignal.timeout(timeoutMs);
    const options: MemberOptions = {
      signal: AbortSignal.any(signal === undefined ? [patience] : [signal, patience]),
      ...(catchUpMs === undefined ? {} : { timeoutMs: catchUpMs }),
      ...versionOf(parameters),
    };
    const { members } = this.#replica();
    const status = await change(members, options).catch((error: unknown) => {
      const now = members.list();
      const goesOn = QuorateError.is(error) && error.outcome === "unknown";
      if (!(goesOn && patience.aborted && now.change !== undefined)) throw error;
      reply.code(202);
      return now;
    });
    return this.#send(reply, status);
  }

  #send(reply: FastifyReply, status: MembershipStatus): FastifyReply {
    const { leader } = this.#replica().status();
    return sendJson(reply.header("cache-control", "no-store"), membersPage(status, leader), 2);
  }
}

function versionOf(parameters: Parameters): { expectedVersion?: number } {
  const bounds = { min: 0, max: Number.MAX_SAFE_INTEGER };
  const expectedVersion = integerOf(parameters, "expectedVersion", bounds);
  return expectedVersion === undefined ? {} : { expectedVersion };
}

/** What is behind `/members/`, decoded. An id that cannot be one is for the library to refuse. */
function segmentsOf(request: FastifyRequest): readonly string[] {
  return restOfPath(request.raw.url!)
    .split("/")
    .map((segment) => {
      const text = percentDecode(segment);
      if (text !== undefined && text !== "") return text;
      throw new HttpError("REQUEST_INVALID", "the path does not name a member");
    });
}

function notFound(request: FastifyRequest): HttpError {
  const path = request.raw.url!.split("?", 1)[0]!;
  return new HttpError("ROUTE_NOT_FOUND", `nothing is at ${path}`);
}
