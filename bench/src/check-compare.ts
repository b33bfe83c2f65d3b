/**
 * What the guard decides: is a figure worse than the one recorded, by more than noise explains?
 *
 * Only figures that survive a busy machine are compared: ratios to something measured in the same
 * run, and processor time per operation. Each is a handful of runs, told by its median. It counts
 * as worse when the median moved the wrong way by more than its kind is allowed, or by more than
 * three standard errors of the two medians, whichever is more; but never is more allowed than
 * `ALLOWED_MAX`, so that a machine noisy enough cannot let everything pass.
 *
 * Two kinds are passed over, and said to be, where they mean nothing: processor time in µs on a
 * machine other than that of the record, and whatever was taken from the clock on the wall while
 * others had the machine, since who needs more of it then also waits longer for it. And a machine
 * may be slow for hours without a sign of others: where what took turns with a load needed more
 * time per operation, too, µs may grow as much as it did, up to `SLOWNESS_MAX`.
 */
import { spreadOf } from "./statistics.ts";

/** What a figure counts, and so how far it may move without a reason in the code. */
export const KINDS = {
  /** Entries per second as a share of the floor's. */
  share: { better: "higher", allowed: 0.15, sameMachine: false, quiet: true },
  /** A latency as a multiple of the floor's. */
  latency: { better: "lower", allowed: 0.2, sameMachine: false, quiet: true },
  /** Processor time per operation as a multiple of something that took turns with it. */
  cpu: { better: "lower", allowed: 0.15, sameMachine: false, quiet: false },
  /** Processor time per operation in µs. */
  cpuUs: { better: "lower", allowed: 0.25, sameMachine: true, quiet: false },
} as const;

export type Kind = keyof typeof KINDS;

/** One figure: a value for each run. */
export interface Figure {
  readonly name: string;
  readonly kind: Kind;
  readonly values: readonly number[];
  /** Of a figure in µs: what something needed in the same runs that does not change with us. */
  readonly reference?: readonly number[];
}

/** What makes two machines one kind for `sameMachine` figures. */
export interface MachineKind {
  readonly processor: string;
  readonly cores: number;
  readonly node: string;
}

/** A run of the guard, as it is recorded. */
export interface CheckRecord {
  readonly version: 1;
  readonly environment: MachineKind & { readonly commit: string; readonly date: string };
  readonly command: string;
  /** The share of the machine that others had meanwhile, in the median window; 0 if unknown. */
  readonly othersShare: number;
  readonly figures: readonly Figure[];
}

/** `gone`: recorded and not measured any more. `new`: not recorded yet. */
export type Verdict =
  | "same"
  | "better"
  | "worse"
  | "gone"
  | "new"
  | "other machine"
  | "busy machine"
  | "slow machine";

/** A figure beside the recorded one. */
export interface Finding {
  readonly name: string;
  readonly kind: Kind;
  readonly recorded: number | undefined;
  readonly now: number | undefined;
  /** How many times worse; below 1 it got better. Undefined where nothing is compared. */
  readonly timesWorse: number | undefined;
  /** How many times worse is still the same. */
  readonly allowedTimes: number;
  readonly verdict: Verdict;
}

/** Above it the wall clock says nothing. */
const BUSY_SHARE = 0.3;
const STANDARD_ERRORS = 3;
const ALLOWED_MAX = 0.5;
/** The same machine may be so many times as slow as when it was recorded. */
const SLOWNESS_MAX = 2;
/** The standard deviation of normal noise, from the median of the distances to the median. */
const SIGMA_OF_MAD = 1.4826;
/** The standard error of a median against that of a mean. */
const MEDIAN_AGAINST_MEAN = 1.2533;

/** Every figure of either side, the recorded ones first, in their order. */
export function compare(recorded: CheckRecord, now: CheckRecord): readonly Finding[] {
  const passOver = (kind: Kind): Verdict | undefined => {
    const { sameMachine, quiet } = KINDS[kind];
    if (sameMachine && !isSameKind(recorded.environment, now.environment)) return "other machine";
    if (quiet && Math.max(recorded.othersShare, now.othersShare) > BUSY_SHARE)
      return "busy machine";
    return undefined;
  };
  const measured = new Map(now.figures.map((figure) => [figure.name, figure]));
  const known = new Set(recorded.figures.map(({ name }) => name));
  return [
    ...recorded.figures.map((before) => {
      const after = measured.get(before.name);
      return after === undefined ? gone(before) : judge(before, after, passOver(before.kind));
    }),
    ...now.figures.filter(({ name }) => !known.has(name)).map(fresh),
  ];
}

/** What a nightly job has to fail for. */
export function failuresOf(findings: readonly Finding[]): readonly Finding[] {
  return findings.filter(({ verdict }) => verdict === "worse" || verdict === "gone");
}

function judge(before: Figure, after: Figure, passedOver: Verdict | undefined): Finding {
  const { better, allowed } = KINDS[after.kind];
  const recorded = spreadOf(before.values).median;
  const now = spreadOf(after.values).median;
  const noise = STANDARD_ERRORS * Math.hypot(errorOf(before.values), errorOf(after.values));
  const allowedTimes = 1 + Math.min(ALLOWED_MAX, Math.max(allowed, noise));
  const found = { name: after.name, kind: after.kind, recorded, now, allowedTimes };
  if (passedOver !== undefined) return { ...found, timesWorse: undefined, verdict: passedOver };
  const timesWorse = better === "lower" ? now / recorded : recorded / now;
  const isBetter = timesWorse < 1 / allowedTimes;
  // Written so that a value that is no number counts as worse.
  if (timesWorse <= allowedTimes) {
    return { ...found, timesWorse, verdict: isBetter ? "better" : "same" };
  }
  const isTheMachine = timesWorse <= allowedTimes * slownessOf(before, after);
  return { ...found, timesWorse, verdict: isTheMachine ? "slow machine" : "worse" };
}

/** How many times more the reference needed than when the figure was recorded; 1 if not known. */
function slownessOf(before: Figure, after: Figure): number {
  if (before.reference === undefined || after.reference === undefined) return 1;
  const times = spreadOf(after.reference).median / spreadOf(before.reference).median;
  return Math.min(SLOWNESS_MAX, times);
}

function gone({ name, kind, values }: Figure): Finding {
  const recorded = spreadOf(values).median;
  return { ...uncompared(name, kind), recorded, verdict: "gone" };
}

function fresh({ name, kind, values }: Figure): Finding {
  return { ...uncompared(name, kind), now: spreadOf(values).median, verdict: "new" };
}

function uncompared(name: string, kind: Kind): Omit<Finding, "verdict"> {
  const allowedTimes = 1 + KINDS[kind].allowed;
  return { name, kind, recorded: undefined, now: undefined, timesWorse: undefined, allowedTimes };
}

/** The standard error of a median, as a share of it; robust against one run gone wrong. */
function errorOf(values: readonly number[]): number {
  const { median } = spreadOf(values);
  const mad = spreadOf(values.map((value) => Math.abs(value - median))).median;
  return (MEDIAN_AGAINST_MEAN * SIGMA_OF_MAD * mad) / Math.sqrt(values.length) / median;
}

function isSameKind(a: MachineKind, b: MachineKind): boolean {
  return a.processor === b.processor && a.cores === b.cores && a.node === b.node;
}
