/** Axes: where a value lies, and which values are named beside the axis. */

/** How an axis maps values, and what is written beside it. */
export interface Scale {
  /** Where a value lies, from 0 at the start of the axis to 1 at its end. */
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
  /** What is written beside one of the ticks. */
  readonly label: (tick: number) => string;
}

const STEPS = [1, 2, 2.5, 5, 10] as const;

/** From zero to a round number above all values. */
export function linearScale(values: readonly number[], wanted: number): Scale {
  const most = Math.max(...values, 0) || 1;
  const step = roundStep(most / wanted);
  const end = Math.ceil(most / step - 1e-9) * step;
  const count = Math.round(end / step);
  return {
    at: (value) => value / end,
    ticks: Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(12))),
    label: compact,
  };
}

/** Powers of ten around all values, which have to be above zero. */
export function logScale(values: readonly number[]): Scale {
  const least = Math.min(...values);
  const most = Math.max(...values);
  if (!(least > 0)) throw new Error(`a logarithmic axis has no place for ${least}`);
  const from = Math.floor(Math.log10(least) + 1e-9);
  const to = Math.max(from + 1, Math.ceil(Math.log10(most) - 1e-9));
  const decades = to - from;
  const within = decades <= 2 ? [1, 2, 5] : [1];
  const ticks: number[] = [];
  for (let exponent = from; exponent <= to; exponent++) {
    for (const digit of within) {
      if (exponent === to && digit > 1) continue;
      ticks.push(Number((digit * 10 ** exponent).toPrecision(12)));
    }
  }
  return { at: (value) => (Math.log10(value) - from) / decades, ticks, label: compact };
}

/** Exactly from the least value to the most, and all of them named: for what was asked for. */
export function namedScale(values: readonly number[], logarithmic: boolean): Scale {
  const ticks = [...new Set(values)].sort((a, b) => a - b);
  const place = (value: number): number => (logarithmic ? Math.log2(value) : value);
  const from = place(ticks[0]!);
  const length = place(ticks.at(-1)!) - from;
  const at = (value: number): number => (length === 0 ? 0.5 : (place(value) - from) / length);
  return { at, ticks, label: exact };
}

/** Those of the ticks that have `gap` of the axis for themselves, the last one among them. */
export function thinned(scale: Scale, gap: number): readonly number[] {
  const kept: number[] = [];
  for (const tick of [...scale.ticks].reverse()) {
    const next = kept.at(-1);
    if (next === undefined || scale.at(next) - scale.at(tick) >= gap) kept.push(tick);
  }
  return kept.reverse();
}

/** A number that was asked for, as it was: 4,096, and 1M. */
function exact(value: number): string {
  return value < 1e5 ? value.toLocaleString("en-GB") : compact(value);
}

/** A number beside an axis: 20k, 1.5M, 0.25. */
export function compact(value: number): string {
  const size = Math.abs(value);
  for (const [unit, letter] of UNITS) {
    if (size >= unit) return `${Number((value / unit).toPrecision(3))}${letter}`;
  }
  return String(Number(value.toPrecision(3)));
}

const UNITS = [
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
] as const;

function roundStep(atLeast: number): number {
  const power = 10 ** Math.floor(Math.log10(atLeast));
  return power * STEPS.find((step) => step * power >= atLeast * (1 - 1e-9))!;
}
