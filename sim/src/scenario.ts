/**
 * What every directed scenario is: a story that random runs reach too rarely, told step by step.
 *
 * A scenario passes on the library as it is and throws on one that has the defect it is about. It
 * is deterministic, starts no process, touches no real disk or network, and takes well under a
 * second. It throws whatever shows best what is wrong: a `SimViolation` or an `AssertionError`.
 */

/** A directed scenario; `npm run sim -- --mutations` and the unit tests run it. */
export interface Scenario {
  /** In kebab case; unique. Those of historical bugs begin with `issue-`. */
  readonly name: string;
  /** The historical bug it tells again, as project#number. */
  readonly known?: string;
  /** One sentence: what happens, and what must not come of it. */
  readonly text: string;
  /** Throws when a promise of the library is broken. */
  run(): Promise<void>;
}
