/**
 * A place in the log: a segment and an offset in it. Places are ordered by segment, then by offset,
 * and every record, mark and cut is named by one.
 */

/** A place in the log. */
export interface Position {
  /** Sequence number of the segment, from 1 on. */
  readonly segment: number;
  readonly offset: number;
}

/** Before everything. */
export const ORIGIN: Position = { segment: 0, offset: 0 };

/** Negative, zero or positive as `a` lies before, at or behind `b`. */
export function comparePositions(a: Position, b: Position): number {
  return a.segment === b.segment ? a.offset - b.offset : a.segment - b.segment;
}

/** The one that lies further behind. */
export function laterOf(a: Position, b: Position): Position {
  return comparePositions(a, b) >= 0 ? a : b;
}
