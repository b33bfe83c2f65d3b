/**
 * The clock port. Monotonic only: nothing in Quorate depends on wall time.
 *
 * Contract
 * - `nowMs` never goes back and may have a fraction. Its zero means nothing.
 * - A timer fires once, never early, possibly late. `cancel` is idempotent; a cancelled timer never
 *   fires afterwards.
 * - `soon` runs the task after the inputs that are already waiting have been delivered (a turn of
 *   the event loop), in the order of the calls.
 * - Neither may call back synchronously from within the call.
 */
export interface Clock {
  nowMs(): number;
  setTimer(delayMs: number, task: () => void): Timer;
  soon(task: () => void): void;
}

/** A pending timer. */
export interface Timer {
  cancel(): void;
}
