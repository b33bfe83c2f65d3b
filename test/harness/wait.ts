/**
 * Waiting for a condition that another process brings about: polled, with a deadline, and with an
 * error that says what was waited for and what was there instead. Nothing in these tests waits for
 * a length of time and hopes.
 */
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 15;

/** The condition did not come true in time. */
export class WaitTimeout extends Error {
  override readonly name = "WaitTimeout";
}

/**
 * Calls `probe` until it gives something other than undefined or false, and returns that. What the
 * probe throws counts as "not yet" and is named when time is up.
 */
export async function waitUntil<T>(
  what: string,
  timeoutMs: number,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const begin = performance.now();
  for (;;) {
    let last: string;
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
      last = `the probe said ${String(value)}`;
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    const elapsedMs = performance.now() - begin;
    if (elapsedMs > timeoutMs) {
      throw new WaitTimeout(`${what}: not within ${timeoutMs} ms (${last})`);
    }
    await sleep(POLL_MS);
  }
}
