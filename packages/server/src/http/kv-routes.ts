/**
 * The key-value routes.
 *
 * A key is a path segment (`/kv/a%2Fb`) or the parameter `key` (`/kv?key=a/b`), which also reaches
 * `.` and `..`: clients fold those away in paths. Reads are linearizable on every member unless
 * something else is asked for (read-parameters.ts). A value is answered as the raw bytes that were
 * put; its revision is in `ETag` and in `X-Quorate-Revision`. Writes may carry an `Idempotency-Key`
 * (idempotency.ts).
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { CallOptions, ReadOptions, Replica } from "quorate";
import type {
  Conflict,
  DeleteCommand,
  DeleteDone,
  Item,
  KvCommand,
  KvQuery,
  PutCommand,
  PutDone,
} from "../store/command.ts";
import type { Key } from "../store/key.ts";
import { keyToText } from "../store/key.ts";
import { HttpError } from "./http-error.ts";
import { named, settled } from "./idempotency.ts";
import { conditionOf, isKnown, tagOf } from "./precondition.ts";
import { readTerms } from "./read-parameters.ts";
import type { Parameters } from "./target.ts";
import {
  checkKey,
  flagOf,
  integerOf,
  keyOfSegment,
  parametersOf,
  percentDecode,
  restOfPath,
} from "./target.ts";

/** What the routes need. */
export interface KvRoutesOptions {
  /** Called from the first request on. */
  readonly replica: () => Replica<KvCommand, KvQuery>;
  readonly keyBytesMax: number;
  readonly valueBytesMax: number;
}

/** Bounds of the HTTP face that need no option. */
export const HTTP_LIMITS = {
  timeoutMsMax: 60_000,
  listLimitDefault: 100,
  listLimitMax: 1_000,
  /** Keys, and values where they are asked for, of one page. */
  listBytesMax: 1_048_576,
} as const;

/** The header that carries a revision. */
export const REVISION_HEADER = "x-quorate-revision";

const JSON_TYPE = "application/json; charset=utf-8";
const READ_PARAMETERS = ["consistency", "maxStalenessMs", "local", "timeoutMs"];
const WRITE_PARAMETERS = ["timeoutMs"];
const LIST_PARAMETERS = ["prefix", "after", "limit", "values", ...READ_PARAMETERS];
const KEY_READ_PARAMETERS = ["key", ...READ_PARAMETERS];
const KEY_WRITE_PARAMETERS = ["key", ...WRITE_PARAMETERS];
const NO_BYTES = new Uint8Array(0);

/** Adds `/kv` and what is below it. */
export function addKvRoutes(app: FastifyInstance, options: KvRoutesOptions): void {
  const routes = new KvRoutes(options);
  app.get("/kv", (request, reply) => routes.getOrList(request, reply));
  app.put("/kv", (request, reply) => routes.putNamed(request, reply));
  app.post("/kv", (request, reply) => routes.putNamed(request, reply));
  app.delete("/kv", (request, reply) => routes.deleteNamed(request, reply));
  app.get("/kv/*", (request, reply) => routes.get(request, reply));
  app.put("/kv/*", (request, reply) => routes.put(request, reply));
  app.post("/kv/*", (request, reply) => routes.post(request, reply));
  app.delete("/kv/*", (request, reply) => routes.delete(request, reply));
}

class KvRoutes {
  readonly #replica: () => Replica<KvCommand, KvQuery>;
  readonly #keyBytesMax: number;
  readonly #valueBytesMax: number;

  constructor(options: KvRoutesOptions) {
    this.#replica = options.replica;
    this.#keyBytesMax = options.keyBytesMax;
    this.#valueBytesMax = options.valueBytesMax;
  }

  get(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const url = request.raw.url!;
    return this.#get(request, reply, this.#keyOfPath(url), parametersOf(url, READ_PARAMETERS));
  }

  getOrList(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const url = request.raw.url!;
    const isGet = /[?&]key(=|&|$)/.test(url);
    const parameters = parametersOf(url, isGet ? KEY_READ_PARAMETERS : LIST_PARAMETERS);
    if (!isGet) return this.#list(reply, parameters);
    return this.#get(request, reply, this.#keyOfParameter(parameters), parameters);
  }

