/**
 * The error of the client. It says what the errors of the library say, by the same codes: above all
 * whether a write certainly had no effect (`not-done`) or may have had one (`unknown`).
 *
 * A member answers with its own code and words; the client adds those for what no member could
 * answer: nobody reached, no answer in time, an answer that no member of ours gives.
 */
import type { ErrorCode, Outcome } from "quorate";
import type { HttpErrorCode } from "../http/http-error.ts";

/**
 * Every code that this version knows: those of the library, of the HTTP face, and `UNREACHABLE`: no
 * endpoint could be connected to, so nothing was sent.
 */
export type ClientErrorCode = ErrorCode | HttpErrorCode | "UNREACHABLE";

/** What a {@link ClientError} knows beside its message. */
export interface ClientErrorFields {
  readonly outcome: Outcome;
  readonly retryable: boolean;
  readonly revision?: number | undefined;
  readonly leader?: string | undefined;
  readonly status?: number | undefined;
  readonly endpoint?: string | undefined;
  readonly cause?: unknown;
}

const BRAND: unique symbol = Symbol.for("quorate.client-error") as never;

/**
 * Everything that a call of the client rejects with.
 *
 * @example
 * ```ts
 * try {
 *   await kv.put("order-17", "paid", { ifRevision: 4 });
 * } catch (error) {
 *   if (!ClientError.is(error)) throw error;
 *   if (error.code === "PRECONDITION_FAILED") await lookAgainAt(error.revision);
 *   else if (error.outcome === "not-done") await tryLater();
 *   else throw error; // it may have happened
 * }
 * ```
 */
export class ClientError extends Error {
  override readonly name = "ClientError";
  /** Which error this is. A newer member may answer with a code that is not in the list. */
  readonly code: ClientErrorCode;
  /** `not-done`: certainly without effect. `unknown`: it may have happened or may yet. */
  readonly outcome: Outcome;
  /** Whether the same call may succeed later without a repair. */
  readonly retryable: boolean;
  /** With PRECONDITION_FAILED: the revision that the key has; 0 where it is absent. */
  readonly revision: number | undefined;
  /** The member believed to lead, where the answer said so. */
  readonly leader: string | undefined;
  /** The HTTP status of the answer; undefined where there was none. */
  readonly status: number | undefined;
  /** Whom the call was sent to last. */
  readonly endpoint: string | undefined;

  constructor(code: ClientErrorCode, message: string, fields: ClientErrorFields) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = code;
    this.outcome = fields.outcome;
    this.retryable = fields.retryable;
    this.revision = fields.revision;
    this.leader = fields.leader;
    this.status = fields.status;
    this.endpoint = fields.endpoint;
  }

  static {
    Object.defineProperty(this.prototype, BRAND, { value: true });
  }

  /** Recognises such errors across copies of the package. */
  static is(value: unknown): value is ClientError {
    return typeof value === "object" && value !== null && BRAND in value;
  }
}

/** An option that makes no sense: told before anything is sent. */
export function optionInvalid(message: string): ClientError {
  return new ClientError("OPTION_INVALID", message, { outcome: "not-done", retryable: false });
}
