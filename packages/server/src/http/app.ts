/**
 * The HTTP face of one member: routes, limits and errors.
 *
 * - Every answer that is not a value is JSON, errors included, whatever goes wrong: a malformed
 *   request line as much as an unknown route.
 * - Time and size are bounded before anything else is done: headers within 10 s, a whole request
 *   within 30 s, a number of connections, the size of a value.
 * - Nothing is authenticated yet. What web pages in somebody's browser may do is in cors.ts.
 */
import type { Socket } from "node:net";
import type { IncomingMessage, ServerResponse } from "node:http";
import { fastify } from "fastify";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Replica } from "quorate";
import type { KvCommand, KvQuery, StoreSize } from "../store/command.ts";
import { sendAnswer } from "./answer.ts";
import { Origins } from "./cors.ts";
import { errorAnswer } from "./error-answer.ts";
import { HttpError, HTTP_ERROR_CODES } from "./http-error.ts";
import type { HttpErrorCode } from "./http-error.ts";
import { KvHandlers } from "./kv-handlers.ts";
import { addKvRoutes } from "./kv-routes.ts";
import { FastLane } from "./lane/fast-lane.ts";
import { addLeaderRoutes } from "./leader-routes.ts";
import { addMemberRoutes } from "./member-routes.ts";
import { addStatusRoutes } from "./status-routes.ts";

/** What the HTTP face needs. */
export interface HttpAppOptions {
  /** Called from the first request on. */
  readonly replica: () => Replica<KvCommand, KvQuery>;
  readonly storeSize: () => StoreSize;
  /** Monotonic time in ms. */
  readonly nowMs: () => number;
  /** This member and who leads as it knows: said with every answer, so that clients learn it. */
  readonly identity?: () => { readonly id: string; readonly leader: string | undefined };
  /** Whether the member closes: then every answer is the last of its connection. */
  readonly isClosing?: () => boolean;
  /** Told of every error that is no fault of the client. */
  readonly onError: (error: unknown, request: string) => void;
  readonly keyBytesMax: number;
  readonly valueBytesMax: number;
  readonly connectionsMax: number;
  /** Origins whose pages may use this member beside its own; default none. */
  readonly corsOrigins?: readonly string[];
}

/** Path and headers of a request: room for the longest key with every byte percent-encoded. */
const HEADER_BYTES_MAX = 32_768;
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_TIMEOUT_MS = 65_000;
/** How often Node looks for requests that are too slow; its default would make 10 s up to 40. */
const CHECK_INTERVAL_MS = 2_000;

/** The fast lane of each face. */
const lanes: WeakMap<FastifyInstance, FastLane> = new WeakMap();

/** Makes the HTTP face; the caller makes it listen and closes it. */
export function createHttpApp(options: HttpAppOptions): FastifyInstance {
  const handleError = (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const target = { method: request.method, url: request.raw.url! };
    sendAnswer(reply, errorAnswer(options, error, target));
  };
  const handlers = new KvHandlers(options);
  const app = fastify({
    logger: false,
    bodyLimit: options.valueBytesMax,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    forceCloseConnections: "idle",
    return503OnClosing: false,
    http: {
      headersTimeout: HEADERS_TIMEOUT_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      // Node would answer without a body; see `beforeRequest`.
      requireHostHeader: false,
    },
    routerOptions: { maxParamLength: HEADER_BYTES_MAX, querystringParser: () => ({}) },
    frameworkErrors: handleError,
    clientErrorHandler: answerClientError,
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  const origins = new Origins(options.corsOrigins ?? []);
  app.addHook("onRequest", (request, reply, done) => {
    beforeRequest(origins, { request, reply }, done);
  });
  app.addHook("onSend", (_request, reply, _payload, done) => {
    if (options.isClosing?.() === true) reply.header("connection", "close");
    reply.headers(whoAnswers(options));
    done();
  });
  app.setErrorHandler(handleError);
  app.setNotFoundHandler(refuseRoute);
  app.server.maxConnections = options.connectionsMax;
  // Node drops headers beyond this number without a word, an If-Match among them; 0 is no limit.
  app.server.maxHeadersCount = 0;
  app.server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
    const announced = Number(request.headers["content-length"]);
    if (!(announced > options.valueBytesMax)) response.writeContinue();
    app.server.emit("request", request, response);
  });
  app.server.on("checkExpectation", (request: IncomingMessage, response: ServerResponse) => {
    app.server.emit("request", request, response);
  });
  const lane = new FastLane(app.server, {
    handlers,
    valueBytesMax: options.valueBytesMax,
    answerError: (error, request) => errorAnswer(options, error, request),
    commonHeaders: () => ({ ...origins.headersOfAll(), ...whoAnswers(options) }),
    leader: () => options.identity?.().leader,
    isClosing: () => options.isClosing?.() === true,
    nowMs: options.nowMs,
    headersTimeoutMs: HEADERS_TIMEOUT_MS,
    keepAliveTimeoutMs: KEEP_ALIVE_TIMEOUT_MS,
  });
  lanes.set(app, lane);
  app.addHook("preClose", (done) => {
    lane.close();
    done();
  });
  addKvRoutes(app, handlers);
  addLeaderRoutes(app, options);
  addMemberRoutes(app, options);
  addStatusRoutes(app, { ...options, http: () => listeningAt(app) });
  return app;
}

/**
 * Closes the face: no new connection, idle ones end at once, others when they are done or `graceMs`
 * have passed. Close the replica first, so that nothing waits for it any more.
 */
