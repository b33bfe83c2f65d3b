/**
 * Many seeds on all cores. Fresh seeds are a random first one and those behind it, so that a whole
 * campaign can be repeated by one number.
 *
 * Ctrl-C ends it early: runs that have begun are finished, and the table is printed.
 *
 * Every fiftieth seed is run twice, and both runs must be the same to the last event. The first
 * failure is made smaller by itself, for a minute at most; after some failures the campaign ends,
 * because more of them say nothing new.
 */
import { randomInt } from "node:crypto";
import type { SimOptions, SimResult } from "quorate/sim";
import type { CampaignCommand } from "./command-line.ts";
import { failureReport, keepOptions, withInvariant } from "./failure.ts";
import type { Failure } from "./failure.ts";
import { commit } from "./repository.ts";
import { runPool } from "./seed-pool.ts";
import { DETERMINISTIC } from "./seed-run.ts";
import type { SeedAnswer, SeedTask } from "./seed-task.ts";
import { duration, grouped, LiveLine, stylesOf } from "./terminal.ts";
import { summaryTable, Totals } from "./totals.ts";

const SEEDS = 2 ** 32;
const TWICE_EVERY = 50;
const FAILURES_MAX = 10;
const REPORTS_MAX = 3;
/** Far above what a run takes; against runs that never end. */
const RUN_SECONDS_MAX = 300;
const SHRINK_SECONDS = 60;

type RunTask = Extract<SeedTask, { type: "run" }>;

/** Runs the seeds, prints what came of them, and returns whether all is well. */
export async function runCampaign(command: CampaignCommand): Promise<boolean> {
  const campaign = new Campaign(command);
  if (!command.json) process.stdout.write(`${campaign.title}\n`);
  process.once("SIGINT", () => campaign.stop());
  await runPool(campaign, { jobs: campaign.jobs, taskSeconds: RUN_SECONDS_MAX });
  const seconds = campaign.end();
  const smaller = await shrinkFirst(campaign.failures);
  process.stdout.write(
    command.json ? jsonOf(campaign, seconds, smaller) : textOf(campaign, seconds, smaller),
  );
  return campaign.failures.length === 0;
}

class Campaign {
  readonly command: CampaignCommand;
  readonly firstSeed: number;
  readonly jobs: number;
  readonly totals: Totals = new Totals();
  readonly failures: Failure[] = [];
  readonly #line: LiveLine = new LiveLine(process.stderr);
  readonly #begun = performance.now();
  #isStopped = false;
  #given = 0;
  #done = 0;

  constructor(command: CampaignCommand) {
    this.command = command;
    this.firstSeed = command.from ?? randomInt(SEEDS);
    this.jobs = Math.min(command.jobs, command.seeds ?? command.jobs);
  }

  get title(): string {
    const { seeds, seconds, profile } = this.command;
    const amount =
      seeds === undefined ? `seeds for ${duration(seconds!)}` : `${grouped(seeds)} seeds`;
    const of = profile === undefined ? "" : ` of profile ${profile}`;
    return `${amount}${of}, ${this.jobs} at a time; --from ${this.firstSeed} repeats them`;
  }

