/**
 * The options of a client and of its calls, checked. What is wrong is told at once and by name.
 */
import { optionInvalid } from "./client-error.ts";

/** Options of `connect`. */
export interface ConnectOptions {
  /** Where members serve HTTP, as `http://host:port`; one is enough, all of them are better. */
  readonly endpoints: readonly string[];
  /** Deadline of a call that names none, in ms, with all its repetitions. Default 10,000. */
  readonly timeoutMs?: number;
  /**
   * How long one endpoint may take before another one is asked, in ms. Default 2,000. Of no
   * interest where there is one endpoint only.
   */
  readonly attemptTimeoutMs?: number;
  /**
   * What to do where every endpoint refuses the connection: `wait` (default) until the deadline, as
   * members may be starting, or `fail` at once.
   */
  readonly whenUnreachable?: "wait" | "fail";
  /**
   * Where to begin: at an endpoint drawn at random (default), so that many clients spread over the
   * members, or in the given order.
   */
  readonly order?: "random" | "given";
  /** Sent with every request, for a proxy that wants some. */
  readonly headers?: Readonly<Record<string, string>>;
  /** What fetches. Default: the `fetch` of the platform. */
  readonly fetch?: typeof fetch;
}

/** Options of one call. */
export interface ClientCallOptions {
  /** Ends the call: as ABORTED, or as OUTCOME_UNKNOWN where a write was sent already. */
  readonly signal?: AbortSignal | undefined;
  /** Deadline of this call in ms, 1 to 60,000. Default: that of the client. */
  readonly timeoutMs?: number | undefined;
}

/** {@link ConnectOptions} with everything decided. */
export interface ClientSettings {
  /** Origins without a path. */
  readonly endpoints: readonly string[];
  readonly timeoutMs: number;
  readonly attemptTimeoutMs: number;
  readonly whenUnreachable: "wait" | "fail";
  readonly order: "random" | "given";
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: typeof fetch;
}

/**
 * The longest deadline. Members keep the outcome of a named write for at least that long, so no
 * repetition within one call can come too late.
 */
export const TIMEOUT_MAX_MS = 60_000;

const TIMEOUT_MS = 10_000;
const ATTEMPT_TIMEOUT_MS = 2_000;

/** Checks and completes; throws OPTION_INVALID. */
export function settingsOf(options: ConnectOptions): ClientSettings {
  const { endpoints, whenUnreachable = "wait", order = "random" } = options;
  if (!Array.isArray(endpoints) || endpoints.length === 0) {
    throw optionInvalid("endpoints must name at least one member, as http://host:port");
  }
  if (whenUnreachable !== "wait" && whenUnreachable !== "fail") {
    throw optionInvalid(`whenUnreachable must be "wait" or "fail", not ${String(whenUnreachable)}`);
  }
  if (order !== "random" && order !== "given") {
    throw optionInvalid(`order must be "random" or "given", not ${String(order)}`);
  }
  return {
    endpoints: [...new Set(endpoints.map(originOf))],
    timeoutMs: timeoutOf(options.timeoutMs, TIMEOUT_MS),
    attemptTimeoutMs: timeoutOf(options.attemptTimeoutMs, ATTEMPT_TIMEOUT_MS, "attemptTimeoutMs"),
    whenUnreachable,
    order,
    headers: { ...options.headers },
    // Called without an owner: browsers refuse a fetch that is called as somebody's method.
    fetch: options.fetch ?? ((input, init) => fetch(input, init)),
  };
}

/** The deadline of a call in ms; throws OPTION_INVALID. */
export function timeoutOf(
  given: number | undefined,
  otherwise: number,
  name: string = "timeoutMs",
): number {
  if (given === undefined) return otherwise;
  if (typeof given === "number" && given >= 1 && given <= TIMEOUT_MAX_MS) return given;
  throw optionInvalid(`${name} must be 1 to ${TIMEOUT_MAX_MS}, not ${String(given)}`);
}

/** `http://host:port` of an endpoint, with or without its scheme; throws OPTION_INVALID. */
export function originOf(endpoint: unknown): string {
  if (typeof endpoint === "string" && endpoint !== "") {
    const url = /^https?:\/\//.test(endpoint) ? endpoint : `http://${endpoint}`;
    if (URL.canParse(url)) {
      const { origin, pathname, search, hash, username } = new URL(url);
      if (pathname === "/" && search + hash + username === "") return origin;
    }
  }
  throw optionInvalid(`${JSON.stringify(endpoint)} is no endpoint: want http://host:port`);
}
