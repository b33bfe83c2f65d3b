/** The answer to a request that failed: every error there is, as status, headers and JSON. */
import { QuorateError } from "quorate";
import { jsonAnswer } from "./answer.ts";
import type { Answer } from "./answer.ts";
import { describeError, HttpError } from "./http-error.ts";
import { valueTooLarge } from "./kv-handlers.ts";

/** Not available, too late, disk full: events of the replica say so, not every request. */
const EXPECTED: ReadonlySet<number> = new Set([503, 504, 507]);

/** What errors are judged by, and who hears of them. */
export interface ErrorAnswerOptions {
  readonly valueBytesMax: number;
  /** Told of every error that is no fault of the client. */
  readonly onError: (error: unknown, request: string) => void;
}

/** What was asked for. */
export interface RequestTarget {
  readonly method: string;
  readonly url: string;
}

/** The answer for whatever was thrown. */
export function errorAnswer(
  options: ErrorAnswerOptions,
  thrown: unknown,
  target: RequestTarget,
): Answer {
  const error = translate(thrown, target, options);
  const described = describeError(error);
  const status = described?.status ?? 500;
  if (status >= 500 && !EXPECTED.has(status)) {
    options.onError(error, `${target.method} ${target.url}`);
  }
  const body = described?.body ?? {
    code: "INTERNAL",
    message: "a defect of the server; its log has the details",
    retryable: false,
    outcome: "unknown",
  };
  const own = error instanceof HttpError ? error.fields.headers : undefined;
  const headers = status === 503 ? { "retry-after": "1", ...own } : own;
  return jsonAnswer({ error: body }, headers, status);
}

/** Errors of the framework in our own words. */
function translate(
  thrown: unknown,
  { url }: RequestTarget,
  { valueBytesMax }: ErrorAnswerOptions,
): unknown {
  if (thrown instanceof HttpError || QuorateError.is(thrown)) return thrown;
  const { code, statusCode, message } = thrown as { [key: string]: unknown };
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE") return valueTooLarge(valueBytesMax);
  if (code === "FST_ERR_BAD_URL") {
    const what = url.startsWith("/kv/") ? "the key" : "the path";
    return new HttpError("KEY_INVALID", `${what} is not percent-encoded UTF-8`);
  }
  if (typeof statusCode === "number" && statusCode >= 400 && statusCode < 500) {
    return new HttpError("REQUEST_INVALID", String(message));
  }
  return thrown;
}
