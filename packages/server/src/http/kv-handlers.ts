/**
 * What requests for keys mean, whoever read them from a socket and whoever writes the answer.
 *
 * A key is a path segment (`/kv/a%2Fb`) or the parameter `key` (`/kv?key=a/b`), which also reaches
 * `.` and `..`: clients fold those away in paths. Reads are linearizable on every member unless
 * something else is asked for (read-parameters.ts). A value is answered as the raw bytes that were
 * put; its revision is in `ETag` and in `X-Quorate-Revision`. Writes may carry an `Idempotency-Key`
 * (idempotency.ts).
 *
 * Handlers throw, at once or later, what error-answer.ts makes an answer of.
 */
import type { IncomingHttpHeaders } from "node:http";
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
import { jsonAnswer } from "./answer.ts";
import type { Answer } from "./answer.ts";
import { HttpError } from "./http-error.ts";
import { named, repetitionOf, settled } from "./idempotency.ts";
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

/** A request for keys. */
export interface KvRequest {
  /** Path and query as they came. */
  readonly url: string;
  /** Names in lower case; `host`, `origin` and the like have been judged before. */
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
  /** Made where the request is going to wait: aborts when its client has gone away. */
  signal?(): AbortSignal;
}

/** What the handlers need. */
export interface KvHandlersOptions {
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

const NO_CACHE = { "cache-control": "no-cache" };
const READ_PARAMETERS = ["consistency", "maxStalenessMs", "local", "timeoutMs"];
const WRITE_PARAMETERS = ["timeoutMs"];
const LIST_PARAMETERS = ["prefix", "after", "limit", "values", ...READ_PARAMETERS];
const KEY_READ_PARAMETERS = ["key", ...READ_PARAMETERS];
const KEY_WRITE_PARAMETERS = ["key", ...WRITE_PARAMETERS];

/** One method for each kind of request. */
export class KvHandlers {
  readonly #replica: () => Replica<KvCommand, KvQuery>;
  readonly #keyBytesMax: number;
  readonly #valueBytesMax: number;

  constructor(options: KvHandlersOptions) {
    this.#replica = options.replica;
    this.#keyBytesMax = options.keyBytesMax;
    this.#valueBytesMax = options.valueBytesMax;
  }

  /** `GET /kv/<key>` */
  get(request: KvRequest): Promise<Answer> {
    const key = this.#keyOfPath(request.url);
    return this.#get(request, key, parametersOf(request.url, READ_PARAMETERS));
  }

  /** `GET /kv?key=<key>`, and a list where no key is named. */
  getOrList(request: KvRequest): Promise<Answer> {
    const { url } = request;
    const isGet = /[?&]key(=|&|$)/.test(url);
    const parameters = parametersOf(url, isGet ? KEY_READ_PARAMETERS : LIST_PARAMETERS);
    if (!isGet) return this.#list(request, parameters);
    return this.#get(request, this.#keyOfParameter(parameters), parameters);
  }

  /** `PUT /kv/<key>` */
  put(request: KvRequest): Promise<Answer> {
    const { url, body } = request;
    const parameters = parametersOf(url, WRITE_PARAMETERS);
    return this.#put(request, putOf(request, this.#keyOfPath(url), body), parameters);
  }

