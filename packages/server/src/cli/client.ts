/**
 * Asking members over HTTP, with fail-over.
 *
 * A request goes from endpoint to endpoint until one answers. A write is sent again only where it
 * is certain that it had no effect: the connection was refused, or the answer says `not-done`. A
 * write whose connection broke is an unknown outcome, and is told as that instead of being
 * repeated. While members answer that there is no leader, the round is repeated until time is up.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { QuorateError } from "quorate";
import { rowOf } from "../http/http-error.ts";
import type { ErrorBody } from "../http/http-error.ts";
import { CommandFailed } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

/** The flags of every client command, as commander hands them over. */
export interface ClientFlags {
  readonly endpoint?: string;
  readonly timeout: number;
  readonly json?: boolean;
  readonly local?: boolean;
  readonly consistency?: string;
  readonly maxStaleness?: number;
  readonly ifRevision?: number;
  readonly ifAbsent?: boolean;
  readonly after?: string;
  readonly limit?: number;
}

/** What is asked of whichever member answers. */
export interface ClientRequest {
  readonly method: "GET" | "PUT" | "DELETE" | "POST";
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

/** An answer with a status below 400. */
export interface ClientAnswer {
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/** Where `quorate dev` serves. */
export const DEV_ENDPOINTS: readonly string[] = [10_091, 10_092, 10_093].map(
  (port) => `http://127.0.0.1:${port}`,
);

const RETRY_PAUSE_MS = 100;

/** The endpoints of a command: those of the flag, of QUORATE_ENDPOINT, or of `quorate dev`. */
export function endpointsOf(flags: ClientFlags, env: Terminal["env"]): readonly string[] {
  const given = flags.endpoint ?? env["QUORATE_ENDPOINT"] ?? "";
  if (given === "") return DEV_ENDPOINTS;
  return given.split(",").map((text) => {
    const url = /^https?:\/\//.test(text) ? text : `http://${text}`;
    if (text !== "" && URL.canParse(url)) {
      const { origin, pathname, search, username } = new URL(url);
      if (pathname === "/" && search === "" && username === "") return origin;
    }
    const want = "want http://host:port, several separated by commas";
    throw new QuorateError(
      "OPTION_INVALID",
      `--endpoint ${JSON.stringify(text)} is no endpoint: ${want}`,
    );
  });
}

/** Asks until it is answered; throws {@link CommandFailed} with the exit code of the error. */
export async function ask(
  request: ClientRequest,
  endpoints: readonly string[],
  timeoutMs: number,
): Promise<ClientAnswer> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    let again = false;
    let last: Attempt | undefined;
    for (const [i, endpoint] of endpoints.entries()) {
      const nowMs = performance.now();
      // A member that hangs must leave a read the time to be asked elsewhere.
      const shares = request.method === "GET" ? endpoints.length - i : 1;
      const attempt = await tryOne(request, endpoint, nowMs + (deadlineMs - nowMs) / shares);
      if (attempt.type === "answer") return attempt;
      const isWorse = attempt.type === "refused" && last !== undefined;
      if (!isWorse) last = attempt;
      if (!mayGoOn(request, attempt)) throw failureOf(attempt, request);
      again ||= attempt.type === "error" && attempt.error.retryable;
    }
    if (!again || performance.now() + RETRY_PAUSE_MS >= deadlineMs) {
      if (last?.type === "error") throw failureOf(last, request);
      const where = endpoints.join(", ");
      throw new CommandFailed(4, `no member can be reached at ${where}; is the cluster running?`);
    }
    await sleep(RETRY_PAUSE_MS);
  }
}

type Attempt =
  | ({ readonly type: "answer" } & ClientAnswer)
  | { readonly type: "error"; readonly status: number; readonly error: ErrorBody }
  /** No connection came about: nothing was sent. */
  | { readonly type: "refused" }
  /** The connection broke or time ran out: it may have been received. */
  | { readonly type: "lost"; readonly reason: string };

async function tryOne(
  { method, path, headers, body }: ClientRequest,
  endpoint: string,
  deadlineMs: number,
): Promise<Attempt> {
  const leftMs = Math.max(1, Math.ceil(deadlineMs - performance.now()));
  const separator = path.includes("?") ? "&" : "?";
  const bounded = /^\/(kv|leader)/.test(path) ? `${path}${separator}timeoutMs=${leftMs}` : path;
  try {
    const response = await fetch(endpoint + bounded, {
      method,
      headers: headers ?? {},
      ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }),
      redirect: "error",
      // The member keeps the deadline; this is for one that does not answer at all.
      signal: AbortSignal.timeout(leftMs + 500),
    });
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (response.ok) return { type: "answer", headers: response.headers, body: bytes };
    return { type: "error", status: response.status, error: errorIn(bytes, response.status) };
  } catch (error) {
    const { name, cause } = error as Error & {
      readonly cause?: { readonly code?: string; readonly message?: string };
    };
    if (cause?.message === "bad port") {
      throw new CommandFailed(2, `${endpoint}: fetch refuses this port; serve HTTP on another one`);
    }
    const code = cause?.code ?? name;
    if (NOT_CONNECTED.has(code)) return { type: "refused" };
    const reason = name === "TimeoutError" ? "no answer in time" : `the connection broke (${code})`;
    return { type: "lost", reason };
  }
}

/** Failures to connect: the request certainly never left. */
const NOT_CONNECTED: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EHOSTDOWN",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/** Whether another endpoint may be asked after this. */
function mayGoOn({ method }: ClientRequest, attempt: Attempt): boolean {
  if (attempt.type === "refused") return true;
  if (attempt.type === "lost") return method === "GET";
  if (attempt.type !== "error" || attempt.status < 500) return false;
  return method === "GET" || attempt.error.outcome === "not-done";
}

function failureOf(attempt: Attempt, { method }: ClientRequest): CommandFailed {
  if (attempt.type === "error") {
    const exitCode = rowOf(attempt.error.code)?.exitCode ?? 1;
    return new CommandFailed(exitCode, `${attempt.error.message} (${attempt.error.code})`);
  }
  const reason = attempt.type === "lost" ? attempt.reason : "no member can be reached";
  if (method === "GET") return new CommandFailed(4, reason);
  return new CommandFailed(5, `${reason}; the write may have happened or may yet`);
}

function errorIn(bytes: Uint8Array, status: number): ErrorBody {
  try {
    const { error } = JSON.parse(new TextDecoder().decode(bytes)) as { error?: ErrorBody };
    if (typeof error?.code === "string" && typeof error.message === "string") return error;
  } catch {
    // not JSON: whoever answered is no member
  }
  const message = `status ${status} from something that is no member of ours`;
  return { code: "INTERNAL", message, retryable: false, outcome: "unknown" };
}
