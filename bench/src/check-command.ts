/** `check`: measures, compares with the record, and fails where something got worse. */
import { compare, failuresOf } from "./check-compare.ts";
import type { CheckRecord } from "./check-compare.ts";
import { parseCheckOptions } from "./check-options.ts";
import { checkFiguresTable, checkReport, recordOf, verdictLines } from "./check-report.ts";
import { measureCheck } from "./check.ts";
import { describeEnvironment } from "./environment.ts";
import { UsageError } from "./options.ts";
import { Progress } from "./progress.ts";
import { onRealDisk, readResults, saveResults } from "./results.ts";

/** Runs the guard; the exit code is 1 where it fails. */
export async function runCheck(args: readonly string[]): Promise<void> {
  const options = onRealDisk(parseCheckOptions(args));
  const recorded = options.record ? undefined : recordNamed(options.name);
  const environment = await describeEnvironment(options.directory);
  const measured = await measureCheck(options, new Progress(process.stderr));
  const now = recordOf(measured, environment, options);
  if (recorded === undefined) {
    saveResults(options.name, { json: jsonOf(now) });
    process.stdout.write(options.json ? jsonOf(now) : `${checkFiguresTable(now)}\n`);
    return;
  }
  const findings = compare(recorded, now);
  if (options.json) process.stdout.write(jsonOf({ ...now, findings }));
  else process.stdout.write(`${checkReport(findings, recorded, environment, measured)}\n`);
  if (failuresOf(findings).length === 0) return;
  if (options.json) process.stderr.write(`${verdictLines(findings).join("\n")}\n`);
  process.exitCode = 1;
}

function recordNamed(name: string): CheckRecord {
  const found = readResults(name) as Partial<CheckRecord> | undefined;
  if (found === undefined) {
    throw new UsageError(`nothing is recorded under "${name}" yet: check --record does that`);
  }
  if (found.version !== 1 || !Array.isArray(found.figures)) {
    throw new UsageError(`bench/results/${name}.json is no record of check`);
  }
  return found as CheckRecord;
}

function jsonOf(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
