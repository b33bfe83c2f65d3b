/**
 * Wishes of callers that the members change, from any member.
 *
 * A wish goes to whoever leads: to the own core, or as a message to another member. What comes back
 * says only whether the leader has begun. How it ended is seen in this member's own committed
 * configurations: they carry the token of the change (core/configuration.ts, `change`), so nothing
 * depends on an answer, and nothing on the leader that began it.
 *
 * Asking twice is never doing twice. A change is asked for *that* configuration which this member
 * knows, by the index of its entry; where another one is in force the leader refuses, and where the
 * token is already in force it says so. So a request that arrives late or twice finds a newer
 * configuration. A refusal ends the call as certainly not done, unless an earlier request of the
 * same call may have been carried out and overtaken since: then its end is unknown.
 *
 * A change that began may be lost with its leader. That is seen when the commit index passes its
 * entry and the configuration there is not of this change: then it was not done, and is asked anew.
 */
import type { Configuration, IndexedConfiguration, MemberId } from "../core/configuration.ts";
import { finalOf, isChanging, isJoint, memberOf } from "../core/configuration.ts";
import type { RaftInputs } from "../core/contract.ts";
import type { MembershipPlan } from "../core/membership-change.ts";
import { describePlan, standingOf } from "../core/membership-course.ts";
import type {
  MembershipRequest,
  MembershipResponse,
  PeerMessage,
} from "../transport/peer-message.ts";
import type { ErrorCode } from "../util/error.ts";
import { QuorateError } from "../util/error.ts";
import type { Calls } from "./calls.ts";
import type { MemberCall } from "./member-call.ts";
import type { LeaderlessLimit } from "./writes.ts";

/** What the memberships need of their group. */
export interface MembershipsHooks {
  readonly id: MemberId;
  readonly nonce: number;
  readonly electionTimeoutMs: number;
  /** How long to wait before asking again where asking was of no use. */
  readonly retryMs: number;
  readonly calls: Calls;
  send(to: MemberId, message: PeerMessage): boolean;
}

type Answer = Pick<MembershipResponse, "status" | "index" | "detail" | "before" | "next">;
type Refusal = Exclude<Answer["status"], "begun" | "unchanged" | "planned">;

/** All wishes of one group. */
export class Memberships {
  readonly #hooks: MembershipsHooks;
  readonly #requests = new Map<number, { readonly to: MemberId; readonly call: MemberCall }>();
  #lastRequest: number;
  #tokens = 0;
  /** The newest committed configuration, and how far is committed. */
  #committed: IndexedConfiguration | undefined;
  #commit = 0;

  constructor(hooks: MembershipsHooks) {
    this.#hooks = hooks;
    this.#lastRequest = hooks.nonce;
  }

