/**
 * The simulator for users' own state machines: many runs of a whole cluster under trouble, each
 * from a seed, and a report that can be read where one of them breaks a promise.
 *
 * Runs know nothing of the host: while one lasts, clocks, dice, timers and files are traps
 * (traps.ts), so a machine that uses one is found at its first touch. A run is not interrupted; the
 * event loop gets its turn between runs through `onRun`.
 */
import { jsonCodec } from "../machine/json-codec.ts";
import type { AnyMachine } from "../machine/disk-machine.ts";
import type { Codec, StateMachine } from "../machine/state-machine.ts";
import { QuorateError } from "../util/error.ts";
import type { Random } from "../util/random.ts";
import { drawFrom } from "./draw-options.ts";
import { MachineCheck } from "./machine-check.ts";
import type { RunEnd } from "./machine-check.ts";
import { NEMESES } from "./nemesis/catalogue.ts";
import type { SimOptions } from "./options.ts";
import { PROFILES, traitsOf } from "./profiles.ts";
import type { Profile, Traits } from "./profiles.ts";
import { runSimulation } from "./run.ts";
import type { RunSubject, SimResult } from "./run.ts";
import { shrink } from "./shrink.ts";
import type { MachineOf, Subject } from "./sim-world.ts";
import { SimulationFailure } from "./simulation-failure.ts";
import type { Call, ClientContext } from "./workload/workload.ts";

/** Options of {@link simulate}. */
export interface SimulateOptions<
  Command,
  Query,
  Machine extends AnyMachine<Command, Query> = StateMachine<Command, Query>,
> {
  /**
   * Makes a machine for a process that starts: a new one each time, sharing nothing. One on disk is
   * made on `owner.storage`, where earlier lives of the same member have left what they had.
   */
  readonly machine: (owner: MachineOf) => Machine & AnyMachine<Command, Query>;
  /**
   * What a client wants next. Everything is drawn from `random`, so that the same seed makes the
   * same calls; `client` has a name and counts its calls, which makes values unique.
   */
  readonly workload: (random: Random, client: ClientContext) => Call<Command, Query>;
  /**
   * Looks at what a run left behind, when all members have applied the same log, and throws where
   * something is wrong with it. Called once per run. It may return a promise, and time
   * passes until that is settled.
   */
  readonly check?: (end: RunEnd<Command, Query, Machine>) => void | Promise<void>;
  /** How commands are encoded. Default: JSON. */
  readonly codec?: Codec<Command>;
  /** How many members. Default: 1, 2, 3 or 5, drawn per run. */
  readonly members?: number;
  /** How many runs, from seed 1 on, or which seeds. Default 20. */
  readonly seeds?: number | readonly number[];
  /** What runs are drawn from. Default `swarm`: some of everything. */
  readonly profile?: Profile;
  /** The kinds of trouble that may come (see `NEMESES`), or none. Default: those of the profile. */
  readonly faults?: readonly string[] | "none";
  /** Whatever shall not be drawn but be so in every run. */
  readonly override?: Partial<Omit<SimOptions, "seed">>;
  /** Runs these options and nothing else: those of a failure, to look at it again. */
  readonly replay?: SimOptions;
  /** Gets every line of the trace. For replays; of many runs it is a lot. */
  readonly trace?: (line: string) => void;
  /** How many runs may be spent on making a failing one smaller. Default 60; 0: none. */
  readonly shrinkAttempts?: number;
  /** Told of each run, and waited for: let the event loop have its turn here. */
  readonly onRun?: (result: SimResult) => void | Promise<void>;
}

/** What runs without a failure came to. */
export interface SimulationSummary {
  readonly runs: number;
  /** Virtual time of all runs. */
  readonly simulatedMs: number;
  /** Calls of clients, and how many of them were answered. */
  readonly operations: number;
  readonly answered: number;
  readonly faults: number;
  readonly events: number;
}

const SEEDS = 20;
const SHRINK_ATTEMPTS = 60;
/** How likely each is that is asked for by name, per mille. */
const WANTED_SHARE = 600;

/**
 * Runs a user's state machine in whole simulated clusters, one run per seed: real Raft, virtual
 * time, and disks, networks, processes and clocks that fail. Resolves to a summary where all runs
 * went well.
 *
 * Beside `check`, every run is held to all promises of the library (see `INVARIANTS_OF_A_RUN`) and
 * to those of a state machine: no clock, randomness or I/O; the same commands lead to the same
 * answers and the same state on every member and in every life.
 *
 * A `DiskStateMachine` has its storage on the simulated disk of its member (`owner.storage`), which
 * loses what was not synced, tears writes, fails and is full as it does to the log. One that is
 * made of keys and values is put there by `onSimDisk`.
 *
 * @throws SimulationFailure at the first run that breaks a promise. Its message is a report: what
 * broke, the last events, and the options that show it again.
 * @throws QuorateError OPTION_INVALID where the options make no sense.
 * @example
 * ```ts
 * await simulate({
 *   machine: () => new Bank(),
 *   seeds: 50,
 *   workload: (random, { name, calls }) =>
 *     random.below(3) === 0
 *       ? { kind: "read", query: { type: "total" } }
 *       : { kind: "write", command: transfer("a", "b", 1 + random.below(9)) },
 *   check: ({ machines }) => {
 *     for (const bank of machines) expect(bank.query({ type: "total" })).toBe(1_000);
 *   },
 * });
 * ```
 */