  put(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const url = request.raw.url!;
    const parameters = parametersOf(url, WRITE_PARAMETERS);
    const command = putOf(request, this.#keyOfPath(url), bodyOf(request));
    return this.#put(reply, command, parameters);
  }

  putNamed(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const parameters = parametersOf(request.raw.url!, KEY_WRITE_PARAMETERS);
    const command = putOf(request, this.#keyOfParameter(parameters), bodyOf(request));
    return this.#put(reply, command, parameters);
  }

  /** Either `/kv/key` with the value as the body or `/kv/key/value` without a body. */
  post(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const url = request.raw.url!;
    const rest = restOfPath(url);
    const slash = rest.indexOf("/");
    if (slash < 0) return this.put(request, reply);
    const key = keyOfSegment(rest.slice(0, slash), this.#keyBytesMax);
    const value = this.#valueOfSegment(rest.slice(slash + 1));
    if (bodyOf(request).length > 0) {
      throw new HttpError("REQUEST_INVALID", "the value is in the path already: send no body");
    }
    const command = putOf(request, key, value);
    return this.#put(reply, command, parametersOf(url, WRITE_PARAMETERS));
  }

  delete(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const url = request.raw.url!;
    const key = this.#keyOfPath(url);
    return this.#delete(request, reply, key, parametersOf(url, WRITE_PARAMETERS));
  }

  deleteNamed(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const parameters = parametersOf(request.raw.url!, KEY_WRITE_PARAMETERS);
    return this.#delete(request, reply, this.#keyOfParameter(parameters), parameters);
  }

  async #get(
    request: FastifyRequest,
    reply: FastifyReply,
    key: Key,
    parameters: Parameters,
  ): Promise<FastifyReply> {
    const item: Item | undefined = await this.#replica().read(
      { type: "get", key },
      readOptions(reply, parameters),
    );
    reply.header("cache-control", "no-cache");
    if (item === undefined) {
      throw new HttpError("KEY_NOT_FOUND", `the key ${JSON.stringify(keyToText(key))} is absent`);
    }
    setRevision(reply, item.revision);
    if (isKnown(request.headers, item.revision)) return reply.code(304).send();
    const { buffer, byteOffset, byteLength } = item.value;
    // The content is somebody's bytes: a browser must not guess that they are a page.
    reply.header("x-content-type-options", "nosniff").type("application/octet-stream");
    return reply.send(Buffer.from(buffer, byteOffset, byteLength));
  }

  async #list(reply: FastifyReply, parameters: Parameters): Promise<FastifyReply> {
    const withValues = flagOf(parameters, "values");
    const bounds = { min: 1, max: HTTP_LIMITS.listLimitMax };
    const page = await this.#replica().read(
      {
        type: "list",
        prefix: checkText(parameters, "prefix") ?? "",
        after: checkText(parameters, "after"),
        limit: integerOf(parameters, "limit", bounds) ?? HTTP_LIMITS.listLimitDefault,
        bytesMax: HTTP_LIMITS.listBytesMax,
        withValues,
      },
      readOptions(reply, parameters),
    );
    const items = page.items.map(({ key, revision, value }) => {
      const item = { key: textOf(key), revision, bytes: value.length };
      return withValues ? { ...item, valueBase64: base64(value) } : item;
    });
    const next = page.more ? items.at(-1)!.key : null;
    return sendJson(reply.header("cache-control", "no-cache"), { items, next });
  }

  async #put(
    reply: FastifyReply,
    command: PutCommand,
    parameters: Parameters,
  ): Promise<FastifyReply> {
    const written = await this.#replica().write(command, callOptions(reply, parameters));
    const result = settled<PutDone | Conflict>(written, reply);
    if (result.type === "conflict") throw conflictOf(command.key, result);
    const { revision, created } = result;
    setRevision(reply, revision);
    return sendJson(reply, { key: textOf(command.key), revision, created });
  }

  async #delete(
    request: FastifyRequest,
    reply: FastifyReply,
    key: Key,
    parameters: Parameters,
  ): Promise<FastifyReply> {
    const condition = conditionOf(request.headers);
    if (condition.type === "absent") {
      throw new HttpError("REQUEST_INVALID", "If-None-Match makes no sense on a DELETE");
    }
    const command = named<DeleteCommand>({ type: "delete", key, condition }, request.headers);
    const written = await this.#replica().write(command, callOptions(reply, parameters));
    const result = settled<DeleteDone | Conflict>(written, reply);
    if (result.type === "conflict") throw conflictOf(key, result);
    const { revision, deleted } = result;
    reply.header(REVISION_HEADER, String(revision));
    return sendJson(reply, { key: textOf(key), revision, deleted });
  }

  #keyOfPath(url: string): Key {
    const rest = restOfPath(url);
    if (!rest.includes("/")) return keyOfSegment(rest, this.#keyBytesMax);
    const hint = "write a slash within a key as %2F; only POST takes /kv/<key>/<value>";
    throw new HttpError("METHOD_NOT_ALLOWED", `two segments behind /kv: ${hint}`, {
      allow: "POST",
    });
  }

  #keyOfParameter(parameters: Parameters): Key {
    const key = parameters.get("key");
    if (key !== undefined) return checkKey(key, this.#keyBytesMax);
    const hint = "name it as /kv/<key> or /kv?key=<key>";
    throw new HttpError("KEY_INVALID", `no key is given: ${hint}`);
  }

  #valueOfSegment(segment: string): Uint8Array {
    if (segment.includes("/")) {
      throw new HttpError("REQUEST_INVALID", "write a slash within the value as %2F");
    }
    const value = percentDecode(segment);
    if (value === undefined) {
      throw new HttpError("REQUEST_INVALID", "the value in the path is not valid percent-encoding");
    }
    if (value.length > this.#valueBytesMax) throw valueTooLarge(this.#valueBytesMax);
    return Buffer.from(value, "latin1");
  }
}

