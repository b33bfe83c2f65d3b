/**
 * What every invariant is: an observer that throws when a promise is broken.
 *
 * One file each, named after the invariant. An invariant keeps its own memory of what it was shown
 * and never asks the engine twice: the engine might be wrong. Its cost per event is constant or
 * logarithmic.
 */
import type { MemberView, Observer } from "../observer.ts";

/** What an invariant may look at beside what it is told. */
export interface InvariantContext {
  /** All members, in the order of their numbers. */
  readonly members: readonly MemberView[];
  /** Virtual time. */
  nowUs(): number;
  /** Voters whose agreement makes a majority: more than half of the members. */
  readonly majority: number;
  /**
   * Whether so many of those who vote now are such that nobody can decide without one of them; of
   * the entry at `index`, if it is that of a joint configuration, both halves. By number where this
   * is absent.
   */
  isQuorum?(isSuch: (member: MemberView) => boolean, index?: number): boolean;
  /** Whether it is part of the cluster now; all are where it is absent. */
  isPart?(member: MemberView): boolean;
}

/** An invariant: `watch` makes the observer of one run. */
export interface Invariant {
  /** In kebab case; also the name of its file. */
  readonly name: string;
  /** One sentence that a user understands. */
  readonly text: string;
  watch(context: InvariantContext): Observer;
}
