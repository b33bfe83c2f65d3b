/**
 * Pages of other origins: which ones may use a member, and how their browser is told.
 *
 * A browser sends what a page asks for with the page's `Origin`. Nothing is authenticated yet, so
 * without further ado every web page that somebody on this network looks at could write. So:
 *  - a page of an origin that the operator named (`corsOrigins`) may read and write, and see the
 *    headers that the client needs;
 *  - a page of the member's own origin may, too. On loopback a *name* as origin proves nothing: any
 *    web site can have its own name resolve to 127.0.0.1. There only an address or `localhost` will
 *    do;
 *  - every other page may write nothing, and its browser does not let it see what it reads.
 *
 * Origins are named one by one. There is no `*`: it would hand the store to every page there is.
 */
import type { IncomingMessage } from "node:http";
import type { FastifyReply } from "fastify";
import { HttpError } from "./http-error.ts";

/** How long a browser may remember what it was told of an origin, in seconds. */
const REMEMBERED_S = 600;
const METHODS = "GET, HEAD, PUT, POST, DELETE";
/** What clients send, beside what browsers let every page send. */
const REQUEST_HEADERS = "content-type, idempotency-key, if-match, if-none-match";
/** What they read. */
const RESPONSE_HEADERS = [
  "allow",
  "etag",
  "idempotency-replayed",
  "retry-after",
  "x-quorate-leader",
  "x-quorate-member",
  "x-quorate-revision",
].join(", ");

/** Judges where requests come from; see the top of the file. */
export class Origins {
  readonly #named: ReadonlySet<string>;

  constructor(named: readonly string[]) {
    this.#named = new Set(named);
  }

  /** What every answer says, also to those who come from nowhere. */
  headersOfAll(): Readonly<Record<string, string>> {
    // Whoever keeps an answer for others keeps it for this origin only.
    return this.#named.size === 0 ? {} : { vary: "origin" };
  }

  /** Says in the answer what its browser has to know; true where nothing else is to be done. */
  answer({ headers, method }: IncomingMessage, reply: FastifyReply): boolean {
    if (this.#named.size === 0) return false;
    reply.headers(this.headersOfAll());
    const { origin } = headers;
    if (origin === undefined || !this.#named.has(origin)) return false;
    reply.header("access-control-allow-origin", origin);
    if (method !== "OPTIONS" || headers["access-control-request-method"] === undefined) {
      reply.header("access-control-expose-headers", RESPONSE_HEADERS);
      return false;
    }
    reply.header("access-control-allow-methods", METHODS);
    reply.header("access-control-allow-headers", REQUEST_HEADERS);
    reply.header("access-control-max-age", String(REMEMBERED_S));
    if (headers["access-control-request-private-network"] === "true") {
      reply.header("access-control-allow-private-network", "true");
    }
    return true;
  }

  /** Why this request is refused; undefined where it may go on. */
  refusal({ headers, method, socket }: IncomingMessage): HttpError | undefined {
    const { origin, host } = headers;
    if (origin === undefined || method === "GET" || method === "HEAD") return undefined;
    if (this.#named.has(origin) || isOwn(origin, host, socket.localAddress)) return undefined;
    return new HttpError("CROSS_ORIGIN", `a page of ${origin} may not write here`);
  }
}

/** Whether a page of `origin` is one of this member. */
function isOwn(origin: string, host: string | undefined, local: string | undefined): boolean {
  if (!URL.canParse(origin)) return false;
  const { host: own, hostname } = new URL(origin);
  if (own !== host) return false;
  if (local === undefined || !/^(127\.|::1$|::ffff:127\.)/.test(local)) return true;
  return hostname === "localhost" || hostname.startsWith("[") || /^[0-9.]+$/.test(hostname);
}
