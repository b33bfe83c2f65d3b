/**
 * Calls: one request, sent to one endpoint after the other until it is answered or time is up.
 *
 * What may be sent again, and when, is what this file is about:
 *  - what certainly was not done (refused, or a member says so) may always be;
 *  - a read may be whatever happened;
 *  - a write with a name (its idempotency key) may be, too: members carry it out once. So a broken
 *    connection, a timeout or an unknown outcome is followed by a repetition elsewhere, and the
 *    call ends by the first outcome;
 *  - anything else ends as OUTCOME_UNKNOWN as soon as its fate is not known.
 *
 * Once an attempt may have had an effect, a later refusal cannot take that back: the call ends as
 * unknown, unless an answer speaks for the name itself (done, or a condition that did not hold).
 *
 * After a round through all endpoints there is a pause that grows and is never the same twice, so
 * that many clients do not come back together. Every call ends at its deadline.
 */
import { attempt } from "./attempt.ts";
import type { Attempt, ClientRequest } from "./attempt.ts";
import { ClientError } from "./client-error.ts";
import type { ClientCallOptions, ClientSettings } from "./client-options.ts";
import { timeoutOf } from "./client-options.ts";
import { Endpoints } from "./endpoints.ts";

const PAUSE_MIN_MS = 25;
const PAUSE_MAX_MS = 500;
/**
 * With less time left nothing is sent any more: a write that was certainly not done would end as
 * unknown only because its last attempt was cut short.
 */
const ROUND_MIN_MS = 100;
/**
 * Refusals with a status below 500 that say nothing of the request itself: it was too slow or went
 * away (408, 499), or the asked member is a member no more (410). Another one may take it.
 */
const PASSING: ReadonlySet<number> = new Set([408, 410, 499]);

/** Makes calls; see the top of the file. */
export class Caller {
  readonly #settings: ClientSettings;
  readonly #endpoints: Endpoints;
  /** Calls that have not ended: told one by one, for a listener each would be told of as a leak. */
  readonly #open = new Set<Call<unknown>>();
  #isClosed = false;

  constructor(settings: ClientSettings) {
    const { endpoints, order } = settings;
    this.#settings = settings;
    const first = order === "random" ? Math.floor(Math.random() * endpoints.length) : 0;
    this.#endpoints = new Endpoints(endpoints, first);
  }

  get endpoints(): readonly string[] {
    return this.#settings.endpoints;
  }

  /** Deadline of a call that names none. */
  get timeoutMs(): number {
    return this.#settings.timeoutMs;
  }

  /** Ends every call, and refuses further ones. */
  close(): void {
    this.#isClosed = true;
    for (const call of this.#open) call.stop();
  }

  /** Calls; `only` names the one endpoint to ask. Rejects with a {@link ClientError}. */
  async call<T>(
    request: ClientRequest<T>,
    options: ClientCallOptions = {},
    only?: string,
  ): Promise<T> {
    const timeoutMs = timeoutOf(options.timeoutMs, this.#settings.timeoutMs);
    const call = new Call(request, performance.now() + timeoutMs, options.signal);
    const stop = (): void => call.stop();
    if (this.#isClosed || options.signal?.aborted === true) stop();
    else options.signal?.addEventListener("abort", stop, { once: true });
    this.#open.add(call);
    try {
      return await this.#rounds(call, only);
    } finally {
      this.#open.delete(call);
      options.signal?.removeEventListener("abort", stop);
    }
  }

  async #rounds<T>(call: Call<T>, only: string | undefined): Promise<T> {
    const { method, prefers } = call.request;
    const wants = prefers ?? (method === "GET" ? "any" : "leader");
    for (let round = 0; ; round++) {
      if (call.isStopped) throw this.#stopped(call);
      call.hasHope = false;
      const order = only === undefined ? this.#endpoints.order(wants, performance.now()) : [only];
      for (const [i, endpoint] of order.entries()) {
        const limitMs = this.#limitOf(call, order.length, i);
        if (limitMs <= 0) throw call.tooLate();
        const ended = await this.#attempt(call, endpoint, limitMs);
        if (ended.type === "answer") return ended.value;
        const verdict = call.judge(ended, endpoint);
        if (call.isStopped) throw this.#stopped(call);
        if (verdict !== undefined) throw verdict;
      }
      const waits = this.#settings.whenUnreachable === "wait" || !call.wasRefusedOnly;
      if (!call.hasHope || !waits) throw call.tooLate();
      await this.#pause(call, round);
    }
  }

  async #attempt<T>(call: Call<T>, endpoint: string, limitMs: number): Promise<Attempt<T>> {
    const { headers, fetch } = this.#settings;
    const terms = { endpoint, limitMs, headers, fetch, signal: call.signal };
    const ended = await attempt(call.request, terms);
    this.#endpoints.note(endpoint, ended, performance.now());
    return ended;
  }

  /** A member that hangs must leave the call the time to be answered elsewhere. */
  #limitOf(call: Call<unknown>, endpoints: number, at: number): number {
    const leftMs = call.deadlineMs - performance.now();
    if (endpoints === 1 || call.request.repeat === "never") return leftMs;
    return Math.min(leftMs / (endpoints - at), this.#settings.attemptTimeoutMs);
  }

  #stopped(call: Call<unknown>): ClientError {
    return this.#isClosed
      ? call.stopped("CLOSED", "the client is closed")
      : call.stopped("ABORTED", "the caller's signal ended the call");
  }

  async #pause(call: Call<unknown>, round: number): Promise<void> {
    const mostMs = Math.min(PAUSE_MAX_MS, PAUSE_MIN_MS * 2 ** Math.min(round, 8));
    const pauseMs = mostMs * (0.5 + Math.random() / 2);
    if (performance.now() + pauseMs + ROUND_MIN_MS >= call.deadlineMs) throw call.tooLate();
    await call.sleep(pauseMs);
  }
}

