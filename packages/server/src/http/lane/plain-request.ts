/**
 * Reads plain requests: `GET` and `PUT` of one key, in HTTP/1.1, with nothing but headers that are
 * known here and have no meaning beyond themselves. They are nearly all that a busy member is sent.
 *
 * This is no parser of HTTP. It knows a few shapes by heart, and of all else it says "other",
 * without a judgement: the parser of Node then reads the same bytes from their beginning. So what
 * this does not know may cost time, and can never be read in two ways. In particular: one
 * Content-Length and no Transfer-Encoding, no Expect, no Upgrade, no Origin, each header once where
 * it counts, lines that end in CR LF, visible ASCII only.
 */
import type { IncomingHttpHeaders } from "node:http";

/** A request that was read whole. */
export interface PlainRequest {
  readonly method: "GET" | "PUT";
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Where its body begins and ends, in the bytes that were read; the next request begins there. */
  readonly from: number;
  readonly end: number;
}

/** What stands at the beginning of some bytes: a request, a part of one, or another thing. */
export type Reading = PlainRequest | "more" | "other";

/** What a head says, without its first line. */
interface Head {
  readonly contentLength: number | undefined;
  readonly headers: IncomingHttpHeaders;
}

const END_OF_HEAD = Buffer.from("\r\n\r\n");
const END_OF_LINE = Buffer.from("\r\n");
const CR = 13;
const LF = 10;
/** Longer ones are another thing. */
const HEAD_BYTES_MAX = 8_192;
/** A body that is longer does not come at once: it is left to those who can wait for it. */
const BODY_BYTES_MAX = 65_536;

const FIRST_LINE = /^(GET|PUT) (\/kv\/[\w.~-]+(?:\?[\w.~=&-]*)?) HTTP\/1\.1$/;
const HEADER_LINE = /^([\w-]+):[ ]*([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)$/;
/** Without a meaning for a member, whatever they say. */
const MEANINGLESS: ReadonlySet<string> = new Set([
  "accept",
  "accept-encoding",
  "accept-language",
  "cache-control",
  "content-type",
  "pragma",
  "sec-fetch-mode",
  "user-agent",
]);
const MEANINGFUL: ReadonlySet<string> = new Set([
  "host",
  "content-length",
  "if-match",
  "if-none-match",
  "idempotency-key",
]);

/** Reads the requests of one connection, whose heads resemble each other. */
export class PlainRequests {
  readonly #valueBytesMax: number;
  /** The last head that was read, and what it says: the next one is mostly the same. */
  #text = "";
  #head: Head | undefined;
  /** After "more": with fewer bytes than that it is the same answer. */
  neededBytes = 0;

  constructor(valueBytesMax: number) {
    this.#valueBytesMax = Math.min(valueBytesMax, BODY_BYTES_MAX);
  }

  /** Reads what stands at the beginning of `bytes`. */
  read(bytes: Buffer): Reading {
    this.neededBytes = 0;
    const end = bytes.indexOf(END_OF_HEAD);
    if (end < 0 || end > HEAD_BYTES_MAX) return this.#beginsPlain(bytes) ? "more" : "other";
    const lineEnd = bytes.indexOf(END_OF_LINE);
    const line = FIRST_LINE.exec(bytes.toString("latin1", 0, lineEnd));
    if (line === null) return "other";
    const head = this.#read(bytes.toString("latin1", lineEnd, end));
    if (head === undefined) return "other";
    const method = line[1] as "GET" | "PUT";
    const { contentLength, headers } = head;
    // A PUT without a length, and a GET with a body: both are allowed, and seldom.
    if ((method === "PUT") !== (contentLength !== undefined)) return "other";
    const from = end + END_OF_HEAD.length;
    const bodyEnd = from + (contentLength ?? 0);
    if (bodyEnd > bytes.length) {
      this.neededBytes = bodyEnd;
      return "more";
    }
    return { method, url: line[2]!, headers, from, end: bodyEnd };
  }

  /** Whether these bytes may become a plain request when more of them are there. */
  #beginsPlain(bytes: Buffer): boolean {
    if (bytes.length > HEAD_BYTES_MAX) return false;
    const start = bytes.toString("latin1", 0, 8);
    if (!"GET /kv/".startsWith(start) && !"PUT /kv/".startsWith(start)) return false;
    const lineEnd = bytes.indexOf(END_OF_LINE);
    if (lineEnd >= 0 && !FIRST_LINE.test(bytes.toString("latin1", 0, lineEnd))) return false;
    for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1)) {
      if (bytes[at - 1] !== CR) return false;
    }
    return true;
  }

  #read(text: string): Head | undefined {
    if (text === this.#text) return this.#head;
    const head = this.#headOf(text);
    this.#text = text;
    this.#head = head;
    return head;
  }

  #headOf(text: string): Head | undefined {
    const found: { [name: string]: string | undefined } = {
      host: undefined,
      "content-length": undefined,
      "if-match": undefined,
      "if-none-match": undefined,
      "idempotency-key": undefined,
    };
    // Each line is behind its CR LF: the first part is empty.
    for (const line of text.split("\r\n").slice(1)) {
      const [, written = "", value = ""] = HEADER_LINE.exec(line) ?? [];
      const name = written.toLowerCase();
      if (MEANINGFUL.has(name)) {
        if (found[name] !== undefined) return undefined;
        found[name] = value;
      } else if (name === "connection") {
        if (value.toLowerCase() !== "keep-alive") return undefined;
      } else if (!MEANINGLESS.has(name)) {
        return undefined;
      }
    }
    return found["host"] === undefined ? undefined : this.#checked(found);
  }

  #checked(headers: IncomingHttpHeaders): Head | undefined {
    const length = headers["content-length"];
    if (length === undefined) return { contentLength: undefined, headers };
    const contentLength = /^\d{1,8}$/.test(length) ? Number(length) : Number.NaN;
    return contentLength <= this.#valueBytesMax ? { contentLength, headers } : undefined;
  }
}
