/**
 * Errors of the HTTP face, beside those of the library, in a table of the same form: every code has
 * one status, one exit code for the command line, and says whether the call may have had an effect.
 */
import { ERROR_CODES, QuorateError } from "quorate";
import type { CodeRow, ErrorCode, Outcome } from "quorate";

/** What only the server can say. */
export type HttpErrorCode =
  | "KEY_NOT_FOUND"
  | "KEY_INVALID"
  | "REQUEST_INVALID"
  | "PRECONDITION_FAILED"
  | "IDEMPOTENCY_KEY_REUSED"
  | "VALUE_TOO_LARGE"
  | "ROUTE_NOT_FOUND"
  | "METHOD_NOT_ALLOWED"
  | "CROSS_ORIGIN"
  | "REQUEST_TIMEOUT"
  | "HEADERS_TOO_LARGE"
  | "INTERNAL";

/** Every code of the server. */
export const HTTP_ERROR_CODES: Readonly<Record<HttpErrorCode, CodeRow>> = {
  KEY_NOT_FOUND: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 404,
    exitCode: 3,
    text: "The key is absent.",
  },
  KEY_INVALID: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 400,
    exitCode: 2,
    text: "The key is empty, too long or not percent-encoded UTF-8.",
  },
  REQUEST_INVALID: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 400,
    exitCode: 2,
    text: "A parameter, a header or the request itself is malformed.",
  },
  PRECONDITION_FAILED: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 412,
    exitCode: 9,
    text: "If-Match or If-None-Match did not hold; `revision` says what the key has, 0 = absent.",
  },
  IDEMPOTENCY_KEY_REUSED: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 422,
    exitCode: 2,
    text: "The Idempotency-Key was used before, for another request.",
  },
  VALUE_TOO_LARGE: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 413,
    exitCode: 2,
    text: "The value is larger than `valueBytesMax`.",
  },
  ROUTE_NOT_FOUND: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 404,
    exitCode: 2,
    text: "There is nothing under this path.",
  },
  METHOD_NOT_ALLOWED: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 405,
    exitCode: 2,
    text: "The path does not take this method; the Allow header says which it takes.",
  },
  CROSS_ORIGIN: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 403,
    exitCode: 2,
    text: "A web page of another origin tried to write.",
  },
  REQUEST_TIMEOUT: {
    retryable: true,
    outcome: "not-done",
    httpStatus: 408,
    exitCode: 4,
    text: "The request did not arrive in time.",
  },
  HEADERS_TOO_LARGE: {
    retryable: false,
    outcome: "not-done",
    httpStatus: 431,
    exitCode: 2,
    text: "Path and headers together are larger than 32 KiB.",
  },
  INTERNAL: {
    retryable: false,
    outcome: "unknown",
    httpStatus: 500,
    exitCode: 1,
    text: "A defect of the server; its log has the details.",
  },
};

/** What an error may say beside its code. */
export interface HttpErrorFields {
  /** The revision that the key has; 0 where it is absent. */
  readonly revision?: number;
  /** What the answer says beside its body; names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** An error that the HTTP face answers with. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly code: HttpErrorCode;
  readonly fields: HttpErrorFields;

  constructor(code: HttpErrorCode, message: string, fields: HttpErrorFields = {}) {
    super(message);
    this.code = code;
    this.fields = fields;
  }
}

/** What is inside `{ "error": … }`. */
export interface ErrorBody {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly outcome: Outcome;
  readonly leader?: string;
  readonly revision?: number;
}

/** The row of a code of the server or of the library; undefined for others. */
export function rowOf(code: string): CodeRow | undefined {
  if (Object.hasOwn(HTTP_ERROR_CODES, code)) return HTTP_ERROR_CODES[code as HttpErrorCode];
  return Object.hasOwn(ERROR_CODES, code) ? ERROR_CODES[code as ErrorCode] : undefined;
}

/** Status and body for anything that was thrown; undefined where it is none of our errors. */
export function describeError(error: unknown): { status: number; body: ErrorBody } | undefined {
  if (error instanceof HttpError) {
    const { httpStatus, retryable, outcome } = HTTP_ERROR_CODES[error.code];
    const { revision } = error.fields;
    const body = { code: error.code, message: error.message, retryable, outcome };
    return { status: httpStatus, body: revision === undefined ? body : { ...body, revision } };
  }
  if (!QuorateError.is(error)) return undefined;
  const { code, retryable, outcome, leader } = error;
  const body = { code, message: withoutCode(error.message, code), retryable, outcome };
  return {
    status: ERROR_CODES[code].httpStatus,
    body: leader === undefined ? body : { ...body, leader },
  };
}

/** The library writes `[CODE] message`; here the code has a field of its own. */
function withoutCode(message: string, code: string): string {
  const mark = `[${code}] `;
  return message.startsWith(mark) ? message.slice(mark.length) : message;
}
