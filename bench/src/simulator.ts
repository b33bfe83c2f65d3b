/**
 * How fast the simulator is: whole runs of drawn seeds, one after the other in this one thread,
 * with everything that a campaign does (real engine, real bytes, every invariant and check), and
 * for comparison without invariants and checks.
 *
 * Processor time counts, not the clock on the wall: it is that of the whole process, the threads in
 * which V8 compiles and collects garbage included, so it never flatters. Rounds with and without
 * checks take turns, and the same seeds are run in each.
 */
import { parseArgs } from "node:util";
import { drawOptions, PROFILES, runSimulation } from "quorate/sim";
import type { Profile } from "quorate/sim";
import { machineTime, shareOfOthers } from "./machine-load.ts";
import { UsageError, wholeNumber } from "./options.ts";
import type { Progress } from "./progress.ts";

/** What to run. */
export interface SimulatorOptions {
  readonly seeds: number;
  readonly from: number;
  readonly profile: Profile;
  readonly runs: number;
  readonly warmUpRuns: number;
  readonly json: boolean;
  /** The name of the result files; undefined: none are written. */
  readonly name: string | undefined;
}

/** All seeds, once. */
export interface Round {
  readonly withChecks: boolean;
  readonly events: number;
  readonly simulatedMs: number;
  readonly cpuMs: number;
  readonly wallMs: number;
  /** The share of the machine that others had meanwhile. */
  readonly othersShare: number | undefined;
}

/** Seeds of the warm-up: none that is measured. */
const WARM_UP_FROM = 1_000_000;

export function parseSimulatorOptions(args: readonly string[]): SimulatorOptions {
  const values = parse(args);
  const profile = PROFILES.find((name) => name === values.profile);
  if (profile === undefined) {
    throw new UsageError(
      `no profile is called "${values.profile}"; there is ${PROFILES.join(", ")}`,
    );
  }
  return {
    seeds: wholeNumber("seeds", values.seeds),
    from: wholeNumber("from", values.from),
    profile,
    runs: wholeNumber("runs", values.runs),
    warmUpRuns: wholeNumber("warm-up", values["warm-up"]),
    json: values.json,
    name: values["no-save"] ? undefined : values.name,
  };
}

/** Rounds with and without checks, in turns. */
export async function measureSimulator(
  options: SimulatorOptions,
  progress: Progress,
): Promise<readonly Round[]> {
  const { profile, from, seeds } = options;
  progress.begin(2 * options.runs);
  progress.note("warming up");
  for (const withChecks of [true, false]) {
    await runAll({ from: WARM_UP_FROM, seeds: options.warmUpRuns, profile, withChecks });
  }
  const rounds: Round[] = [];
  for (let i = 0; i < options.runs; i++) {
    for (const withChecks of [true, false]) {
      progress.step(withChecks ? "with checks" : "without checks");
      rounds.push(await measure({ from, seeds, profile, withChecks }));
    }
  }
  progress.end();
  return rounds;
}

interface Batch {
  readonly from: number;
  readonly seeds: number;
  readonly profile: Profile;
  readonly withChecks: boolean;
}

async function measure(batch: Batch): Promise<Round> {
  const machine = machineTime();
  const wallMs = performance.now();
  const cpu = process.cpuUsage();
  const { events, simulatedMs } = await runAll(batch);
  const { user, system } = process.cpuUsage(cpu);
  return {
    withChecks: batch.withChecks,
    events,
    simulatedMs,
    cpuMs: (user + system) / 1_000,
    wallMs: performance.now() - wallMs,
    othersShare: shareOfOthers(machine, machineTime(), user + system),
  };
}

async function runAll(batch: Batch): Promise<{ events: number; simulatedMs: number }> {
  const { from, seeds, profile, withChecks } = batch;
  let events = 0;
  let simulatedMs = 0;
  for (let seed = from; seed < from + seeds; seed++) {
    const result = await runSimulation(drawOptions(seed, profile), { isUnwatched: !withChecks });
    const { violation } = result;
    if (violation !== undefined) throw new Error(`seed ${seed}: ${violation.message}`);
    events += result.events;
    simulatedMs += result.simulatedUs / 1_000;
  }
  return { events, simulatedMs };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        seeds: { type: "string", default: "100" },
        from: { type: "string", default: "1" },
        profile: { type: "string", default: "swarm" },
        runs: { type: "string", default: "5" },
        "warm-up": { type: "string", default: "100" },
        name: { type: "string", default: "simulator" },
        "no-save": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
