/**
 * The state machine behind {@link everyWhileLeader}: which jobs ran when, so that a job runs once
 * per interval whoever leads.
 *
 * A leader claims a run before it does it. Time is cluster time; it stands still while nobody
 * leads. Runs keep to a grid from the first one on; those that nobody could claim in time are left
 * out, not made up for. A claim under an older fence than the job has seen is refused: it is from a
 * leader that has been followed by another.
 */
import type { Applied, ResultOf, Returns, StateMachine } from "../index.ts";
import { itemsIn, linesOf } from "./lines.ts";

/** What became of a claim. */
export type ClaimResult =
  /** The run is the caller's, and nobody else's. */
  | { readonly type: "run"; readonly run: number; readonly nextInMs: number }
  /** It is not due yet. */
  | { readonly type: "wait"; readonly nextInMs: number }
  /** Another leader has claimed since. */
  | { readonly type: "superseded" };

/** Claims the next run of a job, under the fence of a leadership. */
export interface ScheduleClaim extends Returns<ClaimResult> {
  readonly type: "claim";
  readonly job: string;
  readonly everyMs: number;
  readonly fence: number;
}

/** Forgets a job; whether it was known. */
export interface ScheduleForget extends Returns<boolean> {
  readonly type: "forget";
  readonly job: string;
}

/** Everything that changes a schedule. */
export type ScheduleCommand = ScheduleClaim | ScheduleForget;

/** What is known of a job. */
export interface JobState {
  /** How many runs were claimed. */
  readonly runs: number;
  /** Cluster time at which the last one was due. */
  readonly lastDueMs: number;
  /** The fence of the newest claim. */
  readonly fence: number;
}

/** Asks for a job; undefined where it never ran. */
export interface ScheduleQuery extends Returns<JobState | undefined> {
  readonly type: "job";
  readonly job: string;
}

const RECIPE = "schedule";
const VERSION = 1;

/** The state machine of jobs that run once per interval; see {@link everyWhileLeader}. */
export class ScheduleMachine implements StateMachine<ScheduleCommand, ScheduleQuery> {
  #jobs = new Map<string, JobState>();

  apply(command: ScheduleCommand, at: Applied): ResultOf<ScheduleCommand> {
    return command.type === "forget"
      ? this.#jobs.delete(command.job)
      : this.#claim(command, at.timeMs);
  }

  query({ job }: ScheduleQuery): JobState | undefined {
    return this.#jobs.get(job);
  }

  snapshot(): AsyncIterable<Uint8Array> {
    return linesOf(RECIPE, VERSION, Array.from(this.#jobs));
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const items = await itemsIn(RECIPE, VERSION, chunks);
    this.#jobs = new Map(items as ReadonlyArray<readonly [string, JobState]>);
  }

  #claim({ job, everyMs, fence }: ScheduleClaim, nowMs: number): ClaimResult {
    const known = this.#jobs.get(job);
    if (known !== undefined && fence < known.fence) return { type: "superseded" };
    const { runs = 0, lastDueMs = nowMs - everyMs } = known ?? {};
    const sinceMs = nowMs - lastDueMs;
    if (sinceMs < everyMs) {
      if (known !== undefined) this.#jobs.set(job, { ...known, fence });
      return { type: "wait", nextInMs: everyMs - sinceMs };
    }
    // On the grid: how late a claim comes does not move the next one.
    const lateMs = sinceMs % everyMs;
    this.#jobs.set(job, { runs: runs + 1, lastDueMs: nowMs - lateMs, fence });
    return { type: "run", run: runs + 1, nextInMs: everyMs - lateMs };
  }
}
