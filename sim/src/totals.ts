/** What many runs did, added up, and the table that says so. */
import type { QuietResult } from "./seed-task.ts";
import { alignRows, duration, grouped } from "./terminal.ts";

/** Of these the largest counts, not the sum. */
const HIGHEST = /^highest /;
const FAULT = /^fault /;
const NEMESIS = /^nemesis /;
const OPERATION = /^(writes|reads) /;
const CLUSTER = [
  "elections",
  "starts",
  "truncations",
  "connections",
  "messages sent",
  "messages delivered",
  "commands applied",
];

/** Sums over runs. */
export class Totals {
  runs = 0;
  /** Runs that were made a second time, to see that they are the same. */
  compared = 0;
  events = 0;
  simulatedUs = 0;
  readonly statistics: Map<string, number> = new Map();
  /** In how many runs each nemesis was there, whether it did anything or not. */
  readonly nemesisRuns: Map<string, number> = new Map();

  add(result: QuietResult, twice: boolean): void {
    this.runs++;
    if (twice) this.compared++;
    this.events += result.events;
    this.simulatedUs += result.simulatedUs;
    for (const [name, value] of Object.entries(result.statistics)) {
      if (NEMESIS.test(name)) this.nemesisRuns.set(name, (this.nemesisRuns.get(name) ?? 0) + 1);
      const before = this.statistics.get(name) ?? 0;
      this.statistics.set(name, HIGHEST.test(name) ? Math.max(before, value) : before + value);
    }
  }

  /** Everything, for machines. `seconds` is the time that all of it took. */
  toJson(seconds: number): Record<string, unknown> {
    const { runs, compared, events, simulatedUs } = this;
    return {
      runs,
      compared,
      events,
      simulatedSeconds: simulatedUs / 1e6,
      seconds,
      statistics: Object.fromEntries([...this.statistics].sort(([a], [b]) => (a < b ? -1 : 1))),
    };
  }
}

/** The summary of many runs that took `seconds`, with `jobs` of them at a time. */
export function summaryTable(totals: Totals, seconds: number, jobs: number): string {
  const simulated = totals.simulatedUs / 1e6;
  const count = (name: string): string => grouped(totals.statistics.get(name) ?? 0);
  const rows: [string, string][] = [
    ["seeds", `${grouped(totals.runs)} (${grouped(totals.compared)} of them run twice)`],
    ["simulated time", duration(simulated)],
    ["real time", `${duration(seconds)}, ${jobs} at a time`],
    ["× real time", grouped(simulated / seconds)],
    ["events", grouped(totals.events)],
    ["events/s", grouped(totals.events / seconds)],
  ];
  for (const kind of ["writes", "reads"]) {
    const of = (end: string): string => count(`${kind} ${end}`);
    rows.push([kind, `${of("done")} done, ${of("unknown")} unknown, ${of("not-done")} not done`]);
  }
  for (const name of CLUSTER) rows.push([name, count(name)]);
  rows.push(["faults", count("faults")]);
  for (const [name, value] of sorted(totals.statistics)) {
    if (FAULT.test(name)) rows.push([`  ${name.replace(FAULT, "")}`, grouped(value)]);
  }
  rows.push(...nemesisRows(totals));
  for (const [name, value] of sorted(totals.statistics)) {
    if (!isShownAbove(name)) rows.push([name, grouped(value)]);
  }
  return alignRows(rows);
}

/** Who did how much; one that never did anything is a defect, of it or of what calls it. */
function nemesisRows(totals: Totals): [string, string][] {
  if (totals.nemesisRuns.size === 0) return [];
  const rows: [string, string][] = [["nemeses", ""]];
  for (const [name, runs] of sorted(totals.nemesisRuns)) {
    const value = totals.statistics.get(name) ?? 0;
    const did = value === 0 ? "NOTHING" : `did ${grouped(value)}`;
    rows.push([`  ${name.replace(NEMESIS, "")}`, `${did} in ${grouped(runs)} runs`]);
  }
  return rows;
}

function isShownAbove(name: string): boolean {
  const isOfGroup = FAULT.test(name) || OPERATION.test(name) || NEMESIS.test(name);
  return isOfGroup || name === "faults" || CLUSTER.includes(name);
}

function sorted(statistics: ReadonlyMap<string, number>): [string, number][] {
  return [...statistics].sort(([a], [b]) => (a < b ? -1 : 1));
}
