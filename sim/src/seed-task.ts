/** What the main thread asks of a worker, and what comes back. */
import type { Profile, SimOptions, SimResult } from "quorate/sim";

/** One thing to do. */
export type SeedTask =
  | {
      readonly type: "run";
      readonly seed: number;
      readonly profile: Profile | undefined;
      /** Runs it a second time: both must be the same run. */
      readonly twice: boolean;
    }
  | { readonly type: "shrink"; readonly failed: SimResult };

/** What a run without a violation leaves. */
export type QuietResult = Pick<
  SimResult,
  "events" | "simulatedUs" | "statistics" | "traceHash" | "violation"
>;

/** What a worker says. Only a failing run carries its options and events. */
export type SeedAnswer =
  | { readonly type: "ran"; readonly result: QuietResult; readonly failure: SimResult | undefined }
  /** It is getting smaller; more may come. */
  | { readonly type: "smaller"; readonly options: SimOptions }
  | { readonly type: "shrunk"; readonly options: SimOptions }
  /** The simulator itself threw. */
  | { readonly type: "threw"; readonly text: string };
