/** The command line of `npm run sim`: what is wanted, or a sentence that says what is wrong. */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { PROFILES } from "quorate/sim";
import type { Profile } from "quorate/sim";

/** Many seeds. */
export interface CampaignCommand {
  readonly kind: "campaign";
  /** Seeds from here on, one after the other; undefined: fresh ones. */
  readonly from: number | undefined;
  /** How many; undefined: as many as fit into the time. */
  readonly seeds: number | undefined;
  readonly seconds: number | undefined;
  readonly jobs: number;
  readonly profile: Profile | undefined;
  readonly json: boolean;
}

/** One run, given by its seed or by its options. */
export interface SingleCommand {
  readonly kind: "single";
  readonly of: { readonly seed: number } | { readonly file: string };
  readonly profile: Profile | undefined;
  readonly trace: boolean;
  readonly until: number | undefined;
  readonly shrink: boolean;
  readonly json: boolean;
}

/** Planted defects. */
export interface MutationsCommand {
  readonly kind: "mutations";
  /** All if there are none. */
  readonly names: readonly string[];
  readonly list: boolean;
  /** The first seed of random runs. */
  readonly from: number;
  readonly jobs: number;
  readonly json: boolean;
}

/** What `npm run sim -- …` was asked for. */
export type Command =
  | CampaignCommand
  | SingleCommand
  | MutationsCommand
  | { readonly kind: "help" };

/** What `--help` prints. */
export const USAGE = `Usage: npm run sim -- [options]

Many runs
  (nothing)            500 fresh seeds on all cores
  --seeds N            so many seeds
  --seconds S          as many seeds as fit into this time
  --from SEED          these seeds: SEED, SEED + 1, … instead of fresh ones
  --profile NAME       runs of this profile: ${PROFILES.join(", ")}

One run
  --seed SEED          the run that this seed draws, with a report
  --options FILE       a kept run: a JSON file with its options
  --trace              prints every event, one line each
  --until STEP         ends behind this step
  --shrink             makes a failing run smaller and keeps the result

Planted defects
  --mutations [NAME …] each defect of sim/mutations, or these, must be caught
  --list               only names them

Always
  --jobs N             runs at a time (default: one per core)
  --json               the result as JSON on standard output
  --help               this text

Exit code: 0 if all is well, 1 if something was found, 2 if the command line makes no sense.`;

/** A command line that cannot be followed. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const SEEDS_DEFAULT = 500;
const FIRST_MUTATION_SEED = 1;
const SEED_MAX = 2 ** 32 - 1;
const SECONDS_MAX = 10 ** 6;
const BELONGS = {
  campaign: ["seeds", "seconds", "from", "profile", "jobs", "json"],
  single: ["seed", "options", "profile", "trace", "until", "shrink", "json"],
  mutations: ["mutations", "list", "from", "jobs", "json"],
} as const satisfies Record<string, readonly Flag[]>;

/** Reads the arguments. Throws {@link UsageError}. */
export function parseCommandLine(args: readonly string[]): Command {
  const { values, positionals } = parse(args);
  if (values.help === true) return { kind: "help" };
  const kind =
    values.mutations === true || values.list === true
      ? "mutations"
      : values.seed !== undefined || values.options !== undefined
        ? "single"
        : "campaign";
  refuseForeign(kind, values);
  if (kind !== "mutations" && positionals.length > 0) {
    throw new UsageError(`nobody knows what "${positionals.join(" ")}" is for`);
  }
  if (kind === "mutations") return mutationsOf(values, positionals);
  return kind === "single" ? singleOf(values) : campaignOf(values);
}

type Values = ReturnType<typeof parse>["values"];
type Flag = keyof Values;

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        seeds: { type: "string" },
        seconds: { type: "string" },
        from: { type: "string" },
        profile: { type: "string" },
        seed: { type: "string" },
        options: { type: "string" },
        trace: { type: "boolean" },
        until: { type: "string" },
        shrink: { type: "boolean" },
        mutations: { type: "boolean" },
        list: { type: "boolean" },
        jobs: { type: "string" },
        json: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    // Advice about positional arguments follows, which there are none of.
    throw new UsageError(text.replace(/\. To specify [\s\S]*$/, ""));
  }
}

function refuseForeign(kind: keyof typeof BELONGS, values: Values): void {
  const known: readonly Flag[] = BELONGS[kind];
  for (const flag of Object.keys(values) as Flag[]) {
    if (known.includes(flag)) continue;
    if (kind === "campaign") {
      throw new UsageError(`--${flag} is about one run: name it with --seed or --options`);
    }
    const other = kind === "single" ? "one run" : "planted defects";
    throw new UsageError(`--${flag} has no meaning for ${other}`);
  }
}

function campaignOf(values: Values): CampaignCommand {
  const seconds = optional(values.seconds, (text) => {
    const value = Number(text);
    if (value > 0 && value <= SECONDS_MAX) return value;
    throw new UsageError(`--seconds wants a time above 0 in seconds, not "${text}"`);
  });
  const seeds = optional(values.seeds, (text) => count("seeds", text));
  return {
    kind: "campaign",
    from: optional(values.from, (text) => seedOf("from", text)),
    seeds: seeds ?? (seconds === undefined ? SEEDS_DEFAULT : undefined),
    seconds,
    jobs: jobsOf(values),
    profile: optional(values.profile, profileOf),
    json: values.json === true,
  };
}

function singleOf(values: Values): SingleCommand {
  const { seed, options: file } = values;
  if (seed !== undefined && file !== undefined) {
    throw new UsageError("--seed and --options both name a run: give one of them");
  }
  if (file !== undefined && values.profile !== undefined) {
    throw new UsageError("--profile draws options, and --options gives them: leave one out");
  }
  if (values.shrink === true && (values.trace === true || values.until !== undefined)) {
    throw new UsageError("--shrink makes many runs: --trace and --until are for a single one");
  }
  if (values.trace === true && values.json === true) {
    throw new UsageError("--trace and --json would mix their lines: leave one out");
  }
  return {
    kind: "single",
    of: file === undefined ? { seed: seedOf("seed", seed!) } : { file },
    profile: optional(values.profile, profileOf),
    trace: values.trace === true,
    until: optional(values.until, (text) => count("until", text)),
    shrink: values.shrink === true,
    json: values.json === true,
  };
}

function mutationsOf(values: Values, names: readonly string[]): MutationsCommand {
  return {
    kind: "mutations",
    names,
    list: values.list === true,
    from: optional(values.from, (text) => seedOf("from", text)) ?? FIRST_MUTATION_SEED,
    jobs: jobsOf(values),
    json: values.json === true,
  };
}

function jobsOf(values: Values): number {
  return optional(values.jobs, (text) => count("jobs", text)) ?? availableParallelism();
}

/** Throws {@link UsageError} where there is no such profile. */
export function profileOf(text: string): Profile {
  const profile = PROFILES.find((each) => each === text);
  if (profile !== undefined) return profile;
  throw new UsageError(`there is no profile "${text}"; there are ${PROFILES.join(", ")}`);
}

function optional<T>(text: string | undefined, read: (text: string) => T): T | undefined {
  return text === undefined ? undefined : read(text);
}

function count(flag: string, text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value > 0) return value;
  throw new UsageError(`--${flag} wants a whole number of 1 or more, not "${text}"`);
}

function seedOf(flag: string, text: string): number {
  const value = Number(text);
  if (/^(\d+|0x[0-9a-f]+)$/i.test(text) && value <= SEED_MAX) return value;
  throw new UsageError(`--${flag} wants a seed from 0 to ${SEED_MAX}, not "${text}"`);
}
