/**
 * The time by which a recipe waits on its own member: the monotonic clock and the timers of the
 * platform, or what a test puts in their place. It never decides what is replicated.
 */

/** A monotonic clock with timers. */
export interface RecipeClock {
  nowMs(): number;
  /** Calls once, after so long; returns the way to stop it. */
  after(delayMs: number, callback: () => void): () => void;
}

/** The clock of the platform. */
export const platformClock: RecipeClock = {
  nowMs: () => performance.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Waits, or less where the signal is aborted. Never rejects. */
export function pause(
  clock: RecipeClock,
  delayMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve();
      return;
    }
    const end = (): void => {
      stop();
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const stop = clock.after(delayMs, end);
    signal?.addEventListener("abort", end, { once: true });
  });
}
