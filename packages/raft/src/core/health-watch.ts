/**
 * What a member knows of its own health; what it means and what follows from it is in health.ts and
 * yield.ts.
 */

/** How well a member can do its work, from well to worst. */
export type Health = "ok" | "late" | "full" | "stalled";

/** What a member knows of its own health. */
export class HealthWatch {
  /** As of the newest input. */
  health: Health = "ok";
  sinceMs: number;
  /** The log waits for space. */
  isFull = false;
  /** Since when nothing has become durable, while something waits for that. */
  waitingSinceMs: number | undefined = undefined;
  isStalled = false;
  /** How often a stall began. */
  stalls = 0;
  /** How often leadership was given up, or tried to be, for want of health. */
  yields = 0;
  /** Leader: since when there are others who could do better. */
  yieldSinceMs: number | undefined = undefined;
  /** Leader: no attempt to hand over before this. */
  yieldAfterMs: number = -Infinity;
  /** When the process came back from its newest gaps, oldest first. */
  readonly gapsMs: number[] = [];

  constructor(nowMs: number) {
    this.sinceMs = nowMs;
  }
}
