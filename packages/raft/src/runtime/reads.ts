/**
 * The life of the reads of one group: asked for an index through the core, confirmed, and answered
 * by this member's machine once it has applied that far. The query itself never travels.
 */
import type { RaftInputs } from "../core/contract.ts";
import type { Health } from "../core/health-watch.ts";
import type { ReadOutcome } from "../core/output.ts";
import type { MachineHost } from "../machine/machine-host.ts";
import { QuorateError, messageOf } from "../util/error.ts";
import type { Applier } from "./applier.ts";
import type { ReadCall } from "./calls.ts";
import { ReadWaiters } from "./read-waiters.ts";
import { cutOffError, isCutOff } from "./writes.ts";
import type { LeaderlessLimit } from "./writes.ts";

/** What the reads need of their group. */
export interface ReadsHooks {
  readonly machine: MachineHost<unknown>;
  /** How far the rate of our clock may be from that of real time. */
  readonly clockDriftBoundPpm: number;
  /** Asks for a turn. */
  wake(): void;
}

/** All reads of one group. */
export class Reads {
  readonly #hooks: ReadsHooks;
  readonly #waiters = new ReadWaiters();

  constructor(hooks: ReadsHooks) {
    this.#hooks = hooks;
  }

  add(call: ReadCall): void {
    this.#waiters.add(call);
  }

  /**
   * Whether this member holds every write that had ended `maxStalenessMs` before `nowMs`. Our clock
   * may have gone more slowly than time did.
   */
  isFresh(nowMs: number, maxStalenessMs: number): boolean {
    const ageMs = nowMs - this.#waiters.freshMs;
    return ageMs <= maxStalenessMs * (1 - this.#hooks.clockDriftBoundPpm / 1_000_000);
  }

  /**
   * Asks for an index for everything that gathered and that a lease may answer, or may not; the
   * context, where there was something.
   */
  ask(nowMs: number, core: RaftInputs, byLease: boolean): number | undefined {
    const context = this.#waiters.ask(nowMs, byLease);
    if (context === undefined || core.readIndex(nowMs, context, byLease)) return context;
    for (const call of this.#waiters.take(context)) {
      call.reject(new QuorateError("OVERLOADED", "too many reads wait for the leader"));
    }
    return context;
  }

  /** The core's answer. Without an index they are asked for again, until `limitOf` ends them. */
  outcome(nowMs: number, outcome: ReadOutcome, limitOf: LeaderlessLimit): void {
    if (outcome.status === "ok") {
      this.#waiters.confirm(outcome.context, outcome.index);
      return;
    }
    const calls = this.#waiters.take(outcome.context);
    for (const call of calls) {
      if (call.settled) continue;
      if (outcome.status === "no-leader" && nowMs >= limitOf(call)) call.reject(noLeader());
      else this.#waiters.add(call);
    }
    if (calls.length > 0) this.#hooks.wake();
  }

  /** The machine cannot be asked now: it is answered by the next {@link serve}. */
  hold(call: ReadCall): void {
    this.#waiters.hold(call);
  }

  /** Answers what is safe to answer at `applied`. */
  serve(applied: number): void {
    this.#waiters.serve(applied, (call) => this.answer(call));
  }

  /** Answers from the machine as it is. */
  answer(call: ReadCall): void {
    let value: unknown;
    try {
      value = this.#hooks.machine.query(call.query);
    } catch (cause) {
      call.reject(queryFailed(cause));
      return;
    }
    if (typeof value !== "object" || value === null || !("then" in value)) {
      call.resolve(value);
      return;
    }
    // It may take its time: its deadline has to be watched.
    this.#hooks.wake();
    Promise.resolve(value).then(
      (result: unknown) => call.resolve(result),
      (cause: unknown) => call.reject(queryFailed(cause)),
    );
  }

  /** Where log or machine take nothing any more: ends what waits for more than they hold. */
  endBehind(core: RaftInputs, { isFull, applied }: Applier, health: Health): void {
    if (!isCutOff(health)) return;
    const reach = isFull ? applied : core.status().lastIndex;
    for (const call of this.#waiters.beyond(reach)) call.reject(cutOffError(health));
  }

  /** No leader is known: ends what has waited long enough. */
  endLeaderless(nowMs: number, limitOf: LeaderlessLimit): void {
    for (const call of this.#waiters.pending()) {
      if (nowMs >= limitOf(call)) call.reject(noLeader());
    }
  }

  /** Ends everything. */
  endAll(errorOf: () => QuorateError): void {
    for (const call of this.#waiters.pending()) call.reject(errorOf());
  }
}

function noLeader(): QuorateError {
  return new QuorateError("NO_LEADER", "no leader is known, or no majority reachable");
}

function queryFailed(cause: unknown): QuorateError {
  return new QuorateError("QUERY_FAILED", `the state machine threw: ${messageOf(cause)}`, {
    cause,
  });
}
