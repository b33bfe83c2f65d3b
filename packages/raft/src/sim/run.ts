/**
 * One run: a cluster lives through trouble, is healed, and must come back.
 *
 *   1. Trouble. Clients work, nemeses do what the options say. Only safety is demanded.
 *   2. A majority is healed, the others suffer (minority.ts). Now progress is owed: a leader whom
 *      all of that majority follow, and a write and a read through each of them, in bounded time.
 *   3. Everybody comes back. All clients end, all members must agree and fall quiet, with nothing
 *      left over in any queue.
 *   4. Every replica is closed, and nothing may be left to happen.
 *
 * Invariants watch all the time (invariants/); 2 to 4 are recovery.ts. Meanwhile the host's clocks,
 * dice, timers, files and sockets are traps (traps.ts): a run does not wait for the host's event
 * loop, so nothing but simulated code can run into them.
 */
import { INVARIANTS_OF_A_RUN } from "./invariants/catalogue.ts";
import { NEMESES } from "./nemesis/catalogue.ts";
import type { Observer } from "./observer.ts";
import type { SimOptions } from "./options.ts";
import { between, chance } from "./random-streams.ts";
import { Recovery } from "./recovery.ts";
import { RunStatistics } from "./run-statistics.ts";
import type { FoundViolation, Subject } from "./sim-world.ts";
import { SimWorld } from "./sim-world.ts";
import { withoutStacks } from "./stackless.ts";
import { Trace } from "./trace.ts";
import { trap, untrapped } from "./traps.ts";
import { startClients } from "./workload/clients.ts";
import { keyValueSubject } from "./workload/kv-subject.ts";
import type { Workload } from "./workload/workload.ts";
import { WorldStage } from "./world-stage.ts";
import { QuorateError } from "../util/error.ts";

const ALLOWED = "simulated code may use its arguments and its own state, and nothing of the host";

/** So many lines of a trace are handed over together. */
const BLOCK_LINES = 500;

/** What a run is about. */
export interface RunSubject extends Subject {
  readonly workload: Workload<unknown, unknown>;
  /** Checks of histories and the like: observers beside the invariants. */
  readonly checks: (world: SimWorld) => readonly Observer[];
  /** Looks, after `ended`, at what takes time; virtual time passes. It throws what is wrong. */
  readonly examine?: () => Promise<void>;
}

/** How to run. */
export interface RunHow {
  /** Ends after this step, without demanding anything. */
  readonly untilStep?: number;
  /** Gets every line of the trace, in their order, and several hundred of them at a time. */
  readonly trace?: (line: string) => void;
  /** Default: the simulator's own key-value machine. */
  readonly subject?: RunSubject;
  /** Leaves invariants and checks out: only to see what they cost. */
  readonly isUnwatched?: boolean;
}

/** What broke, where and when. */
export interface RunViolation {
  readonly invariant: string;
  readonly message: string;
  readonly step: number;
  readonly atUs: number;
  readonly stack: string | undefined;
}

/** What came of a run. */
export interface SimResult {
  readonly options: SimOptions;
  readonly violation: RunViolation | undefined;
  /** Tasks taken off the schedule. */
  readonly steps: number;
  /** Messages, disk completions and timers that ran code of a member. */
  readonly events: number;
  readonly simulatedUs: number;
  /** Two runs with the same hash were the same run. */
  readonly traceHash: string;
  readonly statistics: Readonly<Record<string, number>>;
  /** The end of the trace, as a table without its head. */
  readonly lastEvents: readonly string[];
}

/** Runs once. Whatever the run finds is in the result; it rejects only for options in error. */
export async function runSimulation(options: SimOptions, how: RunHow = {}): Promise<SimResult> {
  // Somebody else's code, or a trace that is being read, is lived through once, with stacks.
  if (how.subject !== undefined || how.trace !== undefined) return runOnce(options, how);
  const result = await withoutStacks(() => runOnce(options, how));
  if (result.violation === undefined) return result;
  const again = await runOnce(options, how);
  // A violation that came from outside does not come again: then it goes without its stack.
  return again.violation === undefined ? result : again;
}

async function runOnce(options: SimOptions, how: RunHow): Promise<SimResult> {
  const subject = how.subject ?? keyValueSubject(options);
  const world = new SimWorld(options, subject);
  const lines = how.trace && new Lines(how.trace);
  const trace = new Trace(world, lines && ((line) => lines.add(line)));
  const statistics = new RunStatistics(options.nemeses);
  world.audience.add(trace);
  world.audience.add(statistics);
  if (how.isUnwatched !== true) {
    for (const invariant of INVARIANTS_OF_A_RUN) world.audience.add(invariant.watch(world));
    for (const check of subject.checks(world)) world.audience.add(check);
  }
  world.stepMax = how.untilStep ?? Number.MAX_SAFE_INTEGER;
  const remove = trap((touched) =>
    world.broken("nothing-outside", `${touched} was touched: ${ALLOWED}`),
  );
  try {
    await live(world, subject);
  } finally {
    remove();
    lines?.handOver();
  }
  return {
    options,
    violation: world.violation === undefined ? undefined : violationOf(world.violation),
    steps: world.steps,
    events: world.events,
    simulatedUs: world.nowUs(),
    traceHash: trace.hash,
    statistics: statistics.numbers(),
    lastEvents: trace.lines(),
  };
}

async function live(world: SimWorld, subject: RunSubject): Promise<void> {
  const { options } = world;
  const stage = new WorldStage(world);
  for (const member of world.members) member.start();
  startClients(world, subject.workload, options.clients, world.streams.stream("clients"));
  beginTrouble(world, stage);
  if (!(await world.runFor(options.faultyMs * 1_000))) return;
  await new Recovery(world, stage, subject).run();
}

/** Some clusters meet trouble while they form, most a little later. */
function beginTrouble(world: SimWorld, stage: WorldStage): void {
  const random = world.streams.stream("beginning");
  const { electionTimeoutMs } = world.options;
  const delayUs = chance(random, 300) ? 0 : between(random, 0, 4 * electionTimeoutMs * 1_000);
  stage.after(delayUs, () => {
    world.options.nemeses.forEach((chosen, i) => {
      const nemesis = NEMESES.find(({ kind }) => kind === chosen.kind);
      if (nemesis === undefined) {
        throw new QuorateError("OPTION_INVALID", `there is no nemesis called "${chosen.kind}"`);
      }
      const own = world.streams.stream(`nemesis ${i} ${chosen.kind}`);
      world.audience.add(nemesis.begin(stage.as(chosen.kind), chosen, own));
    });
  });
}

/** Keeps lines for whoever prints them: leaving the traps for each would cost more than the run. */
class Lines {
  readonly #print: (line: string) => void;
  #lines: string[] = [];

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  add(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length >= BLOCK_LINES) untrapped(() => this.handOver());
  }

  handOver(): void {
    const lines = this.#lines;
    this.#lines = [];
    for (const line of lines) this.#print(line);
  }
}

function violationOf({ invariant, message, step, atUs, error }: FoundViolation): RunViolation {
  const stack = error instanceof Error ? error.stack : undefined;
  return { invariant, message, step, atUs, stack };
}