  /** When {@link dispatch} has something to do. */
  nextMs(leader: MemberId | undefined): number {
    let nextMs = Infinity;
    if (leader === undefined) return nextMs;
    for (const call of this.#hooks.calls.members) nextMs = Math.min(nextMs, call.askAtMs);
    return nextMs;
  }

  /** Asks whoever leads. */
  dispatch(nowMs: number, core: RaftInputs, leader: MemberId | undefined): void {
    const { members } = this.#hooks.calls;
    if (members.size === 0 || leader === undefined) return;
    this.#committed ??= core.status().committedConfiguration;
    for (const call of [...members]) {
      if (nowMs >= call.askAtMs) this.#ask(nowMs, call, core, leader);
    }
  }

  /** Another member asks this one, as the leader. */
  takeRequest(nowMs: number, from: MemberId, message: MembershipRequest, core: RaftInputs): void {
    const answer = this.#carryOut(nowMs, message, core);
    const { request } = message;
    this.#hooks.send(from, { type: "membership-response", request, ...answer });
  }

  /** The asked member has answered. */
  takeResponse(nowMs: number, from: MemberId, message: MembershipResponse): void {
    const request = this.#requests.get(message.request);
    if (request === undefined || request.to !== from) return;
    this.#requests.delete(message.request);
    if (!request.call.settled) this.#judge(nowMs, request.call, message);
  }

  /** Another member leads, or none is known. */
  leaderChanged(): void {
    this.#requests.clear();
    for (const call of this.#hooks.calls.members) if (call.begunAt === undefined) call.askAtMs = 0;
  }

  /** What is committed has grown; `configuration` is the newest one in it, where that is new. */
  committedUpTo(commit: number, configuration: IndexedConfiguration | undefined): void {
    this.#commit = commit;
    if (configuration !== undefined) this.#committed = configuration;
    if (this.#hooks.calls.members.size === 0) return;
    for (const call of [...this.#hooks.calls.members]) this.#look(call);
  }

  /** No leader is known: ends what has waited long enough to be asked for. */
  endLeaderless(nowMs: number, limitOf: LeaderlessLimit): void {
    for (const call of [...this.#hooks.calls.members]) {
      if (call.wasAsked || nowMs < limitOf(call)) continue;
      call.reject(new QuorateError("NO_LEADER", "no leader is known, or no majority reachable"));
    }
  }

  #ask(nowMs: number, call: MemberCall, core: RaftInputs, leader: MemberId): void {
    if (call.token === 0) call.token = this.#hooks.nonce + ++this.#tokens;
    call.expectedIndex ??= call.planOnly ? undefined : this.#committed?.index;
    const { change, token, planOnly, expectedIndex } = call;
    const asked = { change, token, planOnly, expectedIndex };
    if (leader === this.#hooks.id) {
      this.#judge(nowMs, call, this.#carryOut(nowMs, asked, core));
      return;
    }
    const request = this.#lastRequest + 1;
    if (!this.#hooks.send(leader, { type: "membership-request", request, ...asked })) {
      call.obstacle = `the leader, ${leader}, cannot be reached`;
      call.askAtMs = nowMs + this.#hooks.retryMs;
      return;
    }
    this.#lastRequest = request;
    this.#requests.set(request, { to: leader, call });
    call.unanswered++;
    call.askAtMs = nowMs + this.#hooks.electionTimeoutMs;
  }

  #carryOut(
    nowMs: number,
    asked: Pick<MembershipRequest, "change" | "token" | "planOnly" | "expectedIndex">,
    core: RaftInputs,
  ): Answer {
    const { change, token, planOnly, expectedIndex } = asked;
    if (planOnly) return planOf(nowMs, change, core);
    const result = core.changeMembership(nowMs, change, { token, expectedIndex });
    const { index } = result;
    const none = { before: undefined, next: undefined };
    if (!result.ok) return { status: result.reason, index, detail: result.detail, ...none };
    return { status: result.unchanged ? "unchanged" : "begun", index, detail: "", ...none };
  }

  #judge(nowMs: number, call: MemberCall, answer: Answer): void {
    const isUncertain = call.unanswered > 1;
    if (call.unanswered > 0) call.unanswered--;
    switch (answer.status) {
      case "planned":
        call.resolve(planFrom(answer));
        return;
      case "begun":
      case "unchanged":
        call.begunAt = answer.index;
        call.isUnchanged = answer.status === "unchanged";
        call.askAtMs = Infinity;
        this.#look(call);
        return;
      case "not-leader":
      case "not-ready":
      case "transferring":
      case "settling":
        call.obstacle = answer.detail;
        call.askAtMs = nowMs + this.#hooks.retryMs;
        return;
      default:
        this.#refuse(nowMs, call, answer as Answer & { status: Refusal }, isUncertain);
    }
  }

  #refuse(
    nowMs: number,
    call: MemberCall,
    answer: Answer & { readonly status: Refusal },
    isUncertain: boolean,
  ): void {
    if (call.planOnly) {
      call.resolve(planFrom(answer));
      return;
    }
    // An earlier request may have been carried out, and its configuration followed by others.
    const mayHaveBeen = isUncertain && answer.index !== call.expectedIndex;
    if (mayHaveBeen) {
      call.reject(unknown(`an earlier request may have been carried out; now: ${answer.detail}`));
    } else if (answer.status === "changed" && call.isFree) {
      call.expectedIndex = answer.index;
      call.askAtMs = nowMs;
    } else {
      call.reject(new QuorateError(codeOf(answer.status), answer.detail));
    }
  }

  /** Whether what is committed tells how a change ended. */
  #look(call: MemberCall): void {
    const committed = this.#committed;
    if (committed === undefined || call.planOnly || call.token === 0) return;
    const { configuration } = committed;
    const { change } = configuration;
    if (change?.token === call.token) {
      this.#seen(call, configuration, change.undone);
      return;
    }
    if (call.begunAt === undefined || this.#commit < call.begunAt) return;
    if (call.isUnchanged) call.resolve(committed);
    else if (change !== undefined && change.index > call.begunAt) {
      call.reject(unknown("other changes have followed before this member saw how it ended"));
    } else {
      // The entry was lost with its leader, and another stands in its place.
      call.begunAt = undefined;
      call.expectedIndex = call.isFree ? undefined : call.expectedIndex;
      call.askAtMs = 0;
    }
  }

  #seen(call: MemberCall, configuration: Configuration, undone: string): void {
    call.begunAt ??= configuration.change?.index;
    call.askAtMs = Infinity;
    if (undone === "timeout") {
      const text = "the new voters did not catch up in time: the change was taken back";
      call.reject(new QuorateError("MEMBERSHIP_TIMEOUT", text));
    } else if (undone === "cancelled") {
      call.reject(new QuorateError("ABORTED", "the change was cancelled and taken back"));
    } else if (call.endsBegun || !isChanging(configuration) || this.#isLeaving(configuration)) {
      call.resolve(this.#committed);
    }
  }

  /** This member is not in what is sure to follow, and may never see that. */
  #isLeaving(configuration: Configuration): boolean {
    if (!isJoint(configuration)) return false;
    const final = finalOf(configuration);
    return final.pending === undefined && memberOf(final, this.#hooks.id) === undefined;
  }
}

function planOf(nowMs: number, change: MembershipRequest["change"], core: RaftInputs): Answer {
  const { role, ready, configuration, configurationIndex: index } = core.status();
  const none = { before: undefined, next: undefined };
  if (role !== "leader") {
    return { status: "not-leader", index, detail: "this member does not lead", ...none };
  }
  if (!ready) {
    const detail = "the leader has not committed in its term yet";
    return { status: "not-ready", index, detail, ...none };
  }
  const { refused, next } = core.planMembership(nowMs, change);
  const before = configuration;
  if (refused === undefined) return { status: "planned", index, detail: "", before, next };
  return { status: refused.reason, index, detail: refused.detail, before, next: undefined };
}

function planFrom({ status, index, detail, before, next }: Answer): MembershipPlan & {
  readonly version: number;
} {
  if (before === undefined) throw new QuorateError("REPLICA_FAILED", "a plan without a before");
  if (status === "planned") {
    const plan = describePlan(before, next);
    return { ...plan, version: index };
  }
  const standing = standingOf(before);
  const refused = { reason: status as "unsafe", detail };
  return { before: standing, after: standing, steps: [], refused, version: index };
}

function codeOf(status: Refusal): ErrorCode {
  switch (status) {
    case "busy":
      return "MEMBERSHIP_BUSY";
    case "changed":
      return "MEMBERSHIP_CHANGED";
    case "member-exists":
      return "MEMBER_EXISTS";
    case "member-unknown":
      return "MEMBER_UNKNOWN";
    default:
      return "MEMBERSHIP_UNSAFE";
  }
}

function unknown(text: string): QuorateError {
  return new QuorateError("OUTCOME_UNKNOWN", text);
}
