/**
 * One HTTP request, with the three ends that a client of a replicated system must keep apart:
 *  - a reply;
 *  - `not-sent`: no connection came about, so the request certainly reached nobody;
 *  - `lost`: anything else. It may have been carried out, or may yet be.
 */
import { Agent, request } from "node:http";

/** How a request ended. */
export type Reply =
  | {
      readonly type: "reply";
      readonly status: number;
      readonly headers: Readonly<Record<string, string | string[] | undefined>>;
      readonly body: string;
    }
  | { readonly type: "not-sent"; readonly reason: string }
  | { readonly type: "lost"; readonly reason: string };

/** What is asked. */
export interface Ask {
  readonly port: number;
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The client gives up after this: the request counts as lost. Default 5,000. */
  readonly timeoutMs?: number;
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

/** Asks; never rejects. */
export function ask(what: Ask): Promise<Reply> {
  return new Promise((resolve) => {
    const sent = request({
      host: "127.0.0.1",
      port: what.port,
      method: what.method,
      path: what.path,
      headers: {
        ...what.headers,
        ...(what.body === undefined ? {} : { "content-length": Buffer.byteLength(what.body) }),
      },
      agent,
    });
    const timeoutMs = what.timeoutMs ?? 5_000;
    const timer = setTimeout(() => {
      resolve({ type: "lost", reason: `no reply within ${timeoutMs} ms` });
      sent.destroy();
    }, timeoutMs);
    const fail = (error: NodeJS.ErrnoException): void => {
      clearTimeout(timer);
      const type = error.code === "ECONNREFUSED" ? "not-sent" : "lost";
      resolve({ type, reason: error.message });
    };
    sent.on("error", fail);
    sent.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", fail);
      response.on("aborted", () => fail(new Error("the reply was cut off")));
      response.on("end", () => {
        clearTimeout(timer);
        const status = response.statusCode ?? 0;
        const body = Buffer.concat(chunks).toString("utf8");
        resolve({ type: "reply", status, headers: response.headers, body });
      });
    });
    sent.end(what.body);
  });
}

/** Like {@link ask}, for what must be answered: throws where there is no reply. */
export async function askForReply(what: Ask): Promise<Reply & { type: "reply" }> {
  const reply = await ask(what);
  if (reply.type !== "reply") throw new Error(`${what.method} ${what.path}: ${reply.reason}`);
  return reply;
}

/** The JSON body of a reply. */
export function jsonOf(reply: Reply & { type: "reply" }): Record<string, unknown> {
  const value: unknown = JSON.parse(reply.body);
  if (typeof value !== "object" || value === null) throw new Error(`not an object: ${reply.body}`);
  return value as Record<string, unknown>;
}

/** The error in the body of a reply; undefined where there is none. */
export function errorOf(
  reply: Reply & { type: "reply" },
): { readonly code: string; readonly message: string; readonly outcome?: string } | undefined {
  try {
    const { error } = jsonOf(reply);
    if (typeof error !== "object" || error === null) return undefined;
    return error as { code: string; message: string; outcome?: string };
  } catch {
    return undefined;
  }
}
