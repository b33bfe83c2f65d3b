/**
 * Work that is done once per interval by whichever member leads: a cron that needs no other
 * service. All members run the same program; the one that leads claims each run in the replicated
 * schedule before it does it.
 *
 * So a run is begun at most once per interval, over all members and changes of leadership. A leader
 * that dies in the middle of one leaves it unfinished: the next run comes with the next interval. A
 * leader that was followed without noticing it yet (its process was paused) can no longer claim,
 * but what it had begun it may still be doing: give the fence to what the work writes to.
 */
import type { Leadership } from "../index.ts";
import { QuorateError } from "../util/error.ts";
import type { Access } from "./access.ts";
import { pause, platformClock } from "./recipe-clock.ts";
import type { RecipeClock } from "./recipe-clock.ts";
import type { ClaimResult, ScheduleCommand, ScheduleQuery } from "./schedule-machine.ts";

/** What is to run, and how often. */
export interface EveryOptions {
  /** `node.leadership` of the replica. */
  readonly leadership: Pick<Leadership, "whileLeader">;
  /** The replica whose machine is a {@link ScheduleMachine}, or such a part of one. */
  readonly schedule: Access<ScheduleCommand, ScheduleQuery>;
  /** Its name in the schedule. */
  readonly job: string;
  /** The interval, in ms of cluster time; at least 10. */
  readonly everyMs: number;
  /** Ends it: no further run begins. */
  readonly signal?: AbortSignal;
  /** The clock by which this member waits; for tests. */
  readonly clock?: RecipeClock;
}

/** One run. */
export interface ScheduledRun {
  /** 1, 2, 3 …, over all leaders. */
  readonly run: number;
  /** Grows with every leadership. */
  readonly fence: number;
  /** Aborted when this member does not lead any more. */
  readonly signal: AbortSignal;
}

const EVERY_MIN_MS = 10;
/** After an error that may pass. */
const RETRY_MS = 100;

/**
 * Calls `work` once per interval on whichever member leads; to be called on every member. A run
 * that takes longer than the interval is not overtaken by the next one.
 *
 * Resolves when the replica closes or the signal ends it. Rejects with what `work` throws, as
 * `leadership.whileLeader` does; on this member nothing runs any more then.
 *
 * @throws QuorateError OPTION_INVALID, REPLICA_FAILED.
 * @example
 * ```ts
 * await everyWhileLeader(
 *   { leadership: node.leadership, schedule: node, job: "report", everyMs: 60_000 },
 *   async ({ run, fence, signal }) => sendReport({ number: run, fence, signal }),
 * );
 * ```
 */
export function everyWhileLeader(
  options: EveryOptions,
  work: (run: ScheduledRun) => Promise<void>,
): Promise<void> {
  const { leadership, everyMs, signal } = options;
  if (!(Number.isSafeInteger(everyMs) && everyMs >= EVERY_MIN_MS)) {
    const message = `everyMs must be a whole number from ${EVERY_MIN_MS} on, not ${everyMs}`;
    return Promise.reject(new QuorateError("OPTION_INVALID", message));
  }
  return leadership.whileLeader(
    async (term) => {
      while (!term.signal.aborted) {
        const delayMs = await oneRun(options, term, work);
        if (delayMs === undefined) return;
        await pause(options.clock ?? platformClock, delayMs, term.signal);
      }
    },
    signal === undefined ? {} : { signal },
  );
}

/** Claims and does a run if one is due; how long to wait then, undefined where another leads. */
async function oneRun(
  { schedule, job, everyMs, clock = platformClock }: EveryOptions,
  { fence, signal }: { readonly fence: number; readonly signal: AbortSignal },
  work: (run: ScheduledRun) => Promise<void>,
): Promise<number | undefined> {
  let claimed: ClaimResult;
  const askedMs = clock.nowMs();
  try {
    const claim = { type: "claim", job, everyMs, fence } as const;
    claimed = await schedule.write(claim, { signal });
  } catch (error) {
    // A claim whose outcome is not known counts as taken: this run is left out, none is doubled.
    const mayPass = QuorateError.is(error) && (error.retryable || error.outcome === "unknown");
    if (mayPass || signal.aborted) return RETRY_MS;
    throw error;
  }
  if (claimed.type === "superseded") return undefined;
  if (claimed.type === "run" && !signal.aborted) await work({ run: claimed.run, fence, signal });
  // Counted from the asking, which was not later than the claim: asked too early costs one answer.
  return Math.max(1, claimed.nextInMs - (clock.nowMs() - askedMs));
}
