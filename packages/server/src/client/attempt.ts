/**
 * One request to one endpoint, and what can be known of its end. Never rejects, and ends at its
 * limit whatever the platform's fetch does.
 *
 * What matters is what a failure says of the request:
 *  - `refused`: no connection came about, so nothing was sent. Only some platforms tell; a browser
 *    calls it the same as a connection that broke.
 *  - `lost`: the connection broke, or there was no answer in time. It may have been received.
 *  - `error`: a member answered; its words say whether something was done.
 *  - `stranger`: an answer that no member of ours gives, from a proxy perhaps, which may have
 *    handed the request on.
 *  - `stopped`: the caller ended it.
 */
import type { Outcome } from "quorate";
import type { ClientErrorCode } from "./client-error.ts";

/** What is asked of whichever member answers. */
export interface ClientRequest<T> {
  readonly method: "GET" | "PUT" | "DELETE" | "POST";
  /** Path and query; the deadline is added where `isBounded`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Whether the route takes `timeoutMs`. */
  readonly isBounded: boolean;
  /**
   * Whether it may be sent again when its fate is not known: `freely` (a read), `by-name` (a write
   * with an idempotency key), `never`.
   */
  readonly repeat: "freely" | "by-name" | "never";
  /** Whom to ask first. Default: the leader for what changes something, anybody for reads. */
  readonly prefers?: "leader" | "any";
  /** Makes the result; throws where this is no answer of a member. */
  readonly read: (answer: RawAnswer) => T;
}

/** An answer with a status below 300. */
export interface RawAnswer {
  readonly headers: Headers;
  readonly bytes: Uint8Array;
}

/** How to make an attempt. */
export interface AttemptTerms {
  readonly endpoint: string;
  readonly limitMs: number;
  /** Ends it from outside. */
  readonly signal: AbortSignal;
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: typeof fetch;
}

/** The error in the body of an answer. */
export interface AnsweredError {
  readonly code: ClientErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly outcome: Outcome;
  readonly leader?: string;
  readonly revision?: number;
}

/** Who answered, and who leads as that member knows. */
export interface Origin {
  readonly member: string | undefined;
  readonly leader: string | undefined;
}

/** How an attempt ended. */
export type Attempt<T> =
  | ({ readonly type: "answer"; readonly value: T } & Origin)
  | ({ readonly type: "error"; readonly status: number; readonly error: AnsweredError } & Origin)
  | { readonly type: "refused"; readonly cause: unknown }
  | { readonly type: "lost"; readonly reason: string; readonly cause: unknown }
  | { readonly type: "stranger"; readonly status: number }
  /** The platform will not even try: the endpoint cannot be used. */
  | { readonly type: "unusable"; readonly reason: string }
  | { readonly type: "stopped" };

/**
 * A member is told to answer a little earlier than the client gives up, so that its words arrive.
 */
const ANSWER_ROOM_MS = 250;

/** Sends the request and tells how it ended. */
export async function attempt<T>(
  request: ClientRequest<T>,
  terms: AttemptTerms,
): Promise<Attempt<T>> {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stop = (): void => {};
  const cut = new Promise<Attempt<T>>((resolve) => {
    const end = (how: Attempt<T>): void => {
      resolve(how);
      controller.abort();
    };
    const lost = { type: "lost", reason: "no answer in time", cause: undefined } as const;
    timer = setTimeout(() => end(lost), Math.max(1, terms.limitMs));
    stop = () => end({ type: "stopped" });
    terms.signal.addEventListener("abort", stop, { once: true });
    if (terms.signal.aborted) stop();
  });
  try {
    return await Promise.race([send(request, terms, controller.signal), cut]);
  } finally {
    clearTimeout(timer);
    terms.signal.removeEventListener("abort", stop);
  }
}

async function send<T>(
  request: ClientRequest<T>,
  terms: AttemptTerms,
  signal: AbortSignal,
): Promise<Attempt<T>> {
  try {
    const response = await terms.fetch(terms.endpoint + pathOf(request, terms.limitMs), {
      method: request.method,
      headers: { ...terms.headers, ...request.headers },
      ...(request.body === undefined ? {} : { body: request.body as Uint8Array<ArrayBuffer> }),
      redirect: "error",
      signal,
    });
    const bytes = new Uint8Array(await response.arrayBuffer());
    return judge(request, response, bytes);
  } catch (error) {
    return failureOf(error);
  }
}

function pathOf({ path, isBounded }: ClientRequest<unknown>, limitMs: number): string {
  if (!isBounded) return path;
  const ms = Math.max(1, Math.floor(limitMs - Math.min(ANSWER_ROOM_MS, limitMs / 4)));
  return `${path}${path.includes("?") ? "&" : "?"}timeoutMs=${ms}`;
}

function judge<T>(request: ClientRequest<T>, response: Response, bytes: Uint8Array): Attempt<T> {
  const { status, headers } = response;
  const member = headers.get("x-quorate-member") ?? undefined;
  const leader = headers.get("x-quorate-leader") ?? undefined;
  try {
    if (response.ok) {
      return { type: "answer", value: request.read({ headers, bytes }), member, leader };
    }
    const error = errorIn(bytes);
    if (error !== undefined) return { type: "error", status, error, member, leader };
  } catch {
    // Not what a member answers.
  }
  return { type: "stranger", status };
}

function errorIn(bytes: Uint8Array): AnsweredError | undefined {
  const { error } = JSON.parse(new TextDecoder().decode(bytes)) as {
    readonly error?: Partial<AnsweredError>;
  };
  if (typeof error?.code !== "string" || typeof error.message !== "string") return undefined;
  const outcome = error.outcome === "not-done" ? "not-done" : "unknown";
  return { ...(error as AnsweredError), outcome, retryable: error.retryable === true };
}

/** Failures to connect, as Node names them: the request certainly never left. */
const NOT_CONNECTED: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EHOSTDOWN",
  "UND_ERR_CONNECT_TIMEOUT",
]);

function failureOf(error: unknown): Attempt<never> {
  const cause = (error as { readonly cause?: { readonly code?: string; message?: string } } | null)
    ?.cause;
  if (cause?.message === "bad port") {
    return { type: "unusable", reason: "fetch refuses this port; serve HTTP on another one" };
  }
  if (NOT_CONNECTED.has(cause?.code ?? "")) return { type: "refused", cause: error };
  const what = cause?.code ?? (error instanceof Error ? error.message : String(error));
  return { type: "lost", reason: `the connection broke (${what})`, cause: error };
}