  /** `PUT /kv?key=<key>` */
  putNamed(request: KvRequest): Promise<Answer> {
    const parameters = parametersOf(request.url, KEY_WRITE_PARAMETERS);
    const command = putOf(request, this.#keyOfParameter(parameters), request.body);
    return this.#put(request, command, parameters);
  }

  /** Either `/kv/<key>` with the value as the body or `/kv/<key>/<value>` without a body. */
  post(request: KvRequest): Promise<Answer> {
    const { url } = request;
    const rest = restOfPath(url);
    const slash = rest.indexOf("/");
    if (slash < 0) return this.put(request);
    const key = keyOfSegment(rest.slice(0, slash), this.#keyBytesMax);
    const value = this.#valueOfSegment(rest.slice(slash + 1));
    if (request.body.length > 0) {
      throw new HttpError("REQUEST_INVALID", "the value is in the path already: send no body");
    }
    return this.#put(request, putOf(request, key, value), parametersOf(url, WRITE_PARAMETERS));
  }

  /** `DELETE /kv/<key>` */
  delete(request: KvRequest): Promise<Answer> {
    const key = this.#keyOfPath(request.url);
    return this.#delete(request, key, parametersOf(request.url, WRITE_PARAMETERS));
  }

  /** `DELETE /kv?key=<key>` */
  deleteNamed(request: KvRequest): Promise<Answer> {
    const parameters = parametersOf(request.url, KEY_WRITE_PARAMETERS);
    return this.#delete(request, this.#keyOfParameter(parameters), parameters);
  }

  async #get(request: KvRequest, key: Key, parameters: Parameters): Promise<Answer> {
    const options = readOptions(request, parameters);
    const item: Item | undefined = await this.#replica().read({ type: "get", key }, options);
    if (item === undefined) {
      const message = `the key ${JSON.stringify(keyToText(key))} is absent`;
      throw new HttpError("KEY_NOT_FOUND", message, { headers: NO_CACHE });
    }
    const headers: Record<string, string> = {
      "cache-control": "no-cache",
      etag: tagOf(item.revision),
      [REVISION_HEADER]: String(item.revision),
    };
    if (isKnown(request.headers, item.revision)) return { status: 304, headers, body: "" };
    // The content is somebody's bytes: a browser must not guess that they are a page.
    headers["x-content-type-options"] = "nosniff";
    headers["content-type"] = "application/octet-stream";
    return { status: 200, headers, body: item.value };
  }

  async #list(request: KvRequest, parameters: Parameters): Promise<Answer> {
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
      readOptions(request, parameters),
    );
    const items = page.items.map(({ key, revision, value }) => {
      const item = { key: textOf(key), revision, bytes: value.length };
      return withValues ? { ...item, valueBase64: base64(value) } : item;
    });
    const next = page.more ? items.at(-1)!.key : null;
    return jsonAnswer({ items, next }, NO_CACHE);
  }

  async #put(request: KvRequest, command: PutCommand, parameters: Parameters): Promise<Answer> {
    const written = await this.#replica().write(command, callOptionsOf(request, parameters));
    const result = settled<PutDone | Conflict>(written);
    if (result.type === "conflict") throw conflictOf(command.key, result);
    const { revision, created } = result;
    const body = { key: textOf(command.key), revision, created };
    const etag = tagOf(revision);
    return jsonAnswer(body, {
      etag,
      [REVISION_HEADER]: String(revision),
      ...repetitionOf(result),
    });
  }

  async #delete(request: KvRequest, key: Key, parameters: Parameters): Promise<Answer> {
    const { headers } = request;
    const condition = conditionOf(headers);
    if (condition.type === "absent") {
      throw new HttpError("REQUEST_INVALID", "If-None-Match makes no sense on a DELETE");
    }
    const command = named<DeleteCommand>({ type: "delete", key, condition }, headers);
    const written = await this.#replica().write(command, callOptionsOf(request, parameters));
    const result = settled<DeleteDone | Conflict>(written);
    if (result.type === "conflict") throw conflictOf(key, result);
    const { revision, deleted } = result;
    const body = { key: textOf(key), revision, deleted };
    return jsonAnswer(body, { [REVISION_HEADER]: String(revision), ...repetitionOf(result) });
  }

  #keyOfPath(url: string): Key {
    const rest = restOfPath(url);
    if (!rest.includes("/")) return keyOfSegment(rest, this.#keyBytesMax);
    const hint = "write a slash within a key as %2F; only POST takes /kv/<key>/<value>";
    throw new HttpError("METHOD_NOT_ALLOWED", `two segments behind /kv: ${hint}`, {
      headers: { allow: "POST" },
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

/** The deadline that the client asked for; and a client that goes away ends the waiting. */
export function callOptionsOf(
  request: Pick<KvRequest, "signal">,
  parameters: Parameters,
): CallOptions {
  const signal = request.signal?.();
  const bounds = { min: 1, max: HTTP_LIMITS.timeoutMsMax };
  const timeoutMs = integerOf(parameters, "timeoutMs", bounds);
  if (signal === undefined) return timeoutMs === undefined ? {} : { timeoutMs };
  return timeoutMs === undefined ? { signal } : { signal, timeoutMs };
}

function putOf({ headers }: KvRequest, key: Key, value: Uint8Array): PutCommand {
  const condition = conditionOf(headers);
  return named<PutCommand>({ type: "put", key, value, condition }, headers);
}

function conflictOf(key: Key, conflict: Conflict): HttpError {
  const { revision } = conflict;
  const state = revision === 0 ? "is absent" : `has revision ${revision}`;
  const message = `the condition does not hold: ${JSON.stringify(textOf(key))} ${state}`;
  const headers = repetitionOf(conflict);
  return new HttpError("PRECONDITION_FAILED", message, { revision, headers });
}

function readOptions(request: KvRequest, parameters: Parameters): ReadOptions {
  const terms = readTerms(parameters);
  // A local read never waits: there is nothing to end.
  return terms.consistency === "local"
    ? terms
    : { ...callOptionsOf(request, parameters), ...terms };
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
