/**
 * The newest requests that other members made of this one, to tell a copy from the first.
 *
 * A message may be doubled within its connection, and a copy may be overtaken by later messages,
 * but not by {@link KEPT} requests of the same member. By exact number, since the numbers of a
 * restarted member begin anywhere.
 */
import type { MemberId } from "../core/configuration.ts";

const KEPT = 1_024;

interface Recent {
  readonly known: Set<number>;
  readonly ring: number[];
  next: number;
  largest: number;
}

/** What was asked lately, by member. */
export class RecentRequests {
  readonly #byMember = new Map<MemberId, Recent>();

  /** Whether this request is seen for the first time; from now on it is known. */
  isNew(from: MemberId, request: number): boolean {
    let recent = this.#byMember.get(from);
    if (recent === undefined) {
      recent = { known: new Set(), ring: [], next: 0, largest: 0 };
      this.#byMember.set(from, recent);
    }
    if (recent.known.has(request)) return false;
    const oldest = recent.ring[recent.next];
    if (oldest !== undefined) recent.known.delete(oldest);
    recent.ring[recent.next] = request;
    recent.known.add(request);
    recent.next = (recent.next + 1) % KEPT;
    recent.largest = Math.max(recent.largest, request);
    return true;
  }

  /** The largest number that ever came from `from`; 0 where none did. */
  largestOf(from: MemberId): number {
    return this.#byMember.get(from)?.largest ?? 0;
  }
}
