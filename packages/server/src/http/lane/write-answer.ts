/** Answers as the bytes of HTTP/1.1. */
import { STATUS_CODES } from "node:http";
import type { Answer } from "../answer.ts";

const FIRST_LINES: ReadonlyMap<number, string> = new Map(
  Object.entries(STATUS_CODES).map(([status, text]) => [
    Number(status),
    `HTTP/1.1 ${status} ${text}\r\n`,
  ]),
);

/** The whole answer; text where it is all ASCII. `common`: lines of headers, each with its end. */
export function answerBytes({ status, headers, body }: Answer, common: string): Buffer | string {
  let head = FIRST_LINES.get(status)!;
  for (const name in headers) head += `${name}: ${headers[name]}\r\n`;
  head += common;
  if (status === 304) return `${head}\r\n`;
  const bytes = typeof body === "string" ? Buffer.byteLength(body) : body.length;
  head += `content-length: ${bytes}\r\n\r\n`;
  if (typeof body === "string" && bytes === body.length) return head + body;
  const all = Buffer.allocUnsafe(head.length + bytes);
  all.write(head, 0, "latin1");
  if (typeof body === "string") all.write(body, head.length, "utf8");
  else all.set(body, head.length);
  return all;
}
