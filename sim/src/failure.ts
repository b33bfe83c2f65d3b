/**
 * What is told and kept of a run that found something. It names everything that the run was made
 * from, and the command that brings it back.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { TRACE_HEAD } from "quorate/sim";
import type { Profile, SimOptions, SimResult } from "quorate/sim";
import { commit, ROOT } from "./repository.ts";

const KEPT_IN = join(ROOT, "sim/failures");
const EVENTS_SHOWN = 200;

/** A run that did not end well. */
export interface Failure {
  readonly seed: number;
  readonly profile: Profile | undefined;
  /** In short: an invariant, or that the run was lost. */
  readonly invariant: string;
  /** The run as far as it is known; undefined where its thread was lost. */
  readonly result: SimResult | undefined;
  /** Why there is no result. */
  readonly reason: string | undefined;
}

/** The report of a failure, for people. */
export function failureReport(failure: Failure): string {
  const { seed, result, reason, invariant } = failure;
  const again = failure.profile === undefined ? "" : ` --profile ${failure.profile}`;
  if (result?.violation === undefined) {
    return [
      `FAILED: ${invariant}: ${reason ?? "for no known reason"}`,
      ...facts([
        ["seed", String(seed)],
        ["commit", commit()],
        ["replay", `npm run sim -- --seed ${seed}${again} --trace`],
      ]),
    ].join("\n");
  }
  const { violation } = result;
  const kept = keepOptions(result.options, `${seed}.json`);
  const shown = result.lastEvents.slice(-EVENTS_SHOWN);
  return [
    `FAILED: ${withInvariant(invariant, violation.message)}`,
    ...facts([
      ["seed", String(seed)],
      ["step", `${violation.step}, after ${(violation.atUs / 1000).toFixed(3)} ms`],
      ["commit", commit()],
      ["options", `${kept}\n${JSON.stringify(result.options)}`],
      ["replay", `npm run sim -- --options ${kept} --until ${violation.step} --trace`],
      ["shrink", `npm run sim -- --options ${kept} --shrink`],
    ]),
    "",
    violation.stack ?? "(no stack)",
    "",
    `The last ${shown.length} lines; docs/internals/simulator.md explains the columns.`,
    TRACE_HEAD,
    ...shown,
  ].join("\n");
}

/** Keeps options as a file that `--options` takes; returns its path from the repository. */
export function keepOptions(options: SimOptions, name: string, found: string = ""): string {
  mkdirSync(KEPT_IN, { recursive: true });
  const path = join(KEPT_IN, name);
  writeFileSync(path, `${JSON.stringify({ found, options }, undefined, 2)}\n`);
  return relative(ROOT, path);
}

/** Messages of some violations begin with the name already. */
export function withInvariant(invariant: string, message: string): string {
  return message.startsWith(`${invariant}:`) ? message : `${invariant}: ${message}`;
}

function facts(rows: readonly (readonly [string, string])[]): string[] {
  return rows.map(([name, value]) => `  ${name.padEnd(8)} ${value}`);
}
