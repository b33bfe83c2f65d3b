/**
 * An answer before it is known how it will be written: what a handler gives back, and what both
 * ways to a client (the framework's replies, and the fast lane) know how to send.
 */
import type { FastifyReply } from "fastify";

/** Status, headers and body of an answer. */
export interface Answer {
  readonly status: number;
  /** Names in lower case. Not among them: those that every answer has, and its length. */
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes as they are, or text in UTF-8. Empty where there is none. */
  readonly body: string | Uint8Array;
}

const JSON_TYPE = "application/json; charset=utf-8";

/** A value as JSON, with a line end, so that it reads well in a terminal. */
export function jsonAnswer(
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
  status = 200,
): Answer {
  const body = `${JSON.stringify(value)}\n`;
  return { status, headers: { "content-type": JSON_TYPE, ...headers }, body };
}

/** Sends an answer by the framework. */
export function sendAnswer(reply: FastifyReply, answer: Answer): FastifyReply {
  const { status, headers, body } = answer;
  reply.code(status).headers(headers);
  if (status === 304) return reply.send();
  return reply.send(typeof body === "string" ? body : bufferOf(body));
}

/** Sends a value as JSON by the framework; `indent` for what people read. */
export function sendJson(reply: FastifyReply, value: unknown, indent?: number): FastifyReply {
  return reply.type(JSON_TYPE).send(`${JSON.stringify(value, null, indent)}\n`);
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