export async function simulate<
  Command,
  Query,
  Machine extends AnyMachine<Command, Query> = StateMachine<Command, Query>,
>(options: SimulateOptions<Command, Query, Machine>): Promise<SimulationSummary> {
  const simulation = new Simulation(options);
  const summary = { runs: 0, simulatedMs: 0, operations: 0, answered: 0, faults: 0, events: 0 };
  for (const runOptions of simulation.runs()) {
    const result = await simulation.run(runOptions);
    await options.onRun?.(result);
    summary.runs++;
    if (result.violation !== undefined) throw await simulation.failure(result, summary.runs);
    const { statistics } = result;
    summary.simulatedMs += Math.floor(result.simulatedUs / 1_000);
    summary.operations += statistics["operations"] ?? 0;
    summary.answered += (statistics["writes done"] ?? 0) + (statistics["reads done"] ?? 0);
    summary.faults += statistics["faults"] ?? 0;
    summary.events += result.events;
  }
  return summary;
}

/** All runs of one call of {@link simulate}. */
class Simulation<Command, Query, Machine extends AnyMachine<Command, Query>> {
  readonly #options: SimulateOptions<Command, Query, Machine>;
  readonly #codec: Codec<Command>;

  constructor(options: SimulateOptions<Command, Query, Machine>) {
    checkOptions(options);
    this.#options = options;
    this.#codec = options.codec ?? jsonCodec<Command>();
  }

  /** The options of each run. */
  *runs(): Generator<SimOptions> {
    const { replay, seeds = SEEDS, override, members } = this.#options;
    if (replay !== undefined) {
      yield replay;
      return;
    }
    const traits = this.#traits();
    const list = typeof seeds === "number" ? Array.from({ length: seeds }, (_, i) => i + 1) : seeds;
    for (const seed of list) {
      const drawn = drawFrom(seed, members === undefined ? traits : withMembers(traits, members));
      yield { ...drawn, ...override };
    }
  }

  run(options: SimOptions): Promise<SimResult> {
    const { trace } = this.#options;
    const subject = this.#subject();
    return runSimulation(options, { subject, ...(trace === undefined ? {} : { trace }) });
  }

  /** The failing run, as small as it gets, as an error. */
  async failure(failed: SimResult, run: number): Promise<SimulationFailure> {
    const attemptsMax = this.#options.shrinkAttempts ?? SHRINK_ATTEMPTS;
    const isReplay = this.#options.replay !== undefined;
    if (isReplay || attemptsMax === 0) return new SimulationFailure(failed, failed, run);
    const smallest = await shrink(failed, { attemptsMax, subject: () => this.#subject() });
    return new SimulationFailure(smallest, failed, run);
  }

  #subject(): RunSubject {
    const { machine, workload, check } = this.#options;
    const codec = this.#codec;
    let machineCheck: MachineCheck<Command, Query, Machine> | undefined;
    return {
      // The world handles commands and queries without knowing them.
      machine: machine as unknown as Subject["machine"],
      codec,
      workload: { next: workload },
      checks: ({ members }) => {
        machineCheck = new MachineCheck({ members, machine, codec, check });
        return [machineCheck];
      },
      examine: async () => machineCheck?.examine(),
    };
  }

  #traits(): Traits {
    const { profile = "swarm", faults } = this.#options;
    if (faults === undefined) return traitsOf(profile);
    if (faults === "none") return traitsOf("calm");
    const favourites = Object.fromEntries(faults.map((kind) => [kind, WANTED_SHARE]));
    return { ...traitsOf(profile), quietShare: 0, nemesisShares: [0], favourites };
  }
}

function withMembers(traits: Traits, members: number): Traits {
  return { ...traits, members: [members] };
}

function checkOptions<Command, Query, Machine extends AnyMachine<Command, Query>>(
  options: SimulateOptions<Command, Query, Machine>,
): void {
  const { members, seeds, profile, faults } = options;
  if (members !== undefined && !(Number.isInteger(members) && members >= 1 && members <= 9)) {
    throw invalid(`members must be an integer from 1 to 9, not ${String(members)}`);
  }
  if (typeof seeds === "number" && !(Number.isInteger(seeds) && seeds >= 1)) {
    throw invalid(`seeds must be a whole number of runs, or a list of seeds, not ${seeds}`);
  }
  if (profile !== undefined && !PROFILES.includes(profile)) {
    throw invalid(`profile must be one of ${PROFILES.join(", ")}, not ${profile as string}`);
  }
  if (faults === undefined || faults === "none") return;
  for (const kind of faults) {
    if (NEMESES.some((nemesis) => nemesis.kind === kind)) continue;
    const known = NEMESES.map((nemesis) => nemesis.kind).join(", ");
    throw invalid(`there is no fault called "${kind}"; there are ${known}`);
  }
}

function invalid(message: string): QuorateError {
  return new QuorateError("OPTION_INVALID", message);
}