/** The error of a value that is over the limit. */
export function valueTooLarge(valueBytesMax: number): HttpError {
  const limit = `at most ${valueBytesMax} bytes are allowed (valueBytesMax)`;
  return new HttpError("VALUE_TOO_LARGE", `the value is too large: ${limit}`);
}

/** Sends a value as JSON, with a line end, so that it reads well in a terminal. */
export function sendJson(reply: FastifyReply, value: unknown, indent?: number): FastifyReply {
  return reply.type(JSON_TYPE).send(`${JSON.stringify(value, null, indent)}\n`);
}

function putOf(request: FastifyRequest, key: Key, value: Uint8Array): PutCommand {
  const condition = conditionOf(request.headers);
  return named<PutCommand>({ type: "put", key, value, condition }, request.headers);
}

function conflictOf(key: Key, { revision }: Conflict): HttpError {
  const state = revision === 0 ? "is absent" : `has revision ${revision}`;
  const message = `the condition does not hold: ${JSON.stringify(textOf(key))} ${state}`;
  return new HttpError("PRECONDITION_FAILED", message, { revision });
}

function bodyOf(request: FastifyRequest): Uint8Array {
  return (request.body as Uint8Array | undefined) ?? NO_BYTES;
}

function setRevision(reply: FastifyReply, revision: number): void {
  reply.header("etag", tagOf(revision)).header(REVISION_HEADER, String(revision));
}

function readOptions(reply: FastifyReply, parameters: Parameters): ReadOptions {
  const terms = readTerms(parameters);
  // A local read never waits: there is nothing to end.
  return terms.consistency === "local" ? terms : { ...callOptions(reply, parameters), ...terms };
}

/** The deadline that the client asked for; and a client that goes away ends the waiting. */
export function callOptions(reply: FastifyReply, parameters: Parameters): CallOptions {
  const controller = new AbortController();
  const response = reply.raw;
  response.once("close", () => {
    if (!response.writableFinished) controller.abort();
  });
  const { signal } = controller;
  const bounds = { min: 1, max: HTTP_LIMITS.timeoutMsMax };
  const timeoutMs = integerOf(parameters, "timeoutMs", bounds);
  return timeoutMs === undefined ? { signal } : { signal, timeoutMs };
}

/** A text parameter that is compared with keys. */
function checkText(parameters: Parameters, name: string): Key | undefined {
  const value = parameters.get(name);
  if (value === undefined || keyToText(value) !== undefined) return value;
  throw new HttpError("REQUEST_INVALID", `the parameter "${name}" is not valid UTF-8`);
}

/** Every key came in over HTTP and was checked: its bytes are text. */
function textOf(key: Key): string {
  const text = keyToText(key);
  if (text === undefined)
    throw new HttpError("INTERNAL", "the store holds a key that is not UTF-8");
  return text;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