/** One call and what is known of it so far. */
class Call<T> {
  readonly request: ClientRequest<T>;
  readonly deadlineMs: number;
  readonly #reason: AbortSignal | undefined;
  readonly #controller = new AbortController();
  /** The first attempt that may have had an effect. */
  #doubt: string | undefined;
  /** The last failure that says something. */
  #last: ClientError | undefined;
  /** Nobody was reached in all rounds so far. */
  wasRefusedOnly = true;
  /** Something in this round may go better in the next. */
  hasHope = false;

  constructor(request: ClientRequest<T>, deadlineMs: number, reason: AbortSignal | undefined) {
    this.request = request;
    this.deadlineMs = deadlineMs;
    this.#reason = reason;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get isStopped(): boolean {
    return this.signal.aborted;
  }

  stop(): void {
    this.#controller.abort();
  }

  /** Takes in how an attempt ended; gives the error with which the call ends, if it does. */
  judge(ended: Attempt<T>, endpoint: string): ClientError | undefined {
    if (ended.type === "refused") {
      this.hasHope = true;
      this.#last ??= unreachable(endpoint, ended.cause);
      return undefined;
    }
    this.wasRefusedOnly = false;
    switch (ended.type) {
      case "unusable": {
        const message = `${endpoint}: ${ended.reason}`;
        const fields = { outcome: "not-done", retryable: false, endpoint } as const;
        return new ClientError("OPTION_INVALID", message, fields);
      }
      case "lost":
        this.hasHope = true;
        return this.#uncertain(ended.reason, {
          code: "TIMEOUT",
          endpoint,
          cause: ended.cause,
          retryable: true,
        });
      case "stranger": {
        // A proxy may say so while members are away; other answers will not change.
        this.hasHope ||= ended.status >= 500;
        const reason = `status ${ended.status} from something that is no member of ours`;
        return this.#uncertain(reason, { code: "INTERNAL", endpoint, retryable: false });
      }
      case "error":
        return this.#answered(ended, endpoint);
      default:
        // Stopped from outside: noticed before the next attempt.
        if (this.#isWrite) this.#doubt ??= "the call was ended while it was under way";
        return undefined;
    }
  }

  /** The end of a call whose time is up, or which nobody can be found for. */
  tooLate(): ClientError {
    if (this.#doubt !== undefined) return this.#unknown(this.#doubt);
    return (
      this.#last ??
      new ClientError("TIMEOUT", "there was no answer in time", {
        outcome: "not-done",
        retryable: true,
      })
    );
  }

  /** The end of a call that the caller or the client ended. */
  stopped(code: "ABORTED" | "CLOSED", why: string): ClientError {
    if (this.#doubt !== undefined) return this.#unknown(`${why} (${this.#doubt})`);
    const cause: unknown = this.#reason?.reason;
    return new ClientError(code, why, { outcome: "not-done", retryable: false, cause });
  }

  /** Lets time pass, or less where the call is stopped. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      if (this.isStopped) end();
      else this.signal.addEventListener("abort", end);
    });
  }

  get #isWrite(): boolean {
    return this.request.repeat !== "freely";
  }

  /** It may have been received. */
  #uncertain(
    reason: string,
    about: { code: "TIMEOUT" | "INTERNAL"; endpoint: string; retryable: boolean; cause?: unknown },
  ): ClientError | undefined {
    const { code, ...fields } = about;
    if (!this.#isWrite) {
      this.#last = new ClientError(code, reason, { outcome: "not-done", ...fields });
      return undefined;
    }
    this.#last = new ClientError(code === "INTERNAL" ? code : "OUTCOME_UNKNOWN", said(reason), {
      outcome: "unknown",
      ...fields,
      retryable: false,
    });
    this.#doubt ??= reason;
    return this.request.repeat === "never" ? this.#last : undefined;
  }

  #answered(
    { status, error }: Extract<Attempt<T>, { readonly type: "error" }>,
    endpoint: string,
  ): ClientError | undefined {
    const { code, message, retryable, outcome, leader, revision } = error;
    const told = new ClientError(code, message, {
      status,
      endpoint,
      leader,
      revision,
      retryable,
      // A refusal of this attempt says nothing about an earlier one; an outcome of the name does.
      outcome: this.#doubt !== undefined && !OF_THE_NAME.has(code) ? "unknown" : outcome,
    });
    this.#last = told;
    if (status < 500 && !PASSING.has(status)) return told;
    this.hasHope = true;
    if (outcome === "not-done" || !this.#isWrite) return undefined;
    this.#doubt ??= message;
    return this.request.repeat === "never" ? told : undefined;
  }

  #unknown(reason: string): ClientError {
    const { endpoint, leader, cause } = this.#last ?? {};
    // An answer from a stranger is a fault of its own kind, and stays one.
    const code = this.#last?.code === "INTERNAL" ? "INTERNAL" : "OUTCOME_UNKNOWN";
    const fields = { outcome: "unknown", retryable: false, endpoint, leader, cause } as const;
    return new ClientError(code, said(reason), fields);
  }
}

/** Answers that the store gives for the name of a request, the same for every repetition. */
const OF_THE_NAME: ReadonlySet<string> = new Set(["PRECONDITION_FAILED", "IDEMPOTENCY_KEY_REUSED"]);

function said(reason: string): string {
  return `${reason}; the write may have happened or may yet`;
}

function unreachable(endpoint: string, cause: unknown): ClientError {
  const message = `no member can be reached at ${endpoint}`;
  return new ClientError("UNREACHABLE", message, {
    outcome: "not-done",
    retryable: true,
    endpoint,
    cause,
  });
}
