/** A wish that the members change, or a question what that would do. */
import type { MemberId } from "../core/configuration.ts";
import { QuorateError } from "../util/error.ts";
import type { RequestedChange } from "../transport/peer-message.ts";
import type { Calls, CallStart } from "./calls.ts";
import { Call } from "./calls.ts";

/** How a change is asked for. */
export interface MemberWish {
  readonly change: RequestedChange;
  readonly planOnly: boolean;
  /** Only where this configuration is in force. */
  readonly expectedVersion: number | undefined;
  /** It is enough that the change stands in the log. */
  readonly endsBegun: boolean;
}

/** See memberships.ts for its life. */
export class MemberCall extends Call {
  readonly change: RequestedChange;
  readonly planOnly: boolean;
  readonly endsBegun: boolean;
  /** Unique among all callers that there ever were; 0 until it is asked for the first time. */
  token = 0;
  /** The caller does not insist on a configuration. */
  readonly isFree: boolean;
  expectedIndex: number | undefined;
  /** When to ask next. */
  askAtMs = 0;
  /** Requests that were sent and not answered. */
  unanswered = 0;
  /** The entry that the change began with; undefined = it has not, as far as is known. */
  begunAt: number | undefined = undefined;
  /** There was nothing to change. */
  isUnchanged = false;
  /** What was last in the way. */
  obstacle = "no leader has taken it";

  constructor(calls: Calls, start: CallStart, wish: MemberWish) {
    super(calls, start);
    this.change = wish.change;
    this.planOnly = wish.planOnly;
    this.endsBegun = wish.endsBegun;
    this.expectedIndex = wish.expectedVersion;
    this.isFree = wish.expectedVersion === undefined;
    calls.members.add(this);
  }

  /** Whether it may have been carried out, or may be yet. */
  get wasAsked(): boolean {
    return this.unanswered > 0 || this.begunAt !== undefined;
  }

  timeoutError(): QuorateError {
    if (!this.wasAsked || this.planOnly) {
      return new QuorateError("TIMEOUT", `the deadline passed: ${this.obstacle}`);
    }
    return new QuorateError("OUTCOME_UNKNOWN", `the deadline passed while ${this.#state()}`);
  }

  abortError(cause: unknown): QuorateError {
    if (!this.wasAsked || this.planOnly) {
      return new QuorateError("ABORTED", "the caller's signal ended the call", { cause });
    }
    const text = `the caller's signal came while ${this.#state()}`;
    return new QuorateError("OUTCOME_UNKNOWN", text, { cause });
  }

  /** Ends for a reason of this member's own. */
  endedBy(error: QuorateError, self: MemberId): void {
    const { change } = this;
    const wasWished = change.type === "remove" && change.id === self;
    if (!this.wasAsked || this.planOnly) this.reject(error);
    else if (error.code === "REMOVED" && wasWished) this.resolve(undefined);
    else {
      const text = `this member ended (${error.message}) while ${this.#state()}`;
      this.reject(new QuorateError("OUTCOME_UNKNOWN", text, { cause: error }));
    }
  }

  leave(calls: Calls): void {
    calls.members.delete(this);
  }

  #state(): string {
    return this.begunAt === undefined
      ? "it was not known whether the change had begun"
      : `the change of entry ${this.begunAt} was under way: members.list() shows it`;
  }
}
