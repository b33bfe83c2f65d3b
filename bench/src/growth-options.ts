/** The command line of `growth`. */
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { listOf, seconds, UsageError, wholeNumber } from "./options.ts";

/** What grows, and how far: by default, and with `--full`. */
export const SWEEPS = {
  keys: { unit: "keys", values: [10_000, 100_000, 1_000_000], full: [10_000_000] },
  log: { unit: "writes before", values: [10_000, 100_000], full: [1_000_000, 10_000_000] },
  value: { unit: "bytes of a value", values: [16, 256, 4_096, 65_536], full: [524_288] },
  members: { unit: "members", values: [1, 3, 5, 7], full: [] },
  connections: { unit: "idle connections", values: [0, 100, 1_000], full: [10_000] },
} as const;

/** One thing that grows. */
export type Sweep = keyof typeof SWEEPS;

/** Where the server has its keys. */
export const STORES = ["memory", "disk"] as const;
export type Store = (typeof STORES)[number];

/** What to measure. */
export interface GrowthOptions {
  readonly sweeps: readonly Sweep[];
  readonly stores: readonly Store[];
  readonly full: boolean;
  /** No value of a sweep above it. */
  readonly most: number;
  readonly repeats: number;
  readonly windowMs: number;
  readonly directory: string;
  readonly allowMemory: boolean;
  readonly json: boolean;
  readonly name: string | undefined;
}

export function parseGrowthOptions(args: readonly string[]): GrowthOptions {
  const values = parse(args);
  return {
    sweeps: listOf("sweeps", values.sweeps, Object.keys(SWEEPS) as Sweep[]),
    stores: listOf("stores", values.stores, STORES),
    full: values.full,
    most: values.most === undefined ? Infinity : wholeNumber("most", values.most),
    repeats: wholeNumber("repeats", values.repeats),
    windowMs: seconds("seconds", values.seconds),
    directory: values.dir,
    allowMemory: values["allow-memory"],
    json: values.json,
    name: values["no-save"] ? undefined : values.name,
  };
}

/** How far a sweep goes. */
export function valuesOf(sweep: Sweep, { full, most }: GrowthOptions): readonly number[] {
  const { values, full: further } = SWEEPS[sweep];
  return [...values, ...(full ? further : [])].filter((value) => value <= most);
}

/** One size of one sweep with one store. */
export interface GrowthSize {
  readonly sweep: Sweep;
  readonly size: number;
  readonly store: Store;
}

/** What members with their keys in memory take for each: about 0.85 KiB, three of them. */
const MEMORY_BYTES_PER_KEY = 3 * 870;
/** So much of the machine's memory they may have. */
const MEMORY_SHARE = 0.8;

/** All that was asked for: what this machine's memory holds, and what it does not. */
export function sizesOf(
  options: GrowthOptions,
  memoryGiB: number,
): { readonly sizes: readonly GrowthSize[]; readonly tooLarge: readonly GrowthSize[] } {
  const all = options.sweeps.flatMap((sweep) =>
    valuesOf(sweep, options).flatMap((size) =>
      options.stores.map((store): GrowthSize => ({ sweep, size, store })),
    ),
  );
  const fits = ({ sweep, size, store }: GrowthSize): boolean =>
    sweep !== "keys" ||
    store === "disk" ||
    size * MEMORY_BYTES_PER_KEY <= memoryGiB * 2 ** 30 * MEMORY_SHARE;
  return { sizes: all.filter(fits), tooLarge: all.filter((one) => !fits(one)) };
}

/** The command that measures the same again. */
export function growthCommand(options: GrowthOptions): string {
  return [
    `npm run bench -- growth --sweeps ${options.sweeps.join(",")}`,
    `--stores ${options.stores.join(",")}`,
    ...(options.full ? ["--full"] : []),
    ...(options.most === Infinity ? [] : [`--most ${options.most}`]),
    `--repeats ${options.repeats}`,
    `--seconds ${options.windowMs / 1_000}`,
  ].join(" ");
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        sweeps: { type: "string", default: Object.keys(SWEEPS).join(",") },
        stores: { type: "string", default: "memory,disk" },
        full: { type: "boolean", default: false },
        most: { type: "string" },
        repeats: { type: "string", default: "3" },
        seconds: { type: "string", default: "2" },
        dir: { type: "string", default: tmpdir() },
        name: { type: "string", default: "growth" },
        "no-save": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        "allow-memory": { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
