/** HTTP requests as bytes, for the load, and whole, for a question now and then. */
import { grpcFrame } from "./grpc-connection.ts";
import type { LoadRequest, Protocol } from "./http-load.ts";

const JSON_TYPE = "application/json";
const QUESTION_TIMEOUT_MS = 2_000;

/** A request without what every request has. */
export interface PlainRequest {
  readonly method: "GET" | "PUT" | "POST";
  readonly path: string;
  /** Text is JSON. */
  readonly body?: Buffer | string;
}

/** The keys of all loads, by number. */
export function keyNamed(number: number): string {
  return `key-${String(number).padStart(8, "0")}`;
}

/** A request as it is sent, again and again. */
export function loadRequest(protocol: Protocol, plain: PlainRequest): LoadRequest {
  const { path, body } = plain;
  if (protocol === "http") return { path, bytes: requestBytes(plain) };
  return { path, bytes: grpcFrame(Buffer.from(body ?? "")) };
}

/** The bytes of a request on a connection that is kept. */
export function requestBytes({ method, path, body }: PlainRequest): Buffer {
  const content = body === undefined ? Buffer.alloc(0) : Buffer.from(body);
  const lines = [
    `${method} ${path} HTTP/1.1`,
    "Host: 127.0.0.1",
    ...(typeof body === "string" ? [`Content-Type: ${JSON_TYPE}`] : []),
    ...(body === undefined ? [] : [`Content-Length: ${content.length}`]),
  ];
  const head = `${lines.join("\r\n")}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, "latin1"), content]);
}

/** Asks a member something and takes its answer for JSON; rejects where there is none. */
export async function askJson(
  port: number,
  { method, path, body }: PlainRequest,
): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    ...(body === undefined ? {} : { body }),
    ...(typeof body === "string" ? { headers: { "content-type": JSON_TYPE } } : {}),
    signal: AbortSignal.timeout(QUESTION_TIMEOUT_MS),
  });
  if (!response.ok) throw new Error(`HTTP ${response.status} from ${path}`);
  return response.json();
}
