/** What the judge of a mutant is asked, and what it answers. */

/** One question: seeds until one fails, or one scenario. */
export type Question =
  | {
      readonly kind: "random";
      readonly profile: string | undefined;
      readonly firstSeed: number;
      readonly seeds: number;
    }
  | { readonly kind: "scenario"; readonly scenario: string };

/** The answer. */
export interface Verdict {
  /** `unasked`: the question makes no sense; `stuck`: no answer in time. */
  readonly type: "violation" | "crash" | "quiet" | "unasked" | "stuck";
  /** What was broken. */
  readonly text: string;
  /** How many seeds were run, the last one included; 0 for a scenario. */
  readonly seeds: number;
}

/** The judge says this once the library is loaded: what ends it before is no verdict on a run. */
export const LOADED = "loaded";