export async function closeHttpApp(app: FastifyInstance, graceMs: number): Promise<void> {
  const timer = setTimeout(() => {
    app.server.closeAllConnections();
    lanes.get(app)?.closeAll();
  }, graceMs);
  try {
    await app.close();
  } finally {
    clearTimeout(timer);
  }
}

/** `host:port` of a listening app. */
export function listeningAt(app: FastifyInstance): string {
  const address = app.server.address();
  if (address === null || typeof address === "string") return "";
  const host = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return `${host}:${address.port}`;
}

/** Which member answers, and who leads as it knows. */
function whoAnswers({ identity }: HttpAppOptions): Readonly<Record<string, string>> {
  if (identity === undefined) return {};
  const { id, leader } = identity();
  const member = { "x-quorate-member": id };
  return leader === undefined ? member : { ...member, "x-quorate-leader": leader };
}

/** Requests that wait for their answers: with pipelining a connection may have several. */
const unanswered = new WeakMap<Socket, Set<IncomingMessage>>();

function noteUnanswered(request: IncomingMessage, response: ServerResponse): void {
  const requests = unanswered.get(request.socket) ?? new Set();
  unanswered.set(request.socket, requests.add(request));
  response.once("close", () => requests.delete(request));
}

/** The body is bytes, whatever the client calls it: a malformed type must not refuse a value. */
function beforeRequest(
  origins: Origins,
  { request, reply }: { readonly request: FastifyRequest; readonly reply: FastifyReply },
  done: (error?: HttpError) => void,
): void {
  noteUnanswered(request.raw, reply.raw);
  const { headers } = request.raw;
  if (headers["content-type"] !== undefined) delete headers["content-type"];
  const problem = problemOf(request.raw);
  if (problem !== undefined) {
    done(new HttpError("REQUEST_INVALID", problem));
    return;
  }
  if (origins.answer(request.raw, reply)) void reply.code(204).send();
  else done(origins.refusal(request.raw));
}

/** What Node would refuse by itself, but without a word of why. */
function problemOf({ headers, httpVersion }: IncomingMessage): string | undefined {
  if (headers.host === undefined && httpVersion === "1.1") return "a request must have a Host";
  const { expect } = headers;
  if (expect === undefined || /^100-continue$/i.test(expect)) return undefined;
  return "the only thing to Expect is 100-continue";
}

/** Unknown paths, and known ones with a method that they do not take. */
function refuseRoute(request: FastifyRequest): never {
  const path = request.raw.url!.split("?", 1)[0]!;
  const allow = allowedMethods(path);
  if (allow === undefined) {
    const routes =
      "/kv, /kv/<key>, /members, /members/<id>, /leader/transfer, /snapshot, /status and /health";
    throw new HttpError("ROUTE_NOT_FOUND", `nothing is at ${path}; there are ${routes}`);
  }
  throw new HttpError("METHOD_NOT_ALLOWED", `${path} takes ${allow}`, { headers: { allow } });
}

function allowedMethods(path: string): string | undefined {
  if (path === "/status" || path === "/health") return "GET, HEAD";
  if (path === "/leader/transfer" || path === "/snapshot") return "POST";
  if (path === "/members") return "GET, HEAD, POST, PUT";
  if (path.startsWith("/members/")) return path.includes("/", 9) ? "POST" : "POST, DELETE";
  if (path === "/kv") return "GET, HEAD, PUT, POST, DELETE";
  if (!path.startsWith("/kv/")) return undefined;
  return path.includes("/", 4) ? "POST" : "GET, HEAD, PUT, POST, DELETE";
}

/**
 * What Node's parser refuses never becomes a request: the answer is written by hand. Not while an
 * earlier request waits for its own: the client would take this one for that, and hear that nothing
 * was done of what may well have been. A connection that breaks is an unknown outcome.
 */
function answerClientError(error: Error & { readonly code?: string }, socket: Socket): void {
  const isOwed = [...(unanswered.get(socket) ?? [])].some((request) => request.complete);
  if (!socket.writable || error.code === "ECONNRESET" || isOwed) {
    socket.destroy();
    return;
  }
  const code = CLIENT_ERRORS[error.code ?? ""] ?? "REQUEST_INVALID";
  const { httpStatus, retryable, outcome, text } = HTTP_ERROR_CODES[code];
  const message = code === "REQUEST_INVALID" ? whatIsMalformed(error.code) : text;
  const body = `${JSON.stringify({ error: { code, message, retryable, outcome } })}\n`;
  const head =
    `HTTP/1.1 ${httpStatus} ${STATUS_TEXT[httpStatus] ?? "Bad Request"}\r\n` +
    "content-type: application/json; charset=utf-8\r\n" +
    `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n`;
  socket.end(head + body);
}

function whatIsMalformed(code: string | undefined): string {
  return code === "HPE_INVALID_URL"
    ? "the path holds a character that must be percent-encoded, as a space or a letter beyond ASCII"
    : "not a valid HTTP/1.1 request";
}

const CLIENT_ERRORS: Readonly<Record<string, HttpErrorCode>> = {
  HPE_HEADER_OVERFLOW: "HEADERS_TOO_LARGE",
  ERR_HTTP_REQUEST_TIMEOUT: "REQUEST_TIMEOUT",
};

const STATUS_TEXT: Readonly<Record<number, string>> = {
  408: "Request Timeout",
  431: "Request Header Fields Too Large",
};
