/** What the guard found: a table, and a sentence for each figure that got worse. */
import { failuresOf } from "./check-compare.ts";
import type { CheckRecord, Finding } from "./check-compare.ts";
import { checkCommand } from "./check-options.ts";
import type { CheckOptions } from "./check-options.ts";
import type { CheckMeasurement } from "./check.ts";
import type { Environment } from "./environment.ts";
import { aligned, machineLine, othersLine, withSpread } from "./report.ts";
import { short, spreadOf } from "./statistics.ts";

const HEADS = ["figure", "recorded", "now", "change", "allowed", "verdict"] as const;

export function recordOf(
  { figures, othersShares }: CheckMeasurement,
  environment: Environment,
  options: CheckOptions,
): CheckRecord {
  const othersShare = othersShares.length === 0 ? 0 : spreadOf(othersShares).median;
  return { version: 1, environment, command: checkCommand(options), othersShare, figures };
}

/** What was measured, with its spread: what a record is made of. */
export function checkFiguresTable({ figures }: CheckRecord): string {
  const lines = figures.map(({ name, values }) => [name, withSpread(spreadOf(values))]);
  return aligned([["figure", "median (lowest–highest)"], ...lines]);
}

export function checkReport(
  findings: readonly Finding[],
  recorded: CheckRecord,
  environment: Environment,
  { othersShares }: CheckMeasurement,
): string {
  const { commit, date, processor, node } = recorded.environment;
  return [
    aligned([HEADS, ...findings.map(cellsOf)]),
    "",
    `- Recorded at ${commit} on ${date} on ${processor}, Node ${node}`,
    machineLine(environment),
    othersLine(othersShares),
    `- Commit: ${environment.commit}; ${environment.date}`,
    "",
    ...verdictLines(findings),
  ].join("\n");
}

/** One sentence for all, or one for each figure that fails the guard. */
export function verdictLines(findings: readonly Finding[]): readonly string[] {
  const failed = failuresOf(findings);
  if (failed.length === 0) return ["Nothing got worse."];
  return failed.map(({ name, timesWorse, allowedTimes, recorded, now }) => {
    if (timesWorse === undefined) return `GONE: ${name} was recorded and is not measured any more`;
    const by = `${percent(timesWorse)} (allowed: ${percent(allowedTimes)})`;
    return `WORSE: ${name} by ${by}: ${short(recorded!)} → ${short(now!)}`;
  });
}

function cellsOf({ name, recorded, now, timesWorse, allowedTimes, verdict }: Finding): string[] {
  return [
    name,
    recorded === undefined ? "–" : short(recorded),
    now === undefined ? "–" : short(now),
    timesWorse === undefined ? "–" : changeOf(timesWorse),
    percent(allowedTimes),
    verdict === "worse" || verdict === "gone" ? verdict.toUpperCase() : verdict,
  ];
}

/** The change towards worse: lower is worse for a share, higher for a cost. */
function changeOf(timesWorse: number): string {
  return timesWorse >= 1 ? `${percent(timesWorse)} worse` : `${percent(1 / timesWorse)} better`;
}

function percent(times: number): string {
  return `${((times - 1) * 100).toFixed(times < 1.1 ? 1 : 0)} %`;
}