  next(): RunTask | undefined {
    const { seeds, seconds, profile } = this.command;
    if (this.#isStopped || this.#given === seeds || this.failures.length >= FAILURES_MAX)
      return undefined;
    if (seconds !== undefined && this.#seconds() >= seconds) return undefined;
    const number = this.#given++;
    const seed = (this.firstSeed + number) % SEEDS;
    return { type: "run", seed, profile, twice: number % TWICE_EVERY === TWICE_EVERY - 1 };
  }

  /** No further seed is begun. */
  stop(): void {
    this.#isStopped = true;
  }

  answered(task: RunTask, answer: SeedAnswer): void {
    if (answer.type === "threw") {
      this.#failed(task, "simulator", undefined, `the simulator threw ${answer.text}`);
    } else if (answer.type === "ran") {
      this.totals.add(answer.result, task.twice);
      const { failure } = answer;
      if (failure?.violation !== undefined) {
        this.#failed(task, failure.violation.invariant, failure, undefined);
      }
    }
    this.#progress();
  }

  lost(task: RunTask, reason: string): void {
    this.#failed(task, "lost-run", undefined, reason);
    this.#progress();
  }

  /** Takes the live line away; returns the seconds that it all took. */
  end(): number {
    this.#line.clear();
    return this.#seconds();
  }

  // eslint-disable-next-line max-params -- the fields of a failure, in their order
  #failed(
    { seed, profile }: RunTask,
    invariant: string,
    result: SimResult | undefined,
    reason: string | undefined,
  ): void {
    const failure = { seed, profile, invariant, result, reason };
    this.failures.push(failure);
    if (this.command.json) return;
    this.#line.clear();
    const text =
      this.failures.length <= REPORTS_MAX
        ? `\n${failureReport(failure)}\n`
        : `FAILED: seed ${seed}: ${sentenceOf(failure)}`;
    process.stdout.write(`${text}\n`);
  }

  #progress(): void {
    this.#done++;
    const { seeds, seconds } = this.command;
    const passed = this.#seconds();
    const ofTime = seconds === undefined ? 0 : passed / seconds;
    const share = Math.max(ofTime, seeds === undefined ? 0 : this.#done / seeds);
    const amount = seeds === undefined ? grouped(this.#done) : `${this.#done}/${seeds}`;
    const left = share === 0 ? "" : `, ${duration((passed / share) * (1 - share))} left`;
    const speed = `${grouped(this.totals.events / passed)} events/s`;
    const bad = this.failures.length === 0 ? "" : `, ${this.failures.length} FAILED`;
    this.#line.show(share, `${amount} seeds, ${speed}${left}${bad}`);
  }

  #seconds(): number {
    return (performance.now() - this.#begun) / 1000;
  }
}

/** Makes the first failing run smaller, as far as it gets in its time. */
async function shrinkFirst(failures: readonly Failure[]): Promise<string | undefined> {
  // Two different runs of the same options are not one run that could be made smaller.
  const result = failures.find(
    (each) => each.result !== undefined && !isUnrepeatable(each),
  )?.result;
  const violation = result?.violation;
  if (result === undefined || violation === undefined) return undefined;
  process.stderr.write(
    `Shrinking seed ${result.options.seed}, for ${SHRINK_SECONDS} s at most …\n`,
  );
  const tasks: SeedTask[] = [{ type: "shrink", failed: result }];
  let smallest: SimOptions | undefined;
  const work = {
    next: () => tasks.pop(),
    answered: (_task: SeedTask, answer: SeedAnswer) => {
      if (answer.type === "smaller" || answer.type === "shrunk") smallest = answer.options;
    },
    // Time is up: what was reached so far is kept.
    lost: () => undefined,
  };
  await runPool(work, { jobs: 1, taskSeconds: SHRINK_SECONDS });
  if (smallest === undefined) return undefined;
  return keepOptions(
    smallest,
    `${smallest.seed}-small.json`,
    withInvariant(violation.invariant, violation.message),
  );
}

function isUnrepeatable(failure: Failure): boolean {
  return failure.invariant === DETERMINISTIC;
}

function textOf(campaign: Campaign, seconds: number, smaller: string | undefined): string {
  const styled = stylesOf(process.stdout);
  const { failures, totals } = campaign;
  const verdict =
    failures.length === 0
      ? styled("green", "No violation.")
      : styled("red", `${failures.length} of ${grouped(totals.runs)} seeds FAILED.`);
  const lines = ["", summaryTable(totals, seconds, campaign.jobs), "", verdict];
  for (const failure of failures) lines.push(`  seed ${failure.seed}: ${sentenceOf(failure)}`);
  if (smaller !== undefined) lines.push(`A smaller run that fails alike: --options ${smaller}`);
  return `${lines.join("\n")}\n`;
}

function jsonOf(campaign: Campaign, seconds: number, smaller: string | undefined): string {
  const { firstSeed, jobs, totals } = campaign;
  const failures = campaign.failures.map(({ seed, profile, invariant, result, reason }) => ({
    seed,
    profile,
    invariant,
    message: result?.violation?.message ?? reason,
    step: result?.violation?.step,
    options: result?.options,
  }));
  const all = { commit: commit(), firstSeed, jobs, ...totals.toJson(seconds), failures, smaller };
  return `${JSON.stringify(all, undefined, 2)}\n`;
}

function sentenceOf({ invariant, result, reason }: Failure): string {
  const text = withInvariant(invariant, result?.violation?.message ?? reason ?? "");
  return text.split("\n", 1)[0]!;
}
